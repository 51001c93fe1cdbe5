"""ProxyCommand of ssh_config(5): a child process whose stdin and stdout lead to the server."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO

from trayconnect.core import sanitize
from trayconnect.core.errors import ProblemError
from trayconnect.core.subprocesses import clean_environment, end_group, has_exited, no_console
from trayconnect.ssh import out_of_band, proxy_problems
from trayconnect.ssh.target import LoginTarget

LAST_LINES = 5
"""Number of stderr lines that are kept."""
_MAX_LINE = 2000
"""Characters: the address of a login can be long."""
_MAX_REQUEST = 8
"""Lines of a request to visit a page."""
_LINE_ENDS = re.compile(rb"[\r\n]+")
_READ = 32 << 10
_LINGER_SECONDS = 1.0
"""Seconds that the command may take to exit after it closed the stream; only then is its exit
status genuine."""
_TERM_SECONDS = 1.0
_JOIN_SECONDS = 5.0
_POLL_SECONDS = 0.01


class ProxyCommand:
    """A running command; `sock` is the stream to the server.

    Keeps its stderr, and ends the processes that it started."""

    def __init__(
        self, target: LoginTarget, command: str, *, pipes: bool = sys.platform == "win32"
    ) -> None:
        """Start it. `pipes`: connect its stdin and stdout by pipes, as Windows requires; elsewhere
        a socket is enough, and needs no threads. Raises `ProblemError`."""
        self._target = target
        self.name = proxy_problems.name(command)
        """The program's name, for people."""
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._unfinished = ""
        """Output after its last line end, such as a prompt."""
        self._request: list[str] = []
        self._lock = threading.Lock()
        self._reaped = False
        self.sock, self._inner = socket.socketpair()
        self._errors, errors = socket.socketpair()
        try:
            self._process = (
                _start(command, subprocess.PIPE, subprocess.PIPE)
                if pipes
                else _start(command, self._inner.fileno(), errors.fileno())
            )
        except OSError as error:
            for sock in (self.sock, self._inner, self._errors):
                sock.close()
            raise proxy_problems.unstartable(target, str(error)) from error
        finally:
            errors.close()
        if pipes:
            assert self._process.stderr is not None
            self._listener = self._thread("stderr", self._listen, _reading(self._process.stderr))
            self._pumps = [self._thread("in", self._feed), self._thread("out", self._drain)]
        else:
            self._inner.close()
            self._listener = self._thread("stderr", self._listen, self._errors.recv)
            self._pumps = []

    def terminate(self) -> None:
        """Ask it to exit; from any thread, never waits."""
        with self._lock:
            if not self._reaped:
                end_group(self._process, at_once=False)

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of its stderr."""
        with self._lock:
            return (*self._lines, *filter(None, (self._unfinished,)))[-LAST_LINES:]

    @property
    def request(self) -> str:
        """Its request to visit a page; empty if it made none."""
        with self._lock:
            return "\n".join(self._request)

    def ended(self, *, connecting: bool = False) -> ProblemError | None:
        """The problem to report after the stream has ended; None while the command runs.
        `connecting`: no server answered yet."""
        if not self._exits_within(_LINGER_SECONDS):
            return None
        self._reap()
        self._listener.join(_LINGER_SECONDS)
        status = self._process.returncode
        return proxy_problems.ended(
            self._target, self.name, status, self.last_lines, connecting=connecting
        )

    def close(self) -> None:
        """End it and the processes it started, and join the threads."""
        self.sock.close()
        self.terminate()
        self._exits_within(_TERM_SECONDS)
        self._reap()
        for sock in (self._errors, self._inner):
            # Closing alone does not wake a thread in recv.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in (self._listener, *self._pumps):
            thread.join(_JOIN_SECONDS)
        self._errors.close()
        self._inner.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _exits_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._has_exited():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _has_exited(self) -> bool:
        with self._lock:
            return self._reaped or has_exited(self._process)

    def _reap(self) -> None:
        with self._lock:
            if not self._reaped:
                # Processes that it left behind, too: its PID is not reused until it is reaped.
                end_group(self._process, at_once=True)
                self._process.wait()
                self._reaped = True

    # --- on threads -------------------------------------------------------------------------------

    def _thread(self, name: str, work: Callable[..., None], *arguments: object) -> threading.Thread:
        name = f"tc-proxy {name} {self._target.host}"
        thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
        thread.start()
        return thread

    def _listen(self, receive: Callable[[int], bytes]) -> None:
        rest = b""
        with contextlib.suppress(OSError, ValueError):
            while data := receive(_READ):
                *lines, rest = _LINE_ENDS.split(rest + data)
                rest = rest[-_MAX_LINE:]
                self._add_lines(lines, rest)
        self._add_lines([rest], b"")

    def _add_lines(self, lines: Sequence[bytes], rest: bytes) -> None:
        clean = list(filter(None, (sanitize.line(line, _MAX_LINE) for line in lines)))
        unfinished = sanitize.line(rest, _MAX_LINE)
        with self._lock:
            self._unfinished = unfinished
            for line in clean:
                self._lines.append(line)
                if self._request:
                    self._request += [line] if len(self._request) < _MAX_REQUEST else []
                elif any("://" in one for one in self._lines):
                    self._request += out_of_band.request(list(self._lines))

    def _feed(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):
            while data := self._inner.recv(_READ):
                stdin.write(data)
                stdin.flush()
        with contextlib.suppress(OSError, ValueError):
            stdin.close()

    def _drain(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        receive = _reading(stdout)
        with contextlib.suppress(OSError, ValueError):
            while data := receive(_READ):
                self._inner.sendall(data)
        with contextlib.suppress(OSError):
            self._inner.shutdown(socket.SHUT_WR)


def _reading(pipe: IO[bytes]) -> Callable[[int], bytes]:
    """The available bytes, without waiting for more."""
    return lambda size: os.read(pipe.fileno(), size)


def _start(command: str, stream: int, errors: int) -> subprocess.Popen[bytes]:
    """As OpenSSH: through the user's shell, which the command replaces."""
    arguments: str | list[str]
    if sys.platform == "win32":
        arguments = f'{os.environ.get("COMSPEC", "cmd.exe")} /d /s /c "{command}"'
    else:
        arguments = [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {command}"]
    return subprocess.Popen(
        arguments,
        stdin=stream,
        stdout=stream,
        stderr=errors,
        env=clean_environment(),
        start_new_session=True,
        creationflags=no_console(),
    )
