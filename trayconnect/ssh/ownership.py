"""Queries the owners of the server's listeners through one long-running shell: an exec for each
connection would cost a login shell each time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib.resources import files
from typing import Protocol, TypeVar

from trayconnect.core import remote_script, sanitize
from trayconnect.core.errors import ProblemError
from trayconnect.ssh import owners
from trayconnect.ssh.owners import Account, Path, Socket
from trayconnect.ssh.transport.channels import SshChannel

log = logging.getLogger(__name__)

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
_MOST_AT_ONCE = 4
"""Checks at once: over a far link, a check that waited for another one would take twice as long."""
_LONGEST_WAIT = START_SECONDS + 2 * _MOST_AT_ONCE * ANSWER_SECONDS
"""Seconds that a query waits for the checks before it, which may have to start the shell."""
_UNKNOWN = "%s: the owners of its listeners are unknown: %s"
_NOT_HERE = "its commands are not known to run in the network of its SSH server"
_TIMES = 5
"""How often one check restarts a shell that was ended for another command."""
_MOST = 4 << 20
"""Limit in bytes for one answer, and for the output of start-up files."""
_LINE = 64
"""Bytes of memory that each line takes beside its text."""


class NotAnsweredError(Exception):
    """The server can report owners, and did not this time."""


class OpenSession(Protocol):
    def __call__(self, command: str, stdin: bytes, timeout: float) -> SshChannel:
        """Start a command with that input. Raises `ProblemError` and TimeoutError."""
        ...


Table = tuple[Account, tuple[Socket, ...]]
"""All sockets at a port."""
_Lines = tuple[Account, list[str]]


T = TypeVar("T")


class Ownership:
    """Queries that come while some checks run share the next one. From any thread; nothing blocks.

    The threads of the checks live only while there are queries. They complete the futures, whose
    callbacks must be quick."""

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
        self._waiting: list[tuple[str, Future[_Lines | None]]] = []
        self._checks = 0
        """Those that run, each on its thread."""
        self._threads: set[threading.Thread] = set()
        self._starting = threading.Lock()
        self._shell: _Shell | None = None
        self._rests = 0
        self._failures = 0
        self._next_try = 0.0
        """On the monotonic clock, as is `_first_try`."""
        self._first_try: float | None = None
        self._closed = threading.Event()

    def table(self, port: int) -> Future[Table | None]:
        """All sockets at a port, from a check that begins after the call; None if the server cannot
        report owners. Bounded in time. The exception is a `NotAnsweredError`."""
        return _then(self._ask(f"tcp {{}} {port:04X} {port}"), _table)

    def path(self, path: str) -> Future[Path | None]:
        """The same for a UNIX socket."""
        if not path.startswith("/") or not path.isprintable():
            unknown: Future[Path | None] = Future()
            unknown.set_result(None)
            return unknown
        escaped = path.replace("{", "{{").replace("}", "}}")
        return _then(
            self._ask(f"unix {{}} {escaped}"),
            lambda answer: None if answer is None else owners.path(answer[1], answer[0]),
        )

    def prepare(self) -> None:
        """Start the shell, so that the first query does not wait for it; returns at once."""
        with self._lock:
            self._begin_check()

    def rest(self) -> None:
        """End the shell. The next query starts another one, as does the current one."""
        self._rests += 1
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.close()

    def close(self) -> None:
        """All queries get an answer soon. Never raises; may be called twice."""
        self._closed.set()
        self.rest()

    def join(self, timeout: float) -> None:
        """Wait for the threads to end, after `close` and the end of the transport."""
        with self._lock:
            threads = self._threads - {threading.current_thread()}
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    # --- the checks -------------------------------------------------------------------------------

    def _ask(self, question: str) -> Future[_Lines | None]:
        answer: Future[_Lines | None] = Future()
        query = (question, answer)
        with self._lock:
            self._waiting.append(query)
            if self._checks >= _MOST_AT_ONCE or self._begin_check() or self._checks:
                return answer
            self._waiting.remove(query)
        answer.set_exception(NotAnsweredError("this computer has no thread left"))
        return answer

    def _begin_check(self) -> bool:
        """Whether a thread could be started. The caller holds the lock."""
        name = f"tc-owners {self._name}"
        thread = threading.Thread(target=self._run_checks, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._threads.add(thread)
        self._checks += 1
        return True

    def _run_checks(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting, []
            self._answer(batch)
            with self._lock:
                if not self._waiting:
                    self._checks -= 1
                    self._threads.discard(threading.current_thread())
                    return

    def _answer(self, batch: Sequence[tuple[str, Future[_Lines | None]]]) -> None:
        answers: dict[str, _Lines] = {}
        error: NotAnsweredError | None = None
        try:
            answers = self._check(sorted({question for question, _ in batch}))
        except NotAnsweredError as caught:
            error = caught
        except Exception as caught:
            log.exception("%s: a check failed unforeseen", self._name)
            error = NotAnsweredError(repr(caught))
        for question, answer in batch:
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(answers.get(question))

    def _check(self, questions: Sequence[str]) -> dict[str, _Lines]:
        """Empty if the server cannot report owners. Raises `NotAnsweredError`."""
        reason = "the tunnel is closed"
        deadline = time.monotonic() + START_SECONDS
        for _ in range(_TIMES):
            if self._closed.is_set() or time.monotonic() > deadline:
                break
            rests, shell, is_new = self._rests, self._shell, False
            try:
                if shell is None:
                    shell, is_new = self._started(deadline)
                    if shell is None:
                        return {}
                    if self._closed.is_set():  # meanwhile
                        self.rest()
                if shell.account.is_elsewhere and self._is_openssh:
                    if is_new:
                        log.info(
                            "%s: the owners of its listeners are unknown: %s", self._name, _NOT_HERE
                        )
                    return {}
                answers = shell.ask(questions)
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

    def _started(self, deadline: float) -> tuple[_Shell | None, bool]:
        """The shell, and whether this call started it. As `_start`."""
        if not self._starting.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise ConnectionError("the shell does not start")
        try:
            shell, is_new = self._shell, self._shell is None
            if shell is None:
                shell = self._shell = self._start()
            return shell, is_new
        finally:
            self._starting.release()

    def _start(self) -> _Shell | None:
        """None: the server runs no commands. Raises OSError if it ran one before, or may still do
        so."""
        now, rests = time.monotonic(), self._rests
        if self._first_try is None:
            self._first_try = now
        if not self._ever_reported and now < self._next_try:
            return None
        try:
            return _Shell(self._open_session)
        except (ProblemError, OSError, EOFError) as error:
            is_slow = TimeoutError in (type(error), type(error.__cause__))
            may_yet = is_slow and time.monotonic() < self._first_try + PATIENCE
            made_room = self._rests != rests
            if self._ever_reported or may_yet or made_room or self._closed.is_set():
                raise ConnectionError(str(error)) from error
            self._failures += 1
            wait = min(TRY_AGAIN * 2 ** (self._failures - 1), _LONGEST_TRY_AGAIN)
            self._next_try = time.monotonic() + wait
            log.info(_UNKNOWN, self._name, error)
            return None


def wait(answer: Future[T]) -> T:
    """Raises what the future does, and `NotAnsweredError` if the checks before this one do not
    end."""
    try:
        return answer.result(_LONGEST_WAIT)
    except TimeoutError as error:
        raise NotAnsweredError("the checks before this one have not ended") from error


def _then(answer: Future[_Lines | None], read: Callable[[_Lines | None], T]) -> Future[T]:
    """What the answer says, read on the thread that completes it."""
    result: Future[T] = Future()

    def answered(_: Future[_Lines | None]) -> None:
        try:
            result.set_result(read(answer.result()))
        except NotAnsweredError as error:
            result.set_exception(error)

    answer.add_done_callback(answered)
    return result


def _table(answer: _Lines | None) -> Table | None:
    """Raises `NotAnsweredError`."""
    if answer is None or answer[0].source == "-":
        return None
    account, lines = answer
    table = owners.sockets(lines, account)
    if table is None:
        raise NotAnsweredError("a line that cannot be read")
    return account, table


class _Shell:
    """The running script. Methods raise OSError (TimeoutError among them) and EOFError."""

    def __init__(self, open_session: OpenSession) -> None:
        deadline = time.monotonic() + START_SECONDS
        script = files("trayconnect.ssh").joinpath("owners.sh").read_text("utf-8")
        self._channel = open_session(
            remote_script.COMMAND, remote_script.stdin(script), START_SECONDS
        )
        self._unread = b""
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._number = 0
        self._received = 0
        """The number of the last answer."""
        self._answers: dict[int, list[str]] = {}
        """Those that other threads wait for."""
        try:
            self._until(_ANSWER_START, deadline)
            account = Account.read(self._line(deadline).split())
            if account is None:
                raise ConnectionError("what the script reports about the account cannot be read")
        except BaseException:
            self.close()
            raise
        self.account = account

    def ask(self, questions: Sequence[str]) -> list[list[str]]:
        """The lines of each answer. From any thread: the questions of several are under way at
        once."""
        with self._sending:
            first = self._number + 1
            self._number += len(questions)
            numbered = (q.format(number) for number, q in enumerate(questions, first))
            self._channel.send_all("".join(f"{question}\n" for question in numbered).encode())
        return [self._answer(number) for number in range(first, first + len(questions))]

    def _answer(self, number: int) -> list[str]:
        with self._receiving:
            while number not in self._answers:
                self._receive(time.monotonic() + ANSWER_SECONDS)
            lines = self._answers.pop(number)
        if self.account.source == "-" and not lines:
            return lines
        if not lines or lines.pop() != "whole":
            raise ConnectionError("half an answer")
        return lines

    def _receive(self, deadline: float) -> None:
        """Keep the next answer. They come in the order of the questions, each once: a hostile
        server could fill the memory with others."""
        self._until(b"@@begin ", deadline)
        number = self._received + 1
        if (word := self._line(deadline)) != str(number):
            raise ConnectionError(f"answer {sanitize.line(word)!r} in the place of {number}")
        self._received = number
        lines = []
        left = _MOST
        while (line := self._line(deadline)) != f"@@end {number}":
            lines.append(line)
            left -= len(line) + _LINE
            if left < 0:
                raise ConnectionError("an answer without end")
        self._answers[number] = lines

    def close(self) -> None:
        with suppress(OSError, EOFError):
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
