"""Whether the web tools behind a server's forwards answer."""

from __future__ import annotations

import logging
import queue
import threading
from http import HTTPStatus

from trayconnect.cancel import Cancel
from trayconnect.config.endpoints import TcpEndpoint
from trayconnect.config.model import Forward, Server
from trayconnect.errors import Cancelled, ProblemError
from trayconnect.jupyter.address import local_authority
from trayconnect.jupyter.dial import ProbeError
from trayconnect.jupyter.probe import get_through
from trayconnect.ports import OpenChannel, Tunnel

logger = logging.getLogger(__name__)

TIMEOUT = 5.0
"""Seconds for one answer, once a channel is open."""

_LOGIN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
"""What a page answers that wants a login first: it is there."""


def look_at_pages(
    server: Server, tunnel: Tunnel, cancel: Cancel, timeout: float = TIMEOUT
) -> frozenset[str]:
    """See `trayconnect.ports.LookAtPages`.

    Asks over channels of its own, all at once: through the local ports, each question to a tool
    that is not running would be a refused connection, which is a reason to look at Jupyter."""
    answers: queue.SimpleQueue[tuple[str, bool] | None] = queue.SimpleQueue()

    def ask(forward: Forward) -> None:
        answering = False
        try:
            answering = _answers(server, forward, tunnel.open_channel, timeout)
        except Exception:
            logger.exception("%s: asking %s failed unforeseen", server.name, forward.name)
        finally:
            answers.put((forward.name, answering))

    threads = [
        threading.Thread(target=ask, args=(forward,), name=f"tc-page {forward.name}", daemon=True)
        for forward in server.forwards
        if forward.ready is not None
    ]
    for thread in threads:
        thread.start()
    found = set()
    with cancel.releasing(lambda: answers.put(None)):
        for _ in threads:
            answer = answers.get()
            if answer is None:
                # They end with the tunnel, which is about to be closed.
                raise Cancelled
            if answer[1]:
                found.add(answer[0])
    for thread in threads:
        thread.join()
    return frozenset(found)


def _answers(server: Server, forward: Forward, open_channel: OpenChannel, timeout: float) -> bool:
    target, where = forward.leads_to, forward.listens(server.bind_address)
    assert target is not None
    assert forward.ready is not None
    assert isinstance(where, TcpEndpoint)
    try:
        stream = open_channel(target, ("127.0.0.1", 0))
    except ProblemError as error:
        logger.debug("%s: %s: %s", server.name, forward.name, error.problem)
        return False
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        stream.close()

    limit = threading.Timer(timeout, expire)
    limit.name = f"tc-page limit {forward.name}"
    limit.daemon = True
    limit.start()
    try:
        authority = local_authority(where.host, where.port)
        status = get_through(stream, authority, forward.ready).status
    except ProbeError as error:
        logger.debug("%s: %s: %s", server.name, forward.name, error)
        return False
    finally:
        limit.cancel()
        limit.join()
        stream.close()
    # The head of an answer that was cut short reads like a whole one.
    return not expired.is_set() and (status < HTTPStatus.BAD_REQUEST or status in _LOGIN)
