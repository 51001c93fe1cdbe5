"""Queries the owners of the server's listeners through one long-running shell: an exec for each
connection would cost a login shell each time."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Protocol

from trayconnect.core.errors import ProblemError
from trayconnect.ssh import owners
from trayconnect.ssh.owners import Account, Path, Socket
from trayconnect.ssh.transport.channels import SshChannel

log = logging.getLogger(__name__)

COMMAND = "exec sh"
START_SECONDS = 60.0
"""Seconds for the login shell's start-up files; conda's and the modules' of clusters take their
time."""
ANSWER_SECONDS = 5.0
PATIENCE = 90.0
"""Seconds from the first query on, in which a slow shell proves nothing: another user may slow the
server down. After that, the server counts as one that cannot report owners."""
TRY_AGAIN = 60.0
"""Seconds until the shell is started again after a failure; doubled after each failure."""
_LONGEST_TRY_AGAIN = 3600.0

_ANSWER_START = b"\n@@trayconnect owners 1 "
_READ = 32 << 10
_LONGEST_WAIT = START_SECONDS + 3 * ANSWER_SECONDS
"""Seconds that a query waits for the check before it, which may have to start the shell."""
_TIMES = 5
"""How often one check restarts a shell that was ended for another command."""
_MOST = 4 << 20
"""Limit in bytes for one answer, and for the output of start-up files."""
_LINE = 64
"""Bytes of memory that each line takes beside its text."""


class NotAnsweredError(Exception):
    """The server can report owners, and did not this time."""


class OpenSession(Protocol):
    def __call__(self, command: str, timeout: float) -> SshChannel:
        """Start a command. Raises `ProblemError` and TimeoutError."""
        ...


@dataclass(slots=True, eq=False)
class _Waiter:
    question: str
    done: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    """Whether this waiter must send the queries of all."""
    answer: tuple[Account, list[str]] | None = None
    error: Exception | None = None


class Ownership:
    """Callers that arrive while a check runs share the next one. From any thread."""

    def __init__(
        self,
        name: str,
        open_session: OpenSession,
        account: str,
        reporting_accounts: set[str],
        *,
        is_openssh: bool = False,
    ) -> None:
        """`reporting_accounts`: the accounts whose servers reported owners, on this or an earlier
        link; `account` is this link's. `is_openssh`: whether the server is OpenSSH's."""
        self._is_openssh = is_openssh
        self._name = name
        self._account = account
        self._reporting_accounts = reporting_accounts
        self._open_session = open_session
        self._lock = threading.Lock()
        self._waiting: list[_Waiter] = []
        self._busy = False
        self._shell: _Shell | None = None
        self._rests = 0
        self._failures = 0
        self._next_try = 0.0
        """On the monotonic clock, as is `_first_try`."""
        self._first_try: float | None = None
        self._closed = threading.Event()

    def table(self, port: int) -> tuple[Account, tuple[Socket, ...]] | None:
        """All sockets at a port, from a check that begins after the call; None if the server cannot
        report owners. Bounded in time. Raises `NotAnsweredError`."""
        answer = self._ask(f"tcp {{}} {port:04X} {port}")
        if answer is None or answer[0].source == "-":
            return None
        account, lines = answer
        table = owners.sockets(lines, account)
        if table is None:
            raise NotAnsweredError("a line that cannot be read")
        return account, table

    def path(self, path: str) -> Path | None:
        """The same for a UNIX socket."""
        if not path.startswith("/") or not path.isprintable():
            return None
        answer = self._ask(f"unix {{}} {path.replace('{', '{{').replace('}', '}}')}")
        return None if answer is None else owners.path(answer[1], answer[0])

    def rest(self) -> None:
        """End the shell. The next query starts another one, as does the current one."""
        self._rests += 1
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.close()

    def close(self) -> None:
        """Never raises; may be called twice. A waiting caller is released."""
        self._closed.set()
        self.rest()

    # --- one check for all waiters
    # -------------------------------------------------------------------

    def _ask(self, question: str) -> tuple[Account, list[str]] | None:
        waiter = _Waiter(question)
        with self._lock:
            self._waiting.append(waiter)
            if not self._busy:
                self._busy = waiter.leads = True
        if not waiter.leads and not waiter.done.wait(_LONGEST_WAIT):
            self._give_up(waiter)
        if waiter.leads:
            self._lead()
        if waiter.error is not None:
            raise waiter.error
        return waiter.answer

    def _give_up(self, waiter: _Waiter) -> None:
        """Give up, unless this waiter has just become the leader. Raises `NotAnsweredError`."""
        with self._lock:
            if waiter.leads:
                return
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        raise NotAnsweredError("the check before this one has not ended")

    def _lead(self) -> None:
        """Send the queries of all current waiters, then make the first of those that came meanwhile
        the leader."""
        with self._lock:
            batch, self._waiting = self._waiting, []
        questions = sorted({waiter.question for waiter in batch})
        answers: dict[str, tuple[Account, list[str]]] = {}
        error: Exception | None = None
        try:
            answers = self._check(questions)
        except NotAnsweredError as caught:
            error = caught
        except Exception as caught:
            log.exception("%s: a check failed unforeseen", self._name)
            error = NotAnsweredError(repr(caught))
        for waiter in batch:
            waiter.answer, waiter.error = answers.get(waiter.question), error
            waiter.leads = False
            waiter.done.set()
        with self._lock:
            self._busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].done.set()

    def _check(self, questions: Sequence[str]) -> dict[str, tuple[Account, list[str]]]:
        """Empty if the server cannot report owners. Raises `NotAnsweredError`."""
        reason = "the tunnel is closed"
        deadline = time.monotonic() + START_SECONDS
        for _ in range(_TIMES):
            if self._closed.is_set() or time.monotonic() > deadline:
                break
            rests, shell, is_new = self._rests, self._shell, self._shell is None
            try:
                if shell is None:
                    shell = self._start()
                    if shell is None:
                        return {}
                    self._shell = shell
                    if self._closed.is_set():  # meanwhile
                        self.rest()
                if shell.account.is_elsewhere and self._is_openssh:
                    return {}
                answers = [shell.ask(question) for question in questions]
            except (OSError, EOFError) as error:
                reason = repr(error)
                made_room = self._rests != rests
                if not made_room:
                    self.rest()
                if is_new and not made_room:
                    break  # the old shell may just have ended
            else:
                self._failures = 0
                if shell.account.source != "-":
                    self._reporting_accounts.add(self._account)
                return {
                    question: (shell.account, answer)
                    for question, answer in zip(questions, answers, strict=True)
                }
        raise NotAnsweredError(reason)

    @property
    def _ever_reported(self) -> bool:
        """Whether the server ever reported owners."""
        return self._account in self._reporting_accounts

    def _start(self) -> _Shell | None:
        """None: the server runs no commands. Raises OSError if it ran one before, or may still do
        so."""
        now = time.monotonic()
        if self._first_try is None:
            self._first_try = now
        if not self._ever_reported and now < self._next_try:
            return None
        try:
            return _Shell(self._open_session)
        except (ProblemError, OSError, EOFError) as error:
            is_slow = TimeoutError in (type(error), type(error.__cause__))
            may_yet = is_slow and time.monotonic() < self._first_try + PATIENCE
            if self._ever_reported or may_yet or self._closed.is_set():
                raise ConnectionError(str(error)) from error
            self._failures += 1
            wait = min(TRY_AGAIN * 2 ** (self._failures - 1), _LONGEST_TRY_AGAIN)
            self._next_try = time.monotonic() + wait
            log.info("%s: the owners of its listeners are unknown: %s", self._name, error)
            return None


class _Shell:
    """The running script. Methods raise OSError (TimeoutError among them) and EOFError."""

    def __init__(self, open_session: OpenSession) -> None:
        deadline = time.monotonic() + START_SECONDS
        self._channel = open_session(COMMAND, START_SECONDS)
        self._unread = b""
        self._number = 0
        try:
            script = files("trayconnect.ssh").joinpath("owners.sh").read_bytes()
            self._channel.send_all(script.replace(b"\r\n", b"\n"))
            self._until(_ANSWER_START, deadline)
            account = Account.read(self._line(deadline).split())
            if account is None:
                raise ConnectionError("what the script reports about the account cannot be read")
        except BaseException:
            self.close()
            raise
        self.account = account

    def ask(self, question: str) -> list[str]:
        """The lines of the answer."""
        deadline = time.monotonic() + ANSWER_SECONDS
        self._number += 1
        self._channel.send_all(f"{question.format(self._number)}\n".encode())
        self._until(b"@@begin %d\n" % self._number, deadline)
        lines = []
        size = 0
        while (line := self._line(deadline)) != f"@@end {self._number}":
            lines.append(line)
            size += len(line) + _LINE
            if size > _MOST:
                raise ConnectionError("too much is said")
        if self.account.source == "-" and not lines:
            return lines
        if not lines or lines.pop() != "whole":
            raise ConnectionError("half an answer")
        return lines

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._channel.close()

    def _line(self, deadline: float) -> str:
        return self._until(b"\n", deadline).decode("utf-8", "replace").rstrip("\r")

    def _until(self, end: bytes, deadline: float) -> bytes:
        while end not in self._unread:
            if len(self._unread) > _MOST:
                raise ConnectionError("too much is said")
            data = self._channel.recv_within(_READ, deadline)
            if not data:
                raise ConnectionError("the shell has ended")
            self._unread += data
        before, _, self._unread = self._unread.partition(end)
        return before
