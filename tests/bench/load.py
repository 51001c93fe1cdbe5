"""Runs the load (`load.c`) through the arms."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack

from tests.bench import lab
from tests.bench.arms import Arm, FailedError, Route
from tests.bench.measures import Outcome


class Place:
    """The load's service behind a sshd, as near or as far as the line to them is long."""

    def __init__(self, stack: ExitStack, round_trip_ms: float) -> None:
        self.route = Route(stack, round_trip_ms)
        self._load = str(lab.compiled(self.route.folder, "load"))
        self._service = stack.enter_context(lab.listening(self._load, "serve"))

    def start(self, name: str) -> Arm:
        """See `Route.start`."""
        return self.route.start(name, self._service, self.answers)

    def answers(self, port: int) -> bool:
        """Whether the service answers there."""
        try:
            return self.run(port, ("connect", "1", "1", "1")).errors == 0
        except FailedError:
            return False

    def run(self, port: int, load: Sequence[str]) -> Outcome:
        """Raises `FailedError`."""
        command = (self._load, load[0], str(port), *load[1:])
        try:
            printed = subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=lab.LIMIT
            )
        except subprocess.TimeoutExpired as error:
            raise FailedError(f"a run took longer than {lab.LIMIT:g} s") from error
        except subprocess.CalledProcessError as error:
            raise FailedError(f"the load ended with status {error.returncode}") from error
        return Outcome.parse(printed.stdout)
