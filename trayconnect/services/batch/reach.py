"""The ways from the login node to the node of a job, as protocols.

A way gives a `Link` to the node: it executes there, and its channels lead where the node sees their
targets. So discovery, health checks, kernels, log and stop of the Jupyter are those of any server,
and nothing of Jupyter runs on the login node.

    ssh      a login to the node through the login node (`Link.hop`), with the same keys and no
             question; the job has told the node's host keys. Where that is refused, the login
             node's own ssh runs the relay on the node (`BatchMode`).
    srun     one step in the job runs the relay, which multiplexes connections and commands over the
             step's standard streams.
    direct   a channel from the login node to a port of the node, where the job itself runs the
             relay. Both ends prove to know a secret from the job's folder before anything is said.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem
from trayconnect.core.link import Link, NoPage, Own
from trayconnect.services.batch.job import Job, JobFiles
from trayconnect.services.batch.scheduler import Scheduler

REACH_LIMIT = 20.0
"""Seconds for one way: a dead node's address takes 3, a busy controller 10 for a step."""


class Way(enum.Enum):
    SSH = "ssh"
    SRUN = "srun"
    DIRECT = "direct"


ORDER = (Way.SSH, Way.SRUN, Way.DIRECT)
"""The safest first."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The job to reach. `files` None: a job that is not ours."""

    server: Server
    scheduler: Scheduler
    job: Job
    files: JobFiles | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NodeLink:
    """The job's node, reached."""

    way: Way
    link: Link
    """Closed by its owner, who is the service; it does not close the login link."""

    def seen_from_login(self, target: Own | Problem) -> Own | Problem:
        """A target of the node, as one behind the login link."""
        if isinstance(target, Own):
            return replace(target, through=self.link)
        return NoPage.of(target, self.link)


def words(problem: Problem) -> str:
    """Why a way does not work, with the words of who refused it."""
    return f"{problem.title} ({problem.detail})" if problem.detail else problem.title


OnLost = Callable[[Problem], None]
OpenWay = Callable[[Destination, Link, CancelToken, OnLost], Link]
"""Opens one way over a login link. Blocks for `REACH_LIMIT` seconds at most.

The callback is called at most once, from any thread, when the link to the node is lost; not after
its `close`. Raises `ProblemError` where this way does not work, and `Cancelled`. A question to the
user is never asked: a node that takes no login looks like a refused password."""


class Reach(Protocol):
    """Takes the safest way that works: the one of the entry's `batch.reach`, or, for `auto`, the
    first of `ORDER`, beginning behind those of `failed`.

    Raises `ProblemError` if none works, with the reason of each way in its detail, and
    `Cancelled`."""

    def __call__(
        self,
        to: Destination,
        login: Link,
        cancel: CancelToken,
        on_lost: OnLost,
        *,
        failed: frozenset[Way] = frozenset(),
    ) -> NodeLink: ...
