"""The bytes of an SSH connection (RFC 4253), read and written by one thread without blocking.

This takes the place of paramiko's `Packetizer`. The transport's thread calls `read_message`, and
waits there in the event loop, where the connections of forwards are carried meanwhile. Other
threads post their messages, which never blocks; only `send_bulk` waits for room."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from paramiko import Message, SSHException
from paramiko.common import MSG_KEXINIT, MSG_NEWKEYS
from paramiko.packet import NeedRekeyException

from trayconnect.core import sanitize
from trayconnect.core.event_loop import READ, WRITE, EventLoop, Timer
from trayconnect.core.sockets import acknowledge
from trayconnect.ssh.transport import greeting
from trayconnect.ssh.transport.ciphers import opener_for, sealer_for
from trayconnect.ssh.transport.packets import PacketReader, PacketWriter

REKEY_BYTES = 1 << 30
"""A key serves for so many bytes of a direction (RFC 4253 section 9) …"""
REKEY_PACKETS = 1 << 28
"""… and so many packets (RFC 4344 section 3.1: less than 2**32, since sequence numbers repeat)."""
REKEY_SECONDS = 60.0
"""Limit for a key exchange after the first one."""

FULL = 512 << 10
"""Bytes that wait to be sent, from which on no more bulk data is read."""
DRAINED = 128 << 10
"""The bytes at which reading goes on."""
_CORK = 128 << 10
"""Bytes that are worth a system call of their own; fewer wait for the end of the turn."""
MOST_POSTED = 1 << 14
MOST_UNREAD = 8 << 20
"""More messages, and bytes, than ever wait for a server that reads the answers to its requests."""
_LAST_WORDS_SECONDS = 2.0
_HASTY_READS = 64
"""After so many reads, the login and the first commands are over. Until then sshd holds each small
packet back until the one before is acknowledged (RFC 896): 40 ms each."""
_REST_SECONDS = 10.0
"""After so long without a packet, large buffers are given back."""


class Gate(Protocol):
    """Decides, when its turn comes, whether a message is still sent."""

    def admits(self, message: bytes) -> bool: ...


class ReceivedMessage(Message):
    """A received message, whose texts are for people or names that are compared: one in another
    encoding than UTF-8 is shown as well as it can be, and ends no connection."""

    def get_text(self) -> str:
        return self.get_string().decode("utf-8", "replace")


OnPayload = Callable[[memoryview], bool]
"""Gets each payload; whether it took it. Called on the transport's thread."""


class Packetizer:
    """See above. `on_payload` sees each message first, but those within a key exchange;
    `on_batch` is called when all that has arrived was seen, before the payloads lose their place;
    `on_room` when reading bulk data is to stop or to go on."""

    def __init__(self, sock: socket.socket) -> None:
        """Raises OSError if the system has no descriptors left."""
        self.loop = EventLoop()
        self.sock = sock
        sock.setblocking(False)
        _keep_queue_short(sock)
        self.reader = PacketReader()
        self.writer = PacketWriter()
        self.closed = False
        self.is_full = False
        """Whether no more bulk data is to be read: too much waits, or a key exchange does."""
        self.on_payload: OnPayload = lambda _: False
        self.on_batch: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        self.last_received = time.monotonic()
        """When the last complete packet was received."""
        self.greeting: list[str] = []
        """The lines before the SSH packets, for people; the last is the SSH identification, if
        any."""
        self.is_ssh = False
        """Whether an SSH identification was received (RFC 4253 section 4.2)."""
        self.on_greeting: Callable[[], None] = lambda: None
        self._hasty_reads = _HASTY_READS
        self._initial_kex_done = False  # paramiko sets it
        self._watched = 0
        self._broken: OSError | None = None
        self._posted: deque[tuple[bytes, Gate | None, bool]] = deque()
        """Messages, and whether they are bulk data."""
        self._room = threading.Condition()
        self._bulk = 0
        """Bytes of bulk data among the posted."""
        self._is_holding = False
        """Whether our side is within a key exchange: from its KEXINIT to its NEWKEYS."""
        self._peer_exchanges = False
        """Whether the server is."""
        self._exchange_limit: Timer | None = None
        self._rest_timer: Timer | None = None

    # --- called by other threads ------------------------------------------------------------------

    def post(self, message: bytes, gate: Gate | None = None, *, is_bulk: bool = False) -> None:
        """Send a message as soon as possible, after those posted before; never waits."""
        self._posted.append((message, gate, is_bulk))
        if not self.loop.is_here:
            self.loop.wake()

    @property
    def has_posted(self) -> bool:
        return bool(self._posted)

    def put(self, message: bytes) -> None:
        """The same on the transport's thread, in a packet that leaves at the end of the turn."""
        if self._is_holding or self._posted:
            self._posted.append((message, None, False))
        else:
            self.writer.add(message)

    def send_bulk(self, message: bytes, gate: Gate | None = None) -> None:
        """The same for bulk data; waits while too much waits already. Raises EOFError at the
        end."""
        with self._room:
            self._room.wait_for(lambda: self.closed or (self._bulk < FULL and not self.is_full))
            if self.closed:
                raise EOFError
            self._bulk += len(message)
        self.post(message, gate, is_bulk=True)

    def send_last(self, message: bytes, seconds: float) -> None:
        """Wait until a message has been given to the system, at most so long. It is one that may
        be sent also within a key exchange (RFC 4253 section 7.1)."""

        def send() -> None:
            if self.closed:  # and so may be the socket
                return
            self._seal_posted()
            self.writer.add(message)
            self._flush()

        self.loop.run_and_wait(send, seconds)

    def close(self) -> None:
        """Let `read_message` raise EOFError, and wake who waits."""
        with self._room:
            self.closed = True
            self._room.notify_all()
        self.loop.wake()

    # --- paramiko's interface, on the transport's thread ------------------------------------------

    def set_log(self, log: object) -> None:
        """Does nothing: packets are not logged."""

    def start_handshake(self, timeout: float) -> None:
        """Does nothing: the caller limits the handshake."""

    def complete_handshake(self) -> None:
        """Does nothing, as above."""

    def write_all(self, data: bytes) -> None:
        """Send the identification."""
        self.loop.enter()
        self.writer.add_raw(data)
        self._flush()

    def readline(self, timeout: float) -> str:  # noqa: ARG002 - the caller limits the handshake
        """The next line before the SSH packets, without its end. Raises EOFError."""
        try:
            while (data := self.reader.line(greeting.MAX_BYTES)) is None:
                self._turn()
            line = greeting.text_line(data)
        except ValueError:
            line = "\N{REPLACEMENT CHARACTER}"
        self.greeting.append(sanitize.line(line))
        self.is_ssh = line.startswith("SSH-")
        # Any other line may precede the SSH identification.
        if line.startswith(greeting.RECOGNIZABLE):
            self.on_greeting()
        return line

    def read_message(self) -> tuple[int, Message]:
        """The next message that is paramiko's. Raises EOFError, OSError, SSHException, and
        `NeedRekeyException` when it is time to exchange keys."""
        while True:
            payload = self._next()
            if payload is not None:
                kind = payload[0]
                self._follow_exchange(kind)
                message = ReceivedMessage(bytes(payload[1:]))
                message.seqno = self.reader.sequence
                return kind, message
            if self.need_rekey() and not (self._is_holding or self._peer_exchanges):
                raise NeedRekeyException
            self._turn()

    def send_message(self, message: Message) -> None:
        """Send a message of paramiko's, also within a key exchange."""
        data = message.asbytes()
        if not self.loop.is_here:
            self.post(data)
            return
        self._seal_posted()
        self.writer.add(data)
        if data[0] == MSG_KEXINIT:
            self._hold()
        self._flush()

    def need_rekey(self) -> bool:
        ins, outs = self.reader.key, self.writer.key
        return (
            ins.bytes >= REKEY_BYTES
            or outs.bytes >= REKEY_BYTES
            or ins.packets >= REKEY_PACKETS
            or outs.packets >= REKEY_PACKETS
        )

    def set_outbound_cipher(self, **options: Any) -> None:
        """Our NEWKEYS is sent; use the new key from now on."""
        self.writer.set_sealer(sealer_for(**options))
        self._is_holding = False
        self._exchanged()

    def set_inbound_cipher(self, **options: Any) -> None:
        """The server's NEWKEYS was received."""
        self.reader.set_opener(opener_for(**options))
        self._exchanged()

    def reset_seqno_out(self) -> None:
        """Strict key exchange (OpenSSH's PROTOCOL, section 1.10)."""
        self.writer.reset_sequence()

    def reset_seqno_in(self) -> None:
        """The same for what is received."""
        self.reader.reset_sequence()

    # --- the turns of the loop --------------------------------------------------------------------

    def sealed(self) -> None:
        """A packet was made in `writer`: send early what is worth it."""
        if self.loop.is_last or len(self.writer) >= _CORK:
            self.loop.is_last = False  # what follows it in this turn leaves with the rest
            self._flush()

    def end(self) -> None:
        """The transport ends: send no more, and free everything but the socket."""
        self.close()
        self.loop.close()

    def _turn(self) -> None:
        if self.closed:
            raise EOFError
        if self._posted:
            self._seal_posted()
        if self.writer.end or self.is_full or not self._watched:
            self._flush()
        self.loop.turn()

    def _next(self) -> memoryview | None:
        """Let what has arrived be carried, up to the next message of paramiko's."""
        seen = False
        try:
            while (payload := self.reader.next()) is not None:
                seen = True
                if not payload:
                    raise SSHException("an empty packet")
                if self._peer_exchanges or not self.on_payload(payload):
                    return payload
        finally:
            if seen:
                self.last_received = time.monotonic()
                self.on_batch()
        return None

    def _on_socket(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & READ:
            try:
                if not self.reader.receive(self.sock):
                    raise EOFError
            except BlockingIOError:
                return
            if self._hasty_reads:
                self._hasty_reads -= 1
                acknowledge(self.sock)
            if self._rest_timer is None:
                self._rest_later()

    def _seal_posted(self) -> None:
        while self._posted and not self._is_holding and len(self.writer) < FULL:
            message, gate, is_bulk = self._posted.popleft()
            if gate is None or gate.admits(message):
                self.writer.add(message)
            if is_bulk:
                with self._room:
                    self._bulk -= len(message)
                    self._room.notify_all()

    def _flush(self) -> None:
        if self._broken is not None:
            self.writer.drop()
            return
        try:
            all_sent = self.writer.send(self.sock)
        except OSError as error:
            self._break(error)
            return
        events = READ if all_sent else READ | WRITE
        if events != self._watched:
            self.loop.watch(self.sock, self._watched, events, self._on_socket)
            self._watched = events
        self._judge_room()

    def _judge_room(self) -> None:
        if len(self.writer) > MOST_UNREAD or len(self._posted) > MOST_POSTED:
            # The server sends requests without reading the answers; this ends the transport.
            raise SSHException("it does not read our answers")
        limit = DRAINED if self.is_full else FULL
        is_full = self._is_holding or self._broken is not None or len(self.writer) > limit
        if is_full is not self.is_full:
            self.is_full = is_full
            if not is_full:
                with self._room:
                    self._room.notify_all()
            self.on_room()

    def _break(self, error: OSError) -> None:
        """The server takes nothing more. What it still sent may say why, and then it ends."""
        self._broken = error
        self.loop.watch(self.sock, self._watched, READ, self._on_socket)
        self._watched = READ
        self._judge_room()

        def end() -> None:
            raise error

        self.loop.call_at(time.monotonic() + _LAST_WORDS_SECONDS, end)

    def _rest_later(self) -> None:
        self._rest_timer = self.loop.call_at(time.monotonic() + _REST_SECONDS, self._rest)

    def _rest(self) -> None:
        self._rest_timer = None
        if time.monotonic() - self.last_received < _REST_SECONDS:
            self._rest_later()
        else:
            self.reader.rest()
            self.writer.rest()

    # --- key exchanges ----------------------------------------------------------------------------

    def _hold(self) -> None:
        self._is_holding = True
        if self._initial_kex_done and self._exchange_limit is None:
            self._exchange_limit = self.loop.call_at(
                time.monotonic() + REKEY_SECONDS, self._exchange_is_slow
            )

    def _follow_exchange(self, kind: int) -> None:
        """Between the server's KEXINIT and its NEWKEYS, every message is paramiko's, which refuses
        those that do not belong there (RFC 4253 section 7.1)."""
        if kind in (MSG_KEXINIT, MSG_NEWKEYS):
            self._peer_exchanges = kind == MSG_KEXINIT

    def _exchanged(self) -> None:
        if self._exchange_limit is not None and not (self._is_holding or self._peer_exchanges):
            self._exchange_limit.cancel()
            self._exchange_limit = None
        self._judge_room()

    def _exchange_is_slow(self) -> None:
        raise SSHException(f"it did not finish a key exchange within {REKEY_SECONDS:g} s")


def _keep_queue_short(sock: socket.socket) -> None:
    """Let the system hold little that is not on its way yet (tcp(7)): behind an upload over a slow
    line, a keystroke would wait for megabytes."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        with contextlib.suppress(OSError):  # it leads through a jump host
            sock.setsockopt(socket.IPPROTO_TCP, option, _CORK)
