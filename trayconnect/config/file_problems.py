"""The faults of a file, with their locations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trayconnect.core.errors import Problem, ProblemError


class Location(NamedTuple):
    """A place in a text; line and column begin at 1."""

    line: int
    column: int


WHOLE_FILE = Location(0, 0)


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One thing to correct. Lines and columns begin at 1; both are 0 for the file as a whole."""

    path: Path
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.path}{place}: {self.message}"


class ConfigError(ProblemError):
    """An unusable file; `problems` contains every fault, in file order."""

    def __init__(
        self, problems: Sequence[FileProblem], advice: str = "Correct the file and save it."
    ) -> None:
        self.problems = tuple(problems)
        first, others = self.problems[0], len(self.problems) - 1
        place = f"line {first.line}, column {first.column}: " if first.line else ""
        more = f", and {others} more" if others else ""
        super().__init__(
            Problem(
                title=f"{first.path.name} cannot be used: {place}{first.message}{more}",
                advice=advice,
                detail="\n".join(map(str, self.problems)),
            )
        )


class FileReport:
    """Collects the faults of one file, each once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: set[tuple[Location, str]] = set()

    def add(self, mark: Location, message: str) -> None:
        self._found.add((mark, message))

    def raise_if_any(self) -> None:
        """Raises `ConfigError`."""
        if self._found:
            found = sorted(self._found)
            raise ConfigError([FileProblem(self._path, *mark, message) for mark, message in found])
