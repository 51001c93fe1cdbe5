"""The command line of ssh(1), as people keep it in their notes.

Options that decide where the command leads are parsed, or the command is refused with the argument
at fault; options that only concern a terminal or a preference are noted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from trayconnect.config import forward_syntax, values
from trayconnect.config.forward_syntax import ForwardSpec, Kind, parse_words
from trayconnect.config.host_syntax import is_example_path, is_placeholder
from trayconnect.config.openssh_syntax import (
    ALIASES,
    FORWARDS,
    KEYWORDS,
    Jump,
    flag,
    jump_host,
    jump_hosts,
    port_number,
    seconds,
    split_line,
    split_words,
    whole_number,
)
from trayconnect.config.shell_words import CommandError, commands_of, dashed, placeholder

SSH_PORT = 22
PROGRAMS = ("ssh", "autossh", "ssh.exe")
_LAUNCHERS = ("nohup", "exec", "command", "$", "%", ">", "#")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_WITH_VALUE = frozenset("bceilmopBDEFIJLOPQRSwW")
_PLAIN = frozenset("1246afgkqnstvxACGKMNTVXYy")
_FORWARDS = {"L": Kind.LOCAL, "R": Kind.REMOTE, "D": Kind.DYNAMIC}
_LOST = {
    "A": "-A: trayconnect does not forward the agent",
    "X": "-X: trayconnect does not forward X11",
    "Y": "-Y: trayconnect does not forward X11",
    "4": "-4: write AddressFamily inet into ~/.ssh/config",
    "6": "-6: write AddressFamily inet6 into ~/.ssh/config",
    "g": "-g: only this machine can connect; bind_address can admit others",
    "b": "-b: write BindAddress into ~/.ssh/config",
    "B": "-B: write BindAddress into ~/.ssh/config",
    "c": "-c: write Ciphers into ~/.ssh/config",
    "m": "-m: write MACs into ~/.ssh/config",
    "I": "-I: load the token's keys into the SSH agent",
    "w": "-w: trayconnect makes no network interface",
}
_REFUSED = {
    "F": "an entry cannot name a file of ssh: name it in the variable TRAYCONNECT_SSH_CONFIG, and "
    "leave -F out",
    "P": "write what its tag says into ~/.ssh/config, and leave -P out",
}
_QUIET_KEYWORDS = """
    exitonforwardfailure tcpkeepalive loglevel requesttty batchmode sessiontype compression
    forkafterauthentication stdinnull escapechar visualhostkey connectionattempts
    permitlocalcommand numberofpasswordprompts ignoreunknown
"""
_QUIET = frozenset(_QUIET_KEYWORDS.split())
_REPLACEMENTS = {
    "stricthostkeychecking": "trayconnect always checks the host key",
    "userknownhostsfile": "trayconnect always checks the host key",
    "globalknownhostsfile": "trayconnect always checks the host key",
    "checkhostip": "trayconnect always checks the host key",
    "forwardagent": "trayconnect does not forward the agent",
    "gatewayports": "only this machine can connect; bind_address can admit others",
    "controlmaster": "trayconnect has its own connection",
    "controlpath": "trayconnect has its own connection",
    "controlpersist": "trayconnect has its own connection",
}
_HOST_AND_PORT = re.compile(r"([^:]+):([0-9]+)")
_NETCAT = re.compile(r"(?:exec )?(?:\S*/)?(?:nc|netcat|ncat)(?: -[A-Za-z]+(?: ?[0-9]+)?)* %h %p")
_LONGEST_SECONDS, _MAX_UNANSWERED = 86_400, 100


@dataclass(slots=True)
class SshCommand:
    """The parsed command. `notes` lists what was dropped, one line each, for people."""

    host: str = ""
    user: str | None = None
    port: int | None = None
    identity_files: list[str] = field(default_factory=list)
    jumps: tuple[Jump, ...] | None = None
    forwards: list[ForwardSpec] = field(default_factory=list)
    connect_timeout: int | None = None
    alive_interval: int | None = None
    alive_count_max: int | None = None
    start: dict[str, object] | None = None
    """The options to start Jupyter, if the command ends with that."""
    start_port: int | None = None
    notes: list[str] = field(default_factory=list)
    remote: list[str] = field(default_factory=list)
    """The arguments after the host."""
    joins: str | None = None
    """The argument of -W, in a ProxyCommand."""
    clears_forwards: bool = False
    inherits_user: bool = False
    """The account is that of the last jump host."""


def program_of(words: Sequence[str]) -> str:
    """The name of the program that a command runs, without its folder: `ssh` for `/usr/bin/ssh`."""
    return re.split(r"[/\\]", words[0])[-1].lower() if words else ""


def unlaunched(words: Sequence[str]) -> list[str]:
    """The command without its launcher: `nohup`, `NAME=value`."""
    rest = list(words)
    while rest and (_ASSIGNMENT.fullmatch(rest[0]) or rest[0] in _LAUNCHERS):
        rest = rest[1:]
    return rest


def arguments_of(words: Sequence[str]) -> tuple[list[str], bool]:
    """The arguments after the program's name, which may be missing."""
    words = unlaunched(words)
    if words and words[-1] == "&":
        words = words[:-1]
    if not words:
        raise CommandError("it is empty")
    program = program_of(words)
    if program in PROGRAMS:
        return words[1:], program == "autossh"
    first = dashed(words[0])
    if first.startswith(("-", "ssh://")) or "@" in first:
        return words, False
    advice = {
        "sudo": ": leave sudo out, trayconnect connects as you",
        "sshpass": ": leave it and the password out, trayconnect asks for the password",
        "plink": ": it takes other options, write the ssh command",
        "plink.exe": ": it takes other options, write the ssh command",
        "putty.exe": ": it takes other options, write the ssh command",
        "mosh": ": it has no forwards, write the ssh command",
    }.get(program, "")
    raise CommandError(f"it begins with {words[0]!r}, not with ssh{advice}")


class _OptionReader:
    """Parses options and destination in the order of ssh.c: the first value of an option counts."""

    def __init__(self, command: SshCommand, aliases: frozenset[str], *, is_autossh: bool) -> None:
        self._command = command
        self._aliases = aliases
        self._is_autossh = is_autossh
        self._proxy: str | None = None
        self._has_jump_option = False

    def read(self, words: list[str]) -> None:
        """Raises `CommandError`."""
        command = self._command
        rest = iter(words)
        for raw in rest:
            word = dashed(raw)
            if word == "--":
                remaining = list(rest)
                if remaining and not command.host:
                    self._destination(remaining.pop(0))
                command.remote = remaining
                break
            if word.startswith("-") and len(word) > 1:
                self._cluster(word[1:], rest)
            elif not command.host:
                self._destination(raw)
            else:
                command.remote = [raw, *rest]
                break
        if not command.host:
            raise CommandError("it names no host")
        if self._proxy is not None:
            self._through_proxy(self._proxy)
        if command.jumps:
            last = command.jumps[-1]
            if (last.host, last.port or SSH_PORT) == (command.host, command.port or SSH_PORT):
                raise CommandError(f"the jump host {last.host} is the host itself: leave it out")
        if command.clears_forwards:
            command.forwards.clear()
        for target in (forward.target for forward in command.forwards):
            if target is not None and target.path is None and target.host:
                self._check_host(target.host, f"the host {target.host}")

    def _destination(self, word: str) -> None:
        command = self._command
        if word not in self._aliases and is_placeholder(word):
            raise placeholder(word)
        try:
            if word.startswith("ssh://"):
                found = jump_host(word)
            else:
                # It takes no port, unlike a jump host, so an IPv6 address needs no brackets.
                user, at, host = word.rpartition("@")
                if at and not user:
                    raise ValueError("the user's name before '@' is missing")
                bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
                found = Jump(bare if ":" in bare else host, user or None)
        except ValueError as error:
            raise CommandError(f"the host {word!r}: {error}") from error
        if match := _HOST_AND_PORT.fullmatch(found.host):
            user = f"{found.user}@" if found.user else ""
            raise CommandError(f"the host {word!r}: write -p {match[2]} {user}{match[1]}")
        self._check(found, word)
        command.host = found.host
        command.user = command.user or found.user
        command.port = command.port or found.port

    def _check(self, place: Jump, word: str) -> None:
        self._check_host(place.host, f"the host {word!r}")
        if place.user is not None:
            self._check_user(place.user, word)

    def _check_host(self, host: str, label: str) -> None:
        if host not in self._aliases and is_placeholder(host):
            raise placeholder(host)
        try:
            values.host_name(host)
        except ValueError as error:
            raise CommandError(f"{label} {error}") from error

    def _check_user(self, user: str, word: str) -> None:
        if is_placeholder(user):
            raise placeholder(user)
        try:
            values.user_name(user)
        except ValueError as error:
            raise CommandError(f"the user in {word!r} {error}") from error

    def _cluster(self, letters: str, rest: Iterator[str]) -> None:
        """`-fNL 8888:localhost:8888`: combined flags, the last of which may take a value."""
        for at, letter in enumerate(letters):
            if letter in _WITH_VALUE or (letter == "M" and self._is_autossh):
                value = letters[at + 1 :] or next(rest, None)
                if value is None:
                    raise CommandError(f"-{letter} needs a value")
                if letter != "M":
                    self._option(letter, value)
                return
            if letter not in _PLAIN:
                raise CommandError(f"ssh knows no option -{letter}")
            if letter in _LOST:
                self._command.notes.append(_LOST[letter])

    def _option(self, letter: str, value: str) -> None:
        command = self._command
        try:
            match letter:
                case "p":
                    command.port = command.port or port_number(value)
                case "l":
                    self._check_user(value, f"-l {value}")
                    command.user = command.user or value
                case "i":
                    self._identity(value)
                case "J":
                    if command.jumps is not None or self._proxy is not None:
                        raise ValueError("name all jump hosts in one -J, with commas")
                    self._has_jump_option = True
                    self._jumps(value)
                case "L" | "R" | "D":
                    command.forwards.append(forward_syntax.parse(_FORWARDS[letter], value.strip()))
                case "W":
                    command.joins = value
                case "o":
                    self._keyword(value)
                case _ if letter in _REFUSED:
                    raise ValueError(_REFUSED[letter])
                case _ if letter in _LOST:
                    command.notes.append(_LOST[letter])
        except CommandError:
            raise
        except ValueError as error:
            raise CommandError(f"-{letter} {value}: {error}") from error

    def _identity(self, path: str) -> None:
        if is_example_path(path):
            raise placeholder(path)
        if path.lower() == "none":
            return
        if os.name != "nt" and "\\" in path:
            if not path.startswith("~"):
                raise CommandError(
                    f"-i {path}: that is a path of Windows; write where the key is on this machine"
                )
            path = path.replace("\\", "/")
        try:
            values.user_path(path)
        except ValueError as error:
            raise CommandError(f"-i {path[:60]!r} {error}") from error
        if "%" in path:
            raise CommandError(f"-i {path}: write the whole path, without %")
        self._command.identity_files.append(path)

    def _jumps(self, value: str) -> None:
        found = jump_hosts(value)
        for jump in found:
            self._check(jump, value)
        if self._command.jumps is None:
            self._command.jumps = found

    def _keyword(self, text: str) -> None:
        """`-o Keyword=value`. Raises ValueError."""
        command = self._command
        line = split_line(text)
        words = split_words(line.rest) if line else ()
        if line is None or not words:
            raise ValueError("a value is missing")
        match ALIASES.get(line.keyword, line.keyword):
            case "port":
                command.port = command.port or port_number(words[0])
            case "user":
                self._check_user(words[0], text)
                command.user = command.user or words[0]
            case "identityfile":
                self._identity(words[0])
            case "proxyjump":
                if self._proxy is None:
                    self._jumps(line.rest)
            case "proxycommand":
                if self._has_jump_option:
                    raise ValueError("it excludes -J: leave one of them out")
                if command.jumps is None and self._proxy is None:
                    self._proxy = line.rest
            case "hostname":
                raise ValueError(f"write {words[0]} as the host of the command, and leave this out")
            case "connecttimeout":
                command.connect_timeout = command.connect_timeout or self._number(
                    text, seconds(words[0]), _LONGEST_SECONDS
                )
            case "serveraliveinterval":
                command.alive_interval = command.alive_interval or self._number(
                    text, seconds(words[0]), _LONGEST_SECONDS
                )
            case "serveralivecountmax":
                command.alive_count_max = command.alive_count_max or self._number(
                    text, whole_number(words[0]), _MAX_UNANSWERED
                )
            case "clearallforwardings":
                command.clears_forwards = flag(words[0])
            case "localforward" | "remoteforward" | "dynamicforward":
                command.forwards.append(parse_words(FORWARDS[line.keyword], words))
            case "tag":
                raise ValueError(_REFUSED["P"].replace("-P", "this"))
            case quiet if quiet in _QUIET:
                pass
            case other if other in KEYWORDS:
                otherwise = _REPLACEMENTS.get(other, "write it into ~/.ssh/config")
                command.notes.append(f"-o {text}: {otherwise}")
            case _:
                raise ValueError(f"ssh knows no {line.keyword!r}")

    def _number(self, text: str, value: int | None, limit: int) -> int | None:
        if value is not None and value > limit:
            self._command.notes.append(f"-o {text}: at most {limit}")
            return None
        return value if value is not None and value > 0 else None

    def _through_proxy(self, text: str) -> None:
        """`ProxyCommand=ssh -W %h:%p gate` means the same as `-J gate`. Raises `CommandError`."""
        command = self._command
        if text.lower() == "none":
            command.jumps = ()
            return
        gate = _gate_of(text, self._aliases)
        if gate is None or not set(gate.identity_files) <= set(command.identity_files):
            raise CommandError(
                f"ProxyCommand={text}: an entry cannot hold it. Write it into ~/.ssh/config below "
                f"'Host {command.host}', and leave it out here"
            )
        command.notes += gate.notes
        command.jumps = (*(gate.jumps or ()), Jump(gate.host, gate.user, gate.port))


def read_options(
    words: Sequence[str], is_autossh: bool = False, *, aliases: frozenset[str]
) -> SshCommand:
    """Parse one command of ssh, without the program's name; the remote command stays unparsed."""
    command = SshCommand()
    _OptionReader(command, aliases, is_autossh=is_autossh).read(list(words))
    return command


def _gate_of(proxy: str, aliases: frozenset[str]) -> SshCommand | None:
    """The jump host of a ProxyCommand: `ssh -W %h:%p gate` or `ssh gate nc %h %p`; None for any
    other command. Raises `CommandError`."""
    try:
        found = commands_of(proxy.removeprefix("exec "), lambda _name: None)
        if len(found) != 1 or program_of(found[0]) not in PROGRAMS:
            return None
        gate = read_options(found[0][1:], aliases=aliases)
    except CommandError:
        return None
    joined = gate.joins in ("%h:%p", "[%h]:%p") and not gate.remote
    netcat = gate.joins is None and _NETCAT.fullmatch(" ".join(gate.remote)) is not None
    return gate if (joined or netcat) and not gate.forwards else None
