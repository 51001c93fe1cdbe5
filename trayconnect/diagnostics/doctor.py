"""Checks of this machine: a line for each thing that a tunnel or the icon depends on.

Each check is bounded in time, changes nothing, and shows no secret."""

from __future__ import annotations

import enum
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trayconnect.config.file_problems import ConfigError
from trayconnect.config.places import ssh_config_file
from trayconnect.config.yaml_file import load
from trayconnect.control.client import ControlClient, NotRunningError
from trayconnect.core import logs
from trayconnect.core.command import Command
from trayconnect.core.errors import ProblemError
from trayconnect.core.privacy import writers
from trayconnect.core.subprocesses import path_for_others
from trayconnect.desktop import helper_process, programs
from trayconnect.desktop.autostart.entry import autostart, hindrance
from trayconnect.desktop.prompts.prompter import find_surroundings, order
from trayconnect.desktop.prompts.terminal_prompter import TerminalPrompter
from trayconnect.desktop.secrets import KeyringSecrets
from trayconnect.ssh.auth.agent import Agent
from trayconnect.ssh.auth.identities import default_identity_files
from trayconnect.ssh.auth.keyfile import KeyFile, PassphraseNeededError, read_key_file
from trayconnect.ssh.config.ssh_config import SshConfig, install_advice
from trayconnect.ssh.hostkeys.known_hosts import parse
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.tray.backends.choice import BackendKind, TrayReport, tray_report

_VERSION_LIMIT = 5.0


class Grade(enum.Enum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    """Not everybody needs it, or nothing can be done."""
    PROBLEM = "PROBLEM"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `advice` says what to do."""

    mark: Grade
    subject: str
    text: str
    advice: str = ""

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield f"{self.mark.value:<8} {self.subject:<12} {self.text}"
        for line in self.advice.splitlines():
            yield f"{'':<8} {'':<12}   {line}"


Check = Callable[[], Iterator[Finding]]


def examine_machine(config: Path, control: ControlClient) -> Iterator[Finding]:
    """All findings, each as soon as it is known. A check that fails is a finding, too."""
    checks: Sequence[tuple[str, Check]] = (
        ("server file", lambda: _server_file(config)),
        ("app", lambda: _app(control)),
        ("tray", lambda: _tray(control)),
        ("questions", _questions),
        ("keyring", _keyring),
        ("agent", _agent),
        ("ssh", _ssh),
        ("keys", _keys),
        ("known hosts", _known_hosts),
        ("login", _at_login),
        ("log", _log),
    )
    for subject, check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - the other checks go on
            yield Finding(Grade.PROBLEM, subject, f"could not be checked: {error!r}")


def _server_file(path: Path) -> Iterator[Finding]:
    subject, shown = "server file", path_for_others(path)
    if not path.exists():
        yield Finding(Grade.NOTE, subject, f"{shown} does not exist yet; the app creates it")
        return
    try:
        count = len(load(path).servers)
    except ConfigError as error:
        advice = "\n".join(str(problem) for problem in error.problems)
        yield Finding(Grade.PROBLEM, subject, f"{shown} cannot be used", advice)
        return
    yield Finding(Grade.OK, subject, f"{shown}: {count} server{'' if count == 1 else 's'}")
    for place, advice in writers(path):
        text = f"other users can write to {place}, and redirect your logins"
        yield Finding(Grade.PROBLEM, subject, text, advice)


def _app(control: ControlClient) -> Iterator[Finding]:
    try:
        data = _asked(control, Command("status"))
    except NotRunningError:
        yield Finding(Grade.NOTE, "app", "is not running")
        return
    except ProblemError as error:
        yield Finding(Grade.PROBLEM, "app", error.problem.title, error.problem.advice)
        return
    states = [server["state"] for server in data["servers"]]
    yield Finding(Grade.OK, "app", f"is running; {states.count('up')} of {len(states)} up")


def _tray(control: ControlClient) -> Iterator[Finding]:
    try:
        told = _asked(control, Command("tray"))
    except ProblemError:
        found = tray_report()
    else:
        if told is None:
            yield Finding(Grade.NOTE, "tray", "the app runs without an icon (--no-tray)")
            return
        found = TrayReport(BackendKind(told["way"]), told["reason"], told["host"], told["shown"])
    good = found.kind is not BackendKind.NONE and found.shown is not False
    shown = {True: ", and shows the icon", False: ", but no panel shows the icon", None: ""}
    text = f"{found.kind.value}: {found.reason}{shown[found.shown]}"
    works = (
        "A status window and the commands" if helper_process.can_show_windows() else "The commands"
    )
    advice = "" if good else f"{works} work without it"
    yield Finding(Grade.OK if good else Grade.NOTE, "tray", text, advice)


def _asked(control: ControlClient, command: Command) -> Any:  # noqa: ANN401 - JSON
    reply = control.call(command)
    if reply.problem is not None:
        raise ProblemError(reply.problem)
    return reply.data


def _questions() -> Iterator[Finding]:
    here = find_surroundings(lives_in_terminal=False)
    ways = order(here)
    install = helper_process.window_programs()
    if not ways:
        lack = "no program for its windows" if helper_process.has_screen() else "no screen"
        advice = "Log in with a key or an agent; or run `trayconnect run --no-tray` in a terminal"
        yield Finding(
            Grade.PROBLEM,
            "questions",
            f"no password can be asked: {lack}, no terminal",
            f"Install {install}. {advice}" if install else advice,
        )
        return
    if ways == (TerminalPrompter.name,):
        advice = f"Install {install}, or nothing can ask when trayconnect starts without a terminal"
        text = "are asked in the terminal of trayconnect run"
        yield Finding(Grade.NOTE, "questions", text, advice if install else "")
        return
    first, *others = ways
    then = f", else by {', '.join(others)}" if others else ""
    if here.tkinter:
        yield Finding(Grade.OK, "questions", f"are asked by {first}{then}")
    else:
        advice = "Install Tk for better windows. On Debian and Ubuntu: apt install python3-tk"
        lacks_tk = helper_process.has_display() and not helper_process.has_tkinter()
        text = f"are asked by {first}{then}"
        yield Finding(Grade.NOTE, "questions", text, advice if lacks_tk else "")


def _keyring() -> Iterator[Finding]:
    try:
        KeyringSecrets().get("trayconnect doctor", "nobody")
    except ProblemError as error:
        yield Finding(Grade.NOTE, "keyring", error.problem.title, error.problem.advice)
    else:
        yield Finding(Grade.OK, "keyring", "works, and can keep passwords")


def _agent() -> Iterator[Finding]:
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path and sys.platform != "win32":
        yield Finding(Grade.NOTE, "agent", "none: SSH_AUTH_SOCK is not set")
        return
    with Agent(path) as agent:
        if not agent.is_there:
            if path:
                yield Finding(Grade.PROBLEM, "agent", f"no agent answers on {path}")
            else:
                text = "none: neither OpenSSH's agent nor Pageant is running"
                yield Finding(Grade.NOTE, "agent", text)
            return
        keys = agent.keys()
    names = ", ".join(f"{key.get_name()} {key.comment}".strip() for key in keys)
    yield Finding(Grade.OK if keys else Grade.NOTE, "agent", names or "it holds no keys")


def _ssh() -> Iterator[Finding]:
    path = shutil.which("ssh")
    if path is None:
        unused = SshConfig(ssh_config_file()).unused
        if unused is None:
            yield Finding(Grade.NOTE, "ssh", "OpenSSH is not installed")
        else:
            text = f"OpenSSH is not installed, so {unused} is not used"
            yield Finding(Grade.PROBLEM, "ssh", text, install_advice())
        return
    version = programs.version([path, "-V"], timeout=_VERSION_LIMIT)
    yield Finding(Grade.OK, "ssh", f"{path}, {version}")


def _keys() -> Iterator[Finding]:
    found = False
    for path in default_identity_files():
        if not path.exists():
            continue
        found = True
        try:
            file = read_key_file(path)
            kind = _kind(file)
        except ProblemError as error:
            yield Finding(Grade.PROBLEM, "keys", error.problem.title, error.problem.advice)
        else:
            yield Finding(Grade.OK, "keys", f"{path}: {kind}")
    if not found:
        yield Finding(Grade.NOTE, "keys", "no default key in ~/.ssh")


def _kind(file: KeyFile) -> str:
    try:
        return file.decrypt().get_name()
    except PassphraseNeededError:
        name = file.public.type if file.public is not None else "a key"
        return f"{name}, encrypted"


def _known_hosts() -> Iterator[Finding]:
    for path in KnownHosts.default().files:
        if not path.is_file():
            continue
        data = path.read_bytes()
        lines = [line for line in data.split(b"\n") if line.strip() and line.strip()[:1] != b"#"]
        usable = len(list(parse(data, path)))
        text = f"{path_for_others(path)}: {usable} key{'' if usable == 1 else 's'}"
        if usable == len(lines):
            yield Finding(Grade.OK, "known hosts", text)
        else:
            text += f"; {len(lines) - usable} of its lines cannot be read"
            yield Finding(Grade.NOTE, "known hosts", text, "The log has their numbers")


def _at_login() -> Iterator[Finding]:
    problem = hindrance()
    if problem is not None:
        yield Finding(Grade.NOTE, "login", problem.title, problem.advice)
        return
    on = autostart().is_on()
    text = "trayconnect starts at login" if on else "trayconnect does not start at login"
    yield Finding(Grade.OK if on else Grade.NOTE, "login", text)


def _log() -> Iterator[Finding]:
    path = path_for_others(logs.log_file())
    if not path.exists():
        yield Finding(Grade.NOTE, "log", f"{path} does not exist yet")
        return
    if sys.platform != "win32" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding(Grade.PROBLEM, "log", f"other users can read {path}", f"chmod 600 {path}")
        return
    yield Finding(Grade.OK, "log", str(path))
