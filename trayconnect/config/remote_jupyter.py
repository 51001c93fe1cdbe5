"""Parses a command that starts Jupyter at a server into the `start` of an entry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from trayconnect.config.shell_words import dashed
from trayconnect.config.start_options import StartOptions

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
    "sock": "say 'socket' under 'jupyter' instead",
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
