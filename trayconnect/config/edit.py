"""Adds servers to the file, while a running program reads it: all of them, or none."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from trayconnect.config.file_problems import ConfigError, FileReport
from trayconnect.config.insert import CannotInsertError, append_servers, block_lines
from trayconnect.config.model import Config
from trayconnect.config.new_entry import NewEntry
from trayconnect.config.sample import write_sample
from trayconnect.config.yaml_file import load, parse
from trayconnect.config.yaml_tree import Mapping, compose
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.files import write_atomically


def as_text(entries: Sequence[NewEntry]) -> str:
    """The entries as lines of a server file."""
    return "\n".join(line for entry in entries for line in block_lines(entry.data))


def present(path: Path) -> Config:
    """The file's current content; empty if it is missing or unusable, which `add` reports."""
    try:
        return load(path)
    except ConfigError:
        return Config()


def add(path: Path, entries: Sequence[NewEntry]) -> None:
    """Append the entries to the file, which is created if it is missing.

    After any failure the file is unchanged, and the problem contains the lines to add by hand.
    Raises `ProblemError`."""
    write_sample(path)
    # A symbolic link, as into a folder of dot-files, is kept.
    path = path.resolve()
    try:
        before = path.read_bytes()
        existing = before.decode("utf-8")
    except (OSError, ValueError) as error:
        raise _by_hand(path, entries, f"it cannot be read: {error}") from error
    try:
        parse(existing, path)
    except ConfigError as error:
        words = f"it has a mistake to correct first: {error.problems[0]}"
        raise _by_hand(path, entries, words) from error
    data = [entry.data for entry in entries]
    try:
        new = append_servers(existing, data)
    except CannotInsertError as error:
        raise _by_hand(path, entries, str(error)) from error
    try:
        parse(new, path)
    except ConfigError as error:
        words = f"they do not fit into it: {error.problems[0].message}"
        raise _by_hand(path, entries, words) from error
    if _data(new, path) != _with(_data(existing, path), data):
        raise _by_hand(path, entries, "its list has an unusual shape")
    if path.read_bytes() != before:
        raise _by_hand(path, entries, "it was changed just now")
    write_atomically(path, new.encode("utf-8"), stat.S_IMODE(path.stat().st_mode))


def _data(text: str, path: Path) -> dict[str, object]:
    tree = compose(text.removeprefix("\ufeff"), FileReport(path))
    return tree.data() if isinstance(tree, Mapping) else {}


def _with(existing: dict[str, object], data: Sequence[dict[str, object]]) -> dict[str, object]:
    servers = existing.get("servers")
    return {**existing, "servers": [*(servers if isinstance(servers, list) else ()), *data]}


def _by_hand(path: Path, entries: Sequence[NewEntry], why: str) -> ProblemError:
    count = "The entry was" if len(entries) == 1 else "The entries were"
    return ProblemError(
        Problem(
            title=f"{count} not written into {path}: {why}",
            advice=f"Add this below 'servers:' yourself:\n{as_text(entries)}",
        )
    )
