"""Runs `ssh -G`, which prints OpenSSH's configuration for a host."""

from __future__ import annotations

import errno
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trayconnect.config.forward_syntax import ForwardEnd, ForwardSpec, Kind
from trayconnect.config.forward_syntax import parse as parse_forward
from trayconnect.config.openssh_syntax import FORWARDS
from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.files import check_room, scratch
from trayconnect.core.subprocesses import end_group, start_group
from trayconnect.ssh.config.ssh_options import Query, RawOptions, broken

LIMIT = 15.0
"""Seconds: a `Match exec` in the user's file may query the network."""
_JOIN_SECONDS = 5.0
_MAX_BYTES = 1 << 20
_SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)

_ALGORITHMS = (
    "ciphers",
    "macs",
    "kexalgorithms",
    "hostkeyalgorithms",
    "casignaturealgorithms",
    "pubkeyacceptedalgorithms",
)
_FILES = ("userknownhostsfile", "globalknownhostsfile")
_ALWAYS = ("hostname", "user", "port", "updatehostkeys", "checkhostip", "requiredrsasize")
"""Keywords whose defaults depend on other options, or on the version."""
_OPTIONAL = frozenset((*_FILES, "identityfile", "certificatefile", "sendenv", "setenv"))
"""Keywords with a default for which `ssh` may print nothing."""
# Lists of paths are printed with spaces between the paths and no quotes.
_NEXT_PATH = re.compile(r" (?=[/~]|[A-Za-z]:[\\/]|__PROGRAMDATA__)")
_PLACE = re.compile(r"(?P<file>.+?):? line (?P<line>[0-9]+): (?P<message>.*)")
_NOISE = ("Pseudo-terminal will not be allocated",)


Settings = Mapping[str, tuple[str, ...]]


def defaults_of(ssh: str, cancel: CancelToken) -> Settings:
    """What `ssh` prints for an empty configuration. Raises as `ask`."""
    return _settings(_run(ssh, Query("host"), "none", cancel))


class Defaults:
    """The `defaults_of` each `ssh`, asked once while the program stays the same. From any
    thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[object, Settings] = {}

    @contextmanager
    def of(self, ssh: str, cancel: CancelToken) -> Iterator[Callable[[], Settings]]:
        """Begin to ask, and give what waits for the answer. That raises as `ask`. At the end of the
        block, nobody asks any more."""
        try:
            about = Path(ssh).stat()
            program: object = (ssh, about.st_ino, about.st_size, about.st_mtime_ns)
        except OSError:
            program = object()
        with self._lock:
            known = self._known.get(program)
        if known is not None:
            yield lambda: known
            return
        asked = Background(lambda: defaults_of(ssh, cancel), "tc-ssh-g")

        def answer() -> Settings:
            found = asked.result(cancel)
            with self._lock:
                self._known = {program: found}
            return found

        try:
            yield answer
        finally:
            asked.join(_JOIN_SECONDS)  # a cancellation ends its ssh


def ask(
    ssh: str,
    query: Query,
    named: Path | None,
    defaults: Callable[[], Settings],
    cancel: CancelToken,
) -> RawOptions:
    """The configuration for a host. `named` is the argument of `-F`; `defaults` returns the
    `defaults_of` settings, which count as not set.

    Raises `SshConfigError`, `ProblemError` if `ssh` does not answer, and `Cancelled`."""
    found = _settings(_run(ssh, query, None if named is None else str(named), cancel))
    return _options(query, found, defaults())


def _options(query: Query, found: Settings, defaults: Settings) -> RawOptions:
    if lost := defaults.keys() - found.keys() - _OPTIONAL:
        raise _incomplete(query, f"without {', '.join(sorted(lost))}")
    return parse(found, defaults)


def parse(found: Settings, defaults: Settings) -> RawOptions:
    """The options that were set, given what is printed by default."""
    options = {
        keyword: values
        for keyword, values in found.items()
        if keyword in _ALWAYS or values != defaults.get(keyword)
    }
    for keyword in defaults.keys() - found.keys():
        if keyword in _FILES:  # some versions print nothing for `none`
            options[keyword] = ("none",)
    for keyword in _FILES:
        if keyword in options:
            options[keyword] = tuple(_NEXT_PATH.split(options[keyword][0]))
    return RawOptions(
        values=options,
        forwards=tuple(dict.fromkeys(_forwards(found))),
        algorithms={
            keyword: tuple(options[keyword][0].split(","))
            for keyword in _ALGORITHMS
            if keyword in options
        },
    )


def _forwards(found: Settings) -> list[ForwardSpec]:
    forwards = [
        forward
        for keyword, kind in FORWARDS.items()
        for value in found.get(keyword, ())
        if (forward := _forward(kind, value)) is not None
    ]
    # A dynamic forward to a socket is printed twice, the second time as a dynamic one.
    to_sockets = {one.listen for one in forwards if one.target and one.target.path is not None}
    return [one for one in forwards if one.kind is not Kind.DYNAMIC or one.listen not in to_sockets]


def _forward(kind: Kind, value: str) -> ForwardSpec | None:
    listen, _, target = value.partition(" ")
    if kind is Kind.DYNAMIC and target:
        return None
    is_proxy = not target or target.startswith("[socks]")
    try:
        return ForwardSpec(kind, _place(listen), None if is_proxy else _place(target))
    except ValueError:
        return None  # an entry printed amiss


def _place(text: str) -> ForwardEnd:
    if "/" in text and not text.startswith("["):
        return ForwardEnd(path=text)  # verbatim, whatever characters it holds
    return parse_forward(Kind.REMOTE, text).listen


def _settings(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        key = keyword.lower()
        found[key] = (*found.get(key, ()), value)
    return found


def _run(ssh: str, query: Query, named: str | None, cancel: CancelToken) -> str:
    command = [ssh, "-G"]
    if named is not None:
        command += ["-F", named]
    if query.user:
        command += ["-l", query.user]
    if query.port:
        command += ["-p", str(query.port)]
    if query.direct:
        command += ["-o", "ProxyCommand=none"]
    try:
        with scratch() as output, scratch() as errors:
            status = _finish([*command, "--", query.host], output, errors, cancel)
            printed, complaints = _text(output), _text(errors)
            check_room(output)
    except OSError as error:
        # On a full disk, ssh exits with status 0 although output is lost.
        raise _incomplete(query, str(error)) from error
    if status != 0:
        raise _refused(complaints, query.host)
    if not printed.endswith("\n") or not _settings(printed).keys() >= {"hostname", "port"}:
        raise _incomplete(query, f"{len(printed)} characters of it")
    return printed


def _incomplete(query: Query, detail: str) -> ProblemError:
    title = f"ssh gave an incomplete answer about your SSH configuration for {query.host}"
    advice = "Check that the disk of your temporary folder is not full."
    return ProblemError(Problem(title, advice, Recovery.RETRY, detail))


def _finish(command: list[str], output: IO[bytes], errors: IO[bytes], cancel: CancelToken) -> int:
    cancel.check()
    try:
        process = start_group(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
    except OSError as error:
        advice = "Check OpenSSH's installation: trayconnect asks it what your ~/.ssh/config says."
        title = f"The program {command[0]} cannot be started"
        recovery = Recovery.RETRY if error.errno in _SHORTAGES else Recovery.FIX_FIRST
        raise ProblemError(Problem(title, advice, recovery, str(error))) from error
    try:
        with cancel.releasing(lambda: end_group(process, at_once=True)):
            return process.wait(LIMIT)
    except subprocess.TimeoutExpired as error:
        title = f"ssh did not report your SSH configuration within {LIMIT:g} s"
        advice = "A command after 'Match exec' may hang; try 'ssh -G' in a terminal."
        raise ProblemError(Problem(title, advice, Recovery.RETRY, " ".join(command))) from error
    finally:
        if process.returncode is None:
            end_group(process, at_once=True)
            process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_MAX_BYTES).decode("utf-8", "surrogateescape")


def _refused(complaints: str, host: str) -> ProblemError:
    lines = [
        line for line in complaints.splitlines() if line.strip() and not line.startswith(_NOISE)
    ]
    detail = "\n".join(lines)
    for line in lines:
        match = _PLACE.fullmatch(line)
        if match is not None:
            return broken(
                f"{match['file']} line {match['line']}", match["message"].rstrip(" ."), detail
            )
    return broken(f"ssh_config of {host}", lines[0] if lines else "ssh refuses it", detail)
