"""Which queries share a check, without a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.forwarding import LIMIT
from trayconnect.core.receive_window import NEAR
from trayconnect.ssh import ownership
from trayconnect.ssh.check_pace import MOST_AT_ONCE
from trayconnect.ssh.owners import Account
from trayconnect.ssh.owners_shell import OwnersShell
from trayconnect.ssh.ownership import Ownership, wait


class Shell:
    """An `OwnersShell` that answers when the test wants it."""

    account = Account(1001, None, 1000, "proc", little_endian=True)

    def __init__(self, _open_session: object) -> None:
        self.asked: list[Sequence[str]] = []
        self.is_asked = threading.Semaphore(0)
        self.may_answer = threading.Semaphore(0)

    def ask(self, questions: Sequence[str]) -> list[list[str]]:
        self.asked.append(questions)
        self.is_asked.release()
        assert self.may_answer.acquire(timeout=LIMIT)
        return [[] for _ in questions]

    def close(self) -> None:
        self.may_answer.release(100)


def at_once(job: Callable[[], None]) -> bool:
    job()
    return True


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = Shell(None)
    monkeypatch.setattr(ownership, "OwnersShell", lambda _: made)
    return made


@pytest.fixture(params=[NEAR, 0.04], ids=["near", "far"])
def queries(request: pytest.FixtureRequest, shell: Shell) -> Iterator[Ownership]:
    session: Any = None
    made = Ownership("box", session, "ada", set(), run=at_once, round_trip=lambda: request.param)
    made._pace.measured(LIMIT)  # the server works so long on each
    yield made
    made.close()
    made.join(LIMIT)
    assert not made._threads


def test_all_that_come_while_a_check_runs_share_the_next_one(
    queries: Ownership, shell: Shell
) -> None:
    first = queries.table(8888)
    assert shell.is_asked.acquire(timeout=LIMIT)
    others = [queries.table(port) for port in (8888, 6006) for _ in range(10)]
    assert len(queries._threads) <= (1 if queries._pace.most == 1 else MOST_AT_ONCE)
    # A second check would be under way by now, if it did not wait for the end of this one.
    assert not shell.is_asked.acquire(timeout=0.2)
    assert not any(other.done() for other in others)
    shell.may_answer.release()
    assert wait(first) is not None
    assert shell.is_asked.acquire(timeout=LIMIT)
    shell.may_answer.release()
    assert all(wait(other) is not None for other in others)
    assert [len(questions) for questions in shell.asked] == [1, 2]
    tables = {id(wait(other)) for other in others}
    assert len(tables) == 2, "read once for all"


def test_a_query_shares_no_check_that_began_before_it(queries: Ownership, shell: Shell) -> None:
    queries.table(8888)
    assert shell.is_asked.acquire(timeout=LIMIT)
    late = queries.table(8888)
    shell.may_answer.release()
    assert shell.is_asked.acquire(timeout=LIMIT)
    assert not late.done()
    shell.may_answer.release()
    assert wait(late) is not None


def test_the_pace_changes_in_one_thread_at_a_time(
    queries: Ownership, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def measured(_: float) -> None:
        with ThreadPoolExecutor(1) as other:  # the lock may be taken twice in one thread
            free = other.submit(queries._turn.acquire, blocking=False).result(LIMIT)
        held.append(not free)

    monkeypatch.setattr(queries._pace, "measured", measured)
    shell.may_answer.release()
    assert wait(queries.table(8888)) is not None
    assert held == [True]


class Channel:
    """A session that sends these pieces, and then no more."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = iter(pieces)

    def recv_within(self, _size: int, _deadline: float) -> bytes:
        return next(self._pieces, b"")

    def send_all(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["plain", "of-a-terminal"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_answers_may_come_in_any_pieces(line_end: str, size: int) -> None:
    head = "Welcome\n\n@@trayconnect owners 1 1001 - 1000 proc 1 below\n"
    said = f"{head}@@begin 1\nsocket 1\nwhole\n@@end 1\n@@begin 2\nwhole\n@@end 2\n"
    data = said.replace("\n", line_end).encode()
    channel: Any = Channel(*(data[at : at + size] for at in range(0, len(data), size)))
    shell = OwnersShell(lambda *_: channel)
    assert shell.account.uid == 1001
    assert shell.ask(["tcp {} 1", "tcp {} 2"]) == [["socket 1"], []]


def test_a_server_that_sends_byte_after_byte_costs_little() -> None:
    """Each byte would cost milliseconds, if all that came before were looked at again."""
    channel: Any = Channel(*[bytes(32 << 10)] * 127, *[b"x"] * 10_000)
    begin = time.thread_time()
    with pytest.raises(ConnectionError):
        OwnersShell(lambda *_: channel)
    assert time.thread_time() - begin < 10
