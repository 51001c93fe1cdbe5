"""A relay that runs on this computer, with no SSH in between."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable

from trayconnect.config.model import Keepalive
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem
from trayconnect.services.batch.relay import program
from trayconnect.services.batch.relay.relay_link import RelayLink, open_relay


class ProcessStream:
    """`link.RemoteProgram` over the pipes of a process."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    @property
    def said(self) -> bytes:
        assert self.process.stderr is not None
        is_read = self.is_over and not self.process.stderr.closed
        return self.process.stderr.read() if is_read else b""

    @property
    def status(self) -> int | None:
        return self.process.poll()

    def recv(self, size: int) -> bytes:
        assert self.process.stdout is not None
        try:
            return self.process.stdout.read(size) or b""
        except ValueError:  # it was closed meanwhile
            return b""

    def sendall(self, data: bytes | memoryview) -> None:
        assert self.process.stdin is not None
        view = memoryview(data)
        if self.process.stdin.closed:
            raise BrokenPipeError
        while view:
            view = view[self.process.stdin.write(view) or 0 :]

    def shutdown_write(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


KEEPALIVE = Keepalive(interval=15, count_max=3)


def local_relay(
    on_lost: Callable[[Problem], None],
    *,
    keepalive: Keepalive = KEEPALIVE,
    stream: ProcessStream | None = None,
    seconds: float = 60.0,
) -> RelayLink:
    """The link to a relay that runs here."""
    return open_relay(
        stream or ProcessStream("sh", "-c", program.command()),
        program.stdin(),
        "c1",
        keepalive=keepalive,
        seconds=seconds,
        cancel=CancelToken(),
        on_lost=on_lost,
    )
