"""Which way to a node is taken, and which one next."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.link import Link
from trayconnect.services.batch import ways
from trayconnect.services.batch.job import Job, Phase
from trayconnect.services.batch.reach import Destination, OpenWay, Way
from trayconnect.services.batch.scheduler import Scheduler

SSH, SRUN, DIRECT = Way.SSH, Way.SRUN, Way.DIRECT
LOGIN = cast(Link, object())
OnLost = Callable[[Problem], None]


@pytest.mark.parametrize(
    ("asked", "failed", "expected"),
    [
        ("auto", (), (SSH, SRUN, DIRECT)),
        ("auto", (SSH,), (SRUN, DIRECT, SSH)),
        ("auto", (SRUN,), (DIRECT, SSH, SRUN)),
        ("auto", (SSH, SRUN), (DIRECT, SSH, SRUN)),
        ("auto", (SSH, SRUN, DIRECT), (SSH, SRUN, DIRECT)),
        ("srun", (), (SRUN,)),
        ("srun", (SRUN,), (SRUN,)),
        ("direct", (SSH,), (DIRECT,)),
    ],
)
def test_the_order(asked: str, failed: tuple[Way, ...], expected: tuple[Way, ...]) -> None:
    assert ways.order(asked, frozenset(failed)) == expected


class FakeLink:
    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Openers:
    """Ways that work, or do not."""

    def __init__(self, *working: Way) -> None:
        self.working = working
        self.tried: list[Way] = []
        self.link = FakeLink()
        self.report: OnLost | None = None
        self.is_lost_at_once = False

    def of(self, way: Way) -> OpenWay:
        def open_way(to: Destination, login: Link, cancel: CancelToken, on_lost: OnLost) -> Link:
            self.tried.append(way)
            if way not in self.working:
                raise ProblemError(Problem(f"no {way.value}", "", Recovery.USER_ACTION))
            if self.is_lost_at_once:
                self.is_lost_at_once = False
                on_lost(Problem("lost", ""))
            self.report = on_lost
            return cast(Link, self.link)

        return open_way

    def reach(self, asked: str = "auto", on_lost: OnLost = lambda _: None) -> Way:
        server = Server.model_validate(
            {"name": "C", "host": "h", "local_port": 18888, "batch": {"reach": asked}}
        )
        to = Destination(
            server, cast(Scheduler, object()), Job("1", "n", Phase.RUNNING, nodes=("c1",))
        )
        openers = {way: self.of(way) for way in Way}
        return ways.reach(to, LOGIN, CancelToken(), on_lost, openers=openers).way


def test_the_first_that_works_is_taken() -> None:
    openers = Openers(SRUN, DIRECT)
    assert openers.reach() is SRUN
    assert openers.tried == [SSH, SRUN]


def test_if_none_works_each_says_why_and_nobody_is_asked() -> None:
    with pytest.raises(ProblemError) as caught:
        Openers().reach()
    problem = caught.value.problem
    assert problem.title == "c1 cannot be reached"
    assert problem.detail == "ssh: no ssh; srun: no srun; direct: no direct"
    assert problem.recovery is Recovery.RETRY


def test_the_files_way_is_the_only_one() -> None:
    openers = Openers(SSH)
    with pytest.raises(ProblemError) as caught:
        openers.reach("srun")
    assert openers.tried == [SRUN]
    assert "no srun" in caught.value.problem.advice


def test_a_link_that_is_lost_at_once_is_closed_and_the_next_taken() -> None:
    openers = Openers(SSH, SRUN)
    openers.is_lost_at_once = True
    losses: list[Problem] = []
    assert openers.reach(on_lost=losses.append) is SRUN
    assert openers.link.is_closed
    assert not losses
    assert openers.report is not None
    openers.report(Problem("later", ""))
    assert [loss.title for loss in losses] == ["later"]


def test_a_cancelled_attempt_tries_no_other() -> None:
    cancel = CancelToken()

    def open_way(to: Destination, login: Link, cancel: CancelToken, on_lost: OnLost) -> Link:
        cancel.set()
        raise ProblemError(Problem("", ""))

    server = Server.model_validate({"name": "C", "host": "h", "local_port": 18888, "batch": True})
    to = Destination(server, cast(Scheduler, object()), Job("1", "n", Phase.RUNNING))
    with pytest.raises(Cancelled):
        ways.reach(to, LOGIN, cancel, lambda _: None, openers=dict.fromkeys(Way, open_way))
