"""The server file of the running program: the last working version, and the faults of the current
one."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from trayconnect.config.file_problems import ConfigError, FileProblem
from trayconnect.config.model import Config
from trayconnect.config.sample import write_sample
from trayconnect.config.yaml_file import load
from trayconnect.core.errors import Problem, ProblemError, shortage

logger = logging.getLogger(__name__)

SHOWN = 5
"""Number of problems that are shown in full; the menu and a notification have no room for more."""

BLANK = "the file is empty; write 'servers: []' to have no servers"


class ServerFile:
    """May be read from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._config = Config()
        self._is_loaded = False
        self._problems: tuple[FileProblem, ...] = ()

    @property
    def config(self) -> Config:
        """The last working version; empty before the first one."""
        return self._config

    @property
    def is_loaded(self) -> bool:
        """Whether `config` was read from the file."""
        return self._is_loaded

    @property
    def problems(self) -> tuple[str, ...]:
        """The faults of the file as it is saved, one line each without the path; empty if it is in
        use."""
        return tuple(_short(problem) for problem in self._problems)

    @property
    def problem(self) -> Problem | None:
        """All faults as one problem."""
        problems = self._problems
        if not problems:
            return None
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        then = "; still using the last working version" if self._is_loaded else ""
        lines = [str(problem) for problem in problems[:SHOWN]]
        if (more := len(problems) - SHOWN) > 0:
            lines.append(f"and {more} more; see all with: trayconnect check")
        advice = "\n".join(lines)
        return Problem(f"{self.path.name} has {count}{then}", advice)

    def _is_blank(self) -> bool:
        """Some programs save by emptying a file first; that does not mean to remove every
        server."""
        try:
            return not self.path.read_bytes().strip()
        except OSError:
            return True

    def create(self) -> bool:
        """Write the commented sample if there is no file. Returns whether it did. Raises
        `ProblemError`."""
        return write_sample(self.path)

    def read(self) -> bool:
        """Read the file again. Returns whether it is valid, and so in use. Raises `ProblemError`,
        and changes nothing, if the system lacks resources."""
        with self._lock:
            try:
                config = load(self.path)
                if self._config.servers and not config.servers and self._is_blank():
                    raise ConfigError([FileProblem(self.path, 0, 0, BLANK)])
                self._config, self._problems = config, ()
                self._is_loaded = True
            except ConfigError as error:
                short = shortage(error)
                if short is not None:
                    raise ProblemError(short) from error
                self._problems = error.problems
                for problem in error.problems:
                    logger.warning("%s", problem)
                return False
            return True


def _short(problem: FileProblem) -> str:
    place = f"line {problem.line}: " if problem.line else ""
    return f"{place}{problem.message}"
