"""Queries the owners of the server's listeners through one long-running shell: an exec for each
connection would cost a login shell each time."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from trayconnect.core.errors import ProblemError
from trayconnect.ssh import owners
from trayconnect.ssh.check_pace import MOST_AT_ONCE, CheckPace
from trayconnect.ssh.owners import Account, Path, Socket
from trayconnect.ssh.owners_shell import ANSWER_SECONDS, START_SECONDS, OpenSession, OwnersShell

log = logging.getLogger(__name__)

PATIENCE = 90.0
"""Seconds from the first query on, in which a slow shell proves nothing: another user may slow the
server down. After that, the server counts as one that cannot report owners."""
TRY_AGAIN = 60.0
"""Seconds until the shell is started again after a failure; doubled after each failure."""
_LONGEST_TRY_AGAIN = 3600.0

_LINGER = 1.0
"""Seconds that a thread waits for the next query."""
_LONGEST_WAIT = START_SECONDS + 2 * MOST_AT_ONCE * ANSWER_SECONDS
"""Seconds that a query waits for the checks before it, which may have to start the shell."""
_UNKNOWN = "%s: the owners of its listeners are unknown: %s"
_NOT_HERE = "its commands are not known to run in the network of its SSH server"
_TIMES = 5
"""How often one check restarts a shell that was ended for another command."""


class NotAnsweredError(Exception):
    """The server can report owners, and did not this time."""


Table = tuple[Account, tuple[Socket, ...]]
"""All sockets at a port."""
_Lines = tuple[Account, list[str]]


T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Query:
    question: str
    read: Callable[[_Lines], object]
    """What the lines of the answer say. Raises `NotAnsweredError`."""
    answer: Future[Any]


class Ownership:
    """Queries that come while a check runs share the next one. From any thread; nothing blocks.

    The threads of the checks live only while there are queries. The futures are completed on the
    link's thread, where their callbacks must be quick."""

    def __init__(
        self,
        name: str,
        open_session: OpenSession,
        account: str,
        reporting_accounts: set[str],
        *,
        run: Callable[[Callable[[], None]], bool],
        round_trip: Callable[[], float],
        is_openssh: bool = False,
    ) -> None:
        """`reporting_accounts`: the accounts whose servers reported owners, on this or an earlier
        link; `account` is this link's. `run` runs a job on the link's thread; false if that has
        ended. `round_trip`: see `CheckPace`. `is_openssh`: whether the server is OpenSSH's."""
        self._is_openssh = is_openssh
        self._name = name
        self._account = account
        self._reporting_accounts = reporting_accounts
        self._open_session = open_session
        self._run = run
        self._turn = threading.Condition()
        self._pace = CheckPace(round_trip)
        self._waiting: list[_Query] = []
        self._is_wanted = False
        """Whether another check is to run."""
        self._idle = 0
        """Threads that wait for one."""
        self._threads: set[threading.Thread] = set()
        self._starting = threading.Lock()
        self._shell: OwnersShell | None = None
        self._rests = 0
        self._failures = 0
        self._next_try = 0.0
        """On the monotonic clock, as is `_first_try`."""
        self._first_try: float | None = None
        self._closed = threading.Event()

    def table(self, port: int, answer: Future[Table | None] | None = None) -> Future[Table | None]:
        """All sockets at a port, from a check that begins after the call; None if the server cannot
        report owners. Bounded in time. The exception is a `NotAnsweredError`.

        `answer`: the future to complete."""
        answer = answer or Future()
        self._ask(_Query(f"tcp {{}} {port:04X} {port}", _table, answer))
        return answer

    def path(self, path: str) -> Future[Path | None]:
        """The same for a UNIX socket."""
        answer: Future[Path | None] = Future()
        if not path.startswith("/") or not path.isprintable():
            answer.set_result(None)
            return answer
        escaped = path.replace("{", "{{").replace("}", "}}")
        self._ask(_Query(f"unix {{}} {escaped}", _path, answer))
        return answer

    def prepare(self) -> None:
        """Start the shell, so that the first query does not wait for it; returns at once."""
        with self._turn:
            self._want_check()

    def rest(self) -> None:
        """End the shell. The next query starts another one, as does the current one."""
        self._rests += 1
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.close()

    def close(self) -> None:
        """All queries get an answer soon. Never raises; may be called twice."""
        self._closed.set()
        with self._turn:
            self._turn.notify_all()
        self.rest()

    def join(self, timeout: float) -> None:
        """Wait for the threads to end, after `close` and the end of the transport."""
        with self._turn:
            threads = self._threads - {threading.current_thread()}
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    # --- the checks -------------------------------------------------------------------------------

    def _ask(self, query: _Query) -> None:
        with self._turn:
            self._waiting.append(query)
            if self._is_wanted or self._want_check():
                return
            self._waiting.remove(query)
        query.answer.set_exception(NotAnsweredError("this computer has no thread left"))

    def _want_check(self) -> bool:
        """Whether a thread will run one. The caller holds the lock."""
        self._is_wanted = True
        if self._idle:
            self._turn.notify()
        elif len(self._threads) < self._pace.most:
            name = f"tc-owners {self._name}"
            thread = threading.Thread(target=self._run_checks, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._is_wanted = bool(self._threads)
            else:
                self._threads.add(thread)
        return self._is_wanted

    def _run_checks(self) -> None:
        while True:
            with self._turn:
                if not self._await_turn():
                    self._threads.discard(threading.current_thread())
                    return
                self._is_wanted = False
                batch, self._waiting = self._waiting, []
                questions = {query.question: query.read for query in batch}
                is_alone = self._pace.begin(time.monotonic(), len(questions))
            outcome = self._outcome(questions, is_alone=is_alone)
            with self._turn:
                self._pace.end()
            complete = partial(_complete, batch, outcome)
            if not self._run(complete):
                complete()

    def _await_turn(self) -> bool:
        """Wait until a check is wanted and may begin; false if none is wanted for a while. The
        caller holds the lock."""
        end = time.monotonic() + _LINGER
        while not self._closed.is_set():
            now = time.monotonic()
            due = self._pace.due() if self._is_wanted else math.inf
            if due <= now:
                return True
            if now >= end:
                # Another thread sees to a check that is wanted: see `_run_checks`.
                return False
            self._idle += 1
            self._turn.wait(min(due, end) - now)
            self._idle -= 1
        return self._is_wanted

    def _outcome(
        self, questions: Mapping[str, Callable[[_Lines], object]], *, is_alone: bool
    ) -> Mapping[str, object] | NotAnsweredError:
        """What the answers say; None for a question that the server cannot answer."""
        try:
            answers = self._check(sorted(questions), is_alone=is_alone)
            return {
                question: read(answers[question]) if question in answers else None
                for question, read in questions.items()
            }
        except NotAnsweredError as error:
            return error
        except Exception as error:
            log.exception("%s: a check failed unforeseen", self._name)
            return NotAnsweredError(repr(error))

    def _check(self, questions: Sequence[str], *, is_alone: bool) -> dict[str, _Lines]:
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
                        log.info(_UNKNOWN, self._name, _NOT_HERE)
                    return {}
                begin = time.monotonic()
                answers = shell.ask(questions)
                if is_alone and len(questions) == 1:
                    with self._turn:
                        self._pace.measured(time.monotonic() - begin)
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

    def _started(self, deadline: float) -> tuple[OwnersShell | None, bool]:
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

    def _start(self) -> OwnersShell | None:
        """None: the server runs no commands. Raises OSError if it ran one before, or may still do
        so."""
        now, rests = time.monotonic(), self._rests
        if self._first_try is None:
            self._first_try = now
        if not self._ever_reported and now < self._next_try:
            return None
        try:
            return OwnersShell(self._open_session)
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


def _complete(batch: Sequence[_Query], outcome: Mapping[str, object] | NotAnsweredError) -> None:
    for query in batch:
        if isinstance(outcome, NotAnsweredError):
            query.answer.set_exception(outcome)
        else:
            query.answer.set_result(outcome[query.question])


def _path(answer: _Lines) -> Path:
    account, lines = answer
    return owners.path(lines, account)


def _table(answer: _Lines) -> Table | None:
    """Raises `NotAnsweredError`."""
    account, lines = answer
    if account.source == "-":
        return None
    table = owners.sockets(lines, account)
    if table is None:
        raise NotAnsweredError("a line that cannot be read")
    return account, table
