"""A server that says what a test writes down, without encryption, and a multiplexer that talks to
it on a thread of its own, as that of a transport does."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from paramiko import Message, SSHException
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_OPEN_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
)
from paramiko.packet import NeedRekeyException

from tests.support.forwarding import LIMIT
from tests.support.scoped import Scoped
from trayconnect.core.link import Client
from trayconnect.ssh.auth.data_types import DataReader, string, uint32
from trayconnect.ssh.transport.carried import CarriedChannel
from trayconnect.ssh.transport.multiplexer import Multiplexer
from trayconnect.ssh.transport.packetizer import Packetizer
from trayconnect.ssh.transport.packets import PacketReader, PacketWriter

WINDOW = 2 << 20
PACKET = 32 << 10
ORIGIN = ("127.0.0.1", 1)


def numbers(kind: int, *values: int) -> bytes:
    """A message of numbers."""
    return struct.pack(f">B{len(values)}I", kind, *values)


def data(channel: int, content: bytes) -> bytes:
    return numbers(MSG_CHANNEL_DATA, channel) + string(content)


class ScriptedServer(Scoped):
    """The server's end of the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(LIMIT)
        self._reader = PacketReader()
        self._writer = PacketWriter()

    def close(self) -> None:
        self.sock.close()

    def send(self, *messages: bytes) -> None:
        """All in one piece."""
        for message in messages:
            self._writer.add(message)
        while not self._writer.send(self.sock):
            pass

    def next(self) -> bytes:
        """The next message. Raises EOFError."""
        while (payload := self._reader.next()) is None:
            if not self._reader.receive(self.sock):
                raise EOFError
        return bytes(payload)

    def expect(self, kind: int) -> DataReader:
        """The content of the next message, which is of that kind."""
        message = self.next()
        assert message[0] == kind, message[:80]
        return DataReader(message[1:])

    def rest(self) -> list[bytes]:
        """All messages up to the end."""
        found = []
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                found.append(self.next())
        return found

    # --- channels ---------------------------------------------------------------------------------

    def asked(self) -> int:
        """The number of the channel that is to be opened."""
        fields = self.expect(MSG_CHANNEL_OPEN)
        fields.string()
        return fields.uint32()

    def open(self, number: int, *, peer: int = 7, window: int = WINDOW, most: int = PACKET) -> None:
        """Open a channel of that number as number `peer` of ours."""
        self.send(numbers(MSG_CHANNEL_OPEN_SUCCESS, number, peer, window, most))

    def refuse(self, number: int, code: int = 2) -> None:
        self.send(numbers(MSG_CHANNEL_OPEN_FAILURE, number, code) + string(b"no") + string(b""))

    def read(self, size: int) -> bytes:
        """So many bytes of data of one channel; nothing else may come but more window."""
        content = b""
        while len(content) < size:
            message = self.next()
            if message[0] != MSG_CHANNEL_WINDOW_ADJUST:
                assert message[0] == MSG_CHANNEL_DATA, message[:80]
                content += DataReader(message[5:]).string()
        return content

    def expect_eof(self, peer: int = 7) -> None:
        assert self.expect(MSG_CHANNEL_EOF).uint32() == peer

    def expect_close(self, peer: int = 7) -> None:
        assert self.expect(MSG_CHANNEL_CLOSE).uint32() == peer


class Plane(Scoped):
    """A multiplexer, and its thread."""

    def __init__(self, sock: socket.socket) -> None:
        self.packetizer = Packetizer(sock)
        self.mux = Multiplexer(self.packetizer, lambda: "the reason", ())
        self.messages: list[tuple[int, Message]] = []
        """Those that are paramiko's."""
        self.error: Exception | None = None
        """Why it ended."""
        self.ended = threading.Event()
        self.at_rekey: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="tc-transport test", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self.packetizer.close()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        """As `SshTransport.run`."""
        self.packetizer.loop.enter()
        try:
            while True:
                try:
                    self.messages.append(self.packetizer.read_message())
                except NeedRekeyException:
                    self.at_rekey()
        except (SSHException, OSError, EOFError) as error:
            self.error = error
        finally:
            self.packetizer.close()
            self.mux.end()
            self.packetizer.end()
            self.packetizer.sock.close()
            self.ended.set()


@dataclass
class Channel:
    """A carried connection: the client's end, and the server's."""

    plane: Plane
    server: ScriptedServer
    number: int = 0
    client: socket.socket = field(default_factory=socket.socket)
    carried: socket.socket = field(default_factory=socket.socket)
    given_back: list[Client] = field(default_factory=list)
    channel: CarriedChannel | None = None

    def send(self, content: bytes) -> None:
        """From the server to the client."""
        self.server.send(data(self.number, content))

    def send_eof(self) -> None:
        self.server.send(numbers(MSG_CHANNEL_EOF, self.number))

    def send_close(self) -> None:
        self.server.send(numbers(MSG_CHANNEL_CLOSE, self.number))

    def adjust(self, size: int) -> None:
        self.server.send(numbers(MSG_CHANNEL_WINDOW_ADJUST, self.number, size))


@contextlib.contextmanager
def scripted() -> Iterator[tuple[Plane, ScriptedServer]]:
    ours, theirs = socket.socketpair()
    with Plane(ours) as plane, ScriptedServer(theirs) as server:
        yield plane, server


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname(), LIMIT)
        far, _ = listening.accept()
    far.setblocking(False)
    return near, far


def ask(
    plane: Plane,
    on_opened: Callable[[CarriedChannel], None],
    on_refused: Callable[[Exception], None],
    timeout: float = LIMIT,
) -> None:
    fields = string(b"far") + uint32(80) + string(b"127.0.0.1") + uint32(1)
    plane.mux.open("direct-tcpip", fields, on_opened, on_refused, timeout)


def carried(
    plane: Plane,
    server: ScriptedServer,
    *,
    peer: int = 7,
    window: int = WINDOW,
    most: int = PACKET,
    reply: bytes = b"",
    gives_back: bool = False,
) -> Channel:
    """A client that is carried over a channel which the server has opened."""
    near, far = tcp_pair()
    found = Channel(plane, server, client=near, carried=far)
    opened = threading.Event()

    def on_opened(channel: CarriedChannel) -> None:
        found.channel = channel
        on_unused = found.given_back.append if gives_back else None
        channel.carry(Client(far, ORIGIN, reply), on_unused)
        opened.set()

    ask(plane, on_opened, lambda error: None)
    found.number = server.asked()
    server.open(found.number, peer=peer, window=window, most=most)
    assert opened.wait(LIMIT)
    return found
