"""The kinds of services."""

from __future__ import annotations

from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.services.jupyter.service import JupyterService, Work
from trayconnect.services.protocol import Desktop, Post, Service
from trayconnect.services.webpage.direct import look_direct
from trayconnect.services.webpage.pages import look_at_pages
from trayconnect.services.webpage.service import (
    DirectService,
    ForwardPages,
    LookAtPages,
    LookDirect,
)


@dataclass(frozen=True, slots=True)
class Kinds:
    """Makes the services of an entry: see `protocol.MakeServices`."""

    desktop: Desktop
    jupyter: Work
    look_direct: LookDirect = look_direct
    look_at_pages: LookAtPages = look_at_pages

    def __call__(self, server: Server, post: Post) -> tuple[Service, ...]:
        if server.is_direct:
            return (DirectService(server, post, self.desktop, self.look_direct),)
        return (
            JupyterService(server, post, self.desktop, self.jupyter),
            ForwardPages(server, post, self.desktop, self.look_at_pages),
        )
