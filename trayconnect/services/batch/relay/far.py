"""The relay, as it runs on a compute node: one thread, one stream to this computer.

`program.text` puts this text behind those of `frames` and of the other modules `far_…`, without the
imports of one another, and sends it. So they need nothing but Python 3.6 on Linux, and have
annotations that this version evaluates.

It ends with its input. What a channel holds for a program that does not read is bounded by the
channel's window; while the way to this computer is full, nothing is read from its programs."""

import heapq
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from typing import Callable, Deque, Dict, List, Optional, Set, Tuple, Type, Union

assert sys.platform == "linux"  # the nodes of every cluster

from trayconnect.services.batch.relay.far_channels import *
from trayconnect.services.batch.relay.far_commands import *
from trayconnect.services.batch.relay.far_owners import *
from trayconnect.services.batch.relay.frames import *

READ_SIZE = 64 << 10
MUCH = 256 << 10
"""Bytes on their way to this computer above which nothing is read from the node's programs."""
TOO_MUCH = 1 << 20
"""The same, above which no request is read either."""
Job = Callable[[], None]


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
        self.pad = Pad()
        self.patience = 60
        self.heard_at = time.monotonic()
        self.has_ended = False
        self.wake_read, self.wake_write = os.pipe()
        for fd in (read_fd, write_fd, self.wake_read, self.wake_write):
            os.set_blocking(fd, False)

    def run(self, parent: int = 0) -> None:
        """`parent`: this process ends with that one, which gets the signals to end; 0: it gets
        them."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if parent:
            self.follow(parent)
        else:
            # The step is told to end. Commands get the default.
            for told in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                signal.signal(told, self.on_signal)
        signal.set_wakeup_fd(self.wake_write)
        node = os.uname().nodename.encode()
        self.put(b"\n%b%d %b\n" % (GREETING, self.pad.segment, node))
        self.watch(self.read_fd, IN, self.on_input)
        self.watch(self.wake_read, IN, self.on_wake)
        self.flush()
        self.look()
        try:
            while not self.has_ended:
                self.turn()
        finally:
            self.hang_up()

    def look(self) -> None:
        """Whether this computer is still there."""
        if time.monotonic() - self.heard_at > self.patience:
            self.has_ended = True
        self.call_in(2.0, self.look)

    def follow(self, parent: int) -> None:
        if os.getppid() != parent:
            self.has_ended = True
        self.call_in(1.0, lambda: self.follow(parent))

    def on_signal(self, *_: object) -> None:
        self.has_ended = True

    def turn(self) -> None:
        wait = max(0.0, self.timers[0][0] - time.monotonic()) + 0.001 if self.timers else -1
        for fd, events in self.poller.poll(0 if self.jobs else wait):
            handler = self.handlers.get(fd)
            if handler is not None:
                handler(events)
        for _ in range(len(self.jobs)):
            self.jobs.popleft()()
        while self.timers and self.timers[0][0] <= time.monotonic():
            heapq.heappop(self.timers)[2]()
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
                    data = b"".join(self.out)
                    self.out.clear()
                    padding = self.pad.behind(len(data), time.monotonic())
                    self.out_size += len(padding)
                    self.rest = memoryview(data + padding)
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
        self.heard_at = time.monotonic()
        self.pad.heard(self.heard_at)
        for kind, channel_number, payload in self.decoder.feed(data):
            self.take(kind, channel_number, payload)

    def begin(
        self, make: "Union[Type[Connection], Type[Command]]", channel_number: int, payload: bytes
    ) -> None:
        try:
            make(self, channel_number, payload)
        except OSError as error:  # no descriptors are left
            channel = self.channels.get(channel_number)
            if channel is not None:
                channel.drop()
            refuse(self, channel_number, OTHER, str(error))

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
            self.patience = number(payload)
            self.put(frame(PONG, 0))
        elif kind in (OPEN, RUN):
            if channel is not None:
                raise FrameError("a channel is opened twice")
            if len(self.channels) >= MOST_CHANNELS:
                refuse(self, channel_number, OTHER, "too many connections at once")
            else:
                self.begin(Connection if kind == OPEN else Command, channel_number, payload)
        elif kind != NOTHING:
            raise FrameError("an unknown kind of frame: %d" % kind)
