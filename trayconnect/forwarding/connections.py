"""The connections that are being served, each on its own threads, while there is a link."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import (
    ByteStream,
    Incoming,
    LostError,
    NotOpenedError,
    NotOursError,
    OpenChannel,
    OpenOwnChannel,
    Own,
    Owner,
    Refusal,
)
from trayconnect.forwarding.local_client import ClientRequest, Fixed, LocalClient
from trayconnect.forwarding.pump import Pump
from trayconnect.forwarding.refusal_page import turn_away
from trayconnect.forwarding.socks import SocksError, negotiate
from trayconnect.forwarding.workers import Workers

_log = logging.getLogger(__name__)

INCOMING_LIMIT = 256
"""Limit for the connections of remote forwards: the server decides how many it sends."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The client names the target, by SOCKS."""


Target = Endpoint | Own | Dynamic | Problem
"""The target of a forward, as seen from the server, or why it has none."""


@dataclass(frozen=True, slots=True, eq=False)
class _LinkPeriod:
    """One link's period; compared by identity, so that its late threads notice that it is over."""

    open_channel: OpenChannel
    open_own_channel: OpenOwnChannel


class Connections:
    """Starts and aborts connections. `end` and `begin` may follow each other any time.

    `give_back` gets a client whose link ended before its channel was open: nothing was read from it
    but its request, so the next link can serve it. `on_refused` gets the reason when the link is up
    and the server opens no channel to a target of the file. Both are called on the client's own
    thread."""

    def __init__(
        self,
        name: str,
        give_back: Callable[[LocalClient], None],
        on_refused: Callable[[Problem], None] | None,
    ) -> None:
        self._name = name
        self._give_back = give_back
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._link: _LinkPeriod | None = None
        self._pumps: set[Pump] = set()
        self._negotiating: set[socket.socket] = set()
        """Sockets of clients that are sending their request."""
        self._proven_forwards: set[int] = set()
        """Forwards whose listener was once proven to be the account's own: from then on, only such
        a listener is accepted."""
        self._incoming = 0
        self._closed = False
        self._workers = Workers(name)
        self._last_refusal = ""
        """The last logged refusal: a client that polls for a page asks again each second."""

    @property
    def has_link(self) -> bool:
        return self._link is not None

    def begin(
        self, open_channel: OpenChannel, open_own_channel: OpenOwnChannel | None = None
    ) -> None:
        """Serve through this link from now on."""
        self.end()
        with self._lock:
            self._link = _LinkPeriod(open_channel, open_own_channel or _unknown(open_channel))
            self._last_refusal = ""

    def end(self) -> None:
        """Abort every connection; does not wait for their threads."""
        with self._lock:
            self._link = None
            pumps = tuple(self._pumps)
        for pump in pumps:
            pump.abort()

    def serve(self, client: LocalClient, target: Target) -> bool:
        """Start to serve the client and take ownership of its socket. False: there is no link, and
        the caller keeps the socket."""
        with self._lock:
            link = self._link
        if link is None:
            return False
        try:
            self._workers.start(lambda: self._run(client, target, link))
        except RuntimeError as error:
            _log.warning("%s: dropped a connection: %s", self._name, error)
            client.reset()
        return True

    def take(self, incoming: Incoming, target: Endpoint) -> None:
        """Start to carry a connection of a remote forward to `target`, as seen from here."""
        with self._lock:
            link = self._link
            fits = link is not None and self._incoming < INCOMING_LIMIT
            self._incoming += fits
        if link is None or not fits:
            incoming.refuse("too many connections" if link else "going away", busy=True)
            return
        try:
            self._workers.start(lambda: self._receive(incoming, target))
        except RuntimeError as error:
            _log.warning("%s: refused a connection: %s", self._name, error)
            incoming.refuse("no more threads", busy=True)
            self._received_one()

    def close(self, limit: float) -> bool:
        """`end`, and wait for the threads, at most `limit` seconds; whether all have ended."""
        self.end()
        with self._lock:
            self._closed = True
            asked = tuple(self._negotiating)
        for client in asked:
            _wake(client)
        return self._workers.close(limit)

    # --- on a connection's own thread -----------------------------------------------------------

    def _run(self, client: LocalClient, target: Target, link: _LinkPeriod) -> None:
        if isinstance(target, Problem):
            self._turn_away(client, target)
            return
        try:
            request = client.request or self._request(client, target)
        except SocksError as error:
            _log.info("%s: %s", self._name, error)
            client.socket.close()
            return
        if not request.is_fixed:
            client = replace(client, request=request)  # logged already
        try:
            stream = self._open(client, request, target, link)
        except ProblemError as error:
            self._refuse(client, request, link, error)
            return
        except BaseException:
            client.reset()
            raise
        if not self._carry(client.socket, stream, link, request):
            stream.close()
            self._give_back(client)

    def _open(
        self, client: LocalClient, request: ClientRequest, target: Target, link: _LinkPeriod
    ) -> ByteStream:
        """Raises `ProblemError`."""
        if not isinstance(target, Own):
            return link.open_channel(request.target, client.origin)
        named = target.named and client.forward not in self._proven_forwards
        stream, owner = link.open_own_channel(target.endpoint, client.origin, named=named)
        if owner is Owner.OURS:
            self._proven_forwards.add(client.forward)
        return stream

    def _request(self, client: LocalClient, target: Endpoint | Own | Dynamic) -> ClientRequest:
        """Raises `SocksError`."""
        if not isinstance(target, Dynamic):
            return Fixed(target.endpoint if isinstance(target, Own) else target)
        if not self._begin_negotiation(client):
            raise SocksError("the forward is closing")
        try:
            return negotiate(client.socket)
        finally:
            self._end_asking(client)

    def _turn_away(self, client: LocalClient, problem: Problem) -> None:
        """Send the reason to the client, and report that somebody is waiting for an answer."""
        self._log_once(problem)
        if not self._begin_negotiation(client):
            client.reset()
            return
        if self._on_refused is not None:
            self._on_refused(problem)
        try:
            turn_away(client.socket, problem)
        finally:
            self._end_asking(client)
            client.socket.close()

    def _begin_negotiation(self, client: LocalClient) -> bool:
        """Whether there is time to read the request; `close` interrupts the reading."""
        with self._lock:
            if not self._closed:
                self._negotiating.add(client.socket)
            return not self._closed

    def _end_asking(self, client: LocalClient) -> None:
        with self._lock:
            self._negotiating.discard(client.socket)

    def _refuse(
        self, client: LocalClient, request: ClientRequest, link: _LinkPeriod, error: ProblemError
    ) -> None:
        if isinstance(error, LostError):
            self._forget(link)
        if link is not self._link:
            self._give_back(client)
            return
        if isinstance(error, NotOursError):
            self._turn_away(client, error.problem)
            return
        self._log_once(error.problem)
        refusal = error.refusal if isinstance(error, NotOpenedError) else Refusal.OTHER
        if request.denied(client.socket, refusal):
            client.socket.close()
        else:
            client.reset()
        # The client of a proxy may ask for a host that does not exist.
        if request.is_fixed and self._on_refused is not None:
            self._on_refused(error.problem)

    def _forget(self, link: _LinkPeriod) -> None:
        """Serve nobody through it any more: a client may notice the link's end before `end` is
        called."""
        with self._lock:
            if link is self._link:
                self._link = None

    def _log_once(self, problem: Problem) -> None:
        title = problem.title
        _log.log(
            logging.DEBUG if title == self._last_refusal else logging.INFO,
            "%s: %s",
            self._name,
            title,
        )
        self._last_refusal = title

    def _receive(self, incoming: Incoming, target: Endpoint) -> None:
        try:
            try:
                local = dial(target)
            except (OSError, UnicodeError) as error:
                _log.info("%s: nothing answers on %s here: %s", self._name, target, error)
                incoming.refuse(f"connect failed: {error}")
                return
            local.setblocking(False)
            try:
                incoming.accept(local)
            except OSError:
                local.close()
        finally:
            self._received_one()

    def _received_one(self) -> None:
        with self._lock:
            self._incoming -= 1

    def _carry(
        self,
        sock: socket.socket,
        stream: ByteStream,
        link: _LinkPeriod,
        request: ClientRequest | None = None,
    ) -> bool:
        """Carry to the end. Returns false, having done nothing, if the link is not the current
        one."""
        pump = Pump(sock, stream, self._workers.start)
        with self._lock:
            if link is not self._link:
                return False
            self._pumps.add(pump)
        try:
            try:
                if request is not None:
                    request.granted(sock)
            except OSError:  # the client has hung up
                pump.abort()
            pump.run()
        finally:
            with self._lock:
                self._pumps.discard(pump)
        return True


def _unknown(open_channel: OpenChannel) -> OpenOwnChannel:
    """For a link that cannot determine the owner of a listener."""

    def open_own_channel(
        target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[ByteStream, Owner]:
        if named:
            return open_channel(target, origin), Owner.UNKNOWN
        title = f"What listens on {target} at the server is not proven to be yours"
        raise NotOursError(Problem(title, "Nothing is sent there."), Owner.UNKNOWN)

    return open_own_channel


def _wake(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


CONNECT_SECONDS = 4.0
"""The target is on this computer or near it, and closing a session waits for the connect."""


def dial(target: Endpoint) -> socket.socket:
    """Raises OSError, TimeoutError after `CONNECT_SECONDS` for each address."""
    if isinstance(target, TcpEndpoint):
        return socket.create_connection((target.host, target.port), CONNECT_SECONDS)
    return _dial_unix(target.path)


if sys.platform == "win32":

    def _dial_unix(path: str) -> socket.socket:
        raise OSError(f"Python has no UNIX sockets on Windows, such as {path}")

else:

    def _dial_unix(path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_SECONDS)
            sock.connect(path)
        except BaseException:
            sock.close()
            raise
        return sock
