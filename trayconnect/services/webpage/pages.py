"""Checks the web tools behind a server's forwards: whether they answer, and who owns them."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from functools import partial
from http import HTTPStatus

from trayconnect.config.forward_model import Forward
from trayconnect.config.model import Server
from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import ByteStream, Link, NotOursError, Owner
from trayconnect.core.threads import deadline
from trayconnect.services.dialling import ProbeError
from trayconnect.services.http_client import get_through
from trayconnect.services.protocol import PageState

logger = logging.getLogger(__name__)

TIMEOUT = 5.0
"""Seconds for one answer, once a channel is open."""

_LOGIN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
"""Answers of a page that requires a login: it is there."""


def check_pages(
    server: Server, tunnel: Link, cancel: CancelToken, timeout: float = TIMEOUT
) -> dict[str, PageState]:
    """See `service.CheckPages`.

    Uses channels of its own, all at once: through the local ports, each question to a tool that
    does not run would be a refused connection, which triggers a check of Jupyter."""
    asked = {
        forward.name: Background(
            partial(_asked, server, forward, tunnel, timeout), f"tc-page {forward.name}"
        )
        for forward in server.forwards
        if forward.has_page
    }
    # After a cancellation they end with the link, which closes soon.
    return {name: one.result(cancel) for name, one in asked.items()}


def _asked(server: Server, forward: Forward, tunnel: Link, timeout: float) -> PageState:
    try:
        return _state(server, forward, tunnel, timeout)
    except Exception:
        logger.exception("%s: a bug in the check of %s", server.name, forward.name)
        return PageState.SILENT


def _state(server: Server, forward: Forward, tunnel: Link, timeout: float) -> PageState:
    target = forward.leads_to
    assert target is not None
    if forward.ready is None:
        return _STATES.get(tunnel.owner(target), PageState.ANSWERS)
    tunnel.forget(target)  # some tools serve one connection at a time, in their order
    try:
        stream, owner = tunnel.open_own_channel(target, ("127.0.0.1", 0), named=True)
    except ProblemError as error:
        logger.debug("%s: %s: %s", server.name, forward.name, error.problem)
        is_others = isinstance(error, NotOursError) and error.owner is Owner.OTHERS
        return PageState.OTHERS if is_others else PageState.SILENT
    if not _answers(server, forward, stream, timeout):
        return PageState.SILENT
    return _STATES.get(owner, PageState.ANSWERS)


_STATES = {
    Owner.SYSTEM: PageState.UNPROVEN,
    Owner.UNKNOWN: PageState.UNPROVEN,
    Owner.OTHERS: PageState.OTHERS,
}


def _answers(server: Server, forward: Forward, stream: ByteStream, timeout: float) -> bool:
    assert forward.ready is not None
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        stream.close()

    try:
        with closing(stream), deadline(timeout, expire):
            authority = forward.authority(server.bind_address)
            status = get_through(stream, authority, forward.ready).status
    except ProbeError as error:
        logger.debug("%s: %s: %s", server.name, forward.name, error)
        return False
    # The head of a cut answer looks like a whole one.
    return not expired.is_set() and (status < HTTPStatus.BAD_REQUEST or status in _LOGIN)
