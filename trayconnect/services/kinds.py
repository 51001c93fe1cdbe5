"""The kinds of services. A kind is a folder, a line of `KINDS`, and its keys of `config.model`,
where `Server.kind` names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem
from trayconnect.core.link import Link
from trayconnect.core.progress import Progress
from trayconnect.services.batch.check import check as check_batch
from trayconnect.services.batch.cluster import Cluster
from trayconnect.services.batch.commands import RUNS as BATCH_RUNS
from trayconnect.services.batch.service import BatchService, BatchWork
from trayconnect.services.batch.ways import reach
from trayconnect.services.jupyter.check import check as check_jupyter
from trayconnect.services.jupyter.commands import RUNS
from trayconnect.services.jupyter.selection_store import BriefChoices
from trayconnect.services.jupyter.service import JupyterService, Work, over_links
from trayconnect.services.protocol import Desktop, Post, Service, SetTarget
from trayconnect.services.webpage.direct import DirectConnector, check_direct
from trayconnect.services.webpage.direct import check as check_page
from trayconnect.services.webpage.pages import check_pages
from trayconnect.services.webpage.service import (
    CheckDirect,
    CheckPages,
    DirectService,
    ForwardPages,
)


def batch_over_links() -> BatchWork:
    """The real work. Nothing is stored here: the state of a job is on its cluster."""
    return BatchWork(Cluster(), reach, over_links(BriefChoices()))


@dataclass(frozen=True, slots=True)
class Services:
    """Makes the services of an entry: see `protocol.MakeServices`."""

    desktop: Desktop
    jupyter: Work = field(default_factory=over_links)
    batch: BatchWork = field(default_factory=batch_over_links)
    check_direct: CheckDirect = check_direct
    check_pages: CheckPages = check_pages

    def __call__(self, server: Server, post: Post) -> tuple[Service, ...]:
        return KINDS[server.kind].make(self, server, post)


def _jupyter(services: Services, server: Server, post: Post) -> tuple[Service, ...]:
    return (
        JupyterService(server, post, services.desktop, services.jupyter),
        ForwardPages(server, post, services.desktop, services.check_pages),
    )


def _batch(services: Services, server: Server, post: Post) -> tuple[Service, ...]:
    pages = ForwardPages(server, post, services.desktop, services.check_pages)
    return (BatchService(server, post, services.desktop, services.batch, pages),)


def _webpage(services: Services, server: Server, post: Post) -> tuple[Service, ...]:
    return (DirectService(server, post, services.desktop, services.check_direct),)


Check = Callable[[Server, Link, SetTarget, CancelToken, Progress], Problem | None]
"""Doctor's steps behind a live link; returns what is wrong with a page that answers. Raises
`ProblemError` where none answers, and `Cancelled`."""


def _check_batch(
    server: Server, link: Link, set_target: SetTarget, cancel: CancelToken, steps: Progress
) -> Problem | None:
    return check_batch(server, link, set_target, cancel, steps, batch_over_links())


@dataclass(frozen=True, slots=True)
class Kind:
    """What the program asks of a kind of service."""

    entry: str
    """What such an entry is, and how to get another kind, for people."""
    make: Callable[[Services, Server, Post], tuple[Service, ...]]
    check: Check
    commands: Set[str] = frozenset()
    """Its own, for `Service.run`."""
    connecting: Set[str] = frozenset()
    """Those that need a link: the entry is connected too."""
    connector: DirectConnector | None = None
    """What makes its links; None: SSH."""


KINDS: Mapping[str, Kind] = {
    "jupyter": Kind(
        "It is a server with Jupyter.",
        _jupyter,
        check_jupyter,
        commands=RUNS.keys(),
        connecting=frozenset(("start-jupyter",)),
    ),
    "batch": Kind(
        "Its Jupyter is a batch job: stop it to end the job, and start it to submit another.",
        _batch,
        _check_batch,
        commands=BATCH_RUNS.keys(),
        connecting=frozenset(("start-jupyter", "new-job")),
    ),
    "webpage": Kind(
        "It is a direct connection: give its entry a host, to be reached by SSH.",
        _webpage,
        check_page,
        connector=DirectConnector(),
    ),
}
