"""A link that carries clients over plain TCP, with a thread or two for each."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence

from tests.support.scoped import Scoped
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import (
    Carrier,
    Client,
    LostError,
    NotOursError,
    OnAccepted,
    OnRefused,
    Owner,
    Traffic,
)
from trayconnect.core.sockets import set_reset_on_close

LIMIT = 90.0

Dial = Callable[[Endpoint, tuple[str, int]], socket.socket]
"""Connects to a target for an origin. Blocks; raises `ProblemError`."""

_MOST_WAITING = 1 << 20

LOST = Problem("The connection to far was lost", "")


class NoCarrier:
    """Carries nothing."""

    @property
    def traffic(self) -> Traffic:
        return Traffic()

    def carry(self, client: Client, target: Endpoint, on_refused: OnRefused) -> None:
        on_refused(LostError(LOST))

    def carry_own(
        self,
        client: Client,
        target: Endpoint,
        *,
        named: bool,
        on_opened: Callable[[Owner], None],
        on_refused: OnRefused,
    ) -> None:
        on_refused(LostError(LOST))

    def forget(self, target: Endpoint) -> None:
        pass

    def accept(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        pass

    def release(self) -> None:
        pass


class Plain(NoCarrier):
    """Carries over a link, and asks it for no owner."""

    def __init__(self, link: Carrier) -> None:
        self._link = link

    @property
    def traffic(self) -> Traffic:
        return self._link.traffic

    def carry(self, client: Client, target: Endpoint, on_refused: OnRefused) -> None:
        self._link.carry(client, target, on_refused)

    def carry_own(
        self,
        client: Client,
        target: Endpoint,
        *,
        named: bool,
        on_opened: Callable[[Owner], None],
        on_refused: OnRefused,
    ) -> None:
        self.carry(client, target, on_refused)

    def accept(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        self._link.accept(listening, on_accepted)

    def release(self) -> None:
        self._link.release()


class TcpCarrier(NoCarrier, Scoped):
    """A `Carrier` until `close`, all on its thread but the dialling. `whose` is the owner of every
    target."""

    def __init__(self, dial: Dial, whose: Owner = Owner.UNKNOWN) -> None:
        self._dial = dial
        self.whose = whose
        self._lock = threading.Lock()
        self._ended = False
        self._jobs: deque[Callable[[], None]] = deque()
        self._dialling: list[threading.Thread] = []
        self._listening: list[socket.socket] = []
        self._relays: set[_Relay] = set()
        self.selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self.selector.register(self._woken, selectors.EVENT_READ, lambda _: self._woken.recv(4096))
        self._thread = threading.Thread(target=self._run, name="carrier")
        self._thread.start()

    @property
    def traffic(self) -> Traffic:
        return Traffic(connections=len(self._relays))

    def carry(self, client: Client, target: Endpoint, on_refused: OnRefused) -> None:
        def dial() -> None:
            try:
                far = self._dial(target, client.origin)
            except ProblemError as error:
                on_refused(LostError(LOST) if self._ended else error)
                return
            if not self.relay(client.socket, far, client.reply):
                far.close()
                on_refused(LostError(LOST))

        thread = threading.Thread(target=dial, name="carrier dials")
        self._dialling.append(thread)
        thread.start()

    def carry_own(
        self,
        client: Client,
        target: Endpoint,
        *,
        named: bool,
        on_opened: Callable[[Owner], None],
        on_refused: OnRefused,
    ) -> None:
        if self.whose is Owner.OURS or (named and self.whose in (Owner.SYSTEM, Owner.UNKNOWN)):
            on_opened(self.whose)
            self.carry(client, target, on_refused)
        else:
            title = f"What listens on {target} at the server is not proven to be yours"
            on_refused(NotOursError(Problem(title, ""), self.whose))

    def relay(
        self,
        near: socket.socket,
        far: socket.socket,
        reply: bytes = b"",
        on_ended: Callable[[], None] = lambda: None,
    ) -> bool:
        """Carry, and own both. False: the link has ended."""
        return self._call(lambda: _Relay(near, far, reply, self.selector, self._relays, on_ended))

    def accept(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        def accept(number: int, sock: socket.socket) -> None:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                on_accepted(number, sock.accept()[0])

        def register() -> None:
            for number, sock in listening:
                # Its owner closes it at once after the end of the link.
                with contextlib.suppress(ValueError):
                    self.selector.register(
                        sock, selectors.EVENT_READ, lambda _, n=number, s=sock: accept(n, s)
                    )
                    self._listening.append(sock)

        self._call(register)

    def release(self) -> None:
        done = threading.Event()

        def release() -> None:
            for sock in self._listening:
                self.selector.unregister(sock)
            self._listening.clear()
            done.set()

        if self._call(release):
            assert done.wait(LIMIT)

    def end(self) -> None:
        """The link ends."""
        with self._lock:
            self._ended = True
            with contextlib.suppress(OSError):
                self._waker.send(b"\0")

    def close(self) -> None:
        self.end()
        for thread in (self._thread, *self._dialling):
            thread.join(LIMIT)
            assert not thread.is_alive()

    def _call(self, job: Callable[[], object]) -> bool:
        """Run it on the thread; false if the link has ended."""
        with self._lock:
            if self._ended:
                return False
            self._jobs.append(lambda: (job(), None)[1])
            self._waker.send(b"\0")
        return True

    def _run(self) -> None:
        with self._woken, self._waker, self.selector:
            while not self._ended:
                for key, mask in self.selector.select():
                    key.data(mask)
                self._run_jobs()
            self._run_jobs()
            for relay in tuple(self._relays):
                relay.reset()

    def _run_jobs(self) -> None:
        while self._jobs:
            self._jobs.popleft()()


class _Relay:
    """Between two sockets, on the carrier's thread. A reset of one is a reset of the other."""

    def __init__(
        self,
        near: socket.socket,
        far: socket.socket,
        reply: bytes,
        selector: selectors.BaseSelector,
        relays: set[_Relay],
        on_ended: Callable[[], None],
    ) -> None:
        self._selector = selector
        self._relays = relays
        self._on_ended = on_ended
        self._waiting = {near: bytearray(reply), far: bytearray()}
        """What is to be sent, by the socket that gets it."""
        self._other = {near: far, far: near}
        self._ends = set[socket.socket]()
        """Those that have sent everything."""
        self._over = False
        relays.add(self)
        for sock in self._other:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, lambda mask, s=sock: self._go(s, mask))
        self._go(near, selectors.EVENT_WRITE)

    def reset(self) -> None:
        for sock in self._other:
            set_reset_on_close(sock)
        self._close()

    def _close(self) -> None:
        self._over = True
        self._relays.discard(self)
        for sock in self._other:
            if sock.fileno() in self._selector.get_map():
                self._selector.unregister(sock)
            sock.close()
        self._on_ended()

    def _go(self, sock: socket.socket, mask: int) -> None:
        if self._over:
            return
        try:
            if mask & selectors.EVENT_READ:
                self._read(sock)
            for each in self._other:
                self._send(each)
        except OSError:
            self.reset()
            return
        if len(self._ends) == 2 and not any(self._waiting.values()):
            self._close()
            return
        for each, other in self._other.items():
            reads = each not in self._ends and len(self._waiting[other]) < _MOST_WAITING
            events = selectors.EVENT_READ * reads | selectors.EVENT_WRITE * bool(
                self._waiting[each]
            )
            key = self._selector.get_map().get(each.fileno())
            if key is None and events:
                self._selector.register(each, events, lambda mask, s=each: self._go(s, mask))
            elif key is not None and not events:
                self._selector.unregister(each)
            elif key is not None and events != key.events:
                self._selector.modify(each, events, key.data)

    def _read(self, sock: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            data = sock.recv(65536)
            self._waiting[self._other[sock]] += data
            if not data:
                self._ends.add(sock)

    def _send(self, sock: socket.socket) -> None:
        waiting = self._waiting[sock]
        with contextlib.suppress(BlockingIOError):
            while waiting:
                del waiting[: sock.send(waiting)]
        if not waiting and self._other[sock] in self._ends and sock.fileno() >= 0:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)


MakeLink = Callable[[Dial], TcpCarrier]
