"""A connection to the session bus, served by one thread, which reconnects after a loss.

jeepney does the marshalling and the authentication; this module is the event loop around it.
Everything runs on the thread that calls `BusConnection.run`, except `post` and `stop`. Every wait
has a limit, and the thread sleeps between events.

Source of the addresses: "Server Addresses" in
https://dbus.freedesktop.org/doc/dbus-specification.html"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import selectors
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageFlag,
    MessageType,
    Parser,
    new_error,
    new_signal,
)
from jeepney.auth import BEGIN, AuthenticationError, Authenticator
from jeepney.bus_messages import message_bus


def session_bus_sockets(environ: Mapping[str, str]) -> list[bytes]:
    """The Unix socket addresses to try, in order; one that begins with a zero byte is abstract.

    From `DBUS_SESSION_BUS_ADDRESS` or, if that is not set, from systemd's default. Unsupported
    addresses (TCP, launchd, malformed parts) are left out, so the list may be empty."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    fallback = [_bytes(Path(runtime, "bus"))] if runtime else []
    address = environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    if not address:
        return fallback
    found: list[bytes] = []
    for part in address.split(";"):
        transport, _, options = part.partition(":")
        if transport == "unix":
            for key, value in _pairs(options):
                if key == "path":
                    found.append(value)
                elif key == "abstract":
                    found.append(b"\0" + value)
                elif key == "runtime" and value == b"yes":
                    found += fallback
    return found


def _pairs(options: str) -> Iterator[tuple[str, bytes]]:
    for option in options.split(","):
        key, equals, value = option.partition("=")
        if equals and value:
            yield key, unquote_to_bytes(value)


def _bytes(path: Path) -> bytes:
    return str(path).encode("utf-8", "surrogateescape")


log = logging.getLogger(__name__)

STEP_LIMIT = 5.0
"""Time limit in seconds for one step: a connect, a write, authentication with the first reply."""
FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Seconds between attempts to connect: doubled from the first to the last."""
STABLE = 30.0
"""Seconds after which a connection counts as stable, and resets the backoff."""

_BROKEN = (OSError, AuthenticationError, ValueError, KeyError, IndexError, AssertionError,
           struct.error)  # fmt: skip
"""What a socket or jeepney raises for a broken stream."""

if sys.platform == "win32":
    _FAMILY = socket.AF_INET  # imported for the types only; Windows has no session bus
else:
    _FAMILY = socket.AF_UNIX

Reply = Callable[[Message | None], object]


class BusClient(Protocol):
    """The user of the connection. Called on its thread."""

    def connected(self) -> None:
        """The bus has assigned a name; the client may subscribe to signals."""
        ...

    def disconnected(self, reason: Exception) -> None:
        """The bus is lost, or refused the login; the connection is retried automatically."""
        ...

    def signalled(self, message: Message) -> None: ...

    def called(self, message: Message) -> Message:
        """Answer a method call: a return or an error. Must not raise."""
        ...


def refusal(call: Message) -> Message:
    """The error reply of a client that exports no object."""
    text = "this connection has no objects"
    return new_error(call, "org.freedesktop.DBus.Error.UnknownObject", "s", (text,))


class BusConnection:
    """Call `run` once; `environ` contains the address of the bus."""

    def __init__(self, client: BusClient, environ: Mapping[str, str] = os.environ) -> None:
        self._client = client
        self._environ = environ
        self._lock = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()
        self._wake: socket.socket | None = None
        self._stopping = False
        self._stopped = threading.Event()
        # The loop's own state:
        self._selector: selectors.BaseSelector
        self._socket: socket.socket | None = None
        self._authenticator: Authenticator | None = None
        self._parser = Parser()
        self._serials = itertools.count(1)
        self._waiting: dict[int, Reply] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._attempt = 0
        self._connected_at = 0.0
        self._retry = FIRST_RETRY
        self.unique_name = ""
        """Our name on the bus, as ":1.42"; empty while not connected."""

    # --- from any thread ----------------------------------------------------------------------

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` on the connection's thread, after earlier jobs."""
        with self._lock:
            self._jobs.append(job)
            self._wake_thread()

    def stop(self) -> None:
        """Let `run` close the connection and return, after the posted jobs."""
        with self._lock:
            self._stopping = True
            self._stopped.set()
            self._wake_thread()

    def _wake_thread(self) -> None:
        if self._wake is not None:
            with contextlib.suppress(BlockingIOError):  # full, so the thread wakes anyway
                self._wake.send(b"x")

    # --- on the connection's thread -----------------------------------------------------------

    def run(self) -> None:
        """Connect, serve, connect again, until `stop`."""
        while not self._stopping:
            try:
                woken, waking = socket.socketpair()
                self._selector = selectors.DefaultSelector()
            except OSError as error:  # out of descriptors or memory
                self._client.disconnected(error)
                self._stopped.wait(self._retry)
                self._retry = min(LAST_RETRY, self._retry * 2)
            else:
                self._serve(woken, waking)
                return

    def _serve(self, woken: socket.socket, waking: socket.socket) -> None:
        with woken, waking, self._selector:
            woken.setblocking(False)
            waking.setblocking(False)
            self._selector.register(woken, selectors.EVENT_READ)
            with self._lock:
                self._wake = waking
            try:
                self._connect()
                while self._step(woken):
                    pass
            finally:
                with self._lock:
                    self._wake = None
                self._close()

    def later(self, seconds: float, job: Callable[[], None]) -> None:
        """Run `job` once after that time."""
        due = time.monotonic() + seconds
        heapq.heappush(self._timers, (due, next(self._timer_numbers), job))

    def send(self, message: Message, done: Reply | None = None) -> None:
        """Send a message; `done` gets the reply, which may be an error, or None if the bus is
        lost."""
        if self._socket is None:
            if done is not None:
                done(None)
            return
        serial = next(self._serials)
        data = message.serialise(serial=serial)
        if done is not None:
            self._waiting[serial] = done
        self._write(data)

    def emit(
        self, path: str, interface: str, name: str, signature: str = "", body: tuple[Any, ...] = ()
    ) -> None:
        """Broadcast a signal; dropped while not connected."""
        address = DBusAddress(path, interface=interface)
        if self.unique_name:
            self.send(new_signal(address, name, signature or None, body))

    # --- the loop -----------------------------------------------------------------------------

    def _step(self, woken: socket.socket) -> bool:
        """Wait for events and handle them; false at the end."""
        timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        ready = [key.fileobj for key, _ in self._selector.select(timeout)]
        if woken in ready:
            woken.recv(4096)
        if self._socket in ready:
            self._read()
        while self._timers and self._timers[0][0] <= time.monotonic():
            self._guard(heapq.heappop(self._timers)[2])
        with self._lock:
            jobs, self._jobs = self._jobs, deque()
            stopping = self._stopping
        for job in jobs:
            self._guard(job)
        return not stopping

    def _guard(self, job: Callable[[], object]) -> None:
        try:
            job()
        except Exception:  # a bug of ours, but no reason to lose the bus
            log.exception("a step over the session bus failed")

    def _connect(self) -> None:
        self._attempt += 1
        attempt = self._attempt
        reason: Exception = ConnectionError("no address of a session bus that can be used")
        for address in session_bus_sockets(self._environ):
            try:
                bus = socket.socket(_FAMILY)
            except OSError as error:
                reason = error
                continue
            try:
                bus.settimeout(STEP_LIMIT)
                bus.connect(address)
                self._selector.register(bus, selectors.EVENT_READ)
            except (OSError, ValueError) as error:
                bus.close()
                reason = error
                continue
            self._socket, self._parser = bus, Parser()
            self._authenticator = Authenticator()
            self._connected_at = time.monotonic()
            self.later(STEP_LIMIT, lambda: self._give_up(attempt))
            self._write(self._authenticator.data_to_send() or b"")
            return
        self._lost(reason)

    def _give_up(self, attempt: int) -> None:
        if attempt == self._attempt and self._socket is not None and not self.unique_name:
            self._lost(TimeoutError(f"the session bus said nothing for {STEP_LIMIT:g} s"))

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("the session bus closed the connection")
            if self._authenticator is not None:
                self._authenticate(data)
                return
            self._parser.add_data(data)
            while (message := self._parser.get_next_message()) is not None:
                self._guard(partial(self._dispatch, message))
        except _BROKEN as error:
            self._lost(error)

    def _authenticate(self, data: bytes) -> None:
        assert self._authenticator is not None
        self._authenticator.feed(data)
        if self._authenticator.authenticated:
            self._authenticator = None
            self._write(BEGIN)
            self.send(message_bus.Hello(), self._greeted)

    def _greeted(self, reply: Message | None) -> None:
        if reply is None:
            return
        if reply.header.message_type is not MessageType.method_return:
            self._lost(ConnectionError(f"the session bus refused us: {reply.body!r}"))
            return
        self.unique_name = reply.body[0]
        self._client.connected()

    def _dispatch(self, message: Message) -> None:
        match message.header.message_type:
            case MessageType.signal:
                self._client.signalled(message)
            case MessageType.method_call:
                answer = self._client.called(message)
                if not message.header.flags & MessageFlag.no_reply_expected:
                    self.send(answer)
            case _:
                done = self._waiting.pop(message.header.fields.get(HeaderFields.reply_serial), None)
                if done is not None:
                    done(message)

    def _write(self, data: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendall(data)
        except OSError as error:
            self._lost(error)

    def _lost(self, reason: Exception) -> None:
        """Close the connection, inform the client, and reconnect later."""
        lived = time.monotonic() - self._connected_at if self.unique_name else 0.0
        self._close()
        if lived >= STABLE:
            self._retry = FIRST_RETRY
        self.later(self._retry, self._connect)
        self._retry = min(LAST_RETRY, self._retry * 2)
        self._client.disconnected(reason)

    def _close(self) -> None:
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
        self._socket = self._authenticator = None
        self.unique_name = ""
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            self._guard(partial(done, None))
