"""The local forwards of one session: bound from the user's connect to the user's disconnect, across
all links in between."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from trayconnect.config.forward_model import Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import addresses, ports_text
from trayconnect.config.model import Server
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery, shortage
from trayconnect.core.link import Incoming, OpenChannel, OpenOwnChannel, Own
from trayconnect.forwarding.bind import Bound, bind_all
from trayconnect.forwarding.connections import Connections, Dynamic, Target
from trayconnect.forwarding.listener import LocalListener
from trayconnect.forwarding.local_client import LocalClient, PendingConnections
from trayconnect.forwarding.peer_uid import PeerOwner

_log = logging.getLogger(__name__)

_JOIN_LIMIT = 5.0

_IDENTIFY_TIMES = 20
_IDENTIFY_PAUSE = 0.05
"""Seconds."""

_NO_ADDRESS = ("127.0.0.1", 0)
"""For the client of a UNIX socket, which has none."""

_JUPYTER = 0
"""The number of the forward to Jupyter; the others follow."""

_LEFT_OUT = (
    "Your SSH configuration asks for it. Remove the conflict, or change that line, and "
    "reconnect; everything else works without it."
)


def listen(
    server: Server,
    *,
    also: Sequence[Forward] = (),
    on_refused: Callable[[Problem], None] | None = None,
    uid: int | None = None,
) -> LocalForwarding:
    """Bind the local ports of `server` and of `also`; see `dependencies.Listen`. For a direct
    connection, nothing.

    `on_refused` is called, on any thread, when the link is up and a forward's target cannot be
    reached: a reason for a health check. Connections of user `uid` (by default, this process's) are
    accepted where the system identifies users, and those of root and of other computers. Raises
    `ProblemError`."""
    if uid is None and sys.platform != "win32":
        uid = os.geteuid()
    targets: list[Target | None] = [_jupyter_target(server)]
    unbound_forwards: list[tuple[str, Problem]] = []
    with ExitStack() as unbind:
        all_bound: list[tuple[int, Bound]] = []

        def open_doors(number: int, places: Sequence[Endpoint]) -> None:
            for bound in bind_all(places, server.name):
                unbind.enter_context(bound.socket)
                unbind.callback(bound.remove)
                all_bound.append((number, bound))

        if server.page_port is not None:
            open_doors(_JUPYTER, _jupyter_places(server))
        for forward in filter(_listens_here, server.forwards):
            open_doors(len(targets), forward.binds(server.bind_address))
            targets.append(_target(forward))
        for forward in filter(_listens_here, also):
            try:
                open_doors(len(targets), forward.binds(server.bind_address))
                targets.append(_target(forward))
            except ProblemError as error:
                unbound_forwards.append((forward.name, replace(error.problem, advice=_LEFT_OUT)))
        try:
            forwarding = LocalForwarding(
                server, all_bound, targets, unbound_forwards, uid, on_refused
            )
        except (OSError, RuntimeError) as error:
            raise ProblemError(_exhausted(server.name, error)) from error
        unbind.pop_all()
    if ports := server.open_ports(also):
        _log.warning("%s: other computers can connect to %s", server.name, ports_text(ports))
    return forwarding


def _listens_here(forward: Forward) -> bool:
    return forward.kind is not Kind.REMOTE


def _jupyter_places(server: Server) -> list[Endpoint]:
    port = server.local_port
    return [TcpEndpoint(each, port) for each in addresses(server.bind_address, port, own=True)]


def _jupyter_target(server: Server) -> Target | None:
    """None: Jupyter has to be discovered first."""
    jupyter = server.jupyter
    if jupyter.socket is not None:
        return Own(UnixEndpoint(jupyter.socket))
    return None if jupyter.port == "auto" else Own(TcpEndpoint(jupyter.host, jupyter.port))


def _target(forward: Forward) -> Target:
    """The browser sends its cookies for the local address to a page, so a page's forward leads to
    the account's own listeners only. Any other forward leads where the file says, as in ssh."""
    if forward.leads_to is None:
        return Dynamic()
    return Own(forward.leads_to) if forward.has_page else forward.leads_to


def _exhausted(name: str, error: Exception) -> Problem:
    return Problem(
        f"The local ports of {name} cannot be served",
        "This program has no file descriptors or threads left. Close other tunnels, or raise the"
        " limit (ulimit -n).",
        Recovery.RETRY,
        str(error),
    )


def _identify(client: LocalClient) -> PeerOwner:
    """The owner of the client; retries for a while if the system is short of resources. Raises
    OSError."""
    for _ in range(_IDENTIFY_TIMES):
        try:
            return client.owner()
        except OSError as error:
            if shortage(error) is None:
                raise
            time.sleep(_IDENTIFY_PAUSE)
    return client.owner()


class LocalForwarding:
    """See `dependencies.Forwarding`. Made by `listen`; owns the sockets."""

    def __init__(
        self,
        server: Server,
        all_bound: Sequence[tuple[int, Bound]],
        targets: list[Target | None],
        unbound_forwards: Sequence[tuple[str, Problem]],
        uid: int | None,
        on_refused: Callable[[Problem], None] | None,
    ) -> None:
        sockets = [(number, bound.socket) for number, bound in all_bound]
        self._removals = [bound.remove for _, bound in all_bound]
        self._name = server.name
        self._hold_seconds = server.hold_seconds
        self._uid = uid
        self._targets = targets
        self.unbound_forwards = tuple(unbound_forwards)
        self._lock = threading.Lock()
        self._pending = PendingConnections()
        self._closed = False
        self._other_user_seen = False
        self._connections = Connections(server.name, self._take_back, on_refused)
        self._listener = (
            LocalListener(server.name, sockets, self._accepted, self._expire) if sockets else None
        )

    # --- the session's side -------------------------------------------------------------------

    def attach(
        self, open_channel: OpenChannel, open_own_channel: OpenOwnChannel | None = None
    ) -> None:
        """Serve connections from now on; the held ones first, in the order of their arrival."""
        self._connections.begin(open_channel, open_own_channel)
        self._serve_held()

    def set_target(self, target: Own | Problem) -> None:
        """Set where Jupyter listens, as seen from the server, or why connections to its local port
        have no target, for every connection from now on.

        With `port: auto`, connections to Jupyter are held until the first call. Later links keep
        the last target."""
        with self._lock:
            self._targets[_JUPYTER] = target
        self._serve_held()

    def take(self, incoming: Incoming, target: Endpoint) -> None:
        """Carry a connection of a remote forward to `target`; see `dependencies.Forwarding`."""
        self._connections.take(incoming, target)

    def detach(self) -> None:
        """The link has ended: end its connections, and hold new ones for a while. A connection
        whose channel is not open yet is held too."""
        self._connections.end()

    def close(self) -> None:
        """Unbind, end every connection, join the threads. Never raises; may be called twice.

        A channel that is being opened delays it by up to 5 seconds, unless the link is closed
        first."""
        with self._lock:
            self._closed = True
        for remove in self._removals:
            remove()
        if self._listener is not None:
            self._listener.close()
        with self._lock:
            held = self._pending.clear()
        for client in held:
            client.reset()
        if not self._connections.close(_JOIN_LIMIT):
            _log.warning("%s: a channel is still being opened", self._name)

    # --- on the listener's thread -------------------------------------------------------------

    def _accepted(self, forward: int, accepted: socket.socket) -> None:
        try:
            accepted.setblocking(False)
            is_tcp = accepted.family in (socket.AF_INET, socket.AF_INET6)
            origin = accepted.getpeername() if is_tcp else _NO_ADDRESS
            deadline = time.monotonic() + self._hold_seconds
            client = LocalClient(accepted, (origin[0], origin[1]), forward, deadline, self._uid)
            owner = _identify(client)
        except OSError as error:  # hung up already, or no resources to identify the client
            _log.debug("%s: dropped a connection: %s", self._name, error)
            accepted.close()
            return
        if owner is PeerOwner.OTHER_USER:
            self._report_other_user()
        if owner in (PeerOwner.OTHER_USER, PeerOwner.GONE):
            client.reset()
        else:
            self._hold(client)
            self._serve_held()

    def _report_other_user(self) -> None:
        _log.log(
            logging.DEBUG if self._other_user_seen else logging.WARNING,
            "%s: refused a connection of another user of this computer",
            self._name,
        )
        self._other_user_seen = True

    def _expire(self) -> float | None:
        now = time.monotonic()
        with self._lock:
            expired = self._pending.expire(now)
            deadline = self._pending.next_deadline()
        for client in expired:
            client.reset()
        return None if deadline is None else max(0.0, deadline - now)

    # --- on any thread ------------------------------------------------------------------------

    def _hold(self, client: LocalClient) -> None:
        with self._lock:
            dropped = [client] if self._closed else self._pending.add(client)
        for each in dropped:
            each.reset()

    def _serve_held(self) -> None:
        """Serve the clients that the link can serve. Every client passes through `_pending`, so
        that a link that begins or ends meanwhile loses none."""
        if not self._connections.has_link:
            return
        with self._lock:
            targets = {number: to for number, to in enumerate(self._targets) if to is not None}
            clients = self._pending.release(targets.keys())
        for client in clients:
            if client.has_hung_up():
                client.reset()
            elif not self._connections.serve(client, targets[client.forward]):
                self._take_back(client)

    def _take_back(self, client: LocalClient) -> None:
        """Hold a client again that the last link could not serve any more."""
        self._hold(client)
        if self._listener is not None:
            self._listener.wake()  # for the deadline
        self._serve_held()
