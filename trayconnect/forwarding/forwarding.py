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
from trayconnect.core.closing import do_all
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery, shortage
from trayconnect.core.link import Carrier, Incoming, Own
from trayconnect.core.threads import Timer
from trayconnect.forwarding.arrivals import Arrivals
from trayconnect.forwarding.bind import Bound, bind_all
from trayconnect.forwarding.connections import Connections, Dynamic, Target
from trayconnect.forwarding.listener import LocalListener
from trayconnect.forwarding.local_client import LocalClient, PendingConnections
from trayconnect.forwarding.node_forwards import NodeForwards
from trayconnect.forwarding.peer_uid import PeerOwner, Peers
from trayconnect.forwarding.workers import Workers

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


class LocalForwarding:
    """See `dependencies.Forwarding`. Made by `listen`; owns the sockets.

    While a link is attached, its thread accepts the connections; otherwise the listener's does."""

    def __init__(
        self,
        server: Server,
        all_bound: Sequence[tuple[int, Bound]],
        targets: list[Target | None],
        unbound_forwards: Sequence[tuple[str, Problem]],
        uid: int | None,
        on_refused: Callable[[Problem], None] | None,
    ) -> None:
        self._sockets = [(number, bound.socket) for number, bound in all_bound]
        self._removals = [bound.remove for _, bound in all_bound]
        self._name = server.name
        self._hold_seconds = server.hold_seconds
        self._peers = Peers(uid)
        self._node_forwards = NodeForwards(targets, is_batch=server.kind == "batch")
        self._targets = list(self._node_forwards.first)
        self.unbound_forwards = tuple(unbound_forwards)
        self._lock = threading.Lock()
        self._pending = PendingConnections()
        self._closed = False
        self._other_user_seen = False
        self._expiry = Timer(self._expire)
        self._workers = Workers(server.name)
        self._connections = Connections(
            server.name, self._workers, self._serve, on_refused, self._target_lost
        )
        self._arrivals = Arrivals(server.name, self._workers)
        self._turn = threading.Lock()
        """Held while who accepts changes."""
        self._acceptor: Carrier | None = None
        """The link that was told to accept."""
        self._listener = LocalListener(server.name, self._sockets, self._accepted)
        try:
            self._listen()
        except RuntimeError:
            self._listener.close()
            raise

    # --- the session's side -------------------------------------------------------------------

    def attach(self, carrier: Carrier) -> None:
        """Serve connections from now on; the held ones first, in the order of their arrival."""
        with self._turn:
            if self._closed:
                return
            self._listener.stop()
            self._release()
            self._connections.begin(carrier)
            self._serve_held()
            self._acceptor = carrier
            carrier.accept(self._sockets, self._accepted)

    def set_target(self, target: Own | Problem) -> None:
        """Set where Jupyter listens, as seen from the server, or why connections to its local port
        have no target, for every connection from now on.

        With `port: auto`, connections to Jupyter are held until the first call over each link:
        while there was none, another Jupyter may have taken that port. A later link keeps a
        reason."""
        with self._lock:
            before, self._targets[_JUPYTER] = self._targets[_JUPYTER], target
            self._node_forwards.follow(self._targets, target)
        if isinstance(before, Own) and before != target:
            self._connections.forget(before)
        self._serve_held()

    def _target_lost(self, forward: int, target: Own) -> None:
        """Hold connections until `set_target` names another one."""
        with self._lock:
            if self._targets[forward] == target:
                self._targets[forward] = None

    def take(self, incoming: Incoming, target: Endpoint) -> None:
        """Carry a connection of a remote forward to `target`; see `dependencies.Forwarding`."""
        if self._connections.has_link:
            self._arrivals.take(incoming, target)
        else:
            incoming.refuse("going away", busy=True)

    def detach(self) -> None:
        """The link has ended, or is about to be closed: hold new connections for a while. A
        connection whose channel the link refuses to open from now on is held too."""
        with self._turn:
            self._connections.end()
            with self._lock:
                both = zip(self._targets, self._node_forwards.first, strict=True)
                self._targets = [first if isinstance(now, Own) else now for now, first in both]
            self._release()
            try:
                self._listen()
            except RuntimeError as error:
                _log.warning("%s: new local connections have to wait: %s", self._name, error)

    def close(self) -> None:
        """Unbind, and reset the clients that are held; join the threads. Never raises; may be
        called twice.

        The end of the link ends the connections that it carries. A connect to the target of a
        remote forward delays this by up to 5 seconds."""
        do_all(
            self._unbind,
            self._reset_held,
            lambda: self._expiry.stop(_JOIN_LIMIT),
            self._peers.close,
            self._join_workers,
        )

    def _unbind(self) -> None:
        with self._turn:
            with self._lock:
                self._closed = True
            do_all(
                lambda: self._connections.close(_JOIN_LIMIT),
                *self._removals,
                self._release,
                self._listener.close,
                *(listening.close for _, listening in self._sockets),
            )

    def _reset_held(self) -> None:
        with self._lock:
            held = self._pending.clear()
        do_all(*(client.reset for client in held))

    def _join_workers(self) -> None:
        if not self._workers.close(_JOIN_LIMIT):
            _log.warning("%s: a client is still being answered", self._name)

    def _listen(self) -> None:
        """Raises RuntimeError."""
        if self._sockets and not self._closed:
            self._listener.start()

    def _release(self) -> None:
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            acceptor.release()

    # --- on the thread that accepts -----------------------------------------------------------

    def _accepted(self, forward: int, accepted: socket.socket) -> None:
        try:
            accepted.setblocking(False)
            peer = accepted.getpeername()
            origin = peer if isinstance(peer, tuple) else _NO_ADDRESS
        except OSError as error:  # hung up already
            _log.debug("%s: dropped a connection: %s", self._name, error)
            accepted.close()
            return
        deadline = time.monotonic() + self._hold_seconds
        client = LocalClient(accepted, (origin[0], origin[1]), forward, deadline, self._peers)
        try:
            self._judge(client, client.owner())
        except OSError as error:
            if shortage(error) is None:
                _log.debug("%s: dropped a connection: %s", self._name, error)
                accepted.close()
            else:
                self._connections.work(client, lambda: self._judge_later(client))

    def _judge_later(self, client: LocalClient) -> None:
        """Identify the client as soon as the system has resources again, within a second."""
        owner = PeerOwner.GONE
        for _ in range(_IDENTIFY_TIMES):
            time.sleep(_IDENTIFY_PAUSE)
            try:
                owner = client.owner()
                break
            except OSError as error:
                if shortage(error) is None:
                    break
        self._judge(client, owner)

    def _judge(self, client: LocalClient, owner: PeerOwner) -> None:
        if owner is PeerOwner.OTHER_USER:
            self._report_other_user()
        if owner in (PeerOwner.OTHER_USER, PeerOwner.GONE):
            client.reset()
        else:
            self._serve(client)

    def _report_other_user(self) -> None:
        _log.log(
            logging.DEBUG if self._other_user_seen else logging.WARNING,
            "%s: refused a connection of another user of this computer",
            self._name,
        )
        self._other_user_seen = True

    # --- on any thread ------------------------------------------------------------------------

    def _serve(self, client: LocalClient) -> None:
        """Serve the client, or hold it until that is possible."""
        with self._lock:
            target = self._targets[client.forward]
        if target is None or not self._connections.serve(client, target):
            self._hold(client)
            self._serve_held()  # a link that began meanwhile has served those before

    def _hold(self, client: LocalClient) -> None:
        with self._lock:
            dropped = [client] if self._closed else self._pending.add(client)
            self._set_expiry()
        for each in dropped:
            each.reset()

    def _serve_held(self) -> None:
        """Serve the clients that the link can serve."""
        if not self._connections.has_link:
            return
        with self._lock:
            targets = {number for number, to in enumerate(self._targets) if to is not None}
            clients = self._pending.release(targets)
        for client in clients:
            if client.has_hung_up():
                client.reset()
            else:
                self._serve(client)

    def _expire(self) -> None:
        with self._lock:
            expired = self._pending.expire(time.monotonic())
            self._set_expiry()
        for client in expired:
            client.reset()

    def _set_expiry(self) -> None:
        """The caller holds the lock."""
        deadline = self._pending.next_deadline()
        if deadline is None:
            return
        try:
            self._expiry.set(max(0.0, deadline - time.monotonic()))
        except RuntimeError as error:
            _log.warning("%s: held connections may wait too long: %s", self._name, error)
