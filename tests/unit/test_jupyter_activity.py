"""Busy and idle kernels over several looks, and what is told of them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from tests.support.servers import make_server
from tests.support.stepping import Effect, Stepped
from trayconnect.config.model import Server
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.notices import open_page
from trayconnect.core.page import Page
from trayconnect.services.jupyter.activity import (
    Activity,
    Run,
    activity,
    activity_text,
    duration,
    idle_again,
    size,
)
from trayconnect.services.jupyter.machine import NotifyIdle, OpenBrowser
from trayconnect.services.jupyter.model import Health, Kernel, Kernels, KernelState, Memory
from trayconnect.services.protocol import Level as R
from trayconnect.sessions.state import (
    Connect,
    Connected,
    Disconnect,
    Event,
    Failed,
    RetryDue,
)

PAGE = Page("http://127.0.0.1:18888/lab")
NOON = 1_795_608_000.0
DOWN = Problem("gone", "", Recovery.RETRY)


def kernel(state: str = "busy", name: str = "train.ipynb", **changes: Any) -> Kernel:
    return replace(Kernel(f"id of {name}", name, KernelState(state)), **changes)


class Watched:
    """A session that is up, looked at once a minute."""

    def __init__(self, server: Server | None = None) -> None:
        self.stepped = Stepped(server or make_server())
        self.now = NOON
        self.feed(Connect())
        self.feed(Connected(1))
        self.feed(Health(R.READY, PAGE))

    def feed(self, given: Event | Health) -> list[Effect]:
        return self.stepped.feed(given, self.now)

    def look(self, *kernels: Kernel, after: float = 60.0) -> list[Effect]:
        self.now += after
        return self.feed(Health(R.LOGGED_IN, PAGE, kernels=Kernels(kernels)))

    @property
    def activity(self) -> Activity | None:
        return self.stepped.facts.kernels


def test_a_long_cell_that_ended_is_told_once() -> None:
    watched = Watched()
    assert watched.look(kernel()) == []
    assert watched.look(kernel()) == []
    (told,) = watched.look(kernel("idle"))
    run = Run("id of train.ipynb", "train.ipynb", NOON + 60, NOON + 120)
    assert told == NotifyIdle((run,))
    assert watched.look(kernel("idle")) == []


def test_a_short_one_is_not_told() -> None:
    watched = Watched()
    assert watched.look(kernel()) == []
    assert watched.look(kernel(), after=5) == []  # some look comes early
    assert watched.look(kernel("idle")) == []


def test_a_cell_that_ran_before_we_came() -> None:
    watched = Watched()
    watched.look(kernel(last_activity=NOON - 3600))
    assert watched.activity is not None
    assert watched.activity.busy_since == NOON - 3600
    (told,) = watched.look(kernel("idle", last_activity=NOON + 61))
    assert isinstance(told, NotifyIdle)


def test_a_clock_ahead_of_ours_is_not_believed() -> None:
    watched = Watched()
    watched.look(kernel(last_activity=NOON + 9999))
    assert watched.activity is not None
    assert watched.activity.busy_since == NOON + 60


@pytest.mark.parametrize("end", [(), (kernel("other"),)])
def test_a_kernel_that_is_gone_or_dead_has_not_ended_well(end: tuple[Kernel, ...]) -> None:
    watched = Watched()
    watched.look(kernel())
    watched.look(kernel())
    assert watched.look(*end) == []
    assert watched.look(kernel("idle")) == []


def test_it_can_be_switched_off() -> None:
    watched = Watched(make_server(notify_idle=False))
    watched.look(kernel())
    watched.look(kernel())
    assert watched.look(kernel("idle")) == []


def test_an_end_during_a_reconnect_is_told_after_it() -> None:
    watched = Watched()
    watched.look(kernel())
    watched.look(kernel())
    watched.feed(Failed(1, DOWN))
    assert watched.activity is None
    watched.feed(RetryDue(2))
    watched.feed(Connected(2))
    assert watched.activity is None
    assert [type(effect) for effect in watched.look(kernel("idle"))] == [NotifyIdle]


def test_a_disconnect_forgets() -> None:
    watched = Watched()
    watched.look(kernel())
    watched.look(kernel())
    watched.feed(Disconnect())
    assert watched.stepped.jupyter.runs == ()


def test_a_look_that_told_nothing_changes_nothing() -> None:
    watched = Watched()
    watched.look(kernel())
    watched.look(kernel())
    watched.feed(Health(R.READY, PAGE))
    assert watched.activity is None
    assert [type(effect) for effect in watched.look(kernel("idle"))] == [NotifyIdle]


def test_the_page_opens_before_anything_is_told() -> None:
    watched = Watched()
    watched.look(kernel())
    watched.look(kernel())
    watched.feed(Failed(1, DOWN))
    watched.feed(Connect())
    attempt = watched.stepped.session.attempt
    watched.feed(Connected(attempt))
    assert [type(e) for e in watched.look(kernel("idle"))] == [OpenBrowser, NotifyIdle]


def test_another_tunnel_is_not_needed_to_switch_it() -> None:
    assert make_server().same_link(make_server(notify_idle=False))


def test_the_sum() -> None:
    kernels = Kernels(
        (
            kernel(last_activity=5.0),
            kernel("idle", "b", last_activity=7.0),
            kernel("other", "c"),
        ),
        Memory(3),
    )
    runs = (Run("a", "a", 4.0, 5.0), Run("b", "b", 3.0, 5.0))
    assert activity(kernels, runs, 9.0) == Activity(9.0, 1, 1, 1, 3.0, 7.0, Memory(3))


# --- words ---------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Activity(NOON), ""),
        (Activity(NOON, idle=1), "1 kernel, idle"),
        (Activity(NOON, idle=1, last_activity=NOON - 60), "1 kernel, idle since 11:59"),
        (
            Activity(NOON, idle=2, last_activity=NOON - 200_000),
            "2 kernels, idle since 23 Nov 04:26",
        ),
        (Activity(NOON, busy=1, busy_since=NOON - 60), "1 kernel, busy since 11:59"),
        (Activity(NOON, busy=1, idle=1, busy_since=NOON - 60), "2 kernels, 1 busy since 11:59"),
        (Activity(NOON, other=1), "1 kernel"),
        (Activity(NOON, idle=1, memory=Memory(2**30)), "1 kernel, idle, 1.0 GB"),
        (
            Activity(NOON, idle=1, memory=Memory(1288490189, 2**33)),
            "1 kernel, idle, 1.2 GB of 8.0 GB",
        ),
    ],
)
def test_words(said: Activity, words: str) -> None:
    assert activity_text(said) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59, "1 min"), (150, "2 min"), (7500, "2 h 5 min"), (3 * 86400 + 4 * 3600, "3 d 4 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "0.0 KB"), (2**20, "1.0 MB"), (999 * 2**20, "999 MB"), (1000 * 2**20, "1.0 GB"),
     (2**52, "4096 TB")],
)  # fmt: skip
def test_sizes(number: int, words: str) -> None:
    assert size(number) == words


def test_the_notice_names_the_notebook() -> None:
    notice = idle_again("GPU box", [Run("k", "train.ipynb", 0.0, 7500.0)])
    assert (notice.title, notice.body) == (
        "train.ipynb is idle again",
        "On GPU box, after 2 h 5 min",
    )
    assert notice.buttons == (open_page("GPU box"),)


def test_one_notice_for_those_that_ended_together() -> None:
    notice = idle_again("GPU box", [Run(str(n), f"{n}.ipynb", 0.0, 60.0) for n in range(7)])
    assert notice.title == "7 notebooks of GPU box are idle again"
    assert notice.body.splitlines() == [
        *(f"{n}.ipynb, busy for 1 min" for n in range(5)),
        "and 2 more",
    ]
