"""The kinds of services. A kind is a folder, a line of `KINDS`, and its keys of `config.model`,
where `Server.kind` names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.services.jupyter import commands as jupyter_commands
from trayconnect.services.jupyter.service import JupyterService, Work
from trayconnect.services.protocol import Desktop, Post, Service
from trayconnect.services.webpage.direct import DirectConnector, look_direct
from trayconnect.services.webpage.pages import look_at_pages
from trayconnect.services.webpage.service import (
    DirectService,
    ForwardPages,
    LookAtPages,
    LookDirect,
)


@dataclass(frozen=True, slots=True)
class Services:
    """Makes the services of an entry: see `protocol.MakeServices`."""

    desktop: Desktop
    jupyter: Work
    look_direct: LookDirect = look_direct
    look_at_pages: LookAtPages = look_at_pages

    def __call__(self, server: Server, post: Post) -> tuple[Service, ...]:
        return KINDS[server.kind].make(self, server, post)


def _jupyter(services: Services, server: Server, post: Post) -> tuple[Service, ...]:
    return (
        JupyterService(server, post, services.desktop, services.jupyter),
        ForwardPages(server, post, services.desktop, services.look_at_pages),
    )


def _webpage(services: Services, server: Server, post: Post) -> tuple[Service, ...]:
    return (DirectService(server, post, services.desktop, services.look_direct),)


@dataclass(frozen=True, slots=True)
class Kind:
    entry: str
    """What such an entry is, and how to get another kind, for people."""
    make: Callable[[Services, Server, Post], tuple[Service, ...]]
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
        commands=jupyter_commands.RUNS.keys(),
        connecting=frozenset(("start-jupyter",)),
    ),
    "webpage": Kind(
        "It is a direct connection: give its entry a host, to be reached by SSH.",
        _webpage,
        connector=DirectConnector(),
    ),
}
