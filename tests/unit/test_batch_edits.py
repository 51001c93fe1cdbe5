"""Entries that are edited, or taken away, while their jobs wait or run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.batch_fakes import a_job, batch_server, running
from tests.unit.test_batch_machine import CONNECT, Life, kinds, told
from trayconnect.core.command import Command
from trayconnect.services.batch.job import Job, job_name
from trayconnect.services.batch.reach import Way
from trayconnect.services.batch.scheduler import Submitted
from trayconnect.services.batch.state import (
    Chosen,
    Dropped,
    EntryChanged,
    LinkDown,
    LinkUp,
    Submit,
)

Begin = Callable[[], Life]
LEFT = "Job 7 of gpu goes on"


def queued() -> Life:
    life = Life()
    life.to_queue()
    return life


def on_node() -> Life:
    life = Life()
    life.to_node()
    return life


@pytest.mark.parametrize("begin", [queued, on_node])
def test_an_entry_that_goes_says_that_its_job_stays(begin: Begin) -> None:
    life = begin()
    assert told(life.feed(Dropped())) == [LEFT]


def test_an_entry_without_a_job_says_nothing() -> None:
    life = Life()
    assert life.feed(Dropped()) == []
    life.feed(CONNECT, LinkUp())
    life.answer()
    assert life.feed(Dropped()) == []
    life.ordered(Submitted("7"))
    assert told(life.feed(Dropped())) == [LEFT]
    life.feed(Command("disconnect", "gpu"))
    assert told(life.feed(Dropped())) == [LEFT]  # it is not listed yet, and may be known by that


@pytest.mark.parametrize(
    "change",
    [
        {"options": ["--partition=gpu"]},
        {"time": "1:00:00"},
        {"when": "menu"},
        {"reach": "srun"},
    ],
)
@pytest.mark.parametrize("begin", [queued, on_node])
def test_a_job_goes_on_as_it_was_submitted(begin: Begin, change: dict[str, Any]) -> None:
    life = begin()
    job = life.state.job
    assert job is not None
    effects = life.feed(EntryChanged(batch_server(batch=change)))
    effects += life.answer(job, ready=[job])
    assert Submit not in kinds(effects)
    assert not told(effects)
    assert life.state.job == job


ELSEWHERE = EntryChanged(batch_server(host="other.example.org"))


@pytest.mark.parametrize("begin", [queued, on_node])
@pytest.mark.parametrize("there", [(), (replace(a_job(), name="another"),)])
def test_a_job_that_another_host_does_not_know_goes_on(
    begin: Begin, there: tuple[Job, ...]
) -> None:
    life = begin()
    life.feed(LinkDown(), ELSEWHERE, LinkUp())
    assert told(life.answer(*there)) == [LEFT]
    assert life.state.job is None
    assert life.answer(*there) == []


@pytest.mark.parametrize("begin", [queued, on_node])
def test_another_login_node_of_the_cluster_leads_to_the_same_job(begin: Begin) -> None:
    life = begin()
    life.feed(LinkDown(), ELSEWHERE, LinkUp())
    effects = life.answer(running(), ready=[running()])
    assert LEFT not in told(effects)
    assert life.state.job == running()
    life.reached()
    assert life.state.way is Way.SSH


def test_a_click_at_the_new_host_submits_there() -> None:
    life = on_node()
    life.feed(LinkDown(), ELSEWHERE, CONNECT, LinkUp())
    effects = life.answer()
    assert told(effects) == [LEFT]
    assert Submit in kinds(effects)


def test_the_job_of_an_entry_that_has_another_name_now_can_be_chosen() -> None:
    life = Life(batch_server(name="new"))
    life.feed(Command("connect", "new"), LinkUp())
    old = running(4, name="gpu")
    assert Submit in kinds(life.answer(old))
    life.feed(Chosen("4"))
    life.answer(old)
    assert life.state.job == old
    life.feed(Chosen("8"))
    mine = replace(running(8), name=job_name("new"))
    life.answer(old, mine)
    assert life.state.job == mine
