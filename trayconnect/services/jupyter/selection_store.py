"""Stores which Jupyter the user chose on each server, and which was last used, from one run to the
next."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import platformdirs

from trayconnect.core.errors import ProblemError
from trayconnect.core.files import write_atomically

logger = logging.getLogger(__name__)

READ_LIMIT = 1024 * 1024
"""Bytes; a longer file is ignored."""


def choices_file() -> Path:
    """The default path; it need not exist."""
    return Path(platformdirs.user_state_dir("trayconnect", appauthor=False)) / "jupyters.json"


@dataclass(frozen=True, slots=True)
class Choice:
    """The Jupyter that the user chose on one server."""

    root_dir: str
    where: str
    """Where it listened at that time; distinguishes several of one folder."""


@dataclass(frozen=True, slots=True)
class LastUsed:
    """The Jupyter whose page last answered behind an entry's local port: open browser tabs may
    still be its."""

    root_dir: str
    where: str
    pid: int = 0
    born: str = ""
    """See `RunningServer.born`."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What is kept of one entry."""

    choice: Choice | None = None
    last: LastUsed | None = None


class Choices(Protocol):
    """The user's choices and the Jupyters last used, by the names of the entries; from any
    thread."""

    def get(self, server: str) -> Choice | None: ...

    def put(self, server: str, choice: Choice) -> None:
        """The choice replaces the Jupyter last used. Raises `ProblemError` if it cannot be stored
        for the next run; it holds for this run."""
        ...

    def last(self, server: str) -> LastUsed | None: ...

    def note(self, server: str, used: LastUsed) -> None:
        """Never raises."""
        ...

    def forget(self, server: str) -> None:
        """Remove the choice and the Jupyter last used. Never raises."""
        ...


class BriefChoices:
    """Kept until the program ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] | None = None

    def get(self, server: str) -> Choice | None:
        return self._row(server).choice

    def put(self, server: str, choice: Choice) -> None:
        self._change(server, lambda _: _Row(choice))

    def last(self, server: str) -> LastUsed | None:
        return self._row(server).last

    def note(self, server: str, used: LastUsed) -> None:
        self._try_change(server, lambda row: replace(row, last=used))

    def forget(self, server: str) -> None:
        self._try_change(server, lambda _: _Row())

    def _try_change(self, server: str, change: Callable[[_Row], _Row]) -> None:
        try:
            self._change(server, change)
        except ProblemError as error:
            logger.warning("%s", error.problem)

    def _change(self, server: str, change: Callable[[_Row], _Row]) -> None:
        with self._lock:
            rows = self._loaded()
            before = rows.get(server, _Row())
            if (after := change(before)) != before:
                rows[server] = after
                self._write(rows)

    def _row(self, server: str) -> _Row:
        with self._lock:
            return self._loaded().get(server, _Row())

    def _loaded(self) -> dict[str, _Row]:
        if self._rows is None:
            self._rows = self._read()
        return self._rows

    def _read(self) -> dict[str, _Row]:
        return {}

    def _write(self, rows: dict[str, _Row]) -> None:
        """Raises `ProblemError`."""


class StoredChoices(BriefChoices):
    """The `Choices` of one program, in a file that only the user may read. It is read at the first
    use; an unreadable one counts as empty."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def _read(self) -> dict[str, _Row]:
        return _read(self._path)

    def _write(self, rows: dict[str, _Row]) -> None:
        kept = {name: _written(row) for name, row in rows.items() if row != _Row()}
        text = json.dumps(kept, indent=2, sort_keys=True) + "\n"
        write_atomically(self._path, text.encode("ascii"), 0o600)


def _written(row: _Row) -> dict[str, object]:
    choice = {} if row.choice is None else asdict(row.choice)
    return choice if row.last is None else {**choice, "last": asdict(row.last)}


def _read(path: Path) -> dict[str, _Row]:
    try:
        with path.open("rb") as file:
            rows = json.loads(file.read(READ_LIMIT))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return {}
    kept = {}
    for name, row in rows.items() if isinstance(rows, dict) else ():
        one = _Row(_choice(row), _last(row))
        if one == _Row():
            logger.warning("%s: not a choice: %r", path, name)
        else:
            kept[name] = one
    return kept


def _choice(row: object) -> Choice | None:
    match row:
        case {"root_dir": str(root_dir), "where": str(where)}:
            return Choice(root_dir, where)
    return None


def _last(row: object) -> LastUsed | None:
    match row:
        case {
            "last": {
                "root_dir": str(root_dir),
                "where": str(where),
                "pid": int(pid),
                "born": str(born),
            }
        }:
            return LastUsed(root_dir, where, pid, born)
    return None
