"""The server file while the program runs: the last good reading, and what is wrong with the
present one."""

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
"""Problems that are told in full; the menu and a notification take no more."""

BLANK = "the file is empty; write 'servers: []' to have no servers"


class ServerFile:
    """May be read from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._config = Config()
        self._in_force = False
        self._problems: tuple[FileProblem, ...] = ()

    @property
    def config(self) -> Config:
        """The last good reading; empty before the first one."""
        return self._config

    @property
    def in_force(self) -> bool:
        """Whether `config` was read, and is not just the empty one from before."""
        return self._in_force

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the file as it is saved, each thing in a line that leaves out the
        path; empty when it is in force."""
        return tuple(_short(problem) for problem in self._problems)

    @property
    def problem(self) -> Problem | None:
        """All of that as one."""
        problems = self._problems
        if not problems:
            return None
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        then = "; still using the last working version" if self._in_force else ""
        advice = "\n".join(str(problem) for problem in problems[:SHOWN])
        return Problem(f"{self.path.name} has {count}{then}", advice)

    def _is_blank(self) -> bool:
        """Some programs save by emptying a file first: that is no wish to lose every server."""
        try:
            return not self.path.read_bytes().strip()
        except OSError:
            return True

    def create(self) -> bool:
        """Write the commented sample where there is no file; whether it did. Raises
        `ProblemError`."""
        return write_sample(self.path)

    def read(self) -> bool:
        """Read it anew; whether it is good, and so in force. Raises `ProblemError`, and changes
        nothing, where the system is short of what reading takes."""
        with self._lock:
            try:
                config = load(self.path)
                if self._config.servers and not config.servers and self._is_blank():
                    raise ConfigError([FileProblem(self.path, 0, 0, BLANK)])
                self._config, self._problems = config, ()
                self._in_force = True
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
