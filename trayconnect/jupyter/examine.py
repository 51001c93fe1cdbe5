"""Looks at one server end to end: where its Jupyter listens, and how far one gets to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from trayconnect.cancel import Cancel
from trayconnect.config.endpoints import Endpoint
from trayconnect.config.model import Server
from trayconnect.errors import ProblemError
from trayconnect.jupyter.abandon import abandonable
from trayconnect.jupyter.address import base_of, local_authority, page_url
from trayconnect.jupyter.direct import look_direct
from trayconnect.jupyter.find import RunningServer, find
from trayconnect.jupyter.readiness import Look, Target, get_logged_in, look
from trayconnect.jupyter.watch import KernelWatch
from trayconnect.ports import Health, Kernels, Page, Reached, Tunnel

logger = logging.getLogger(__name__)

DEFAULT_PORT = 8888
"""Where Jupyter listens unless told otherwise."""

SEARCH_SHARE = 0.05
"""Of all time, at most this part is spent searching a server on which nothing answers."""

_SAME_HOST = {"localhost", "127.0.0.1", "::1"}


@dataclass(slots=True)
class _Known:
    """What is known of one tunnel's far end."""

    running: RunningServer | None = None
    answered: bool = False
    """Whether something answered the last time."""
    next_search: float = 0.0
    """On the monotonic clock."""
    watch: KernelWatch = field(default_factory=KernelWatch)


class Examiner:
    """The `Examine` port of one app. Each tunnel is looked at by one thread at a time."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Tunnel, _Known] = WeakKeyDictionary()

    def __call__(
        self,
        server: Server,
        tunnel: Tunnel,
        set_target: Callable[[Endpoint], None],
        cancel: Cancel,
    ) -> Health:
        """See `trayconnect.ports.Examine`."""
        cancel.check()
        if server.url is not None:
            return look_direct(server.url, cancel)

        known = self._known.get(tunnel)
        if known is None:
            known = self._known[tunnel] = _Known()
            _search(known, server, tunnel, cancel)

        def look_once() -> tuple[Target, Look]:
            target = _target(server, known.running)
            set_target(target.endpoint)
            authority = local_authority(server.bind_address, server.local_port)
            return target, look(authority, target, tunnel.open_channel, cancel)

        target, seen = look_once()
        before = known.running
        if _is_worth_a_search(known, seen):
            _search(known, server, tunnel, cancel)
            if known.running != before:
                target, seen = look_once()
        known.answered = seen.reached >= Reached.JUPYTER
        kernels = _kernels(known, server, target, seen, cancel)
        return Health(seen.reached, _page(server, target, seen), seen.problem, kernels)


def _kernels(
    known: _Known, server: Server, target: Target, seen: Look, cancel: Cancel
) -> Kernels | None:
    if seen.reached is not Reached.LOGGED_IN:
        return None
    authority = local_authority(server.bind_address, server.local_port)
    return known.watch.look(
        lambda path: get_logged_in(authority, target, seen, path, cancel), seen.status
    )


def _is_worth_a_search(known: _Known, seen: Look) -> bool:
    if seen.reached < Reached.JUPYTER or seen.token_refused:
        # Jupyter may have been started again, elsewhere or with another token.
        return time.monotonic() >= known.next_search
    # Something has just begun to answer, later than the last search could know of it.
    return known.running is None and not known.answered


def _search(known: _Known, server: Server, tunnel: Tunnel, cancel: Cancel) -> None:
    """Note the server to use; nothing found, or no way to search, is no error."""
    if server.jupyter.socket is not None or server.jupyter.host not in _SAME_HOST:
        return
    begin = time.monotonic()
    try:
        found = abandonable(lambda: find(tunnel.execute), f"tc-find {server.name}", cancel)
    except ProblemError as error:
        logger.info("%s: no search for Jupyter: %s", server.name, error.problem)
        found = ()
    end = time.monotonic()
    known.next_search = end + (end - begin) * (1 / SEARCH_SHARE - 1)
    port = server.jupyter.port
    known.running = next((one for one in found if port in ("auto", one.port)), None)
    logger.debug("%s: %d running, using %s", server.name, len(found), known.running)


def _target(server: Server, running: RunningServer | None) -> Target:
    jupyter = server.jupyter
    if running is not None:
        return Target(
            running.host, running.port, running.base_url, running.secure, running.token, _RESTART
        )
    base_url = base_of(jupyter.path)
    if jupyter.socket is not None:
        hint = _START_ON.format(jupyter.socket)
        return Target("localhost", DEFAULT_PORT, base_url, start_hint=hint, socket=jupyter.socket)
    if jupyter.port == "auto":
        return Target(jupyter.host, DEFAULT_PORT, base_url, start_hint=_START)
    return Target(jupyter.host, jupyter.port, base_url, start_hint=_START_AT.format(jupyter.port))


_NOTICED = "; it is noticed by itself."
_RESTART = f"Jupyter has just gone from there. Start it again on the server{_NOTICED}"
_START = f"Start Jupyter there, for example with: jupyter lab --no-browser{_NOTICED}"
_START_ON = (
    "Start Jupyter there, for example with: jupyter lab --no-browser --sock={}"
    f"{_NOTICED} Or correct jupyter.socket in the file."
)
_START_AT = (
    "Start Jupyter there, for example with: jupyter lab --no-browser --port={}"
    f"{_NOTICED} Or correct jupyter.port in the file."
)


def _page(server: Server, target: Target, seen: Look) -> Page:
    url = page_url(
        "https" if seen.secure else "http",
        local_authority(server.bind_address, server.local_port),
        target.base_url,
        server.jupyter.path,
    )
    return Page(url, target.token if seen.reached is Reached.LOGGED_IN else "")
