"""Commands of the node, as the relay runs them. Part of the text of `far`."""

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Optional

assert sys.platform == "linux"  # the nodes of every cluster

from trayconnect.services.batch.relay.far_channels import *
from trayconnect.services.batch.relay.frames import *

if TYPE_CHECKING:
    from trayconnect.services.batch.relay.far import Relay


QUIET_SECONDS = 1.0
"""A command's output is complete when the command has ended and its output was silent so long."""
KILL_SECONDS = 5.0


class Command(Channel):
    def __init__(self, relay: "Relay", channel_number: int, payload: bytes) -> None:
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
