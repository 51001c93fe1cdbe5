"""The transition table: what each event does in each state, and what it must never do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.servers import make_server
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.page import Page
from trayconnect.core.questions import Answer, Question, QuestionKind
from trayconnect.services.model import FoundJupyter, Health, Reached
from trayconnect.sessions import backoff
from trayconnect.sessions.effects import (
    AllowStart,
    CheckHealth,
    Close,
    Disconnect,
    Effect,
    Forget,
    Open,
    OpenBrowser,
    Ping,
    RetryAfter,
    StartServer,
    SuppressAutostart,
    Update,
)
from trayconnect.sessions.events import (
    Answered,
    Asked,
    Closed,
    ConfigChanged,
    Connect,
    Connected,
    ConnectFailed,
    DisconnectRequested,
    Event,
    ForwardsBound,
    HealthChanged,
    JupyterStarted,
    JupyterStarting,
    JupyterStopped,
    LookAgain,
    Lost,
    NetworkChanged,
    ProgressChanged,
    RemoteAnswered,
    Restart,
    RetryDue,
    StartJupyter,
    Woke,
)
from trayconnect.sessions.machine import IGNORED, TABLE, IllegalEvent, Now, step
from trayconnect.sessions.snapshot import snapshot
from trayconnect.sessions.state import Session, State
from trayconnect.ssh.config.configured_forwards import ConfiguredForwards

SERVER = make_server()
PAGE = Page("http://127.0.0.1:18888/lab")
DOWN = Problem("gpu refused", "Is it on?", Recovery.RETRY)
REFUSED = Problem("Login refused", "Check the key", Recovery.USER_ACTION)
CHANGED = Problem("The host key changed", "Ask the administrator", Recovery.FIX_FIRST)
ELSEWHERE = Problem("gpu port 22 is not an SSH server", "Check it", Recovery.NETWORK)
SILENT = Problem("Nothing listens on localhost:8888", "Start Jupyter there")
QUESTION = Question(QuestionKind.PASSWORD, "GPU box", "Password", "ada@gpu's password")
VISIT = Question(
    QuestionKind.VISIT, "GPU box", "It waits for you", "Visit https://h/", url="https://h/"
)
READY = Health(Reached.JUPYTER, PAGE)
MOVED = Health(Reached.LOGGED_IN, Page(PAGE.url, "new"))
AMBER = Health(Reached.SSH, PAGE, SILENT)
NOW = Now(now=1000.0, chance=0.0)


def run(
    *events: Event, session: Session | None = None, moment: Now = NOW
) -> tuple[Session, list[Effect]]:
    """Feed events one by one; the effects of the last."""
    current = session or Session(SERVER)
    effects: tuple[Effect, ...] = ()
    for event in events:
        current, effects = step(current, event, moment)
    return current, list(effects)


UP = (Connect(), Connected(1))
READY_UP = (*UP, HealthChanged(1, READY))


def ready(attempt: int) -> tuple[Event, ...]:
    return Connected(attempt), HealthChanged(attempt, READY)


def test_start_opens_the_first_attempt() -> None:
    session, effects = run(Connect())
    assert session.state is State.CONNECTING
    assert session.since == 1000.0
    assert effects == [Open(1, SERVER)]


def test_the_browser_opens_once_on_the_first_page_after_the_users_start() -> None:
    session, effects = run(*READY_UP)
    assert (session.state, effects) == (State.UP, [OpenBrowser(PAGE)])
    _, again = run(HealthChanged(1, READY), session=session)
    assert again == []


def test_the_browser_does_not_open_on_a_reconnect() -> None:
    session, effects = run(
        *READY_UP, Lost(1, DOWN), RetryDue(2), Connected(2), HealthChanged(2, READY)
    )
    assert session.state is State.UP
    assert effects == []


def test_the_browser_still_opens_when_the_first_attempts_failed() -> None:
    _, effects = run(
        Connect(), ConnectFailed(1, DOWN), RetryDue(2), Connected(2), HealthChanged(2, READY)
    )
    assert effects == [OpenBrowser(PAGE)]


def test_the_browser_stays_closed_where_the_file_says_so() -> None:
    quiet = Session(make_server(open_browser=False))
    session, effects = run(*READY_UP, session=quiet)
    assert effects == []
    assert not session.browser_pending


def test_a_silent_jupyter_is_known_and_the_browser_opens_when_it_starts() -> None:
    session, effects = run(*UP, HealthChanged(1, AMBER))
    assert (session.problem, effects) == (SILENT, [])
    session, effects = run(HealthChanged(1, READY), session=session)
    assert effects == [OpenBrowser(PAGE)]
    assert session.problem is None


@pytest.mark.parametrize(
    ("problem", "state"),
    [(DOWN, State.WAITING), (REFUSED, State.NEEDS_YOU), (CHANGED, State.FAILED)],
)
@pytest.mark.parametrize("report", [ConnectFailed, Lost])
def test_a_failure_goes_where_its_recovery_says(
    problem: Problem, state: State, report: Callable[[int, Problem], Event]
) -> None:
    session, effects = run(Connect(), report(1, problem))
    assert session.state is state
    assert session.problem == problem
    assert session.attempt == 2
    assert isinstance(effects[0], Disconnect)
    retries = [effect for effect in effects if isinstance(effect, RetryAfter)]
    assert bool(retries) is (state is State.WAITING)


@pytest.mark.parametrize("event", [Woke(), NetworkChanged()])
@pytest.mark.parametrize("problem", [ELSEWHERE, CHANGED])
def test_what_failed_is_tried_again_when_the_world_changed(problem: Problem, event: Event) -> None:
    failed, _ = run(Connect(), ConnectFailed(1, problem))
    session, effects = run(event, session=failed)
    assert effects == [Open(3, SERVER)]
    assert run(RetryDue(2), session=session) == (session, [])
    assert snapshot(session).state is State.FAILED  # until more is known
    assert snapshot(session).problem == failed.problem
    again, effects = run(ConnectFailed(3, problem), session=session)
    assert (again.state, again.problem) == (State.FAILED, failed.problem)
    _, effects = run(*ready(3), session=session)
    assert effects == [OpenBrowser(PAGE)]


def test_what_another_network_may_mend_is_tried_again_slowly() -> None:
    session, effects = run(Connect(), ConnectFailed(1, ELSEWHERE))
    assert effects == [Disconnect(), RetryAfter(2, backoff.SLOW)]
    assert session.retry_at == NOW.now + backoff.SLOW
    assert session.problem is not None
    assert session.problem.title == ELSEWHERE.title
    session, effects = run(RetryDue(2), session=session)
    assert effects == [Open(2, SERVER)]
    assert snapshot(session).state is State.FAILED
    clicked, effects = run(Connect(), session=session)
    assert (snapshot(clicked).state, effects) == (State.CONNECTING, [])


@pytest.mark.parametrize("failed", [DOWN, ELSEWHERE])
def test_a_question_ends_what_failed_before(failed: Problem) -> None:
    session, _ = run(Connect(), ConnectFailed(1, failed), RetryDue(2), Asked(2, QUESTION))
    assert (session.state, session.problem) == (State.NEEDS_YOU, None)


@pytest.mark.parametrize("order", [Connect(), Restart(), DisconnectRequested()])
def test_an_order_leaves_the_timer_of_a_failure_behind(order: Event) -> None:
    session, _ = run(Connect(), ConnectFailed(1, ELSEWHERE), order)
    assert run(RetryDue(2), session=session) == (session, [])


def test_a_failure_after_a_typed_login_waits_for_the_user() -> None:
    asked = (Connect(), Asked(1, QUESTION), Answered(1, Answer(("x",))))
    session, effects = run(*asked, ConnectFailed(1, ELSEWHERE))
    assert (session.state, session.retry_at, effects) == (State.FAILED, None, [Disconnect()])
    for event in (Woke(), NetworkChanged()):
        assert run(event, session=session) == (session, [])


def test_a_wait_that_the_problem_asks_for() -> None:
    penalty = replace(DOWN, wait=15.0)
    session, effects = run(Connect(), ConnectFailed(1, penalty))
    assert (session.state, effects) == (State.WAITING, [Disconnect(), RetryAfter(2, 15.0)])
    assert backoff.delay(1, 0.99, 15.0) > 15.0
    assert backoff.delay(20, 0.0, 15.0) == backoff.delay(20, 0.0)


def test_what_a_login_waits_for_stays_readable_until_it_goes_on() -> None:
    session, _ = run(Connect(), ProgressChanged(1, "opening a browser"))
    assert snapshot(session).waits_for == "opening a browser"
    session, _ = run(Asked(1, VISIT), session=session)
    assert (session.state, snapshot(session).waits_for) == (State.NEEDS_YOU, VISIT.title)
    session, _ = run(Answered(1, Answer()), session=session)
    assert (session.state, snapshot(session).waits_for) == (State.CONNECTING, VISIT.title)
    assert not session.typed_login
    session, _ = run(Connected(1), ProgressChanged(1, "late"), session=session)
    assert snapshot(session).waits_for == ""


def test_a_typed_login_is_never_repeated_by_itself() -> None:
    session, effects = run(Connect(), Connected(1, typed_login=True), Lost(1, DOWN))
    assert session.state is State.NEEDS_YOU
    assert session.problem is not None
    assert session.problem.recovery is Recovery.USER_ACTION
    assert session.problem.title == DOWN.title
    assert not any(isinstance(effect, RetryAfter) for effect in effects)
    session, effects = run(Connect(), session=session)
    assert effects == [Open(2, SERVER)]
    assert not session.typed_login


def test_waits_grow_and_a_stable_tunnel_resets_them() -> None:
    session, _ = run(Connect())
    seconds = []
    for attempt in range(1, 9):
        session, effects = run(ConnectFailed(attempt, DOWN), session=session)
        seconds += [effect.seconds for effect in effects if isinstance(effect, RetryAfter)]
        session, _ = run(RetryDue(attempt + 1), session=session)
    assert seconds == [1, 1, 2, 4, 8, 16, 30, 30]  # the lower half of 1, 2, 4 … 60
    session, _ = run(Connected(9), session=session)
    soon = Now(now=1000.0 + backoff.STABLE - 1, chance=0.0)
    late = Now(now=1000.0 + backoff.STABLE, chance=0.0)
    lost_soon, _ = step(session, Lost(9, DOWN), soon)
    lost_late, _ = step(session, Lost(9, DOWN), late)
    assert lost_soon.failures == 9
    assert lost_late.failures == 1
    assert lost_late.retry_at == late.now + 1


@pytest.mark.parametrize("event", [Woke(), NetworkChanged(), Connect()])
def test_a_due_retry_comes_early_and_its_timer_then_comes_too_late(event: Event) -> None:
    session, effects = run(Connect(), ConnectFailed(1, DOWN), event)
    assert session.state is State.CONNECTING
    assert effects == [Open(3, SERVER)]
    assert run(RetryDue(2), session=session) == (session, [])


@pytest.mark.parametrize("event", [Woke(), NetworkChanged()])
def test_a_live_tunnel_is_checked_when_the_world_changed(event: Event) -> None:
    session, effects = run(*READY_UP, event)
    assert session.state is State.UP
    assert effects == [Ping()]


def test_a_login_that_fails_after_it_was_typed_is_not_asked_again_by_itself() -> None:
    asked = (Connect(), Asked(1, QUESTION))
    session, effects = run(*asked, Answered(1, Answer(("x",))), ConnectFailed(1, DOWN))
    assert session.state is State.NEEDS_YOU
    assert not any(isinstance(effect, RetryAfter) for effect in effects)
    session, _ = run(Connect(), ConnectFailed(2, DOWN), session=session)
    assert session.state is State.WAITING


@pytest.mark.parametrize(
    "kind",
    [QuestionKind.PASSWORD, QuestionKind.ONE_TIME_CODE, QuestionKind.KEYBOARD_INTERACTIVE],
)
def test_what_a_human_typed_for_this_login_alone_is_never_repeated(kind: QuestionKind) -> None:
    asked = (Connect(), Asked(1, replace(QUESTION, kind=kind)))
    session, _ = run(*asked, Answered(1, Answer(("x",))), ConnectFailed(1, DOWN))
    assert session.state is State.NEEDS_YOU


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (QuestionKind.PASSWORD, Answer(("x",), remember=True)),
        (QuestionKind.KEYBOARD_INTERACTIVE, Answer(("x",), remember=True)),
        (QuestionKind.PASSPHRASE, Answer(("x",))),
        (QuestionKind.PRIVATE_KEY, Answer(("x",))),
        (QuestionKind.HOST_KEY, Answer()),
    ],
)
def test_an_answer_that_is_kept_can_be_retried(kind: QuestionKind, answer: Answer) -> None:
    asked = (Connect(), Asked(1, replace(QUESTION, kind=kind)))
    session, _ = run(*asked, Answered(1, answer), ConnectFailed(1, DOWN))
    assert session.state is State.WAITING


@pytest.mark.parametrize("health", [None, AMBER])
def test_a_click_while_no_page_answers_is_owed_a_page(health: Health | None) -> None:
    session, _ = run(*READY_UP, Lost(1, DOWN), RetryDue(2), Connected(2))
    if health is not None:
        session, _ = run(HealthChanged(2, health), session=session)
    session, effects = run(Connect(), session=session)
    assert (session.state, effects) == (State.UP, [Ping()])
    _, effects = run(HealthChanged(2, READY), session=session)
    assert effects == [OpenBrowser(PAGE)]


def test_a_page_that_is_asked_for_opens_whatever_the_file_says() -> None:
    quiet = Session(make_server(open_browser=False))
    session, effects = run(Connect(show=True), *READY_UP[1:], session=quiet)
    assert effects == [OpenBrowser(PAGE)]
    _, effects = run(Connect(), session=session)
    assert effects == []
    # What is known may be a minute old: a look proves that the page is there, and its token good.
    asked, effects = run(Connect(show=True), session=session)
    assert effects == [CheckHealth()]
    _, effects = run(HealthChanged(1, MOVED), session=asked)
    assert effects == [OpenBrowser(MOVED.page)]
    gone, effects = run(HealthChanged(1, AMBER), session=asked)
    assert effects == []
    _, effects = run(HealthChanged(1, READY), session=gone)
    assert effects == [OpenBrowser(PAGE)]
    _, effects = run(Lost(1, DOWN), RetryDue(2), *ready(2), session=session)
    assert effects == []


@pytest.mark.parametrize(
    "before",
    [
        (Connect(),),
        UP,
        (Connect(), ConnectFailed(1, DOWN)),
        (Connect(), ConnectFailed(1, REFUSED)),
        (Connect(), ConnectFailed(1, CHANGED)),
        (*UP, DisconnectRequested()),
    ],
)
def test_a_page_may_be_asked_for_at_any_time(before: tuple[Event, ...]) -> None:
    quiet = Session(make_server(open_browser=False))
    session, _ = run(*before, Connect(show=True), session=quiet)
    if session.state is State.CLOSING:
        session, _ = run(Closed(session.attempt), session=session)
    if session.state is State.CONNECTING:
        session, _ = run(Connected(session.attempt), session=session)
    _, effects = run(HealthChanged(session.attempt, READY), session=session)
    assert effects == [OpenBrowser(PAGE)]


def test_a_page_that_was_asked_for_is_forgotten_with_a_disconnect() -> None:
    quiet = Session(make_server(open_browser=False))
    session, _ = run(Connect(show=True), DisconnectRequested(), Closed(2), session=quiet)
    _, effects = run(Connect(), *ready(2), session=session)
    assert effects == []


def test_a_question_waits_and_its_answer_goes_on() -> None:
    session, effects = run(Connect(), Asked(1, QUESTION))
    assert (session.state, session.question, effects) == (State.NEEDS_YOU, QUESTION, [])
    clicked, effects = run(Connect(), session=session)
    assert (clicked.state, effects) == (State.NEEDS_YOU, [])
    session, effects = run(Answered(1, Answer(("x",))), session=session)
    assert (session.state, session.question, effects) == (State.CONNECTING, None, [])


def test_a_declined_question_turns_it_off() -> None:
    session, effects = run(Connect(), Asked(1, QUESTION), Answered(1, None))
    assert (session.state, effects) == (State.CLOSING, [Close(2)])
    session, effects = run(Closed(2), session=session)
    assert (session.state, session.problem, effects) == (State.OFF, None, [Forget(SERVER)])


def test_an_attempt_may_fail_while_it_asks() -> None:
    session, _ = run(Connect(), Asked(1, QUESTION), ConnectFailed(1, DOWN))
    assert session.state is State.WAITING


def test_an_answer_without_a_question_is_illegal() -> None:
    session, _ = run(Connect(), ConnectFailed(1, REFUSED))
    with pytest.raises(IllegalEvent):
        run(Answered(2, Answer()), session=session)


@pytest.mark.parametrize(
    "events",
    [
        (Connect(),),
        UP,
        READY_UP,
        (Connect(), ConnectFailed(1, DOWN)),
        (Connect(), ConnectFailed(1, REFUSED)),
        (Connect(), ConnectFailed(1, CHANGED)),
        (Connect(), Asked(1, QUESTION)),
    ],
)
def test_stop_closes_from_everywhere_and_late_reports_change_nothing(
    events: tuple[Event, ...],
) -> None:
    session, _ = run(*events)
    attempt = session.attempt
    session, effects = run(DisconnectRequested(), session=session)
    assert session.state is State.CLOSING
    assert effects == [Close(attempt + 1)]
    for late in (Connected(attempt), Lost(attempt, DOWN), HealthChanged(attempt, READY)):
        assert run(late, session=session) == (session, [])
    session, _ = run(Closed(attempt + 1), session=session)
    assert session.state is State.OFF
    assert session.health is None


def test_start_while_closing_connects_again_afterwards() -> None:
    session, effects = run(*UP, DisconnectRequested(), Connect())
    assert (session.state, effects) == (State.CLOSING, [])
    session, effects = run(Closed(2), session=session)
    assert (session.state, effects) == (State.CONNECTING, [Open(2, SERVER)])


def test_start_then_stop_while_closing_stays_off() -> None:
    session, _ = run(*UP, DisconnectRequested(), Connect(), DisconnectRequested(), Closed(2))
    assert session.state is State.OFF


def test_a_changed_page_keeps_the_tunnel() -> None:
    server = make_server(jupyter={"path": "/tree"})
    session, effects = run(*READY_UP, ConfigChanged(server))
    assert session.state is State.UP
    assert session.server == server
    assert effects == [Update(server)]


def test_a_changed_host_makes_a_new_tunnel_without_a_click() -> None:
    server = make_server(host="other.example.org")
    session, effects = run(*READY_UP, ConfigChanged(server))
    assert (session.state, effects) == (State.CLOSING, [Close(2)])
    session, effects = run(Closed(2), session=session)
    assert session.server == server
    assert effects == [Open(2, server)]
    assert not session.browser_pending


@pytest.mark.parametrize(
    "before", [UP, READY_UP, (Connect(),), (Connect(), ConnectFailed(1, DOWN))]
)
def test_a_restart_closes_and_opens_again(before: tuple[Event, ...]) -> None:
    """A page that is still owed opens then; one that was shown does not open again."""
    session, _ = run(*before)
    owed = session.browser_pending
    session, effects = run(Restart(), session=session)
    assert (session.state, effects) == (State.CLOSING, [Close(session.attempt)])
    session, effects = run(Closed(session.attempt), session=session)
    assert effects == [Open(session.attempt, SERVER)]
    _, effects = run(*ready(session.attempt), session=session)
    assert effects == ([OpenBrowser(PAGE)] if owed else [])


def test_only_a_disconnect_forgets_what_logs_in_again() -> None:
    session, _ = run(*UP, Restart())
    _, effects = run(Closed(session.attempt), session=session)
    assert not any(isinstance(effect, Forget) for effect in effects)
    session, _ = run(*UP, Restart(), DisconnectRequested())
    _, effects = run(Closed(session.attempt), session=session)
    assert effects == [Forget(SERVER)]


def test_a_restart_of_one_that_is_off_begins_without_a_page() -> None:
    _, effects = run(Restart())
    assert effects == [Open(1, SERVER)]
    _, effects = run(Restart(), *ready(1))
    assert effects == []


def test_a_restart_while_closing_opens_again() -> None:
    session, _ = run(*UP, DisconnectRequested(), Restart())
    _, effects = run(Closed(session.attempt), session=session)
    assert effects == [Open(session.attempt, SERVER)]


def test_a_changed_entry_that_is_off_stays_off() -> None:
    server = make_server(host="other.example.org")
    session, effects = run(ConfigChanged(server))
    assert (session.state, session.server, effects) == (State.OFF, server, [])


def test_the_last_change_while_closing_wins() -> None:
    one, two = make_server(host="one.example.org"), make_server(host="two.example.org")
    session, effects = run(*UP, ConfigChanged(one), ConfigChanged(two), Closed(2))
    assert effects == [Open(2, two)]
    assert session.successor is None


EVERY_EVENT: list[Callable[[int], Event]] = [
    lambda _: Connect(),
    lambda _: Connect(show=True),
    lambda _: DisconnectRequested(),
    lambda _: Restart(),
    lambda _: StartJupyter(),
    lambda _: JupyterStopped(),
    lambda _: Woke(),
    lambda _: NetworkChanged(),
    lambda _: LookAgain(),
    lambda _: ConfigChanged(make_server(host="other.example.org")),
    lambda _: ConfigChanged(make_server(open_browser=False)),
    Connected,
    lambda n: Connected(n, typed_login=True),
    lambda n: ForwardsBound(n, ConfiguredForwards(notes=("x",))),
    lambda n: ConnectFailed(n, DOWN),
    lambda n: ConnectFailed(n, REFUSED),
    lambda n: ConnectFailed(n, CHANGED),
    lambda n: ConnectFailed(n, ELSEWHERE),
    lambda n: Lost(n, DOWN),
    lambda n: Asked(n, QUESTION),
    lambda n: Answered(n, Answer(("x",))),
    lambda n: Answered(n, None),
    lambda n: Asked(n, VISIT),
    lambda n: ProgressChanged(n, "opening a browser"),
    lambda n: HealthChanged(n, READY),
    lambda n: HealthChanged(n, AMBER),
    JupyterStarting,
    lambda n: JupyterStarted(n, "in tmux"),
    RetryDue,
    Closed,
]


def test_what_ssh_config_adds_is_kept_until_it_is_off() -> None:
    added = ConfiguredForwards(notes=("gpu: SetEnv is not supported",))
    listening = ForwardsBound(1, added, (("LocalForward 80", DOWN),))
    session, effects = run(Connect(), listening, Connected(1, banner="Hello"), Lost(1, DOWN))
    assert (session.state, session.additions, session.banner) == (State.WAITING, added, "Hello")
    assert session.unbound_forwards == (("LocalForward 80", DOWN),)
    assert effects != []
    for last in (DisconnectRequested(), Restart()):
        ended, _ = run(last, Closed(session.attempt + 1), session=session)
        assert (ended.additions, ended.unbound_forwards, ended.banner) == (
            ConfiguredForwards(),
            (),
            "",
        )


def test_an_illegal_event_raises_and_changes_nothing() -> None:
    illegal = 0
    for state in State:
        session = replace(Session(SERVER), state=state)
        for make in EVERY_EVENT:
            event = make(1)
            if (state, type(event)) in TABLE.keys() | IGNORED:
                continue
            illegal += 1
            before = replace(session)
            with pytest.raises(IllegalEvent):
                step(session, event, NOW)
            assert session == before
    assert illegal > 0


def test_what_the_user_and_the_machine_do_is_legal_everywhere() -> None:
    for state in State:
        for event in (
            *(
                Connect,
                DisconnectRequested,
                Restart,
                Woke,
                NetworkChanged,
                LookAgain,
                ConfigChanged,
            ),
            *(StartJupyter, JupyterStopped),
        ):
            assert (state, event) in TABLE.keys() ^ IGNORED


@given(
    st.lists(
        st.tuples(st.sampled_from(EVERY_EVENT), st.integers(-2, 0), st.floats(0, 0.999)),
        max_size=60,
    )
)
def test_whatever_happens_the_orders_make_sense(
    moves: list[tuple[Callable[[int], Event], int, float]],
) -> None:
    """Attempts are opened once each, in order; what is opened is dropped or closed before the
    next; a retry is due exactly while WAITING, and while FAILED where another network may help,
    but for a login that was typed; after OFF nothing is open."""
    session = Session(SERVER)
    opened: list[int] = []
    is_open = False
    for number, (make, lag, chance) in enumerate(moves):
        event = make(session.attempt + lag)
        try:
            session, effects = step(session, event, Now(float(number), chance))
        except IllegalEvent:
            continue
        for effect in effects:
            match effect:
                case Open(attempt):
                    assert not is_open
                    assert not opened or attempt > opened[-1]
                    opened.append(attempt)
                    is_open = True
                case Disconnect():
                    is_open = False
                case Close(attempt):
                    assert attempt == session.attempt
                    is_open = False
                case RetryAfter(attempt, seconds):
                    assert attempt == session.attempt
                    slow = session.state is State.FAILED
                    longest = backoff.SLOW if slow else backoff.LONGEST
                    assert backoff.FIRST <= seconds <= longest
                    assert not session.typed_login
                case _:
                    pass
        retried = session.problem is not None and session.problem.recovery is Recovery.NETWORK
        slowly = session.state is State.FAILED and retried and not session.typed_login
        assert (session.retry_at is not None) == (session.state is State.WAITING or slowly)
        assert not session.quiet or session.state is State.CONNECTING
        assert not session.says or session.state is State.CONNECTING
        assert session.question is None or session.state is State.NEEDS_YOU
        assert session.health is None or session.state is State.UP
        if session.state in (State.CONNECTING, State.UP):
            assert is_open
        if session.state in (State.OFF, State.CLOSING, State.WAITING, State.FAILED):
            assert not is_open


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_between_its_bounds(failures: int, chance: float) -> None:
    wait = backoff.delay(failures, chance)
    assert backoff.FIRST <= wait <= backoff.LONGEST
    assert wait <= max(1.0, 2.0 ** min(failures - 1, 10))


def test_what_the_server_says_to_remote_forwards_is_kept_while_up() -> None:
    session, effects = run(*UP, RemoteAnswered(1, "hook", REFUSED), RemoteAnswered(1, "any", 9000))
    assert session.remote == (("hook", REFUSED), ("any", 9000))
    assert (session.state, session.problem, effects) == (State.UP, None, [])
    session, _ = run(RemoteAnswered(1, "hook", 9001), session=session)
    assert session.remote == (("hook", 9001), ("any", 9000))
    late, _ = run(Lost(1, DOWN), RemoteAnswered(1, "any", 9000), session=session)
    assert late.remote == ()


# --- starting and stopping Jupyter ----------------------------------------------------------------


def test_jupyter_is_started_where_a_tunnel_is_up() -> None:
    session, effects = run(*UP, HealthChanged(1, AMBER), StartJupyter())
    assert (session.starting, session.problem, effects) == (True, None, [StartServer()])
    _, again = run(StartJupyter(), session=session)
    assert again == []
    session, effects = run(JupyterStarted(1, "in tmux"), HealthChanged(1, READY), session=session)
    assert (session.starting, session.launcher) == (False, "in tmux")
    assert effects == [OpenBrowser(PAGE)]


@pytest.mark.parametrize(
    "before",
    [
        (),
        (Connect(),),
        (Connect(), ConnectFailed(1, DOWN)),
        (Connect(), ConnectFailed(1, REFUSED)),
        (Connect(), ConnectFailed(1, CHANGED)),
        (Connect(), DisconnectRequested()),
    ],
)
def test_it_connects_first_and_is_started_then(before: tuple[Event, ...]) -> None:
    session, _ = run(*before, StartJupyter())
    if session.state is State.CLOSING:
        session, _ = run(Closed(session.attempt), session=session)
    assert session.state is State.CONNECTING
    session, effects = run(Connected(session.attempt), session=session)
    assert effects == [StartServer()]
    assert session.starting
    session, _ = run(Lost(session.attempt, DOWN), session=session)
    _, effects = run(RetryDue(session.attempt), Connected(session.attempt), session=session)
    assert effects == []  # once


def test_where_one_runs_no_other_is_started() -> None:
    assert run(*READY_UP, StartJupyter())[1] == []
    strangers = replace(READY, missing=True)
    assert run(*UP, HealthChanged(1, strangers), StartJupyter())[1] == [StartServer()]


def test_where_another_one_was_chosen_the_entrys_own_is_started() -> None:
    other = FoundJupyter("8889", "/data", "/data", "2.0", 0, in_use=True, is_own=False)
    chosen = replace(READY, jupyters=(other,))
    assert run(*UP, HealthChanged(1, chosen), StartJupyter())[1] == [StartServer()]


STARTS = make_server(start=True)


@pytest.mark.parametrize(
    "before",
    [
        (Connect(), ConnectFailed(1, DOWN)),
        (Connect(), ConnectFailed(1, REFUSED)),
        (Connect(), ConnectFailed(1, CHANGED)),
        (Connect(), Connected(1), HealthChanged(1, AMBER)),
    ],
)
def test_a_users_connect_allows_a_start_again(before: tuple[Event, ...]) -> None:
    session, _ = run(*before, session=Session(STARTS))
    session, effects = run(Connect(), session=session)
    assert effects[0] == AllowStart()
    assert session.is_fresh


@pytest.mark.parametrize("is_fresh", [False, True])
def test_a_change_of_the_file_neither_allows_a_start_nor_forbids_it(is_fresh: bool) -> None:
    came = () if is_fresh else (HealthChanged(1, READY),)
    session, _ = run(Connect(), Connected(1), *came, session=Session(STARTS))
    changed = make_server(start=True, host="elsewhere")
    session, _ = run(ConfigChanged(changed), session=session)
    _, effects = run(Closed(session.attempt), session=session)
    forbidden = [] if is_fresh else [SuppressAutostart()]
    assert effects == [*forbidden, Open(session.attempt, changed)]


def test_the_users_reconnect_is_a_connect() -> None:
    session, _ = run(Connect(), Connected(1), HealthChanged(1, READY), session=Session(STARTS))
    session, _ = run(Restart(), session=session)
    _, effects = run(Closed(session.attempt), session=session)
    assert effects == [Open(session.attempt, STARTS)]


def test_a_disconnect_forgets_the_wish_for_a_jupyter() -> None:
    session, _ = run(Connect(), StartJupyter(), DisconnectRequested(), Closed(2), Connect())
    _, effects = run(Connected(session.attempt), session=session)
    assert effects == []


def test_a_direct_server_has_none_to_start() -> None:
    direct = Session(make_server(url="http://h/", host=None))
    _, effects = run(*UP, StartJupyter(), session=direct)
    assert effects == []


def test_one_that_is_about_to_be_stopped_is_not_started_again() -> None:
    """The look that finds it gone may come before the word that it is."""
    before, _ = run(*READY_UP, JupyterStarted(1, "in tmux"))
    session, effects = run(JupyterStopped(done=False), session=before)
    assert (session, effects) == (replace(before, is_fresh=False), [SuppressAutostart()])


def used_health(pid: int) -> Health:
    found = FoundJupyter("8888", "/a", "/a", "2.0", 0, in_use=True, pid=pid, born="1")
    return replace(READY, jupyters=(found,))


@pytest.mark.parametrize(
    ("health", "launcher"),
    [
        (used_health(7), "in tmux"),
        (replace(AMBER, missing=True), ""),  # File > Shut Down
        (used_health(8), ""),  # somebody started another, or chose it
        (AMBER, "in tmux"),  # it may be busy
    ],
)
def test_what_jupyter_launcher_is_told_while_it_runs(health: Health, launcher: str) -> None:
    other = HealthChanged(1, used_health(6))  # in use until ours was started
    started = (JupyterStarted(1, "in tmux"), HealthChanged(1, used_health(7)))
    session, _ = run(*UP, other, StartJupyter(), *started, HealthChanged(1, health))
    assert session.launcher == launcher


def test_one_that_the_user_stopped_is_not_missed() -> None:
    session, effects = run(*READY_UP, JupyterStarted(1, "in tmux"), JupyterStopped())
    assert effects == [SuppressAutostart(), Ping()]
    assert (session.health, session.launcher) == (None, "")
    session, _ = run(HealthChanged(1, AMBER), session=session)
    _, effects = run(HealthChanged(1, READY), session=session)
    assert effects == []  # no page opens for one that somebody else started
