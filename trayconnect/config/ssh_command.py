"""The command line of ssh(1), as people keep it in their notes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from trayconnect.config import forward_syntax
from trayconnect.config.forward_syntax import ForwardSpec, Kind, parse_words
from trayconnect.config.openssh import jumps, scalars
from trayconnect.config.openssh.jumps import Jump
from trayconnect.config.openssh.keywords import FORWARDS
from trayconnect.config.openssh.words import split_line, split_words

_PROGRAMS = ("ssh", "autossh", "ssh.exe")
_LAUNCHERS = ("nohup", "exec", "command", "$", "%", ">")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_WITH_VALUE = frozenset("bceilmopBDEFIJLOPQRSwW")
_PLAIN = frozenset("1246afgkqnstvxACGKMNTVXYy")
_FORWARDS = {"L": Kind.LOCAL, "R": Kind.REMOTE, "D": Kind.DYNAMIC}
_LOST = {
    "A": "-A: the agent stays here",
    "X": "-X: a tunnel shows no windows",
    "Y": "-Y: a tunnel shows no windows",
    "4": "-4: write AddressFamily inet into ~/.ssh/config",
    "6": "-6: write AddressFamily inet6 into ~/.ssh/config",
    "b": "-b: write BindAddress into ~/.ssh/config",
    "B": "-B: write BindAddress into ~/.ssh/config",
    "c": "-c: write Ciphers into ~/.ssh/config",
    "m": "-m: write MACs into ~/.ssh/config",
    "F": "-F: the usual files of ssh are read, or the one that TRAYCONNECT_SSH_CONFIG names",
    "I": "-I: load the token's keys into the SSH agent",
    "P": "-P: write what its tag says into ~/.ssh/config",
    "w": "-w: no network interface is made",
    "W": "-W: add a forward to there",
}


class CommandError(ValueError):
    """It is no command line of ssh; the message says what is wrong."""


@dataclass(slots=True)
class SshCommand:
    """What it says. `notes` are what cannot be kept, each in a line for people."""

    host: str = ""
    user: str | None = None
    port: int | None = None
    identity_files: list[str] = field(default_factory=list)
    jumps: tuple[Jump, ...] | None = None
    forwards: list[ForwardSpec] = field(default_factory=list)
    connect_timeout: int | None = None
    alive_interval: int | None = None
    alive_count_max: int | None = None
    notes: list[str] = field(default_factory=list)


def parse_command(words: Sequence[str]) -> SshCommand:
    """A command line, as one text or in words. Raises `CommandError`."""
    if len(words) == 1:
        try:
            words = shlex.split(words[0])
        except ValueError as error:
            raise CommandError("a quote in it is not closed") from error
    rest, is_autossh = _arguments(list(words))
    command = SshCommand()
    _read(command, rest, is_autossh)
    if not command.host:
        raise CommandError("it names no host")
    return command


def _arguments(words: list[str]) -> tuple[list[str], bool]:
    """What follows the program's name; the name itself may be left out."""
    while words and (_ASSIGNMENT.fullmatch(words[0]) or words[0] in _LAUNCHERS):
        words = words[1:]
    if words and words[-1] == "&":
        words = words[:-1]
    if not words:
        raise CommandError("it is empty")
    program = re.split(r"[/\\]", words[0])[-1].lower()
    if program in _PROGRAMS:
        return words[1:], program == "autossh"
    if words[0].startswith("-") or "@" in words[0] or words[0].startswith("ssh://"):
        return words, False
    raise CommandError(f"it begins with {words[0]!r}, not with ssh")


def _read(command: SshCommand, words: list[str], is_autossh: bool) -> None:
    rest = iter(words)
    for word in rest:
        if word == "--":
            _rest_of_line(command, rest)
        elif word.startswith("-") and len(word) > 1:
            _cluster(command, word[1:], rest, is_autossh)
        elif not command.host:
            _destination(command, word)
        else:
            _remote_command(command, [word, *rest])


def _rest_of_line(command: SshCommand, rest: Iterable[str]) -> None:
    words = list(rest)
    if words and not command.host:
        _destination(command, words.pop(0))
    _remote_command(command, words)


def _remote_command(command: SshCommand, words: list[str]) -> None:
    if words:
        command.notes.append(f"the command {shlex.join(words)!r}: a tunnel runs none")


def _destination(command: SshCommand, word: str) -> None:
    try:
        if word.startswith("ssh://"):
            found = jumps.parse_destination(word)
        else:
            # Without a port, unlike a jump host: so an IPv6 address needs no brackets.
            user, at, host = word.rpartition("@")
            if at and not user:
                raise ValueError("the user's name before '@' is missing")
            found = Jump(host.removeprefix("[").removesuffix("]"), user or None)
    except ValueError as error:
        raise CommandError(f"the host {word!r}: {error}") from error
    command.host = found.host
    command.user = command.user or found.user
    command.port = command.port or found.port


def _cluster(command: SshCommand, letters: str, rest: Iterator[str], is_autossh: bool) -> None:
    """`-fNL 8888:localhost:8888`: flags in one word, the last of which may take a value."""
    for at, letter in enumerate(letters):
        takes_value = letter in _WITH_VALUE or (letter == "M" and is_autossh)
        if takes_value:
            value = letters[at + 1 :] or next(rest, None)
            if value is None:
                raise CommandError(f"-{letter} needs a value")
            if letter != "M":
                _option(command, letter, value)
            return
        if letter not in _PLAIN:
            raise CommandError(f"ssh knows no option -{letter}")
        if letter in _LOST:
            command.notes.append(_LOST[letter])


def _option(command: SshCommand, letter: str, value: str) -> None:
    try:
        match letter:
            case "p":
                command.port = command.port or scalars.port_number(value)
            case "l":
                command.user = command.user or value
            case "i":
                command.identity_files.append(value)
            case "J":
                command.jumps = jumps.parse(value)
            case "L" | "R" | "D":
                command.forwards.append(forward_syntax.parse(_FORWARDS[letter], value.lstrip()))
            case "o":
                _keyword(command, value)
            case _ if letter in _LOST:
                command.notes.append(_LOST[letter])
    except ValueError as error:
        raise CommandError(f"-{letter} {value}: {error}") from error


def _keyword(command: SshCommand, text: str) -> None:
    """`-o Keyword=value`. Raises ValueError."""
    line = split_line(text)
    words = split_words(line.rest) if line else ()
    if line is None or not words:
        raise ValueError("a value is missing")
    match line.keyword:
        case "port":
            command.port = command.port or scalars.port_number(words[0])
        case "user":
            command.user = command.user or words[0]
        case "identityfile":
            command.identity_files.append(words[0])
        case "proxyjump":
            command.jumps = jumps.parse(line.rest) if command.jumps is None else command.jumps
        case "connecttimeout":
            command.connect_timeout = scalars.seconds(words[0])
        case "serveraliveinterval":
            command.alive_interval = scalars.seconds(words[0])
        case "serveralivecountmax":
            command.alive_count_max = scalars.whole_number(words[0])
        case "localforward" | "remoteforward" | "dynamicforward":
            command.forwards.append(parse_words(FORWARDS[line.keyword], words))
        case "exitonforwardfailure" | "tcpkeepalive" | "loglevel" | "requesttty" | "batchmode":
            pass
        case _:
            command.notes.append(f"-o {text}: write it into ~/.ssh/config")
