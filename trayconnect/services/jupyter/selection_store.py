"""Stores which Jupyter the user chose on each server, from one run to the next."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
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


class Choices(Protocol):
    """The user's choices, by the names of the entries; from any thread."""

    def get(self, server: str) -> Choice | None: ...

    def put(self, server: str, choice: Choice) -> None:
        """Raises `ProblemError` if it cannot be stored for the next run; it holds for this run."""
        ...

    def forget(self, server: str) -> None:
        """Remove the choice. Never raises."""
        ...


class BriefChoices:
    """Kept until the program ends."""

    def __init__(self) -> None:
        self._choices: dict[str, Choice] = {}

    def get(self, server: str) -> Choice | None:
        return self._choices.get(server)

    def put(self, server: str, choice: Choice) -> None:
        self._choices[server] = choice

    def forget(self, server: str) -> None:
        self._choices.pop(server, None)


class StoredChoices:
    """The `Choices` of one program, in a file that only the user may read. It is read at the first
    use; an unreadable one counts as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._choices: dict[str, Choice] | None = None

    def get(self, server: str) -> Choice | None:
        with self._lock:
            return self._loaded().get(server)

    def put(self, server: str, choice: Choice) -> None:
        """Raises `ProblemError` if it cannot be written; it holds for this run."""
        with self._lock:
            choices = self._loaded()
            if choices.get(server) == choice:
                return
            choices[server] = choice
            self._write(choices)

    def forget(self, server: str) -> None:
        with self._lock:
            choices = self._loaded()
            if choices.pop(server, None) is None:
                return
            try:
                self._write(choices)
            except ProblemError as error:
                logger.warning("%s", error.problem)

    def _write(self, choices: dict[str, Choice]) -> None:
        rows = {
            name: {"root_dir": one.root_dir, "where": one.where} for name, one in choices.items()
        }
        text = json.dumps(rows, indent=2, sort_keys=True) + "\n"
        write_atomically(self._path, text.encode("ascii"), 0o600)

    def _loaded(self) -> dict[str, Choice]:
        if self._choices is None:
            self._choices = _read(self._path)
        return self._choices


def _read(path: Path) -> dict[str, Choice]:
    try:
        with path.open("rb") as file:
            rows = json.loads(file.read(READ_LIMIT))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return {}
    choices = {}
    for name, row in rows.items() if isinstance(rows, dict) else ():
        match row:
            case {"root_dir": str(root_dir), "where": str(where)}:
                choices[name] = Choice(root_dir, where)
            case _:
                logger.warning("%s: not a choice: %r", path, name)
    return choices
