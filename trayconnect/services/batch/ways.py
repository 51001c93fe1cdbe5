"""The way to a job's node: the safest that works."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from types import MappingProxyType

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link, LostError
from trayconnect.services.batch.direct_way import open_direct
from trayconnect.services.batch.reach import (
    ORDER,
    REACH_LIMIT,
    Destination,
    NodeLink,
    OnLost,
    OpenWay,
    Way,
    words,
)
from trayconnect.services.batch.relay import program
from trayconnect.services.batch.relay.relay_link import start_relay
from trayconnect.services.batch.ssh_way import open_ssh
from trayconnect.services.batch.told import check_socket

logger = logging.getLogger(__name__)


def open_srun(to: Destination, login: Link, cancel: CancelToken, on_lost: OnLost) -> Link:
    """An `OpenWay`: a step in the job runs the relay."""
    if not to.scheduler.has_steps:
        title = f"{to.scheduler.title} runs nothing inside a running job"
        raise ProblemError(Problem(title, "", Recovery.RETRY))
    return start_relay(
        login,
        to.scheduler.step(to.job, program.command(to.files.pid if to.files else None)),
        to.job.node or "the node",
        keepalive=to.server.keepalive,
        seconds=REACH_LIMIT,
        cancel=cancel,
        on_lost=on_lost,
    )


OPENERS: Mapping[Way, OpenWay] = MappingProxyType(
    {Way.SSH: open_ssh, Way.SRUN: open_srun, Way.DIRECT: open_direct}
)


def order(asked: str, failed: frozenset[Way] = frozenset()) -> tuple[Way, ...]:
    """The ways to try for the entry's `batch.reach`, beginning behind those that failed, which come
    last."""
    if asked != "auto":
        return (Way(asked),)
    begin = max((ORDER.index(way) + 1 for way in failed), default=0)
    turned = ORDER[begin:] + ORDER[:begin]
    return tuple(sorted(turned, key=lambda way: way in failed))


def reach(
    to: Destination,
    login: Link,
    cancel: CancelToken,
    on_lost: OnLost,
    *,
    failed: frozenset[Way] = frozenset(),
    openers: Mapping[Way, OpenWay] = OPENERS,
) -> NodeLink:
    """A `reach.Reach`."""
    batch = to.server.batch
    asked = batch.reach if batch is not None else "auto"
    reasons: dict[Way, Problem] = {}
    for way in order(asked, failed):
        cancel.check()
        loss = _Loss(on_lost)
        try:
            link = openers[way](to, login, cancel, loss.report)
            _check(to, link, cancel)
            if (lost := loss.owned()) is not None:
                link.close()
                raise LostError(lost)
        except ProblemError as error:
            cancel.check()
            logger.info(
                "%s: job %s is not reached by %s: %s",
                to.server.name,
                to.job.id,
                way.value,
                error.problem.logged,
            )
            reasons[way] = error.problem
        else:
            logger.info("%s: job %s is reached by %s", to.server.name, to.job.id, way.value)
            return NodeLink(way, link)
    raise ProblemError(_unreached(to, asked, reasons))


def _check(to: Destination, link: Link, cancel: CancelToken) -> None:
    """Close the link, and raise, unless it leads to what the job has told."""
    try:
        with cancel.releasing(link.close):
            check_socket(to.files, link)
    except BaseException:
        link.close()
        raise


class _Loss:
    """Passes the loss of a link on once the link has an owner."""

    def __init__(self, on_lost: OnLost) -> None:
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._has_owner = False
        self._problem: Problem | None = None

    def report(self, problem: Problem) -> None:
        with self._lock:
            self._problem = problem
            has_owner = self._has_owner
        if has_owner:
            self._on_lost(problem)

    def owned(self) -> Problem | None:
        """The link has an owner from now on, unless it is lost already: why."""
        with self._lock:
            self._has_owner = self._problem is None
            return self._problem


def _unreached(to: Destination, asked: str, reasons: Mapping[Way, Problem]) -> Problem:
    node = to.job.node or "the job's node"
    if asked != "auto":
        said = words(reasons[Way(asked)])
        advice = f"{said}. 'reach: auto' in the file tries the other ways."
        return Problem(f"{node} cannot be reached by {asked}", advice, Recovery.RETRY, said)
    said = "; ".join(f"{way.value}: {words(problem)}" for way, problem in reasons.items())
    return Problem(f"{node} cannot be reached", f"{said}.", Recovery.RETRY, said)
