"""Is this host key the server's? The files answer, or a certificate, or else the user."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Sequence

from trayconnect.config.algorithms import HOST_KEYS
from trayconnect.core.questions import Ask, Question, QuestionKind
from trayconnect.ssh.auth.certificate import Certificate
from trayconnect.ssh.auth.signatures import rsa_bits
from trayconnect.ssh.hostkeys import host_certificates, host_key_problems, revoked
from trayconnect.ssh.hostkeys.host_certificates import Flaw, Shown
from trayconnect.ssh.hostkeys.known_hosts import (
    HostKey,
    KnownHostsEntry,
    Verdict,
    find_authority,
    host_name,
    lookup,
    lookup_authority,
)
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.target import LoginTarget

log = logging.getLogger(__name__)


def is_loopback(address: str) -> bool:
    """Whether it is this machine's own, for which OpenSSH does not check it."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def address_to_check(target: LoginTarget, address: str) -> str:
    """The name under which the address is looked up as well, with `CheckHostIP`; else ""."""
    if not target.options.check_host_ip or not address or is_loopback(address):
        return ""
    return host_name(address, target.port)


def verify(
    target: LoginTarget,
    shown: Shown,
    entries: Sequence[KnownHostsEntry],
    store: KnownHosts,
    ask: Ask,
    now: Callable[[], float] = time.time,
    *,
    address: str = "",
) -> bool:
    """Return if what the server shows is to be trusted; a key that the user accepts is added to
    our own file. True: for a certificate's sake, false: for the plain key's.

    A certificate by an authority that is on file for the host decides. One that is not valid, and
    one by any other authority, leaves it to the plain key within, as with OpenSSH; but nobody is
    asked to trust that key where a known authority does not vouch for it.

    `StrictHostKeyChecking no` means accept-new: a key that has changed is refused even so, where
    OpenSSH would connect without passwords.

    `address` is what the host's name led to, if known: with `CheckHostIP`, another key that is on
    file for it counts as well, as with OpenSSH.

    Raises `ProblemError` for a key that is changed, revoked, or not known and not to be asked
    for; `Cancelled` if the user declines."""
    bits = rsa_bits(shown.key)
    if bits is not None and bits < target.options.required_rsa_size:
        raise host_key_problems.key_short(target, shown.key, bits)
    _refuse_revoked(target, shown)
    flaw: Flaw | None = None
    certificate = shown.certificate
    if certificate is not None and _is_vouched_for(target, certificate, entries):
        flaw = host_certificates.flaw(
            certificate,
            target.certified_name,
            now(),
            target.options.ca_signature_algorithms or HOST_KEYS,
        )
        if flaw is None:
            return True
        log.warning("%s: the host certificate is ignored: %s", target.address, flaw.value)
    found = lookup(entries, target.known_hosts_names, shown.key)
    if found.verdict is Verdict.REVOKED:
        raise host_key_problems.key_revoked(target, shown.key, found.entries[0].place)
    if found.verdict is not Verdict.CHANGED:
        _check_address(target, shown.key, entries, address)
    if found.verdict is Verdict.MATCH:
        return False
    if certificate is not None and flaw is not None:
        raise host_key_problems.certificate_refused(target, certificate, flaw, now())
    if found.verdict is Verdict.CHANGED:
        raise host_key_problems.key_changed(target, shown.key, found.entries)
    if target.options.strict_host_key_checking == "yes":
        raise host_key_problems.key_unknown(target, shown.key)
    if target.options.strict_host_key_checking == "ask":
        authority = find_authority(entries, target.known_hosts_names)
        ask(_question(target, shown.key, authority))
    _remember(target, shown.key, store)
    return False


def _refuse_revoked(target: LoginTarget, shown: Shown) -> None:
    file = target.options.revoked_host_keys
    if file is None:
        return
    try:
        if not revoked.finds(file, shown):
            return
    except revoked.UnreadableError as error:
        raise host_key_problems.revocations_unreadable(target, file, str(error)) from error
    raise host_key_problems.key_revoked(target, shown.key, str(file))


def _is_vouched_for(
    target: LoginTarget, certificate: Certificate, entries: Sequence[KnownHostsEntry]
) -> bool:
    """Whether the certificate's authority is known for the host. Raises `ProblemError` if that
    is revoked, or the key."""
    names, authority = target.known_hosts_names, certificate.authority
    found = lookup_authority(entries, names, certificate.key, authority)
    if found.verdict is Verdict.REVOKED:
        line = found.entries[0]
        if line.key == authority:
            raise host_key_problems.authority_revoked(target, authority, line)
        raise host_key_problems.key_revoked(target, certificate.key, line.place)
    return found.verdict is Verdict.MATCH


def _check_address(
    target: LoginTarget, key: HostKey, entries: Sequence[KnownHostsEntry], address: str
) -> None:
    name = address_to_check(target, address)
    if not name:
        return
    found = lookup(entries, (name,), key)
    if found.verdict in (Verdict.CHANGED, Verdict.REVOKED):
        raise host_key_problems.address_differs(target, address, key, found.entries)


def _remember(target: LoginTarget, key: HostKey, store: KnownHosts) -> None:
    if store.own is None:
        return
    name = target.known_hosts_names[0]
    try:
        store.add(name, [key])
    except OSError as error:
        # It is trusted: that holds for this time, and is decided again the next.
        log.warning("cannot write %s: %s", store.own, error)
    else:
        log.info("%s is known from now on: %s", name, key)


def _question(target: LoginTarget, key: HostKey, authority: KnownHostsEntry | None) -> Question:
    message = (
        f"The host key of {target.description} is not known yet:\n\n"
        f"{key.type}  {key.fingerprint}\n\n"
    )
    if authority is not None:
        message += (
            "Careful: it comes without a certificate of the authority that is on file for this "
            f"host, in {authority.place}.\n\n"
        )
    message += (
        "Compare the fingerprint with the one that the server's administrator gives. "
        "Trust it only if they are the same."
    )
    return Question(
        kind=QuestionKind.HOST_KEY,
        server=target.server,
        title=f"Is this really {target.address}?",
        message=message,
        confirm="Trust",
    )
