"""Conversations with clients that are not carried, or not yet: all on one thread, which lives while
there are some."""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

from trayconnect.core.sockets import reset

_log = logging.getLogger(__name__)

MOST = 256
"""Limit for the number of conversations: the oldest is closed for a new one. Windows selects among
512 sockets at most."""
_READS = 64
"""How often one client's socket is read before the next one's."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client is to send: at most `size` bytes, until `deadline` of the monotonic clock."""

    size: int
    deadline: float


T = TypeVar("T")
Conversation = Generator[Wanted, bytes, T]
"""Yields what it wants, and gets what came, or b"" at the client's end. TimeoutError is thrown into
it at the deadline, and OSError if the connection broke; it is closed if it has to end early. It
closes the client's socket at its end, or hands it on. It must not block: what it sends fits into
the buffer of a socket."""


class _Open:
    def __init__(self, client: socket.socket, conversation: Conversation[None]) -> None:
        self.client = client
        self._conversation = conversation
        self.deadline = math.inf
        self._size = 0

    def begin(self) -> bool:
        """As the other methods: whether it goes on."""
        return self._go_on(lambda: next(self._conversation))

    def read(self) -> bool:
        for _ in range(_READS):
            try:
                data = self.client.recv(self._size)
            except BlockingIOError:
                break
            except OSError as error:
                return self.fail(error)
            if not self._go_on(lambda data=data: self._conversation.send(data)):  # type: ignore[misc]
                return False
        return True

    def fail(self, error: OSError) -> bool:
        return self._go_on(lambda: self._conversation.throw(error))

    def close(self) -> None:
        try:
            self._conversation.close()
        except Exception:  # noqa: BLE001 - the others are closed, too
            _log.exception("a conversation with a client did not end as it should")
        self.client.close()

    def _go_on(self, step: Callable[[], Wanted]) -> bool:
        try:
            wanted = step()
        except StopIteration:
            return False
        except Exception:  # noqa: BLE001 - the others go on
            _log.exception("a conversation with a client failed unforeseen")
            reset(self.client)
            return False
        self._size, self.deadline = wanted.size, wanted.deadline
        return True


class Conversations:
    """From any thread."""

    def __init__(self, name: str) -> None:
        """`name` is that of a server, for the thread's name."""
        self._name = name
        self._lock = threading.Lock()
        self._new: list[_Open] = []
        self._thread: threading.Thread | None = None
        self._waker: socket.socket | None = None
        """None: the thread has ended, or is about to."""
        self._is_closed = False

    def begin(self, client: socket.socket, conversation: Conversation[None]) -> None:
        """Have a conversation; `client` does not block. Raises RuntimeError and OSError when the
        system has no more threads or descriptors, and after `close`."""
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the forward is closing")
            if self._waker is None:
                self._waker = self._start()
            self._new.append(_Open(client, conversation))
            self._wake()

    def close(self, limit: float) -> None:
        """Close all, and join the thread within `limit` seconds. May be called twice."""
        with self._lock:
            self._is_closed = True
            self._wake()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(limit)

    def _start(self) -> socket.socket:
        """What wakes the thread. The caller holds the lock, as for `_wake`."""
        with ExitStack() as resources:
            woken, waker = map(resources.enter_context, socket.socketpair())
            selector = resources.enter_context(selectors.DefaultSelector())
            for end in (woken, waker):
                end.setblocking(False)
            selector.register(woken, selectors.EVENT_READ)
            name = f"tc-conversations {self._name}"
            thread = threading.Thread(
                target=self._run, args=(woken, selector), name=name, daemon=True
            )
            thread.start()
            resources.pop_all()
        self._thread = thread
        return waker

    def _wake(self) -> None:
        if self._waker is not None:
            with contextlib.suppress(OSError):
                self._waker.send(b"\0")

    def _take(self, *, is_idle: bool) -> tuple[list[_Open], bool]:
        """The new ones, and whether the thread ends now."""
        with self._lock:
            new, self._new = self._new, []
            ends = self._is_closed or (is_idle and not new)
            if ends and self._waker is not None:
                self._waker.close()
                self._waker = None
            return new, ends

    # --- on the thread ----------------------------------------------------------------------------

    def _run(self, woken: socket.socket, selector: selectors.BaseSelector) -> None:
        with woken, selector:
            talks = _Talks(selector)
            while True:
                new, ends = self._take(is_idle=talks.is_empty)
                if ends:
                    talks.close(new)
                    return
                for talk in new:
                    talks.add(talk)
                if not talks.is_empty:
                    talks.serve()


class _Talks:
    """Those under way."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        """`selector` also has what wakes the thread."""
        self._selector = selector
        self._talks: dict[socket.socket, _Open] = {}
        """The oldest first."""

    @property
    def is_empty(self) -> bool:
        return not self._talks

    def add(self, talk: _Open) -> None:
        if len(self._talks) >= MOST:
            oldest = next(iter(self._talks.values()))
            self._remove(oldest)
            oldest.close()
        if not talk.begin():
            return
        try:
            self._selector.register(talk.client, selectors.EVENT_READ, talk)
        except (OSError, ValueError) as error:  # the system has no room for it
            _log.warning("dropped a connection: %s", error)
            talk.close()
        else:
            self._talks[talk.client] = talk

    def serve(self) -> None:
        """Wait for a client, for a deadline, or to be woken, and go on."""
        nearest = min(talk.deadline for talk in self._talks.values())
        for key, _ in self._selector.select(max(0.0, nearest - time.monotonic())):
            if not isinstance(key.data, _Open):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.recv(4096)
            elif not key.data.read():
                self._remove(key.data)
        now = time.monotonic()
        for talk in [each for each in self._talks.values() if each.deadline <= now]:
            if not talk.fail(TimeoutError("it took too long")):
                self._remove(talk)

    def close(self, new: Iterable[_Open]) -> None:
        for talk in (*self._talks.values(), *new):
            talk.close()

    def _remove(self, talk: _Open) -> None:
        del self._talks[talk.client]
        self._selector.unregister(talk.client)
