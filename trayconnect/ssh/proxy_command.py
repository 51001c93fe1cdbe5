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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import IO

from trayconnect.core import sanitize
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.questions import ProgressDisplay
from trayconnect.core.subprocesses import (
    end_group,
    has_exited,
    start_group,
)
from trayconnect.ssh import connection_problems, out_of_band
from trayconnect.ssh.connection_problems import seconds
from trayconnect.ssh.target import LoginTarget

_NO_PROGRAM = (126, 127)
"""A shell's exit status for a program that it cannot run, or find."""
_MAX_NAME = 40
_BEFORE = re.compile(
    r"(?:(?:exec|env|command|nohup|sudo)\s+|\w+=(?:\"[^\"]*\"|'[^']*'|[^\s\"'$`()])*\s+)*"
)
"""What may precede a program's name; the values of variables may be secrets."""
_PROGRAM = re.compile(
    r"(?:\"([^\"]+)\"|'([^']+)'|([^-\s\"'`;|&<>()$=][^\s\"'`;|&<>()$=]*))(?![^\s;|&])"
)
_REFUSED = re.compile(
    r"permission denied(?:,| \()|host key verification failed|too many authentication failures"
    r"|read_passphrase|askpass|/dev/tty|(?:not|no) a? ?(?:tty|terminal)\b",
    re.IGNORECASE,
)
"""Messages of ssh, and of other programs, that cannot ask the user."""
_PROMPT = re.compile(
    r"(?:pass(?:word|phrase|code)|verification code|one-time|otp|\bpin|login as|user ?name)"
    r"[^:?]{0,80}[:?]$|\(?y(?:es)?/no?\b[^?]{0,60}[?:]$",
    re.IGNORECASE,
)
_HINT = (
    "It asks a question that nobody can answer here. If it leads through an SSH server, name "
    "that as jump_hosts in servers.yaml instead of the ProxyCommand: then trayconnect asks you."
)


def program_name(command: str) -> str:
    """The program of a command, without its arguments: they may hold secrets."""
    command = sanitize.line(command, len(command))
    before = _BEFORE.match(command)
    found = _PROGRAM.match(command, before.end() if before else 0)
    if found is None:
        return "ProxyCommand"
    program = re.split(r"[/\\]", next(filter(None, found.groups())))[-1]
    return sanitize.line(program, _MAX_NAME) or "ProxyCommand"


def asks(lines: Sequence[str]) -> bool:
    """Whether the command wanted to ask something, such as a password; `lines` are its last
    lines."""
    return any(_REFUSED.search(line) or _PROMPT.search(line) for line in lines)


def unstartable(target: LoginTarget, detail: str) -> ProblemError:
    title = f"The ProxyCommand for {target.host} could not be started"
    advice = "Check the shell that SHELL names, and the limit of processes."
    return ProblemError(Problem(title, advice, Recovery.FIX_FIRST, detail))


def proxy_ended(
    target: LoginTarget, program: str, status: int, lines: Sequence[str], *, connecting: bool
) -> ProblemError:
    """The command has exited; `lines` are its last lines of stderr. `connecting`: no server
    answered yet."""
    how = f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
    title = f"The ProxyCommand for {target.host} ({program}) {how}"
    advice = _quote(lines) or "It said nothing."
    if status in _NO_PROGRAM:
        advice += "\nCheck ProxyCommand in your SSH configuration."
        return ProblemError(Problem(title, advice, Recovery.FIX_FIRST))
    if connecting and asks(lines):
        return ProblemError(Problem(title, f"{advice}\n{_HINT}", Recovery.FIX_FIRST))
    return ProblemError(Problem(title, advice, Recovery.RETRY))


def proxy_silent(
    target: LoginTarget, program: str, timeout: float, lines: Sequence[str], *, asked: bool
) -> ProblemError:
    """The command runs, and no server answered through it. `asked`: it waited for a human to visit
    a page."""
    title = f"The ProxyCommand for {target.host} ({program}) gave no SSH answer within "
    title += seconds(timeout)
    recovery = Recovery.RETRY
    if asked:
        hint = "Connect again, and follow the page."
        recovery = Recovery.USER_ACTION
    elif asks(lines):
        hint = _HINT
        recovery = Recovery.FIX_FIRST
    else:
        hint = "If it takes longer, set connect_timeout in servers.yaml to more seconds."
    return ProblemError(Problem(title, f"{_quote(lines)}\n{hint}".lstrip(), recovery))


def _quote(lines: Sequence[str]) -> str:
    quoted = "\n".join(f"  {line[: sanitize.MAX_LINE]}" for line in lines)
    return f"It said:\n{quoted}" if lines else ""


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
        self.name = program_name(command)
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
            raise unstartable(target, str(error)) from error
        finally:
            errors.close()
        self._threads: list[threading.Thread] = []
        try:
            if pipes:
                assert self._process.stderr is not None
                self._thread("stderr", self._listen, _reading(self._process.stderr))
                self._thread("in", self._feed)
                self._thread("out", self._drain)
            else:
                self._inner.close()
                self._thread("stderr", self._listen, self._errors.recv)
        except RuntimeError:  # no more threads
            self.close()
            raise

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
        self._threads[0].join(_LINGER_SECONDS)  # which reads its stderr
        status = self._process.returncode
        return proxy_ended(self._target, self.name, status, self.last_lines, connecting=connecting)

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
        for thread in self._threads:
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

    def _thread(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        name = f"tc-proxy {name} {self._target.host}"
        thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

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
    return start_group(arguments, stdin=stream, stdout=stream, stderr=errors)


_LOOK_SECONDS = 0.25
"""Seconds between two updates of the message."""


class ProxyWait:
    """The wait for the server's identification, on the attempt's thread."""

    def __init__(self, target: LoginTarget, proxy: ProxyCommand, display: ProgressDisplay) -> None:
        self._target = target
        self._proxy = proxy
        self._display = display
        self._limit = target.connect_timeout
        self._last_line = ""
        self.waited_for_human = False
        """Whether it waited so long for a visit to a page that a human must have come."""

    def wait_greeting(self, greeted: threading.Event, timeout: float) -> bool:
        """As `greeted.wait(timeout)`, or longer while a page must be visited."""
        began = now = time.monotonic()
        asked_at: float | None = None
        shown: Callable[[], None] | None = None
        try:
            while not greeted.wait(min(_LOOK_SECONDS, max(0.0, began + timeout - now))):
                now = time.monotonic()
                if now >= began + timeout:
                    return False
                self._say()
                request = self._proxy.request
                if request and asked_at is None:
                    asked_at = now
                    self._limit = timeout = max(timeout, out_of_band.HUMAN_SECONDS)
                if (
                    asked_at is not None
                    and shown is None
                    and now >= asked_at + out_of_band.SHOW_SECONDS
                ):
                    source = f"The ProxyCommand ({self._proxy.name}) says"
                    request = self._proxy.request
                    shown = self._display.show(out_of_band.question(self._target, source, request))
            return True
        finally:
            if shown is not None and asked_at is not None:
                waited = time.monotonic() - asked_at
                self.waited_for_human = (
                    waited >= out_of_band.SHOW_SECONDS + out_of_band.NOBODY_SECONDS
                )
                shown()
            if self._last_line:
                self._display.say("")

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """If the command failed, raise its problem instead of the error that it caused."""
        try:
            yield
        except ProblemError as error:
            explained = self._explain(error)
            if explained is None:
                raise
            raise explained from error

    def _explain(self, error: ProblemError) -> ProblemError | None:
        ended = self._proxy.ended(connecting=True)
        if ended is not None:
            # It may open the page each time.
            recovery = Recovery.USER_ACTION if self.waited_for_human else ended.problem.recovery
            return ProblemError(replace(ended.problem, recovery=recovery))
        if not isinstance(error, connection_problems.SilentError):
            return None
        return proxy_silent(
            self._target,
            self._proxy.name,
            self._limit,
            self._proxy.last_lines,
            asked=bool(self._proxy.request),
        )

    def _say(self) -> None:
        lines = self._proxy.last_lines
        if lines and lines[-1] != self._last_line:
            self._last_line = lines[-1]
            self._display.say(f"{self._proxy.name}: {self._last_line}")
