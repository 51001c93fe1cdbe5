"""Finds the hop of a route that is at fault when the answer of the next hop does not come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import ProblemError, Recovery
from trayconnect.ssh import connection_problems
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.heartbeat import CHECK_SECONDS, REQUEST
from trayconnect.ssh.transport.ssh_transport import SshTransport

Hops = Sequence[tuple[LoginTarget, SshTransport]]

_POLL_SECONDS = 0.05


@contextmanager
def blaming(hops: Hops, lost: Callable[[], ProblemError], cancel: CancelToken) -> Iterator[None]:
    """When an answer did not come through `hops`, blame the first hop that is silent or has ended.
    `lost` makes the problem of an ended hop."""
    try:
        yield
    except connection_problems.CutShortError as error:
        culprit = _culprit(hops, lost, cancel)
        if culprit is None:
            raise
        # A login that must not be repeated automatically keeps its problem.
        needs_user = error.problem.recovery is Recovery.USER_ACTION
        problem = (
            replace(culprit.problem, recovery=Recovery.USER_ACTION)
            if needs_user
            else culprit.problem
        )
        raise ProblemError(problem) from error


def _culprit(
    hops: Hops, lost: Callable[[], ProblemError], cancel: CancelToken
) -> ProblemError | None:
    """Ask each hop for a sign of life, all at once."""
    began = time.monotonic()
    answered = [threading.Event() for _ in hops]
    for (_, transport), event in zip(hops, answered, strict=True):
        transport.ask(REQUEST, lambda _, event=event: event.set())  # type: ignore[misc]
    for (target, transport), event in zip(hops, answered, strict=True):
        limit = min(CHECK_SECONDS, target.connect_timeout)
        while not event.wait(_POLL_SECONDS):
            if transport.ended.is_set():
                return lost()
            if cancel.is_set():
                return None
            if time.monotonic() - began > limit:
                return connection_problems.unresponsive(
                    target, time.monotonic() - transport.packetizer.last_received
                )
    return None
