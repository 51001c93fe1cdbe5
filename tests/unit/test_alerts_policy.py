"""What is told of the sessions, and when: by stories, and for whatever may happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.servers import make_server
from tests.support.stepping import Stepped
from trayconnect.alerts.policy import ANSWER_TIME, GRACE, LONG_GRACE, RESTLESS, SETTLE, WAITS
from trayconnect.alerts.scheduler import GATHER, AlertScheduler
from trayconnect.core.command import Button
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.notices import EDIT, Notice, Urgency, disconnect, open_page, retry
from trayconnect.core.page import Page
from trayconnect.core.questions import Answer, Question, QuestionKind
from trayconnect.services.jupyter.model import Health
from trayconnect.services.protocol import Level
from trayconnect.sessions.machine import IllegalEvent
from trayconnect.sessions.snapshot import Cause
from trayconnect.sessions.state import (
    Answered,
    Asked,
    Closed,
    ConfigChanged,
    Connect,
    Connected,
    Disconnect,
    Event,
    Failed,
    NetworkChanged,
    RetryDue,
    State,
)

PAGE = Page("http://127.0.0.1:18888/lab", "secret")
READY = Health(Level.READY, PAGE)
DOWN = Problem("gpu refused", "Is it on?", Recovery.RETRY)
REFUSED = Problem("Login refused", "Check the key", Recovery.USER_ACTION)
CHANGED = Problem("The host key changed", "Ask the administrator", Recovery.FIX_FIRST)
ELSEWHERE = Problem(
    "The host key changed",
    "Someone may be listening in.\n  known: SHA256:x\n  shown now: SHA256:y\nIf so:\n  ssh-keygen",
    Recovery.NETWORK,
)
SILENT = Problem("Nothing listens on localhost:8888", "Start Jupyter there")
AMBER = Health(Level.NOTHING, PAGE, SILENT)
QUESTION = Question(QuestionKind.PASSWORD, "GPU box", "Log in to gpu", "ada's password")
OPEN, RETRY, DISCONNECT = (make("GPU box") for make in (open_page, retry, disconnect))
ADVANCE = (RETRY, DISCONNECT)


Given = Event | Health


@dataclass
class Newsroom:
    """Alerts, the sessions that they follow, and what stands on the user's screen.

    Time passes only here. Events are given without their attempt: it is always the present one.
    """

    names: tuple[str, ...] = ("GPU box",)
    now: float = 0.0
    told: list[Notice] = field(default_factory=list)
    screen: dict[str, Notice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.alerts = AlertScheduler(self)
        self.sessions = {name: Stepped(make_server(name)) for name in self.names}

    def happen(
        self, *makes: Given | Callable[[int], Given], name: str = "", cause: Cause = Cause.OTHER
    ) -> None:
        """Events, of one session or of all."""
        for make in makes:
            for each in [name] if name else self.names:
                stepped = self.sessions[each]
                given = make(stepped.session.attempt) if callable(make) else make
                why = Cause.ORDER if isinstance(given, Connect) else cause
                before = stepped.snapshot
                stepped.feed(given, self.now)
                self.alerts.follow(before, stepped.snapshot, why, self.now)
        self.release()

    def wait(self, seconds: float) -> list[str]:
        """Let time pass; the titles of what was told in it."""
        end, before = self.now + seconds, len(self.told)
        while (due := self.alerts.due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.release()
        self.now = end
        return [notice.title for notice in self.told[before:]]

    def release(self) -> None:
        self.alerts.deliver(self.now)

    def notify(self, notice: Notice) -> None:
        self.told.append(notice)
        self.screen[notice.tag] = notice

    def withdraw(self, tag: str) -> None:
        self.screen.pop(tag, None)

    @property
    def shown(self) -> list[str]:
        return [notice.title for notice in self.screen.values()]


def healthy(_attempt: int) -> Given:
    return READY


def silent(_attempt: int) -> Given:
    return AMBER


def lost(attempt: int) -> Event:
    return Failed(attempt, DOWN)


unreachable = lost


def refused(attempt: int) -> Event:
    return Failed(attempt, REFUSED)


def changed(attempt: int) -> Event:
    return Failed(attempt, CHANGED)


def elsewhere(attempt: int) -> Event:
    return Failed(attempt, ELSEWHERE)


def asked(attempt: int) -> Event:
    return Asked(attempt, QUESTION)


def answered(attempt: int) -> Event:
    return Answered(attempt, Answer(("x",), remember=True))


UP = (Connect(), Connected, healthy)
RETURN = (RetryDue, Connected, healthy)


@pytest.fixture
def room() -> Newsroom:
    return Newsroom()


@pytest.fixture
def lab() -> Newsroom:
    """Five servers that are up, and the user was told."""
    room = Newsroom(tuple("ABCDE"))
    room.happen(*UP)
    room.wait(RESTLESS)
    room.told.clear()
    room.screen.clear()
    return room


@pytest.mark.parametrize(
    ("events", "title", "buttons", "urgency", "wait"),
    [
        (UP, "is connected", (OPEN, DISCONNECT), None, SETTLE),
        ((Connect(), unreachable), "cannot be reached yet", ADVANCE, None, GRACE),
        ((Connect(), Connected, silent), "has no page yet", ADVANCE, None, GRACE),
        ((*UP, lost), "no longer answers", ADVANCE, None, GRACE),
        ((*UP, silent), "no longer answers", ADVANCE, None, GRACE),
        ((Connect(), asked), "waits for your answer", ADVANCE[1:], None, ANSWER_TIME),
        ((Connect(), refused), "needs you", ADVANCE, Urgency.CRITICAL, SETTLE),
        (
            (Connect(), changed),
            "could not be connected",
            (RETRY, EDIT),
            Urgency.CRITICAL,
            SETTLE,
        ),
    ],
)
def test_what_is_told_and_when(
    room: Newsroom,
    events: tuple[Given, ...],
    title: str,
    buttons: tuple[Button, ...],
    urgency: Urgency | None,
    wait: float,
) -> None:
    room.happen(*events)
    assert room.wait(wait - 0.01) == []
    assert room.wait(0.01) == [f"GPU box {title}"]
    (notice,) = room.told
    assert notice.buttons == buttons
    assert notice.urgency is (urgency or Urgency.NORMAL)
    assert "secret" not in str(notice)
    assert room.wait(3600) == []
    assert room.shown == [notice.title]


def test_why_it_is_so_stands_below(room: Newsroom) -> None:
    room.happen(Connect(), unreachable)
    room.wait(GRACE)
    room.happen(Disconnect(), Closed, *UP)
    room.wait(SETTLE)
    room.happen(Disconnect(), Closed, Connect(), asked)
    room.wait(ANSWER_TIME)
    assert [notice.body for notice in room.told] == [
        "gpu refused\nIs it on?\nTrying again automatically",
        "http://127.0.0.1:18888/lab",
        "Log in to gpu",
    ]


@pytest.mark.parametrize("blip", [(lost, *RETURN), (silent, healthy)])
def test_a_blip_is_silent(room: Newsroom, blip: tuple[Given, ...]) -> None:
    room.happen(*UP)
    room.wait(60)
    room.happen(blip[0])
    assert room.wait(GRACE - 0.01) == []
    room.happen(*blip[1:])
    assert room.wait(3600) == []
    assert room.shown == []


def test_lost_then_back_in_its_place(room: Newsroom) -> None:
    room.happen(*UP)
    room.wait(60)
    room.happen(lost)
    assert room.shown == []
    assert room.wait(GRACE) == ["GPU box no longer answers"]
    room.happen(RetryDue, unreachable)
    assert room.wait(60) == []
    room.happen(*RETURN)
    assert room.shown == ["GPU box no longer answers"]
    assert room.wait(60) == ["GPU box is back"]
    assert room.shown == ["GPU box is back"]
    assert room.told[-1].passing
    assert room.told[-1].tag == room.told[-2].tag


def test_failed_for_a_while_then_back_in_its_place(room: Newsroom) -> None:
    room.happen(*UP)
    room.wait(60)
    for _ in range(2):
        room.happen(lost, RetryDue, elsewhere)
        assert room.wait(60) == ["GPU box could not be connected"]
        room.happen(NetworkChanged(), elsewhere)
        assert room.wait(60) == []
        room.happen(NetworkChanged(), unreachable)
        assert room.wait(60) == ["GPU box no longer answers"]
        room.happen(RetryDue, elsewhere, RetryDue, unreachable)
        assert room.wait(60) == []
        room.happen(*RETURN)
        assert room.wait(RESTLESS) == ["GPU box is back"]


def test_a_failure_that_is_retried_says_so_and_shows_no_fingerprints(room: Newsroom) -> None:
    room.happen(Connect(), elsewhere)
    room.wait(SETTLE)
    assert room.told[0].body.splitlines() == [
        "The host key changed",
        "Someone may be listening in.",
        "…",
        "Trying again automatically",
    ]


def test_a_return_that_does_not_last_is_no_news(room: Newsroom) -> None:
    room.happen(*UP)
    room.wait(60)
    room.happen(lost)
    room.wait(GRACE)
    room.happen(*RETURN)
    room.wait(SETTLE / 2)
    room.happen(lost)
    assert room.wait(3600) == []
    assert room.shown == ["GPU box no longer answers"]
    room.happen(*RETURN)
    assert room.wait(60) == ["GPU box is back"]


def test_a_server_that_comes_and_goes_is_not_told_each_time(room: Newsroom) -> None:
    room.happen(*UP)
    room.wait(60)
    for _ in range(10):
        room.happen(lost)
        room.wait(2 * GRACE)
        room.happen(*RETURN)
        room.wait(20)
    assert [notice.title for notice in room.told] == [
        "GPU box is connected",
        "GPU box no longer answers",
        "GPU box is back",
    ]
    room.happen(lost)
    assert room.wait(LONG_GRACE) == ["GPU box no longer answers"]


def test_a_login_that_was_typed_needs_the_user_after_a_loss(room: Newsroom) -> None:
    room.happen(Connect(), lambda n: Connected(n, typed_login=True), healthy)
    room.wait(60)
    room.happen(lost)
    assert room.wait(SETTLE) == ["GPU box needs you"]
    room.happen(Connect())
    assert room.shown == []


def test_what_is_over_leaves_the_screen(room: Newsroom) -> None:
    room.happen(Connect(), asked)
    room.wait(ANSWER_TIME)
    room.happen(answered)
    assert room.shown == []
    room.happen(unreachable)
    room.wait(GRACE)
    assert room.shown == ["GPU box cannot be reached yet"]
    room.happen(Disconnect())
    assert room.shown == []
    assert room.wait(60) == []


def test_a_notice_does_not_outlive_what_it_says_for_slower_news(room: Newsroom) -> None:
    room.happen(Connect(), Connected, silent)
    room.wait(GRACE)
    assert room.shown == ["GPU box has no page yet"]
    room.happen(lost)
    assert room.shown == []
    assert room.wait(GRACE) == ["GPU box cannot be reached yet"]


def test_an_answered_question_leaves_the_screen_though_the_server_is_still_lost(
    room: Newsroom,
) -> None:
    room.happen(*UP)
    room.wait(60)
    room.happen(lost)
    room.wait(GRACE)
    room.happen(RetryDue, asked)
    room.wait(ANSWER_TIME)
    assert room.shown == ["GPU box waits for your answer"]
    room.happen(answered)
    assert room.shown == []
    assert room.wait(60) == []
    room.happen(Connected, healthy)
    assert room.wait(60) == ["GPU box is back"]


def test_an_answer_in_time_needs_no_notice(room: Newsroom) -> None:
    room.happen(Connect(), asked)
    room.wait(ANSWER_TIME - 1)
    room.happen(answered)
    room.wait(1)
    assert room.told == []


def test_a_second_question_of_one_login_is_not_told_again(room: Newsroom) -> None:
    room.happen(Connect(), asked)
    room.wait(ANSWER_TIME)
    room.happen(answered, asked)
    assert room.wait(60) == []


def test_the_outcome_of_a_click_is_told_even_if_it_is_the_same(room: Newsroom) -> None:
    room.happen(Connect(), changed)
    assert room.wait(SETTLE) == ["GPU box could not be connected"]
    room.happen(Connect(), changed)
    assert room.wait(SETTLE) == ["GPU box could not be connected"]


def test_retries_that_fail_say_it_once(room: Newsroom) -> None:
    room.happen(Connect(), unreachable)
    for _ in range(20):
        room.wait(60)
        room.happen(RetryDue, unreachable)
    assert [notice.title for notice in room.told] == ["GPU box cannot be reached yet"]
    room.happen(RetryDue, Connected, silent, lost)
    room.wait(60)
    assert [notice.title for notice in room.told] == ["GPU box cannot be reached yet"]


def test_what_is_connected_without_a_click_says_nothing(room: Newsroom) -> None:
    room.happen(*UP)
    room.wait(60)
    room.happen(lambda _: ConfigChanged(make_server(host="new.example.org")), Closed)
    assert room.shown == []
    room.told.clear()
    room.happen(Connected, healthy)
    assert room.wait(60) == []


def test_sleep_gives_no_time_to_heal(room: Newsroom) -> None:
    room.happen(*UP)
    room.wait(60)
    room.happen(lost, RetryDue)
    room.now += 3600  # where the clock goes on in sleep
    room.happen(NetworkChanged(), cause=Cause.WOKE)
    assert room.wait(GRACE - 0.01) == []
    room.happen(Connected, healthy)
    assert room.wait(60) == []


def test_a_network_that_is_gone_is_one_notice_that_grows(lab: Newsroom) -> None:
    for name in "ABC":
        lab.happen(lost, name=name)
        lab.wait(0.5)
    lab.wait(GRACE)
    assert [notice.title for notice in lab.told] == ["3 servers no longer answer"]
    lab.happen(lost, name="D")
    lab.happen(silent, name="E")
    lab.wait(2 * GRACE)
    assert lab.shown == ["5 servers no longer answer"]
    (notice,) = lab.screen.values()
    assert notice.body.splitlines()[0] == "A: gpu refused"
    assert notice.buttons == ()
    lab.happen(healthy, name="E")
    for name in "ABCD":
        lab.happen(*RETURN, name=name)
        lab.wait(0.1)
    lab.wait(60)
    assert lab.shown == ["5 servers are back"]
    assert len(lab.told) <= 4


def test_a_network_that_changes_is_no_storm(lab: Newsroom) -> None:
    lab.happen(NetworkChanged(), lost)
    lab.wait(GRACE / 2)
    lab.happen(*RETURN)
    assert lab.wait(3600) == []


def test_a_notice_of_several_goes_when_it_is_no_longer_true_of_all(lab: Newsroom) -> None:
    lab.happen(lost, name="A")
    lab.happen(lost, name="B")
    lab.wait(GRACE)
    lab.wait(GATHER)
    lab.happen(*RETURN, name="A")
    lab.wait(60)
    assert lab.shown == ["A is back"]
    lab.happen(*RETURN, name="B")
    lab.wait(60)
    assert lab.shown == ["A is back", "B is back"]


def test_a_notice_of_several_is_not_taken_for_an_older_one(lab: Newsroom) -> None:
    for name in "AB":
        lab.happen(lost, name=name)
    lab.wait(GRACE + GATHER)
    lab.happen(*RETURN, name="A")
    lab.wait(GATHER)
    for name in "CD":
        lab.happen(lost, name=name)
    lab.wait(GRACE + GATHER)
    lab.happen(*RETURN, name="B")
    lab.wait(SETTLE)
    assert lab.shown == ["A is back", "2 servers no longer answer", "B is back"]


def test_a_server_that_is_gone_from_the_file_takes_its_notice_along(room: Newsroom) -> None:
    room.happen(Connect(), changed)
    room.wait(SETTLE)
    room.alerts.forget("GPU box")
    room.release()
    assert (room.shown, room.alerts.due()) == ([], None)


def test_many_are_not_all_named() -> None:
    room = Newsroom(tuple(f"S{number}" for number in range(8)))
    room.happen(*UP)
    room.wait(SETTLE)
    (notice,) = room.told
    assert notice.title == "8 servers are connected"
    assert notice.body.splitlines()[-2:] == ["S4", "and 3 more"]


MOVES: list[Callable[[int], Given]] = [
    lambda _: Connect(),
    lambda _: Disconnect(),
    lambda _: NetworkChanged(),
    lambda _: ConfigChanged(make_server(open_browser=False)),
    Connected,
    lambda n: Connected(n, typed_login=True),
    unreachable,
    refused,
    changed,
    elsewhere,
    lost,
    asked,
    answered,
    healthy,
    silent,
    RetryDue,
    Closed,
]


def play(room: Newsroom, moves: Iterable[tuple[Callable[[int], Given], float]]) -> None:
    for make, seconds in moves:
        try:
            room.happen(make)
        except IllegalEvent:
            continue
        room.wait(seconds)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(MOVES),
            st.sampled_from([0.0, 0.5, SETTLE, GRACE / 2, GRACE, ANSWER_TIME, 400.0]),
        ),
        max_size=60,
    )
)
def test_whatever_happens(moves: list[tuple[Callable[[int], Given], float]]) -> None:
    """Back only after lost or failed; one notice of a server at most; never the same twice without
    an order of the user's or other news in between; nothing on the screen of what is off."""
    room = Newsroom()
    missed = False
    previous = ""
    for make, seconds in moves:
        count = len(room.told)
        try:
            room.happen(make)
        except IllegalEvent:
            continue
        room.wait(seconds)
        state = room.sessions["GPU box"].session.state
        if isinstance(make(0), Connect | Disconnect) or state in (
            State.OFF,
            State.CLOSING,
        ):
            missed, previous = False, ""
        for notice in room.told[count:]:
            assert notice.title != previous
            previous = notice.title
            if "is back" in notice.title:
                assert missed
                missed = False
            told = ("no longer answers", "could not be connected")
            missed = missed or any(words in notice.title for words in told)
        assert len(room.screen) <= 1
        if state in (State.OFF, State.CLOSING):
            assert room.screen == {}
        due = room.alerts.due()
        assert due is None or due <= room.now + max(*WAITS.values(), LONG_GRACE)


@given(
    st.lists(
        st.tuples(st.sampled_from([lost, silent]), st.floats(0, GRACE - 0.01), st.floats(0, 60)),
        max_size=20,
    )
)
def test_no_blip_is_ever_told(
    blips: list[tuple[Callable[[int], Given], float, float]],
) -> None:
    room = Newsroom()
    room.happen(*UP)
    room.wait(60)
    for make, down, up in blips:
        room.happen(make)
        room.wait(down)
        room.happen(*(RETURN if make is lost else (healthy,)))
        room.wait(up)
    assert [notice.title for notice in room.told] == ["GPU box is connected"]
