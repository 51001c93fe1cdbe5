"""Which page opens when, and when a Jupyter is started: with the link that it runs behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.servers import make_server
from tests.support.stepping import Effect, Stepped
from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.page import Page
from trayconnect.services.jupyter import machine
from trayconnect.services.jupyter.machine import (
    SOON,
    AskHowItEnded,
    CheckAgain,
    CheckHealth,
    EntryChanged,
    Examined,
    HowItEnded,
    JupyterState,
    JupyterStopped,
    JupyterStopping,
    LinkDown,
    LinkUp,
    OpenBrowser,
    Started,
    StartServer,
)
from trayconnect.services.jupyter.model import FoundJupyter, Health
from trayconnect.services.protocol import (
    Level,
)
from trayconnect.sessions.state import (
    Closed,
    ConfigChanged,
    Connect,
    Connected,
    Disconnect,
    Event,
    Failed,
    NetworkChanged,
    Restart,
    RetryDue,
    State,
)

PAGE = Page("http://127.0.0.1:18888/lab")
DOWN = Problem("gpu refused", "Is it on?", Recovery.RETRY)
REFUSED = Problem("Login refused", "Check the key", Recovery.USER_ACTION)
CHANGED = Problem("The host key changed", "Ask the administrator", Recovery.FIX_FIRST)
SILENT = Problem("Nothing listens on localhost:8888", "Start Jupyter there")
BROKEN = Problem("jupyter-lab was not found", "Install it")
READY = Health(Level.READY, PAGE)
MOVED = Health(Level.LOGGED_IN, Page(PAGE.url, "new"))
AMBER = Health(Level.NOTHING, PAGE, SILENT)
MISSING = replace(AMBER, missing=True)
QUIET = make_server(open_browser=False)
STARTS = make_server(start=True)

Given = Event | Command | CheckAgain | JupyterStopping | JupyterStopped | Health
UP = (Connect(), Connected(1))


def run(*given: Given, server: Server | None = None) -> tuple[Stepped, list[Effect]]:
    """What has become of it, and the effects of the last."""
    return more(Stepped(server or make_server()), *given)


def more(stepped: Stepped, *given: Given) -> tuple[Stepped, list[Effect]]:
    effects: list[Effect] = []
    for each in given:
        effects = stepped.feed(each)
    return stepped, effects


def found(stepped: Stepped, event: machine.Event, now: float = 0.0) -> list[machine.Effect]:
    """What is to be done after something that a thread of the service found."""
    stepped.jupyter, effects = machine.step(stepped.jupyter, event, now)
    return list(effects)


def of_jupyter(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, machine.Effect)]


# --- the page -------------------------------------------------------------------------------------


def test_the_browser_opens_once_on_the_first_page_after_the_users_connect() -> None:
    stepped, effects = run(*UP, READY)
    assert effects == [OpenBrowser(PAGE)]
    _, again = more(stepped, READY)
    assert again == []


def test_the_browser_does_not_open_on_a_reconnect() -> None:
    stepped, effects = run(*UP, READY, Failed(1, DOWN), RetryDue(2), Connected(2), READY)
    assert (stepped.session.state, effects) == (State.UP, [])


def test_the_browser_still_opens_when_the_first_attempts_failed() -> None:
    _, effects = run(Connect(), Failed(1, DOWN), RetryDue(2), Connected(2), READY)
    assert effects == [OpenBrowser(PAGE)]


def test_the_browser_stays_closed_where_the_file_says_so() -> None:
    stepped, effects = run(*UP, READY, server=QUIET)
    assert effects == []
    assert not stepped.snapshot.service.browser_pending


def test_a_silent_jupyter_is_known_and_the_browser_opens_when_it_starts() -> None:
    stepped, effects = run(*UP, AMBER)
    assert (stepped.snapshot.problem, effects) == (SILENT, [])
    stepped, effects = more(stepped, READY)
    assert (stepped.snapshot.problem, effects) == (None, [OpenBrowser(PAGE)])


@pytest.mark.parametrize("health", [None, AMBER])
def test_a_click_while_no_page_answers_is_owed_a_page(health: Health | None) -> None:
    stepped, _ = run(*UP, READY, Failed(1, DOWN), RetryDue(2), Connected(2))
    if health is not None:
        stepped.feed(health)
    stepped, effects = more(stepped, Connect())
    assert (stepped.session.state, of_jupyter(effects)) == (State.UP, [CheckHealth()])
    _, effects = more(stepped, READY)
    assert effects == [OpenBrowser(PAGE)]


def test_a_page_that_is_asked_for_opens_whatever_the_file_says() -> None:
    stepped, effects = run(*UP, Command("open"), READY, server=QUIET)
    assert effects == [OpenBrowser(PAGE)]
    _, effects = more(stepped, Command("connect"))
    assert effects == []
    # What is known may be a minute old: a look proves that the page is there, and its token good.
    _, effects = more(stepped, Command("open"))
    assert effects == [CheckHealth()]
    _, effects = more(stepped, MOVED)
    assert effects == [OpenBrowser(MOVED.page)]
    _, effects = more(stepped, Command("open"), AMBER)
    assert effects == []
    _, effects = more(stepped, READY)
    assert effects == [OpenBrowser(PAGE)]
    _, effects = more(stepped, Failed(1, DOWN), RetryDue(2), Connected(2), READY)
    assert effects == []


BEFORE: list[tuple[Given, ...]] = [
    (),
    (Connect(),),
    (Connect(), Failed(1, DOWN)),
    (Connect(), Failed(1, REFUSED)),
    (Connect(), Failed(1, CHANGED)),
    (*UP, Disconnect()),
]


def settle(stepped: Stepped) -> list[Effect]:
    """Let its link come up."""
    if stepped.session.state is State.CLOSING:
        stepped.feed(Closed(stepped.session.attempt))
    return stepped.feed(Connected(stepped.session.attempt))


@pytest.mark.parametrize("before", BEFORE)
def test_a_page_may_be_asked_for_at_any_time(before: tuple[Given, ...]) -> None:
    stepped, _ = run(*before, Connect(), Command("open"), server=QUIET)
    settle(stepped)
    assert stepped.feed(READY) == [OpenBrowser(PAGE)]


def test_a_page_that_was_asked_for_is_forgotten_with_a_disconnect() -> None:
    stepped, _ = run(Connect(), Command("open"), Disconnect(), Closed(2), server=QUIET)
    _, effects = more(stepped, Connect(), Connected(2), READY)
    assert effects == []


@pytest.mark.parametrize("before", [UP, (*UP, READY), (Connect(),)])
def test_after_a_restart_a_page_opens_that_is_still_owed(before: tuple[Given, ...]) -> None:
    stepped, _ = run(*before)
    owed = stepped.snapshot.service.browser_pending
    stepped, _ = more(stepped, Restart())
    settle(stepped)
    assert stepped.feed(READY) == ([OpenBrowser(PAGE)] if owed else [])


def test_a_restart_of_one_that_is_off_opens_no_page() -> None:
    _, effects = run(Restart(), Connected(1), READY)
    assert effects == []


# --- starting and stopping ------------------------------------------------------------------------


def test_jupyter_is_started_where_a_link_is_up() -> None:
    stepped, effects = run(*UP, AMBER, Command("start-jupyter"))
    assert (stepped.facts.starting, stepped.snapshot.problem) == (True, None)
    assert effects == [StartServer()]
    _, again = more(stepped, Command("start-jupyter"))
    assert again == []
    assert found(stepped, Started(1, "in tmux")) == [CheckHealth()]
    stepped, effects = more(stepped, READY)
    assert (stepped.facts.starting, stepped.facts.launcher) == (
        False,
        "in tmux",
    )
    assert effects == [OpenBrowser(PAGE)]


@pytest.mark.parametrize("before", BEFORE)
def test_it_connects_first_and_is_started_then(before: tuple[Given, ...]) -> None:
    stepped, _ = run(*before, Connect(), Command("start-jupyter"))
    assert of_jupyter(settle(stepped)) == [StartServer()]
    assert stepped.facts.starting
    attempt = stepped.session.attempt
    _, effects = more(stepped, Failed(attempt, DOWN), RetryDue(attempt + 1), Connected(attempt + 1))
    assert effects == []  # once


def test_where_one_runs_no_other_is_started() -> None:
    assert run(*UP, READY, Command("start-jupyter"))[1] == []
    strangers = replace(READY, missing=True)
    assert run(*UP, strangers, Command("start-jupyter"))[1] == [StartServer()]


def test_where_another_one_was_chosen_the_entrys_own_is_started() -> None:
    other = FoundJupyter("8889", "/data", "/data", "2.0", 0, in_use=True, is_own=False)
    assert run(*UP, replace(READY, jupyters=(other,)), Command("start-jupyter"))[1] == [
        StartServer()
    ]


def used(pid: int) -> Health:
    one = FoundJupyter("8888", "/a", "/a", "2.0", 0, in_use=True, pid=pid, born="1")
    return replace(READY, jupyters=(one,))


def test_none_that_runs_is_started_once_after_the_users_connect() -> None:
    stepped, effects = run(*UP, MISSING, server=STARTS)
    assert effects == [StartServer()]
    found(stepped, Started(1, problem=BROKEN))
    stepped, effects = more(stepped, MISSING)
    assert (stepped.snapshot.problem, effects) == (BROKEN, [])
    stepped, effects = more(stepped, CheckAgain(), MISSING)
    assert effects == []
    assert run(*UP, MISSING, server=make_server(start={"when": "menu"}))[1] == []


@pytest.mark.parametrize(
    "before",
    [
        (Connect(), Failed(1, DOWN)),
        (Connect(), Failed(1, REFUSED)),
        (Connect(), Failed(1, CHANGED)),
        (*UP, AMBER),
    ],
)
def test_a_users_connect_allows_a_start_again(before: tuple[Given, ...]) -> None:
    stepped, _ = run(*before, server=STARTS)
    stepped.jupyter = replace(stepped.jupyter, is_start_allowed=False)
    stepped, _ = more(stepped, Connect())
    assert stepped.jupyter.is_start_allowed


@pytest.mark.parametrize("is_fresh", [False, True])
def test_a_change_of_the_file_neither_allows_a_start_nor_forbids_it(is_fresh: bool) -> None:
    stepped, _ = run(*UP, *(() if is_fresh else (READY,)), server=STARTS)
    stepped, _ = more(stepped, ConfigChanged(make_server(start=True, host="elsewhere")))
    settle(stepped)
    assert stepped.feed(MISSING) == ([StartServer()] if is_fresh else [])


def test_the_users_reconnect_is_a_connect() -> None:
    stepped, _ = run(*UP, READY, Restart(), server=STARTS)
    settle(stepped)
    assert stepped.feed(MISSING) == [StartServer()]


def test_a_disconnect_forgets_the_wish_for_a_jupyter() -> None:
    stepped, _ = run(Connect(), Command("start-jupyter"), Disconnect(), Closed(2), Connect())
    assert settle(stepped) == []


def test_an_order_to_start_outlives_a_change_of_the_file() -> None:
    stepped, _ = run(*UP, READY)
    stepped, _ = more(stepped, ConfigChanged(make_server(host="elsewhere")))
    stepped, _ = more(stepped, Command("start-jupyter"), Connect())
    assert settle(stepped) == [StartServer()]


def test_while_it_starts_only_what_answers_counts() -> None:
    stepped, _ = run(*UP, AMBER, Command("start-jupyter"))
    before = stepped.jupyter
    assert stepped.feed(MISSING) == []
    assert stepped.jupyter == before
    assert stepped.feed(READY) == [OpenBrowser(PAGE)]


def test_a_look_that_began_before_a_start_ended_is_out_of_date() -> None:
    stepped, _ = run(*UP, AMBER, Command("start-jupyter"))
    epoch = stepped.jupyter.epoch
    found(stepped, Started(1, "in tmux"))
    assert found(stepped, Examined(1, epoch, MISSING)) == []
    assert stepped.facts.launcher == "in tmux"


def test_one_that_is_about_to_be_stopped_is_not_started_again() -> None:
    """The look that finds it gone may come before the word that it is, and after one that began
    before the order, and found it."""
    stepped, _ = run(*UP, used(7), server=STARTS)
    before = stepped.snapshot
    assert stepped.feed(JupyterStopping()) == []
    assert stepped.snapshot == before
    assert stepped.feed(used(7)) == []
    assert stepped.feed(MISSING) == []
    assert stepped.feed(JupyterStopped()) == [CheckHealth()]
    assert stepped.feed(MISSING) == []


def test_one_that_could_not_be_stopped_is_missed_when_it_crashes() -> None:
    stepped, _ = run(*UP, used(7), server=STARTS)
    stepped.feed(JupyterStopping())
    stepped.feed(used(7))
    assert stepped.feed(JupyterStopped(done=False)) == []
    (asked,) = stepped.feed(MISSING)
    assert isinstance(asked, AskHowItEnded)


def test_a_stop_whose_link_is_lost_leads_to_no_start() -> None:
    stepped, _ = run(*UP, used(7), server=STARTS)
    jupyter, _ = machine.step(stepped.jupyter, JupyterStopping(), 0.0)
    jupyter, _ = machine.step(jupyter, Examined(1, jupyter.epoch, used(7)), 0.0)
    jupyter, _ = machine.step(jupyter, LinkDown(), 0.0)
    jupyter, _ = machine.step(jupyter, JupyterStopped(done=False), 0.0)
    jupyter, _ = machine.step(jupyter, LinkUp(), 0.0)
    _, effects = machine.step(jupyter, Examined(2, jupyter.epoch, MISSING), 0.0)
    assert effects == ()


def test_one_that_the_user_stopped_is_not_missed() -> None:
    stepped, _ = run(*UP, READY)
    found(stepped, Started(1, "in tmux"))
    assert stepped.feed(JupyterStopped()) == [CheckHealth()]
    assert (stepped.snapshot.page, stepped.facts.launcher) == (None, "")
    stepped.feed(AMBER)
    assert stepped.feed(READY) == []  # no page opens for one that somebody else started


@pytest.mark.parametrize(
    ("health", "launcher"),
    [
        (used(7), "in tmux"),
        (MISSING, ""),  # File > Shut Down
        (used(8), ""),  # somebody started another, or chose it
        (AMBER, "in tmux"),  # it may be busy
    ],
)
def test_what_jupyter_runs_in_is_told_while_it_runs(health: Health, launcher: str) -> None:
    stepped, _ = run(*UP, used(6), Command("start-jupyter"))  # 6: in use until ours was started
    found(stepped, Started(1, "in tmux"))
    more(stepped, used(7), health)
    assert stepped.facts.launcher == launcher


def ended(stepped: Stepped, *, crashed: bool | None, now: float = 0.0) -> list[machine.Effect]:
    """The one in use has gone, and how it went."""
    (asked,) = stepped.feed(MISSING, now)
    assert isinstance(asked, AskHowItEnded)
    event = HowItEnded(stepped.jupyter.link, asked.epoch, asked.used, crashed, asked.health)
    return found(stepped, event, now)


@pytest.mark.parametrize(("crashed", "starts"), [(True, True), (False, False), (None, False)])
def test_only_one_that_crashed_is_started_again(crashed: bool | None, starts: bool) -> None:
    stepped, _ = run(*UP, used(7), server=STARTS)
    assert ended(stepped, crashed=crashed) == ([StartServer()] if starts else [])
    assert (stepped.snapshot.problem is None) is starts
    assert stepped.snapshot.is_ready is starts  # nothing is told before it is known what comes


def test_one_that_crashes_again_soon_is_not_started_for_ever() -> None:
    for after, starts in ((SOON - 1, False), (SOON, True)):
        stepped, _ = run(*UP, used(7), server=STARTS)
        assert ended(stepped, crashed=True) == [StartServer()]
        found(stepped, Started(1, "in tmux"))
        stepped.feed(used(8))
        assert ended(stepped, crashed=True, now=after) == ([StartServer()] if starts else [])
        told = stepped.snapshot.problem
        assert (told is None) is starts
        assert told is None or "twice" in told.title


def test_a_corrected_entry_is_tried_at_once() -> None:
    stepped, _ = run(*UP, MISSING, server=STARTS)
    found(stepped, Started(1, problem=BROKEN))
    stepped.feed(MISSING)
    assert CheckHealth() in stepped.feed(ConfigChanged(make_server(start={"folder": "~/a"})))
    assert stepped.feed(MISSING) == [StartServer()]


EVENTS: list[Callable[[JupyterState], machine.Event]] = [
    lambda _: Command("connect"),
    lambda _: Command("open"),
    lambda _: Command("disconnect"),
    lambda _: Command("reconnect"),
    lambda _: EntryChanged(make_server(host="other.example.org", start=True)),
    lambda _: CheckAgain(),
    lambda _: Command("start-jupyter"),
    lambda _: JupyterStopped(),
    lambda _: JupyterStopped(done=False),
    lambda _: JupyterStopping(),
    lambda _: EntryChanged(QUIET),
    lambda _: EntryChanged(STARTS),
    lambda state: LinkDown() if state.is_linked else LinkUp(),
    lambda state: Examined(state.link, state.epoch, READY),
    lambda state: Examined(state.link, state.epoch, used(7)),
    lambda state: Examined(state.link, state.epoch - 1, MISSING),
    lambda state: Examined(state.link, state.epoch, MISSING),
    lambda state: Examined(state.link - 1, state.epoch, READY),
    lambda state: Started(state.link, "in tmux"),
    lambda state: Started(state.link, problem=BROKEN),
]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from([True, False, None]))))
def test_whatever_happens_a_start_is_one_at_a_time_and_over_a_link(
    moves: list[tuple[Callable[[JupyterState], machine.Event], bool | None]],
) -> None:
    state = JupyterState(STARTS)
    for make, crashed in moves:
        event = make(state)
        if isinstance(event, Started) and not state.starting:
            continue
        was_starting = state.starting
        state, effects = machine.step(state, event, 0.0)
        for effect in effects:
            assert state.is_linked or not isinstance(effect, CheckHealth | StartServer)
            if isinstance(effect, StartServer):
                assert state.starting
                assert not was_starting
            if isinstance(effect, AskHowItEnded):
                event = HowItEnded(state.link, effect.epoch, effect.used, crashed, effect.health)
                state, _ = machine.step(state, event, 0.0)
        assert state.is_linked or not (state.health or state.starting or state.launcher)
        assert not (state.starting and state.problem)


def test_a_change_of_the_network_looks_again() -> None:
    assert of_jupyter(run(*UP, READY, NetworkChanged())[1]) == [CheckHealth()]
