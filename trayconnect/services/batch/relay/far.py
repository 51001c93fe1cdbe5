"""The relay, as it runs on a compute node: one thread, one stream to this computer.

`program.text` puts this text behind that of `frames` and sends it. So it needs nothing but
Python 3.6 on Linux, and its annotations are ones that this version evaluates.

It ends with its input. What a channel holds for a program that does not read is bounded by the
channel's window; while the way to this computer is full, nothing is read from its programs."""

import errno
import functools
import heapq
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from typing import Callable, Deque, Dict, List, Optional, Set, Tuple

from trayconnect.services.batch.relay.frames import (
    CLOSE,
    DATA,
    EOF,
    EXIT,
    GREETING,
    MOST_CHANNELS,
    MOST_PAYLOAD,
    NO_LISTENER,
    NOBODY,
    NOT_OURS,
    NOTHING,
    OPEN,
    OPENED,
    OTHER,
    OTHERS,
    OURS,
    OWNER,
    PING,
    PONG,
    REFUSED,
    RUN,
    STDERR,
    SYSTEM,
    UNKNOWN,
    UNREACHABLE,
    UNRESOLVED,
    WHO,
    WINDOW,
    WINDOW_MORE,
    Decoder,
    FrameError,
    frame,
    number,
    number_frame,
    target,
)

assert sys.platform == "linux"  # the nodes of every cluster

CONNECT_SECONDS = 10.0
BUSY_SECONDS = 0.05
QUIET_SECONDS = 1.0
"""A command's output is complete when the command has ended and its output was silent so long."""
KILL_SECONDS = 5.0
READ_SIZE = 64 << 10
MUCH = 256 << 10
"""Bytes on their way to this computer above which nothing is read from the node's programs."""
TOO_MUCH = 1 << 20
"""The same, above which no request is read either."""
IN, OUT = select.EPOLLIN, select.EPOLLOUT
READABLE = IN | select.EPOLLHUP | select.EPOLLERR
Job = Callable[[], None]
Place = Tuple[int, str]


class Relay:
    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd, self.write_fd = read_fd, write_fd
        self.poller = select.epoll()
        self.masks: Dict[int, int] = {}
        self.handlers: Dict[int, Callable[[int], None]] = {}
        self.timers: List[Tuple[float, int, Job]] = []
        self.order = 0
        self.jobs: Deque[Job] = deque()
        self.channels: Dict[int, Channel] = {}
        self.dying: List[subprocess.Popen[bytes]] = []
        self.paused: Set[Channel] = set()
        self.decoder = Decoder()
        self.out: Deque[bytes] = deque()
        self.out_size = 0
        self.rest = memoryview(b"")
        self.has_ended = False
        self.wake_read, self.wake_write = os.pipe()
        for fd in (read_fd, write_fd, self.wake_read, self.wake_write):
            os.set_blocking(fd, False)

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, lambda *_: None)  # commands get the default
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        self.put(b"\n" + GREETING + os.uname().nodename.encode() + b"\n")
        self.watch(self.read_fd, IN, self.on_input)
        self.watch(self.wake_read, IN, self.on_wake)
        self.flush()
        try:
            while not self.has_ended:
                self.turn()
        finally:
            self.hang_up()

    def turn(self) -> None:
        wait = max(0.0, self.timers[0][0] - time.monotonic()) + 0.001 if self.timers else -1
        has_read = False
        for fd, events in self.poller.poll(0 if self.jobs else wait):
            handler = self.handlers.get(fd)
            if handler is not None:
                has_read = has_read or fd == self.read_fd
                handler(events)
        for _ in range(len(self.jobs)):
            self.jobs.popleft()()
        while self.timers and self.timers[0][0] <= time.monotonic():
            heapq.heappop(self.timers)[2]()
        if has_read and not self.out_size:
            # srun sends its second small packet when the first one is acknowledged, which takes
            # 40 ms unless something goes the other way.
            self.put(frame(NOTHING, 0))
        self.flush()

    def hang_up(self) -> None:
        for channel in list(self.channels.values()):
            channel.drop()

    # --- what waits -------------------------------------------------------------------------------

    def watch(self, fd: int, mask: int, handler: Optional[Callable[[int], None]] = None) -> None:
        before = self.masks.get(fd, 0)
        if handler is not None:
            self.handlers[fd] = handler
        if mask == before:
            return
        if not mask:
            self.poller.unregister(fd)
            del self.masks[fd]
            return
        if before:
            self.poller.modify(fd, mask)
        else:
            self.poller.register(fd, mask)
        self.masks[fd] = mask

    def forget(self, fd: int) -> None:
        self.watch(fd, 0)
        self.handlers.pop(fd, None)

    def call_in(self, seconds: float, job: Job) -> None:
        self.order += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.order, job))

    def call(self, job: Job) -> None:
        """From any thread."""
        self.jobs.append(job)
        try:
            os.write(self.wake_write, b"\0")
        except BlockingIOError:
            pass

    def on_wake(self, events: int) -> None:
        os.read(self.wake_read, 4096)
        self.dying = [process for process in self.dying if process.poll() is None]
        for channel in list(self.channels.values()):
            if isinstance(channel, Command):
                channel.look()

    # --- to this computer -------------------------------------------------------------------------

    def put(self, data: bytes) -> None:
        self.out.append(data)
        self.out_size += len(data)

    @property
    def is_full(self) -> bool:
        return self.out_size >= MUCH

    def flush(self) -> None:
        try:
            while self.out_size:
                if not self.rest:
                    self.rest = memoryview(b"".join(self.out))
                    self.out.clear()
                sent = os.write(self.write_fd, self.rest)
                self.rest = self.rest[sent:]
                self.out_size -= sent
        except BlockingIOError:
            pass
        except OSError:
            self.has_ended = True
            return
        waits = bool(self.out_size)
        reads = self.out_size < TOO_MUCH
        if self.read_fd == self.write_fd:
            self.watch(self.read_fd, (OUT if waits else 0) | (IN if reads else 0), self.on_both)
        else:
            self.watch(self.write_fd, OUT if waits else 0, lambda _: self.flush())
            self.watch(self.read_fd, IN if reads else 0)
        if not self.is_full:
            paused, self.paused = self.paused, set()
            for channel in paused:
                channel.reconsider()

    def on_both(self, events: int) -> None:
        if events & READABLE:
            self.on_input(events)
        if events & OUT and not self.has_ended:
            self.flush()

    # --- from this computer -----------------------------------------------------------------------

    def on_input(self, events: int) -> None:
        try:
            data = os.read(self.read_fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.has_ended = True
            return
        for kind, channel_number, payload in self.decoder.feed(data):
            self.take(kind, channel_number, payload)

    def take(self, kind: int, channel_number: int, payload: bytes) -> None:
        channel = self.channels.get(channel_number)
        if kind == DATA:
            if channel is not None:
                channel.take(payload)
        elif kind == WINDOW_MORE:
            if channel is not None:
                channel.more(number(payload))
        elif kind == EOF:
            if channel is not None:
                channel.near_eof = True
                channel.push()
        elif kind == CLOSE:
            if channel is not None:
                channel.drop(reset=bool(payload))
                self.put(frame(CLOSE, channel_number))
        elif kind == PING:
            self.put(frame(PONG, 0, payload))
        elif kind == WHO:
            self.put(frame(OWNER, channel_number, bytes((owner_at(*target(payload)),))))
        elif kind in (OPEN, RUN):
            if channel is not None:
                raise FrameError("a channel is opened twice")
            if len(self.channels) >= MOST_CHANNELS:
                refuse(self, channel_number, OTHER, "too many connections at once")
            elif kind == OPEN:
                Connection(self, channel_number, payload)
            else:
                Command(self, channel_number, payload)
        elif kind != NOTHING:
            raise FrameError("an unknown kind of frame: %d" % kind)


def refuse(relay: Relay, channel_number: int, reason: int, text: str, owner: int = UNKNOWN) -> None:
    said = text.encode("utf-8", "replace")[:500]
    relay.put(frame(REFUSED, channel_number, bytes((reason, owner)) + said))


class Channel:
    """`sink` takes what this computer sends; `sources` give what goes there, by kinds of frames."""

    def __init__(self, relay: Relay, channel_number: int) -> None:
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
        is_cut = False
        try:
            data = os.read(fd, min(MOST_PAYLOAD, self.window))
        except BlockingIOError:
            return
        except OSError:
            data, is_cut = b"", True
        if data:
            self.window -= len(data)
            self.relay.put(frame(self.sources[fd], self.number, data))
            return
        self.relay.watch(fd, 0)
        self.relay.masks.pop(fd, None)
        del self.sources[fd]
        if is_cut:
            self.relay.put(frame(CLOSE, self.number, b"cut"))
            self.drop()
        elif not self.sources:
            self.sources_over()


class Connection(Channel):
    """To a port or a socket of the node."""

    def __init__(self, relay: Relay, channel_number: int, payload: bytes) -> None:
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
        sock = socket.socket(socket.AF_UNIX)
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
                self.places.sort(key=lambda place: rank(listener_owner(place[1], self.port)))
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
        if places:
            self.connect_next("")
        else:
            self.fail(UNRESOLVED, said)

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


class Command(Channel):
    def __init__(self, relay: Relay, channel_number: int, payload: bytes) -> None:
        Channel.__init__(self, relay, channel_number)
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.is_told = False
        self.last = 0.0
        line = payload.decode("utf-8", "surrogateescape")
        home = os.path.expanduser("~")
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", line],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=home if os.path.isdir(home) else "/",
                start_new_session=True,
            )
        except OSError as error:
            refuse(relay, channel_number, OTHER, str(error))
            self.drop()
            return
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        relay.put(frame(OPENED, channel_number, bytes((OURS,))))
        out, err = process.stdout.fileno(), process.stderr.fileno()
        self.begin(process.stdin.fileno(), {out: DATA, err: STDERR})

    def pull(self, fd: int) -> None:
        self.last = time.monotonic()
        Channel.pull(self, fd)

    def end_sink(self) -> None:
        if self.process is not None and self.process.stdin is not None and self.sink >= 0:
            self.relay.forget(self.sink)
            self.process.stdin.close()
            self.sink = -1

    def look(self) -> None:
        """Whether it has ended."""
        if self.process is not None and self.process.poll() is not None and not self.is_told:
            self.is_told = True
            if self.sources:
                self.relay.call_in(QUIET_SECONDS, self.finish_quiet)
            else:
                self.finish()

    def sources_over(self) -> None:
        if self.is_told:
            self.finish()
        else:
            self.look()  # or when it ends

    def finish_quiet(self) -> None:
        """A process that it has left may hold its output open."""
        if self.relay.channels.get(self.number) is not self:
            return
        if self.window > 0 and time.monotonic() - self.last >= QUIET_SECONDS:
            self.finish()
        else:
            self.relay.call_in(QUIET_SECONDS, self.finish_quiet)

    def finish(self) -> None:
        assert self.process is not None
        status = self.process.returncode
        self.relay.put(number_frame(EXIT, self.number, status if status >= 0 else -1))
        self.relay.put(frame(CLOSE, self.number))
        self.drop()

    def close_all(self, reset: bool) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None and not pipe.closed:
                self.relay.forget(pipe.fileno())
                pipe.close()
        if process.poll() is None:
            self.relay.dying.append(process)
            kill(process, signal.SIGHUP)
            self.relay.call_in(KILL_SECONDS, lambda: kill(process, signal.SIGKILL))


def kill(process: "subprocess.Popen[bytes]", signal_number: int) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal_number)
        except OSError:
            pass


# --- owners ---------------------------------------------------------------------------------------


def of_uid(uid: int) -> int:
    if uid == os.getuid():
        return OURS
    return SYSTEM if uid < first_person() else OTHERS


def first_person() -> int:
    """Below this, accounts are the system's."""
    try:
        with open("/etc/login.defs", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if len(words) > 1 and words[0] == "UID_MIN" and words[1].isdigit():
                    return min(1000, int(words[1]))
    except OSError:
        pass
    return 1000


def peer_owner(sock: socket.socket) -> int:
    """Whose process listens at the other end of a connection to a UNIX socket."""
    size = struct.calcsize("iII")
    _, uid, _ = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return of_uid(uid)


def owner_at(host: str, port: int, path: str) -> int:
    if path:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            try:
                sock.connect(path.encode("utf-8", "surrogateescape"))
            except OSError as error:
                gone = (errno.ECONNREFUSED, errno.ENOENT)
                return NOBODY if error.errno in gone else UNKNOWN
            return peer_owner(sock)
    if host.lower() == "localhost":
        found = [listener_owner(address, port) for address in ("127.0.0.1", "::1")]
        return min(found)
    try:
        return listener_owner(host, port)
    except OSError:
        return UNKNOWN


Row = Tuple[bytes, int, bytes, int, bool, int, int]
"""A socket of /proc/net: local address and port, remote ones, whether it listens, uid, inode."""
ANY = bytes(16)
MAPPED = bytes(10) + b"\xff\xff"
"""Begins an IPv4 address among those of IPv6."""
ANY_4 = MAPPED + bytes(4)


def wide(address: str) -> bytes:
    """An address as 16 bytes. Raises OSError for a name."""
    address = address.partition("%")[0]
    if ":" in address:
        return socket.inet_pton(socket.AF_INET6, address)
    return MAPPED + socket.inet_pton(socket.AF_INET, address)


def place_of(word: str) -> Tuple[bytes, int]:
    text, _, port = word.partition(":")
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return (raw if len(raw) == 16 else MAPPED + raw), int(port, 16)


def rows(port: int) -> List[Row]:
    """The sockets of the node with that port at either end."""
    found: List[Row] = []
    end = ":%04X" % port
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                for line in lines:
                    if end not in line:
                        continue
                    words = line.split()
                    if words[1].endswith(end) or words[2].endswith(end):
                        local, remote = place_of(words[1]), place_of(words[2])
                        uid, inode = int(words[7]), int(words[9])
                        found.append((*local, *remote, words[3] == "0A", uid, inode))
        except (OSError, ValueError, IndexError):
            continue
    return found


def listener_owner(address: str, port: int, table: Optional[List[Row]] = None) -> int:
    """Of the listener that gets the connections to an address of the node: the most specific one;
    of equally specific ones, the least trusted. Raises OSError for a name."""
    place = wide(address)
    levels = [place, ANY_4, ANY] if place.startswith(MAPPED) else [place, ANY]
    listening = [row for row in (rows(port) if table is None else table) if row[4]]
    for level in levels:
        owners = [of_uid(row[5]) for row in listening if row[0] == level and row[1] == port]
        if owners:
            return max(owners)
    return NOBODY


def connection_owner(sock: socket.socket) -> int:
    """Whose process has the other end of a connection, if that is on the node: found by both
    addresses and both ports, so that it is this one."""
    near, far = sock.getsockname()[:2], sock.getpeername()[:2]
    here, there = (wide(near[0]), near[1]), (wide(far[0]), far[1])
    for _ in range(2):  # the kernel may skip a row while others come and go
        table = rows(there[1])
        for row in table:
            if row[:4] == (*there, *here) and not row[4]:
                if row[6]:
                    return of_uid(row[5])
                # It is not accepted yet, and only its listener can do that.
                return listener_owner(far[0], there[1], table)
    return UNKNOWN


def main() -> None:
    try:
        Relay(0, 1).run()
    except FrameError as error:
        os.write(2, ("trayconnect relay: %s\n" % error).encode())
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(0)  # another status lets the caller look for another Python


if __name__ == "__main__":
    main()
