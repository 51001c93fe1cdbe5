"""User-facing errors of host key verification.

No error offers a bypass: each explains how to verify the key, and what to change once it is
verified."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from trayconnect.core import sanitize
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.subprocesses import path_for_others
from trayconnect.ssh.auth.certificate import Certificate
from trayconnect.ssh.hostkeys.host_certificates import Flaw
from trayconnect.ssh.hostkeys.known_hosts import COMMAND, HostKey, KnownHostsEntry
from trayconnect.ssh.target import LoginTarget

_FIX = Recovery.FIX_FIRST


def key_unknown(target: LoginTarget, key: HostKey) -> ProblemError:
    """The user would have to be asked, and StrictHostKeyChecking forbids that."""
    title = f"The host key of {target.address} is not known"
    command = ["ssh", "-o", "StrictHostKeyChecking=ask"]
    if target.options.host_key_alias:
        command += ["-o", f"HostKeyAlias={target.options.host_key_alias}"]
    command += ["-p", str(target.port), target.host]
    advice = (
        "StrictHostKeyChecking is yes for it in your SSH configuration, so trayconnect does not "
        "ask. Its key is:\n"
        f"  {key}\n"
        "Compare it with the fingerprint from its administrator. Only if they match, let ssh add "
        f"the key, and connect again:\n  {_shell(command)}"
    )
    return ProblemError(Problem(title, advice, _FIX, str(key)))


def key_short(target: LoginTarget, key: HostKey, bits: int) -> ProblemError:
    """An RSA key with fewer bits than RequiredRSASize."""
    title = f"The host key of {target.address} is too short"
    advice = (
        f"It is an RSA key of {bits} bits; RequiredRSASize in your SSH configuration asks for "
        f"{target.options.required_rsa_size}. Ask the server's administrator for a new host key."
    )
    return ProblemError(Problem(title, advice, _FIX, str(key)))


def key_changed(
    target: LoginTarget, key: HostKey, stored: Sequence[KnownHostsEntry]
) -> ProblemError:
    title = f"The host key of {target.address} has changed"
    on_file = "\n".join(f"  known: {e.key} ({e.place})" for e in stored)
    advice = (
        "Someone may be intercepting the connection, or the server was reinstalled. Ask its "
        "administrator for the fingerprint of the new key, but not over this connection.\n"
        f"{on_file}\n"
        f"  shown now: {key}\n"
        "Only if they match, remove the old key, with this command or by hand, and connect again:\n"
        f"{_removal(target, stored)}"
    )
    return ProblemError(Problem(title, advice, _FIX, str(key)))


def address_differs(
    target: LoginTarget, address: str, key: HostKey, stored: Sequence[KnownHostsEntry]
) -> ProblemError:
    """CheckHostIP: the name's key differs from the key of its address."""
    title = f"The host key of {target.address} is not the one known for its address {address}"
    on_file = "\n".join(f"  known for {address}: {e.key} ({e.place})" for e in stored)
    advice = (
        "CheckHostIP in your SSH configuration checks the address, too. Either the name leads to "
        "another machine, or this machine has taken over the address. Ask its administrator.\n"
        f"{on_file}\n"
        f"  shown now: {key}\n"
        "Only if that is right, remove the line for the address, and connect again."
    )
    return ProblemError(Problem(title, advice, _FIX, str(key)))


def _removal(target: LoginTarget, stored: Sequence[KnownHostsEntry]) -> str:
    """How to remove lines: by a command, unless a line covers other hosts as well."""
    name = target.known_hosts_names[0]
    printed = [entry for entry in stored if entry.path == COMMAND]
    alone = [entry for entry in stored if not entry.is_pattern and entry not in printed]
    steps = [
        f"  {_shell(['ssh-keygen', '-f', str(path_for_others(path)), '-R', name])}"
        for path in dict.fromkeys(entry.path for entry in alone)
    ]
    steps += [
        f"  correct {entry.place} by hand: it covers other hosts as well"
        for entry in stored
        if entry.is_pattern
    ]
    steps += [f"  have {entry.place}, corrected by its administrator" for entry in printed]
    return "\n".join(steps)


def key_revoked(target: LoginTarget, key: HostKey, place: str) -> ProblemError:
    """`place`: the file and line of the revocation."""
    title = f"The host key of {target.address} is revoked"
    advice = (
        f"{place} revokes it: the machine that presents it may not be the server. "
        "Ask its administrator for a new host key."
    )
    return ProblemError(Problem(title, advice, _FIX, str(key)))


def revocations_unreadable(target: LoginTarget, file: Path, detail: str) -> ProblemError:
    """Without the revocations, the key's validity is unknown."""
    title = f"The file of revoked host keys for {target.address} cannot be read"
    advice = (
        f"RevokedHostKeys of your SSH configuration names {file}: {detail}. Correct that; ssh "
        "refuses to connect, too."
    )
    return ProblemError(Problem(title, advice, _FIX, detail))


def authority_revoked(
    target: LoginTarget, authority: HostKey, entry: KnownHostsEntry
) -> ProblemError:
    """A revoked authority signed the certificate."""
    title = f"The authority behind the host certificate of {target.address} is revoked"
    advice = (
        f"Its key is marked @revoked in {entry.place}: anyone who has it can pose as the server. "
        "Ask the server's administrator for a certificate of a new authority."
    )
    return ProblemError(Problem(title, advice, _FIX, str(authority)))


def certificate_refused(
    target: LoginTarget, certificate: Certificate, flaw: Flaw, now: float
) -> ProblemError:
    """A trusted authority signed the certificate, and yet it proves nothing."""
    title = f"The host certificate of {target.address} is not valid: {flaw.value}"
    names = sanitize.line(", ".join(certificate.principals))
    advice = {
        Flaw.NOT_YET: f"It begins at {_time(certificate.valid_after)}; here it is {_time(now)}. "
        "Check the clock of this machine; if it is right, ask the server's administrator.",
        Flaw.EXPIRED: f"It ended at {_time(certificate.valid_before)}; here it is {_time(now)}. "
        "Ask the server's administrator to renew it; or check the clock of this machine.",
        Flaw.OTHER_NAME: f"It is for {names}. Connect by such a name, "
        "or ask the server's administrator for a certificate with yours "
        f"({target.certified_name}).",
    }.get(flaw, "Ask the server's administrator for a new one.")
    detail = f"certificate “{sanitize.line(certificate.key_id)}”, serial {certificate.serial}"
    return ProblemError(Problem(title, advice, _FIX, detail))


def _time(seconds: float) -> str:
    """In the user's time zone."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    except (OverflowError, OSError, ValueError):
        return "a time beyond all calendars"


def _shell(command: Sequence[str]) -> str:
    """A command line to paste into a terminal."""
    if sys.platform == "win32":
        return subprocess.list2cmdline(command)
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        return shlex.join(command)
