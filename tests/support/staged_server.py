"""An SSH server that does what no good server does: paramiko's key exchange and login, and the
messages of the connection protocol by hand (RFC 4254)."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko import Message
from paramiko.common import AUTH_SUCCESSFUL
from paramiko.packet import Packetizer

from tests.support.forwarding import eventually
from tests.support.scoped import Scoped
from tests.support.waiting import end_accept

DISCONNECT, IGNORE, UNIMPLEMENTED, KEXINIT, NEWKEYS = 1, 2, 3, 20, 21
GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
OPEN, CONFIRMATION, OPEN_FAILURE, WINDOW_ADJUST, DATA, EXTENDED_DATA = range(90, 96)
EOF, CLOSE, REQUEST, SUCCESS, FAILURE = range(96, 101)

WINDOW = 1 << 21
MAX_PACKET = 1 << 15

Field = str | bytes | int


def packet(kind: int, *fields: Field) -> bytes:
    """A message: its number, then booleans, numbers as uint32, and texts as strings."""
    message = Message()
    message.add_byte(bytes([kind]))
    for value in fields:
        if isinstance(value, bool):
            message.add_boolean(value)
        elif isinstance(value, int):
            message.add_int(value)
        else:
            message.add_string(value)
    return message.asbytes()


@dataclass(eq=False)
class FarChannel:
    """A channel that the client opened, at the server's end. It echoes, and returns the window,
    unless `quiet`."""

    session: StagedSession
    client: int
    """The client's number."""
    window: int
    """The window that the client granted when it opened the channel."""
    max_packet: int
    number: int
    """The server's number."""
    quiet: bool = False
    got: int = 0
    """Bytes of data that came."""
    granted: int = 0
    """Bytes by which the client has widened its window since."""
    kinds: list[int] = field(default_factory=list)
    """The messages that came, but for data and adjustments of the window."""
    largest: int = 0
    """Bytes of the largest data message that came."""

    def confirm(self, window: int = WINDOW, max_packet: int = MAX_PACKET) -> None:
        self.session.answer(CONFIRMATION, self.client, self.number, window, max_packet)

    def refuse(self) -> None:
        self.session.answer(OPEN_FAILURE, self.client, 2, "refused", "")

    def data(self, data: bytes) -> None:
        self.session.put(DATA, self.client, data)

    def extended(self, data: bytes) -> None:
        self.session.put(EXTENDED_DATA, self.client, 1, data)

    def adjust(self, size: int) -> None:
        self.session.put(WINDOW_ADJUST, self.client, size)

    def eof(self) -> None:
        self.session.put(EOF, self.client)

    def close(self) -> None:
        self.session.put(CLOSE, self.client)

    def request(self, kind: str, want_reply: bool, *fields: Field) -> None:
        self.session.put(REQUEST, self.client, kind, want_reply, *fields)

    def came(self, kind: int) -> bool:
        """Whether the client sent such a message."""
        return kind in self.kinds

    def take(self, kind: int, message: Message) -> None:
        """A message of the client, on the session's thread."""
        if kind == DATA:
            data = message.get_string()
            self.got += len(data)
            self.largest = max(self.largest, len(data))
            if not self.quiet:
                self.session.answer(WINDOW_ADJUST, self.client, len(data))
                self.session.answer(DATA, self.client, data)
        elif kind == WINDOW_ADJUST:
            self.granted += message.get_int()
        else:
            self.kinds.append(kind)


if TYPE_CHECKING:

    class _Base(paramiko.Transport):
        _handler_table: dict[int, Callable[[Message], Any]]

        def _send_message(self, data: Message) -> None: ...
        def _send_kex_init(self) -> None: ...
        def _negotiate_keys(self, m: Message) -> None: ...
        def _parse_newkeys(self, m: Message) -> None: ...

        agreed_on_strict_kex: bool
        clear_to_send: threading.Event
        clear_to_send_lock: threading.Lock
else:
    _Base = paramiko.Transport


class Recorder(Packetizer):
    """Notes what the client sends amid a key exchange, which nothing of the connection protocol may
    be (RFC 4253 section 7.1)."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.amid: list[int] = []
        """Messages of the client between its KEXINIT and its NEWKEYS that do not belong there."""
        self.exchanges = 0
        self.reads = threading.Event()
        """Whether it reads on."""
        self.reads.set()
        self._is_amid = False

    def read_message(self) -> tuple[int, Message]:
        self.reads.wait()
        kind, message = super().read_message()
        if kind == KEXINIT:
            self._is_amid = True
        elif kind == NEWKEYS:
            self._is_amid = False
            self.exchanges += 1
        elif self._is_amid and kind >= 50:
            self.amid.append(kind)
        return kind, message


class StagedSession(_Base):
    """One connection."""

    packetizer: Recorder

    def __init__(self, sock: socket.socket, server: StagedServer) -> None:
        super().__init__(sock, packetizer_class=Recorder, strict_kex=server.strict)
        self.daemon = True
        self.settings = server
        self.channels: dict[int, FarChannel] = {}
        """By the client's number; the last with that number."""
        self.opened: list[FarChannel] = []
        """In the order of the requests."""
        self.replies: list[int] = []
        """The client's replies to global requests."""
        self._held: list[bytes] = []
        self.refused_keys = False
        """Answer no key exchange of the client any more."""
        self.add_server_key(server.key)
        for number in (*range(GLOBAL_REQUEST, REQUEST_FAILURE + 1), *range(OPEN, FAILURE + 1)):
            self._handler_table[number] = partial(self._take, number)
        self._handler_table[KEXINIT] = self._key_exchange

    def put(self, kind: int, *fields: Field) -> None:
        """Send a message now, whatever is going on."""
        self.put_raw(packet(kind, *fields))

    def put_raw(self, payload: bytes) -> None:
        self._send_message(Message(payload))

    def answer(self, kind: int, *fields: Field) -> None:
        """Send a message now, or after the key exchange, on the session's thread."""
        with self.clear_to_send_lock:
            if self.clear_to_send.is_set():
                self.put(kind, *fields)
            else:
                self._held.append(packet(kind, *fields))

    def _parse_newkeys(self, m: Message) -> None:
        super()._parse_newkeys(m)
        held, self._held = self._held, []
        for payload in held:
            self.put_raw(payload)

    def begin_key_exchange(self) -> None:
        """Send SSH_MSG_KEXINIT, and answer the client's."""
        self._send_kex_init()

    def _key_exchange(self, message: Message) -> None:
        if not self.refused_keys:
            self._negotiate_keys(message)

    def _take(self, kind: int, message: Message) -> None:
        if kind == GLOBAL_REQUEST:
            message.get_text()
            if message.get_boolean():
                self.answer(REQUEST_FAILURE)
        elif kind in (REQUEST_SUCCESS, REQUEST_FAILURE):
            self.replies.append(kind)
        elif kind == OPEN:
            self._open(message)
        else:
            channel = self._of(message.get_int())
            if channel is not None:
                channel.take(kind, message)

    def _open(self, message: Message) -> None:
        name = message.get_text()
        client, window, max_packet = (message.get_int() for _ in range(3))
        if name != "direct-tcpip":
            self.answer(OPEN_FAILURE, client, 1, "no", "")
            return
        channel = FarChannel(self, client, window, max_packet, 1000 + len(self.opened))
        self.channels[client] = channel
        self.opened.append(channel)
        self.settings.on_open(channel)

    def _of(self, number: int) -> FarChannel | None:
        at = number - 1000
        return self.opened[at] if 0 <= at < len(self.opened) else None


class _Everybody(paramiko.ServerInterface):
    def check_auth_none(self, username: str) -> int:
        return AUTH_SUCCESSFUL


class StagedServer(Scoped):
    """Lets everybody in. `on_open` is called for each channel that a client opens to a port; by
    default it confirms the channel."""

    host = "127.0.0.1"

    def __init__(self, *, strict: bool = True) -> None:
        self.strict = strict
        self.key = paramiko.ECDSAKey.generate()
        self.on_open: Callable[[FarChannel], None] = FarChannel.confirm
        self.sessions: list[StagedSession] = []
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="staged server", daemon=True)

    @property
    def known_hosts_line(self) -> str:
        return f"[{self.host}]:{self.port} {self.key.get_name()} {self.key.get_base64()}"

    @property
    def session(self) -> StagedSession:
        """The last."""
        return self.sessions[-1]

    def channel(self, number: int) -> FarChannel:
        """The channel that the last session's client opened as its `number`th; waits for it."""
        opened = self.session.opened
        eventually(lambda: len(opened) > number, "a channel")
        return opened[number]

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        end_accept(self._listener)
        self._thread.join(10)
        self._listener.close()
        self.end_sessions()

    def end_sessions(self) -> None:
        for session in self.sessions:
            session.packetizer.reads.set()
            session.close()
            session.join(10)
            assert not session.is_alive()
        self.sessions.clear()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                if self._ending.is_set():
                    sock.close()
                    return
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                session = StagedSession(sock, self)
                self.sessions.append(session)
                session.start_server(threading.Event(), _Everybody())
