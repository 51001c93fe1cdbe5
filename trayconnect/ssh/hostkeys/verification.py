"""Host key verification: against the known_hosts files, or a certificate, or by the user."""

from __future__ import annotations

import ipaddress
import logging
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trayconnect.config.algorithms import HOST_KEYS
from trayconnect.core.questions import Ask, Question, QuestionKind
from trayconnect.core.subprocesses import clean_environment, no_console, path_for_others
from trayconnect.ssh.auth.certificate import Certificate
from trayconnect.ssh.auth.signatures import rsa_bits
from trayconnect.ssh.hostkeys import host_certificates, host_key_problems
from trayconnect.ssh.hostkeys.host_certificates import Flaw, PresentedKey
from trayconnect.ssh.hostkeys.known_hosts import (
    CERT_AUTHORITY,
    HostKey,
    KnownHostsEntry,
    Verdict,
    decode_revoked,
    find_marked,
    host_name,
    lookup,
    lookup_authority,
)
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.target import LoginTarget

log = logging.getLogger(__name__)


def is_loopback(address: str) -> bool:
    """Whether it is this machine's own address, which OpenSSH does not check."""
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
    presented: PresentedKey,
    entries: Sequence[KnownHostsEntry],
    store: KnownHosts,
    ask: Ask,
    now: Callable[[], float] = time.time,
    *,
    address: str = "",
) -> bool:
    """Return if the presented key is trusted; a key that the user accepts is appended to our own
    file. True: a certificate was decisive; false: the plain key.

    A certificate by an authority that is on file for the host decides. With an invalid one, or one
    by any other authority, the plain key decides, as with OpenSSH; but the user is not asked to
    trust that key if a known authority does not certify it.

    `StrictHostKeyChecking no` means accept-new: a changed key is refused even so, where OpenSSH
    would connect without passwords.

    `address` is the resolved address, if known: with `CheckHostIP`, a different stored key for it
    counts as well, as with OpenSSH.

    Raises `ProblemError` for a changed or revoked key, or an unknown one that the user must not be
    asked about; `Cancelled` if the user declines."""
    bits = rsa_bits(presented.key)
    if bits is not None and bits < target.options.required_rsa_size:
        raise host_key_problems.key_short(target, presented.key, bits)
    _refuse_revoked(target, presented)
    flaw: Flaw | None = None
    certificate = presented.certificate
    if certificate is not None and _is_certified(target, certificate, entries):
        flaw = host_certificates.flaw(
            certificate,
            target.certified_name,
            now(),
            target.options.ca_signature_algorithms or HOST_KEYS,
        )
        if flaw is None:
            return True
        log.warning("%s: the host certificate is ignored: %s", target.address, flaw.value)
    found = lookup(entries, target.known_hosts_names, presented.key)
    if found.verdict is Verdict.REVOKED:
        raise host_key_problems.key_revoked(target, presented.key, found.entries[0].place)
    if found.verdict is not Verdict.CHANGED:
        _check_address(target, presented.key, entries, address)
    if found.verdict is Verdict.MATCH:
        return False
    if certificate is not None and flaw is not None:
        raise host_key_problems.certificate_refused(target, certificate, flaw, now())
    if found.verdict is Verdict.CHANGED:
        raise host_key_problems.key_changed(target, presented.key, found.entries)
    if target.options.strict_host_key_checking == "yes":
        raise host_key_problems.key_unknown(target, presented.key)
    if target.options.strict_host_key_checking == "ask":
        authority = find_marked(CERT_AUTHORITY, entries, target.known_hosts_names)
        ask(_question(target, presented.key, authority))
    _remember(target, presented.key, store)
    return False


def _refuse_revoked(target: LoginTarget, presented: PresentedKey) -> None:
    file = target.options.revoked_host_keys
    if file is None:
        return
    try:
        if not is_revoked(file, presented):
            return
    except UnreadableError as error:
        raise host_key_problems.revocations_unreadable(target, file, str(error)) from error
    raise host_key_problems.key_revoked(target, presented.key, str(file))


def _is_certified(
    target: LoginTarget, certificate: Certificate, entries: Sequence[KnownHostsEntry]
) -> bool:
    """Whether a known authority of the host signed the certificate. Raises `ProblemError` if the
    authority or the key is revoked."""
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
        # The decision is not stored, and is made again at the next login.
        log.warning("cannot write %s: %s", store.own, error)
    else:
        log.info("%s is known from now on: %s", name, key)


def _question(target: LoginTarget, key: HostKey, authority: KnownHostsEntry | None) -> Question:
    message = (
        f"You have not connected to {target.description} before. Its host key is:\n\n"
        f"{key.type}  {key.fingerprint}\n\n"
    )
    if authority is not None:
        message += (
            f"Careful: it has no certificate of the authority that {authority.place} names for "
            "this host.\n\n"
        )
    message += (
        "Compare the fingerprint with the one from the server's administrator. Trust the key "
        "only if they match."
    )
    return Question(
        kind=QuestionKind.HOST_KEY,
        server=target.server,
        title=f"Is this really {target.address}?",
        message=message,
        confirm="Trust",
    )


MAX_REVOKED_BYTES = 16 << 20
REVOKED_SECONDS = 15.0
_KRL = b"SSHKRL\n\0"  # OpenSSH's PROTOCOL.krl
_REVOKED = 1  # the status of `ssh-keygen -Q`


class UnreadableError(Exception):
    """The file is unreadable or malformed; the text says why."""


def is_revoked(file: Path, presented: PresentedKey) -> bool:
    """Whether RevokedHostKeys, a list of public keys or a key revocation list of ssh-keygen(1),
    revokes the presented key. Raises `UnreadableError`: like OpenSSH, accept no key then."""
    try:
        if not file.is_file():
            raise UnreadableError("there is no such file")
        with file.open("rb") as stream:
            data = stream.read(MAX_REVOKED_BYTES + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    if len(data) > MAX_REVOKED_BYTES:
        raise UnreadableError(f"it is larger than {MAX_REVOKED_BYTES >> 20} MiB")
    if data.startswith(_KRL):
        return _krl_finds(file, presented)
    revoked = _listed(data)
    certificate = presented.certificate
    return presented.key in revoked or (
        certificate is not None and certificate.authority in revoked
    )


def _listed(data: bytes) -> set[HostKey]:
    found = set()
    for number, line in enumerate(data.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith(b"#"):
            continue
        try:
            kind, encoded = words[:2]
            found.add(decode_revoked(kind.decode("ascii", "replace"), encoded))
        except ValueError as error:
            # OpenSSH would skip the line; but it holds a key that somebody meant to revoke.
            raise UnreadableError(f"line {number} is no public key") from error
    return found


def _krl_finds(file: Path, presented: PresentedKey) -> bool:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise UnreadableError("its format takes ssh-keygen of OpenSSH, which is not installed")
    key = presented.certificate.public if presented.certificate is not None else presented.key
    with tempfile.TemporaryDirectory(prefix="trayconnect-") as folder:
        public = Path(folder, "host.pub")
        public.write_text(f"{key.line}\n", "utf-8")
        try:
            done = subprocess.run(
                [program, "-Q", "-f", *(str(path_for_others(path)) for path in (file, public))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=REVOKED_SECONDS,
                check=False,
                env=clean_environment(),
                creationflags=no_console(),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreadableError(str(error)) from error
    if done.returncode not in (0, _REVOKED):
        raise UnreadableError("ssh-keygen cannot read it")
    return done.returncode == _REVOKED
