"""Connections of the node, as the relay carries them. Part of the text of `far`."""

import errno
import functools
import os
import select
import socket
import struct
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Deque, Dict, List, Optional, Tuple

assert sys.platform == "linux"  # the nodes of every cluster

from trayconnect.services.batch.relay.far_owners import *
from trayconnect.services.batch.relay.frames import *

if TYPE_CHECKING:
    from trayconnect.services.batch.relay.far import Relay


CONNECT_SECONDS = 10.0
BUSY_SECONDS = 0.05
IN, OUT = select.EPOLLIN, select.EPOLLOUT
READABLE = IN | select.EPOLLHUP | select.EPOLLERR
Place = Tuple[int, str]


def refuse(
    relay: "Relay", channel_number: int, reason: int, text: str, owner: int = UNKNOWN
) -> None:
    said = text.encode("utf-8", "replace")[:500]
    relay.put(frame(REFUSED, channel_number, bytes((reason, owner)) + said))


class Channel:
    """`sink` takes what this computer sends; `sources` give what goes there, by kinds of frames."""

    def __init__(self, relay: "Relay", channel_number: int) -> None:
        self.relay = relay
        self.number = channel_number
        self.window = WINDOW
        self.pending: Deque[bytes] = deque()
        self.pending_size = 0
        self.unreported = 0
        self.near_eof = False
        self.is_broken = False
        """Whether the sink takes nothing any more."""
        self.sink = -1
        self.sources: Dict[int, int] = {}
        relay.channels[channel_number] = self

    def begin(self, sink: int, sources: Dict[int, int]) -> None:
        self.sink, self.sources = sink, sources
        for fd in {sink, *sources}:
            os.set_blocking(fd, False)
            self.relay.handlers[fd] = lambda events, fd=fd: self.on_event(fd, events)  # type: ignore[misc]
        self.push()
        self.reconsider()

    def end_sink(self) -> None:
        """Let the sink see the end of its input."""
        raise NotImplementedError

    def close_all(self, reset: bool) -> None:
        raise NotImplementedError

    def sources_over(self) -> None:
        """Nothing more comes from the sources."""
        raise NotImplementedError

    def drop(self, reset: bool = True) -> None:
        self.relay.channels.pop(self.number, None)
        self.relay.paused.discard(self)
        for fd in {self.sink, *self.sources} - {-1}:
            self.relay.forget(fd)
        self.close_all(reset)

    def reconsider(self) -> None:
        """What to wait for may have changed."""
        reads = self.window > 0
        if reads and self.relay.is_full:
            self.relay.paused.add(self)
            reads = False
        for fd in {self.sink, *self.sources} - {-1}:
            mask = IN if reads and fd in self.sources else 0
            if fd == self.sink and self.pending:
                mask |= OUT
            self.relay.watch(fd, mask)

    def on_event(self, fd: int, events: int) -> None:
        try:
            self.move(fd, events)
        except OSError:  # the system watches no more of them
            if self.number in self.relay.channels:
                self.relay.put(frame(CLOSE, self.number))
                self.drop()

    def move(self, fd: int, events: int) -> None:
        if fd == self.sink and self.pending and events & ~IN:
            self.push()
        if fd in self.sources and events & READABLE:
            self.pull(fd)
        if self.number in self.relay.channels:
            self.reconsider()

    # --- to the sink ------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        self.pending.append(data)
        self.pending_size += len(data)
        if self.pending_size > WINDOW:
            raise FrameError("a window is ignored")
        if self.is_broken:
            self.took(self.pending_size)
            self.pending.clear()
        elif self.sink >= 0:
            self.push()
            self.reconsider()

    def took(self, size: int) -> None:
        self.pending_size -= size
        self.unreported += size
        if self.unreported >= WINDOW // 4 and not self.near_eof:
            self.relay.put(number_frame(WINDOW_MORE, self.number, self.unreported))
            self.unreported = 0

    def push(self) -> None:
        if self.sink < 0 or self.is_broken:
            return
        try:
            while self.pending:
                if len(self.pending) > 1:
                    joined = b"".join(self.pending)
                    self.pending.clear()
                    self.pending.append(joined)
                data = self.pending[0]
                sent = os.write(self.sink, data)
                if sent == len(data):
                    self.pending.popleft()
                else:
                    self.pending[0] = data[sent:]
                self.took(sent)
        except BlockingIOError:
            return
        except OSError:
            # Its last answer may still be there to read.
            self.is_broken = True
            self.pending.clear()
            self.took(self.pending_size)
        if self.near_eof and not self.is_broken:
            self.end_sink()

    # --- from the sources -------------------------------------------------------------------------

    def more(self, size: int) -> None:
        self.window += size
        self.reconsider()

    def pull(self, fd: int) -> None:
        if self.window <= 0 or self.relay.is_full:
            return
        is_over = False
        try:
            data = os.read(fd, min(MOST_PAYLOAD, self.window))
        except BlockingIOError:
            return
        except OSError:
            # As OpenSSH: a server that closes with a request unread resets the connection, and its
            # last answer is whole all the same.
            data, is_over = b"", True
        if data:
            self.window -= len(data)
            self.relay.put(frame(self.sources[fd], self.number, data))
            return
        self.relay.watch(fd, 0)
        self.relay.masks.pop(fd, None)
        del self.sources[fd]
        if is_over:
            self.relay.put(frame(CLOSE, self.number))
            self.drop()
        elif not self.sources:
            self.sources_over()


class Connection(Channel):
    """To a port or a socket of the node."""

    def __init__(self, relay: "Relay", channel_number: int, payload: bytes) -> None:
        Channel.__init__(self, relay, channel_number)
        self.whose = payload[0] if payload else 0
        self.sock: Optional[socket.socket] = None
        self.eof_sent = self.eof_passed = False
        self.deadline = time.monotonic() + CONNECT_SECONDS
        self.places: List[Place] = []
        self.host, self.port, self.path = target(payload[1:])
        if self.path:
            self.connect_unix()
        else:
            self.resolve()

    @property
    def is_wanted(self) -> bool:
        return self.relay.channels.get(self.number) is self

    def fail(self, reason: int, text: str, owner: int = UNKNOWN) -> None:
        refuse(self.relay, self.number, reason, text, owner)
        self.drop()

    def connect_unix(self) -> None:
        if not self.is_wanted:
            return
        try:
            sock = socket.socket(socket.AF_UNIX)
        except OSError as error:
            self.fail(OTHER, str(error))
            return
        sock.setblocking(False)
        try:
            sock.connect(self.path.encode("utf-8", "surrogateescape"))
        except OSError as error:
            sock.close()
            if error.errno == errno.EAGAIN and time.monotonic() < self.deadline:
                self.relay.call_in(BUSY_SECONDS, self.connect_unix)  # its queue is full
                return
            is_none = error.errno in (errno.ECONNREFUSED, errno.ENOENT)
            self.fail(NO_LISTENER if is_none else OTHER, str(error))
            return
        self.sock = sock
        self.connected(peer_owner(sock))

    def resolve(self) -> None:
        """Names may take long; those of the node itself do not."""
        if self.host.lower() == "localhost":
            self.places = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
            if self.whose:
                rank = (OURS, SYSTEM, UNKNOWN, OTHERS, NOBODY).index
                table = rows(self.port)  # the kernel takes milliseconds for it
                self.places.sort(key=lambda place: rank(listener_owner(place[1], self.port, table)))
            self.connect_next("")
            return
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, self.host)
            except OSError:
                continue
            self.places = [(family, self.host)]
            self.connect_next("")
            return
        thread = threading.Thread(target=self.look_up, daemon=True)
        thread.start()

    def look_up(self) -> None:
        try:
            found = socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM)
            places = [(int(one[0]), str(one[4][0])) for one in found]
            self.relay.call(lambda: self.looked_up(places, ""))
        except (OSError, UnicodeError) as error:
            said = str(error)
            self.relay.call(lambda: self.looked_up([], said))

    def looked_up(self, places: List[Place], said: str) -> None:
        self.places = places
        if not self.is_wanted:
            return
        try:
            if places:
                self.connect_next("")
            else:
                self.fail(UNRESOLVED, said)
        except OSError as error:  # no descriptors are left
            self.fail(OTHER, str(error))

    def connect_next(self, said: str, code: int = errno.ECONNREFUSED) -> None:
        while self.places:
            family, address = self.places.pop(0)
            sock = socket.socket(family)
            sock.setblocking(False)
            code = sock.connect_ex((address, self.port))
            if code in (0, errno.EINPROGRESS):
                self.sock = sock
                self.relay.watch(sock.fileno(), OUT, lambda _: self.on_connect())
                left = max(0.0, self.deadline - time.monotonic())
                self.relay.call_in(left, functools.partial(self.on_connect, sock))
                return
            sock.close()
            said = os.strerror(code)
        self.fail(NO_LISTENER if code == errno.ECONNREFUSED else UNREACHABLE, said)

    def on_connect(self, late: Optional[socket.socket] = None) -> None:
        try:
            self.look_at_connect(late)
        except OSError as error:  # it has hung up already
            if self.is_wanted:
                self.fail(OTHER, str(error))

    def look_at_connect(self, late: Optional[socket.socket]) -> None:
        sock = self.sock
        if not self.is_wanted or self.sink >= 0 or sock is None or late not in (None, sock):
            return
        self.relay.forget(sock.fileno())
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if late is not None:
            code = errno.ETIMEDOUT
        if code:
            sock.close()
            self.sock = None
            self.connect_next(os.strerror(code), code)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connected(connection_owner(sock) if self.whose else UNKNOWN)

    def connected(self, owner: int) -> None:
        # 0: whosever it is; 1: not another user's; 2: our own only.
        accepted = (OURS, SYSTEM, UNKNOWN, OTHERS, NOBODY)[: (5, 3, 1)[self.whose]]
        if owner not in accepted:
            self.fail(NOT_OURS, "", owner)
            return
        assert self.sock is not None
        self.relay.put(frame(OPENED, self.number, bytes((owner,))))
        fd = self.sock.fileno()
        self.begin(fd, {fd: DATA})

    def end_sink(self) -> None:
        if not self.eof_passed and self.sock is not None:
            self.eof_passed = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        self.close_if_done()

    def sources_over(self) -> None:
        self.eof_sent = True
        self.relay.put(frame(EOF, self.number))
        self.close_if_done()
        if self.is_broken and self.is_wanted:
            self.relay.put(frame(CLOSE, self.number))
            self.drop()

    def close_if_done(self) -> None:
        if self.eof_sent and self.eof_passed and self.is_wanted:
            self.relay.put(frame(CLOSE, self.number))
            self.drop(reset=False)

    def push(self) -> None:
        Channel.push(self)
        if self.is_broken and self.eof_sent and self.is_wanted:
            self.relay.put(frame(CLOSE, self.number))
            self.drop()

    def close_all(self, reset: bool) -> None:
        sock, self.sock = self.sock, None
        if sock is not None:
            self.relay.forget(sock.fileno())
            if reset and sock.family != socket.AF_UNIX:
                linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.close()
