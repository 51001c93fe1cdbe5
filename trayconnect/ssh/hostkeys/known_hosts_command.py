"""KnownHostsCommand of ssh_config(5): a program that prints lines of known_hosts.

It is called as `ssh` calls it (sshconnect.c): before the key exchange, then for the host's key, and
for its address."""

from __future__ import annotations

import base64
import errno
import logging
import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from trayconnect.core import sanitize
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery, shortage
from trayconnect.core.files import check_room, scratch
from trayconnect.core.subprocesses import (
    end_group,
    has_exited,
    start_group,
)
from trayconnect.ssh.hostkeys import known_hosts
from trayconnect.ssh.hostkeys.host_certificates import PresentedKey
from trayconnect.ssh.hostkeys.known_hosts import COMMAND, HostKey, KnownHostsEntry
from trayconnect.ssh.hostkeys.verification import address_to_check
from trayconnect.ssh.target import LoginTarget

log = logging.getLogger(__name__)

LIMIT = 30.0
"""Seconds: the command may query the network."""
MAX_BYTES = 4 << 20
_POLL_SECONDS = 0.01
_LATER = re.compile(r"\0([HIKft])")
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG)
_NOTHING_SHOWN = {"t": "NONE", "K": "NONE", "f": "NONE"}


def printed_for(
    target: LoginTarget, presented: PresentedKey | None, address: str, cancel: CancelToken
) -> tuple[KnownHostsEntry, ...]:
    """The lines that the command prints for the target's names; none without a command.

    `presented` None: before the key exchange. `address` is the resolved address, if known. Raises
    `ProblemError` where `ssh` would give up, too, and `Cancelled`."""
    if not target.options.known_hosts_command:
        return ()
    name = target.known_hosts_names[0]
    if presented is None:
        return _printed(target, "ORDER", target.host.lower(), name, _NOTHING_SHOWN, cancel)
    key = presented.certificate.public if presented.certificate is not None else presented.key
    about = _about(key, presented.key)
    found = _printed(target, "HOSTNAME", name, name, about, cancel)
    other = address_to_check(target, address)
    if other and other != name and presented.certificate is None:
        found += _printed(target, "ADDRESS", other, other, about, cancel)
    return found


def _about(key: HostKey, plain: HostKey) -> dict[str, str]:
    """`key` is what was presented; `plain` the key in it, if it is a certificate."""
    return {
        "t": key.type,
        "K": base64.b64encode(key.blob).decode("ascii"),
        "f": plain.fingerprint,
    }


def _printed(
    target: LoginTarget,
    occasion: str,
    host: str,
    name: str,
    about: Mapping[str, str],
    cancel: CancelToken,
) -> tuple[KnownHostsEntry, ...]:
    """The printed lines for `host`, as lines for `name` alone: `ssh` looks up no other name in
    them."""
    values = {"H": host, "I": occasion, **about}
    program, *rest = target.options.known_hosts_command
    arguments = [_LATER.sub(lambda token: values[token[1]], one) for one in rest]
    if not _is_there(target, program):
        return ()
    lines = known_hosts.parse(_run(target, [program, *arguments], cancel), COMMAND)
    hosts = name.lower().encode("utf-8", "surrogateescape")
    return tuple(
        replace(line, hosts=hosts) for line in lines if known_hosts.matches(line.hosts, host)
    )


def _is_there(target: LoginTarget, program: str) -> bool:
    """Whether the program can be run; otherwise `ssh` continues without it. Raises OSError if the
    system lacks resources."""
    path = Path(program)
    problem = "" if path.is_absolute() else "its path is not absolute"
    if not problem:
        try:
            path.stat()
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _NOT_THERE:
                raise
            problem = str(getattr(error, "strerror", error))
    if problem:
        log.warning("%s: KnownHostsCommand %s is not run: %s", target.address, program, problem)
    return not problem


def _run(target: LoginTarget, command: list[str], cancel: CancelToken) -> bytes:
    """The program's output. Raises `ProblemError` and `Cancelled`."""
    cancel.check()
    try:
        with scratch() as output, scratch() as errors:
            status = _finish(target, command, output, errors, cancel)
            errors.seek(0)
            message = sanitize.line(errors.read(4 * sanitize.MAX_LINE))
            if status != 0:
                raise _failed(target, f"it ended with status {status}", message)
            if message:
                log.warning("%s: KnownHostsCommand says: %s", target.address, message)
            output.seek(0)
            printed = output.read(MAX_BYTES)
            # A lost line may be the one that revokes the key.
            check_room(output)
    except OSError as error:
        if shortage(error):
            raise
        raise _failed(target, f"it cannot be run: {error.strerror}", str(error)) from error
    return printed


def _finish(
    target: LoginTarget,
    command: list[str],
    output: IO[bytes],
    errors: IO[bytes],
    cancel: CancelToken,
) -> int:
    process = start_group(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
    deadline = time.monotonic() + LIMIT
    try:
        while not has_exited(process):
            if cancel.wait(_POLL_SECONDS):
                cancel.check()
            if time.monotonic() > deadline:
                raise _failed(target, f"it takes longer than {LIMIT:g} s")
            _check_size(target, output, errors)
        _check_size(target, output, errors)
    finally:
        end_group(process, at_once=True)
        status = process.wait()
    return status


def _check_size(target: LoginTarget, *files: IO[bytes]) -> None:
    if any(os.fstat(file.fileno()).st_size > MAX_BYTES for file in files):
        raise _failed(target, f"it prints more than {MAX_BYTES >> 20} MiB")


def _failed(target: LoginTarget, reason: str, detail: str = "") -> ProblemError:
    program = target.options.known_hosts_command[0]
    title = f"KnownHostsCommand for {target.address} failed: {reason}"
    advice = (
        f"Your SSH configuration looks host keys up with {program}; without its answer ssh does "
        "not connect either. Run the command in a terminal, or ask your administrator."
    )
    if detail:
        advice += f"\nIt says: {detail}"
    return ProblemError(Problem(title, advice, Recovery.RETRY, detail))
