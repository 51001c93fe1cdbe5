"""To a job's node by a channel to a port of it, where the relay of the job listens."""

from __future__ import annotations

from collections.abc import Callable

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link
from trayconnect.services.batch.reach import Destination


def open_direct(
    to: Destination,
    login: Link,  # noqa: ARG001
    cancel: CancelToken,  # noqa: ARG001
    on_lost: Callable[[Problem], None],  # noqa: ARG001
) -> Link:
    """An `OpenWay`."""
    raise ProblemError(Problem(f"The job on {to.job.node} listens on no port", "", Recovery.RETRY))
