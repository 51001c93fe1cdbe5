"""Remote forwards: listeners at the server (RFC 4254 section 7, and for UNIX sockets OpenSSH's
PROTOCOL, section 2.4).

Only connections to requested listeners are accepted: a server that opens others would reach into
this computer."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paramiko import Message

from trayconnect.core import sanitize
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.event_loop import tell
from trayconnect.core.link import Client, Incoming

if TYPE_CHECKING:
    from trayconnect.ssh.transport.ssh_transport import SshTransport

log = logging.getLogger(__name__)

# RFC 4254 section 5.1
_PROHIBITED, _CONNECT_FAILED, _RESOURCE_SHORTAGE = 1, 2, 4


_ORIGIN_LENGTH = 60
_NO_ORIGIN = ("", 0)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A channel that the server wants to open: its number there, and its window."""

    transport: SshTransport
    number: int
    window: int
    max_packet: int
    origin: str = ""

    def accept(self, sock: socket.socket, on_ended: Callable[[], None] = lambda: None) -> None:
        """See `link.Incoming`."""
        client = Client(sock, _NO_ORIGIN)
        self.transport.multiplexer.admit(
            self.number, self.window, self.max_packet, client, on_ended
        )

    def refuse(self, reason: str, *, busy: bool = False) -> None:
        """See `link.Incoming`."""
        code = _RESOURCE_SHORTAGE if busy else _CONNECT_FAILED
        self.transport.turn_away(self.number, code, reason)


class RemoteListening:
    """The remote forwards of one transport."""

    def __init__(self, transport: SshTransport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._callbacks: dict[Endpoint, Callable[[Incoming], None]] = {}
        self._refused = False

    def listen(
        self,
        where: Endpoint,
        on_incoming: Callable[[Incoming], None],
        on_answer: Callable[[int | None], None],
    ) -> None:
        """Request a listener; returns at once. `on_answer` gets the port, 0 for a socket, or None
        for a refusal; both callbacks run on the transport's thread."""

        def answered(reply: Message | None) -> None:
            if reply is None:
                on_answer(None)
                return
            bound = where
            if isinstance(where, TcpEndpoint) and not where.port:
                bound = TcpEndpoint(where.host, reply.get_int())
            with self._lock:
                self._callbacks[bound] = on_incoming
            on_answer(bound.port if isinstance(bound, TcpEndpoint) else 0)

        request, fields = _request(where)
        self._transport.ask(request, answered, *fields)

    def arrived(self, message: Message) -> None:
        """The server opens a channel: the rest of its MSG_CHANNEL_OPEN. Runs on the transport's
        thread."""
        kind = _text(message)
        number, window, max_packet = (message.get_int() for _ in range(3))
        on_incoming_of: Callable[[Incoming], None] | None = None
        origin = ""
        if kind == "forwarded-tcpip":
            on_incoming_of = self._callback(TcpEndpoint(_text(message), message.get_int()))
            host = sanitize.line(message.get_binary(), _ORIGIN_LENGTH)
            origin = str(TcpEndpoint(host, message.get_int()))
        elif kind == "forwarded-streamlocal@openssh.com":
            on_incoming_of = self._callback(UnixEndpoint(_text(message)))
        if on_incoming_of is None:
            level = logging.DEBUG if self._refused else logging.WARNING  # one log line is enough
            self._refused = True
            shown = sanitize.line(kind, _ORIGIN_LENGTH)
            log.log(level, "%s: refused a %r of the server", self._transport.name, shown)
            self._transport.turn_away(number, _PROHIBITED, "nobody asked for it")
        else:
            arrival = Arrival(self._transport, number, window, max_packet, origin)
            if not tell(on_incoming_of, arrival):
                arrival.refuse("internal error")

    def _callback(self, where: Endpoint) -> Callable[[Incoming], None] | None:
        with self._lock:
            if where in self._callbacks or not isinstance(where, TcpEndpoint):
                return self._callbacks.get(where)
            # Servers write the address differently; compare the port only.
            alike = [
                on_incoming_of
                for bound, on_incoming_of in self._callbacks.items()
                if isinstance(bound, TcpEndpoint) and bound.port == where.port
            ]
            return alike[0] if len(alike) == 1 else None


def _text(message: Message) -> str:
    """Text for a comparison; invalid UTF-8 equals nothing that was requested."""
    return message.get_binary().decode("utf-8", "replace")


def _request(where: Endpoint) -> tuple[str, tuple[str | int, ...]]:
    if isinstance(where, TcpEndpoint):
        return "tcpip-forward", (where.host, where.port)
    return "streamlocal-forward@openssh.com", (where.path,)
