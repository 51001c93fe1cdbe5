"""A pasted command of ssh, and the command that it runs at the server: another ssh, or Jupyter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from trayconnect.config.forward_syntax import ForwardEnd, ForwardSpec, Kind
from trayconnect.config.openssh_syntax import Jump
from trayconnect.config.shell_words import (
    CommandError,
    clean,
    commands_of,
    dashed,
    user_variables,
    without_prompt,
)
from trayconnect.config.ssh_command import (
    PROGRAMS,
    SshCommand,
    arguments_of,
    program_of,
    read_options,
    unlaunched,
)
from trayconnect.config.start_options import StartOptions

LOOPBACK = (None, "", "localhost", "127.0.0.1", "::1")
_SHELLS = ("sh", "bash", "zsh", "dash", "ksh", "fish")
_OWN_NAME = re.compile(r"\$(?:USER|LOGNAME|\{USER\}|\{LOGNAME\})@")
_MISPLACED = re.compile(r"(?:^|\s)(?P<option>-[LR] ?[^\s:]*:\S+|-D ?[0-9]\S*)")
_RUNS = re.compile(r"-[il]*c")


def parse_command(
    words: Sequence[str], user: str | None = None, aliases: Sequence[str] = ()
) -> SshCommand:
    """Parse a command line, given as one text or as arguments. `user` is the account on this
    machine, `aliases` are the hosts in ~/.ssh/config. Raises `CommandError`."""
    if len(words) == 1:
        found = commands_of(words[0], user_variables(user))
    else:
        found = [without_prompt([re.sub(r"\\\n\s*", "", word) for word in map(_typed, words)])]
    return _parse(found, frozenset(aliases))


def _typed(word: str) -> str:
    """An argument that a shell has already expanded. Raises `CommandError`."""
    cleaned = clean(word)
    if any(cleaned.count(quote) > word.count(quote) for quote in "\"'"):
        raise CommandError(f"{word!r} contains a curly quote: write a plain one, or none")
    return cleaned


def _parse(found: Sequence[Sequence[str]], aliases: frozenset[str]) -> SshCommand:
    if not found:
        raise CommandError("it is empty")
    if len(found) > 1:
        raise CommandError(
            f"{' '.join(found[1])[:60]!r} is another command: give one ssh command at a time"
        )
    command = read_options(*arguments_of(found[0]), aliases=aliases)
    if command.joins is not None:
        raise CommandError(
            f"-W {command.joins}: it joins a terminal to a port; write -L PORT:HOST:PORT for a "
            "forward, or -J for a jump host"
        )
    return _with_remote(command, aliases) if command.remote else command


def _with_remote(command: SshCommand, aliases: frozenset[str]) -> SshCommand:
    """The command with its remote command, which the server's shell parses as one line."""
    line = " ".join(command.remote)
    if command.user is None:  # on the server, the variable is that account's own name
        line = _OWN_NAME.sub("", line)
    try:
        remote_commands = _unwrapped(line, command.user)
    except CommandError:
        remote_commands = []
        if re.search(r"\bssh\s", line):
            raise
    hops = [at for at, one in enumerate(remote_commands) if program_of(unlaunched(one)) in PROGRAMS]
    if hops:
        if len(remote_commands) > 1:
            raise CommandError(
                f"{line[:60]!r}: ssh is one of several commands there; leave the others out"
            )
        return _through(command, _parse(remote_commands, aliases))
    if misplaced := _MISPLACED.search(line):
        raise CommandError(
            f"{misplaced['option']} comes after the command {command.remote[0][:60]!r}, which "
            "would get it: write it before the host"
        )
    if (start := jupyter_start(remote_commands)) is not None:
        command.start, command.start_port = start.data, start.port
        command.notes += start.notes
    else:
        command.notes.append(f"the command {line!r}: trayconnect runs no remote command")
    return command


def _unwrapped(line: str, user: str | None) -> list[list[str]]:
    """The commands of a line, and of the line in `bash -lc '…'`."""
    found = commands_of(line, user_variables(user))
    if len(found) == 1:
        words = unlaunched(found[0])
        if len(words) >= 3 and program_of(words) in _SHELLS and _RUNS.fullmatch(words[1]):
            return commands_of(words[2], user_variables(user))
    return found


def _through(outer: SshCommand, inner: SshCommand) -> SshCommand:
    """The inner ssh's host, with the outer one as its jump host.

    A forward of the outer ssh leads to the outer host. It counts for this entry if a forward of the
    inner ssh continues it. Raises `CommandError`."""
    inner.notes = [*outer.notes, *inner.notes]
    inner.notes += [f"-i {path}: that key is on {outer.host}" for path in inner.identity_files]
    taken: set[int] = set()
    forwards = [_joined(forward, outer, inner, taken) for forward in outer.forwards]
    inner.notes += [
        f"{forward.option}: it ends on {outer.host}, and no forward leads there from here"
        for at, forward in enumerate(inner.forwards)
        if at not in taken
    ]
    gate = Jump(outer.host, outer.user, outer.port)
    inner.forwards = forwards
    inner.jumps = (*(outer.jumps or ()), gate, *(inner.jumps or ()))
    inner.identity_files = outer.identity_files
    inner.inherits_user = inner.user is None
    inner.user = inner.user or outer.user
    inner.connect_timeout = outer.connect_timeout
    inner.alive_interval, inner.alive_count_max = outer.alive_interval, outer.alive_count_max
    return inner


def _joined(
    forward: ForwardSpec, outer: SshCommand, inner: SshCommand, taken: set[int]
) -> ForwardSpec:
    if forward.kind is Kind.LOCAL and forward.target is not None:
        for at, further in enumerate(inner.forwards):
            if further.kind is not Kind.REMOTE and _meet(forward.target, further.listen):
                taken.add(at)
                return ForwardSpec(further.kind, forward.listen, further.target)
        if forward.target.host == inner.host:
            return forward
    user = f"{outer.user}@" if outer.user else ""
    raise CommandError(
        f"{forward.option} leads to {outer.host}, and no forward of the ssh behind it takes it on "
        f"to {inner.host}: write ssh -J {user}{outer.host} {forward.option} {inner.host}"
    )


def _meet(target: ForwardEnd, listen: ForwardEnd) -> bool:
    if target.path is not None or listen.path is not None:
        return target.path == listen.path
    return (
        target.port == listen.port
        and target.host in LOOPBACK
        and listen.host
        in (
            *LOOPBACK,
            "0.0.0.0",
            "::",
        )
    )


_APPS = {"lab": "lab", "notebook": "notebook", "server": "server", "nbclassic": "notebook",
         "jupyterlab": "lab", "jupyter_server": "server"}  # fmt: skip
_LAUNCHERS = frozenset(("nohup", "exec", "command", "env", "setsid", "time"))
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_ACTIVATE = re.compile(r"(?P<folder>.+)/bin/activate")
_FLAG_NAMES = """
    no-browser debug generate-config y allow-root autoreload core-mode dev-mode watch no-mathjax
    no-script expose-app-in-browser extensions-in-dev-mode
"""
_FLAGS = frozenset(_FLAG_NAMES.split())
_FOLDERS = frozenset(("notebook-dir", "root-dir", "preferred-dir"))
_SET_BY_US = {
    "ip": "Jupyter listens for the tunnel only",
    "sock": "use 'socket' under 'jupyter' instead",
}


@dataclass(slots=True)
class JupyterStart:
    """`data` as in the file; `port` is that of --port."""

    data: dict[str, object]
    port: int | None = None
    notes: list[str] = field(default_factory=list)


def jupyter_start(commands: Sequence[Sequence[str]]) -> JupyterStart | None:
    """The meaning of `cd x && conda activate ml && jupyter lab`; None for any other command."""
    if not commands:
        return None
    found = JupyterStart({})
    words = [word for word in commands[-1] if word != "&"]
    words = _without_launchers(words)
    if words[:2] == ["conda", "run"] or words[:2] == ["mamba", "run"]:
        words = _conda_run(words[2:], found)
    app, options = _app(words, found)
    if app is None:
        return None
    if app != "lab":
        found.data["app"] = app
    before: list[dict[str, object]] = []
    for command in commands[:-1]:
        if not _prepares(list(command), found, before):
            return None
    if len(before) == 1:
        found.data.update(before[0])
    elif before:
        found.notes.append("more than one environment: write 'environment' yourself")
    _read_options(options, found)
    return _legal(found)


def _without_launchers(words: list[str]) -> list[str]:
    while words and (words[0] in _LAUNCHERS or _ASSIGNMENT.fullmatch(words[0])):
        words = words[1:]
    return words


def _conda_run(words: list[str], found: JupyterStart) -> list[str]:
    while words and words[0].startswith("-"):
        if words[0] in ("-n", "-p", "--name", "--prefix") and len(words) > 1:
            found.data["environment"] = {"conda": words[1]}
            words = words[2:]
        else:
            words = words[1:]
    return words


def _app(words: list[str], found: JupyterStart) -> tuple[str | None, list[str]]:
    if not words:
        return None, []
    folder, _, program = words[0].rpartition("/")
    if program.startswith("python") and words[1:2] == ["-m"] and len(words) > 2:
        words = [words[2], *words[3:]]
        if words[0] in _APPS:
            return _APPS[words[0]], words[1:]
        program = words[0]
    if folder.endswith("/bin") and "environment" not in found.data:
        found.data["environment"] = {"venv": folder.removesuffix("/bin")}
    if program == "jupyter" and len(words) > 1:
        return _APPS.get(words[1]), words[2:]
    if program.startswith("jupyter-"):
        return _APPS.get(program.removeprefix("jupyter-")), words[1:]
    return None, []


def _prepares(words: list[str], found: JupyterStart, before: list[dict[str, object]]) -> bool:
    """Whether an entry can express a command before Jupyter's."""
    match words:
        case ["cd", folder]:
            found.data["folder"] = folder
        case ["conda" | "mamba" | "micromamba" | "source", "activate", name]:
            before.append({"environment": {"conda": name}})
        case ["source" | ".", script] if match := _ACTIVATE.fullmatch(script):
            before.append({"environment": {"venv": match["folder"]}})
        case ["module" | "ml", "load" | "add", *names] if names:
            before.append({"environment": {"module": names}})
        case ["source" | ".", script] if script.startswith(("~/.", "/etc/")):
            found.notes.append(f"source {script}: the login shell does that")
        case _:
            return False
    return True


def _read_options(words: list[str], found: JupyterStart) -> None:
    rest = iter(words)
    options: list[str] = []
    for raw in rest:
        word = dashed(raw, "--" if len(raw) > 3 else "-")
        if not word.startswith("-"):
            found.data.setdefault("folder", word)
            continue
        name, equals, value = word.partition("=")
        key = name.lstrip("-").rpartition(".")[2].replace("_", "-")
        if not equals and key not in _FLAGS:
            value = next(rest, "")
        if key == "no-browser" or key == "open-browser":
            continue
        if key == "port" and value.isdecimal() and 0 < int(value[:6]) <= 65535:
            found.port = int(value)
        elif key in _FOLDERS and value:
            found.data["folder"] = value
        elif key in _SET_BY_US:
            found.notes.append(f"--{key}: {_SET_BY_US[key]}")
        elif "token" in key or "password" in key:
            found.notes.append(f"--{key}: Jupyter makes its own token, which trayconnect finds")
        elif key not in ("y", "generate-config"):
            options.append(word if equals or key in _FLAGS else f"{name}={value}")
    if options:
        found.data["options"] = options


def _legal(found: JupyterStart) -> JupyterStart | None:
    """The options that an entry may have; None if none is left."""
    for key in ("", "options", "folder", "environment"):
        if key in found.data:
            found.notes.append(f"{found.data.pop(key)}: an entry cannot express it under '{key}'")
        elif key:
            continue
        try:
            StartOptions.model_validate(found.data)
        except ValidationError:
            continue
        return found
    return None
