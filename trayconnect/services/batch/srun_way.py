"""To a job's node by a step in the job, which runs the relay."""

from __future__ import annotations

from collections.abc import Callable

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link
from trayconnect.services.batch.reach import REACH_LIMIT, Destination
from trayconnect.services.batch.relay import program
from trayconnect.services.batch.relay.relay_link import start_relay


def open_srun(
    to: Destination, login: Link, cancel: CancelToken, on_lost: Callable[[Problem], None]
) -> Link:
    """An `OpenWay`."""
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
