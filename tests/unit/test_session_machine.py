"""The transition table: what each event does in each state, and what it must never do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.servers import make_server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.page import NoBrowser
from trayconnect.core.questions import Answer, Question, QuestionKind
from trayconnect.sessions import machine
from trayconnect.sessions.attempt import Attempt
from trayconnect.sessions.dependencies import Dependencies
from trayconnect.sessions.forwards import LinkInfo, forward_states
from trayconnect.sessions.machine import IGNORED, TABLE, IllegalEvent, Now, step
from trayconnect.sessions.snapshot import snapshot
from trayconnect.sessions.state import (
    Answered,
    Asked,
    Check,
    Close,
    Closed,
    ConfigChanged,
    Connect,
    Connected,
    Disconnect,
    Drop,
    Effect,
    Event,
    Failed,
    Forget,
    NetworkChanged,
    Open,
    Restart,
    RetryAfter,
    RetryDue,
    Session,
    State,
)

SERVER = make_server()
DOWN = Problem("gpu refused", "Is it on?", Recovery.RETRY)
REFUSED = Problem("Login refused", "Check the key", Recovery.USER_ACTION)
CHANGED = Problem("The host key changed", "Ask the administrator", Recovery.FIX_FIRST)
ELSEWHERE = Problem("gpu port 22 is not an SSH server", "Check it", Recovery.NETWORK)
QUESTION = Question(QuestionKind.PASSWORD, "GPU box", "Password", "ada@gpu's password")
VISIT = Question(
    QuestionKind.VISIT, "GPU box", "It waits for you", "Visit https://h/", url="https://h/"
)
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


def test_start_opens_the_first_attempt() -> None:
    session, effects = run(Connect())
    assert session.state is State.CONNECTING
    assert session.since == 1000.0
    assert effects == [Open(1, SERVER)]


@pytest.mark.parametrize(
    ("problem", "state"),
    [(DOWN, State.WAITING), (REFUSED, State.NEEDS_YOU), (CHANGED, State.FAILED)],
)
@pytest.mark.parametrize("before", [(), (Connected(1),)])
def test_a_failure_goes_where_its_recovery_says(
    problem: Problem, state: State, before: tuple[Event, ...]
) -> None:
    session, effects = run(Connect(), *before, Failed(1, problem))
    assert session.state is state
    assert session.problem == problem
    assert session.attempt == 2
    assert isinstance(effects[0], Drop)
    retries = [effect for effect in effects if isinstance(effect, RetryAfter)]
    assert bool(retries) is (state is State.WAITING)


@pytest.mark.parametrize("event", [NetworkChanged()])
@pytest.mark.parametrize("problem", [ELSEWHERE, CHANGED])
def test_what_failed_is_tried_again_when_the_world_changed(problem: Problem, event: Event) -> None:
    failed, _ = run(Connect(), Failed(1, problem))
    session, effects = run(event, session=failed)
    assert effects == [Open(3, SERVER)]
    assert run(RetryDue(2), session=session) == (session, [])
    assert snapshot(session).state is State.FAILED  # until more is known
    assert snapshot(session).problem == failed.problem
    again, effects = run(Failed(3, problem), session=session)
    assert (again.state, again.problem) == (State.FAILED, failed.problem)
    session, _ = run(Connected(3), session=session)
    assert (session.state, session.problem) == (State.UP, None)


def test_what_another_network_may_mend_is_tried_again_slowly() -> None:
    session, effects = run(Connect(), Failed(1, ELSEWHERE))
    assert effects == [Drop(), RetryAfter(2, machine.SLOW)]
    assert session.retry_at == NOW.now + machine.SLOW
    assert session.problem is not None
    assert session.problem.title == ELSEWHERE.title
    session, effects = run(RetryDue(2), session=session)
    assert effects == [Open(2, SERVER)]
    assert snapshot(session).state is State.FAILED
    clicked, effects = run(Connect(), session=session)
    assert (snapshot(clicked).state, effects) == (State.CONNECTING, [])


@pytest.mark.parametrize("failed", [DOWN, ELSEWHERE])
def test_a_question_ends_what_failed_before(failed: Problem) -> None:
    session, _ = run(Connect(), Failed(1, failed), RetryDue(2), Asked(2, QUESTION))
    assert (session.state, session.problem) == (State.NEEDS_YOU, None)


@pytest.mark.parametrize("order", [Connect(), Restart(), Disconnect()])
def test_an_order_leaves_the_timer_of_a_failure_behind(order: Event) -> None:
    session, _ = run(Connect(), Failed(1, ELSEWHERE), order)
    assert run(RetryDue(2), session=session) == (session, [])


def test_a_failure_after_a_typed_login_waits_for_the_user() -> None:
    asked = (Connect(), Asked(1, QUESTION), Answered(1, Answer(("x",))))
    session, effects = run(*asked, Failed(1, ELSEWHERE))
    assert (session.state, session.retry_at, effects) == (State.FAILED, None, [Drop()])
    for event in (NetworkChanged(),):
        assert run(event, session=session) == (session, [])


def test_a_wait_that_the_problem_asks_for() -> None:
    penalty = replace(DOWN, wait=15.0)
    session, effects = run(Connect(), Failed(1, penalty))
    assert (session.state, effects) == (State.WAITING, [Drop(), RetryAfter(2, 15.0)])
    assert machine.delay(1, 0.99, 15.0) > 15.0
    assert machine.delay(20, 0.0, 15.0) == machine.delay(20, 0.0)


class NobodyAnswers:
    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        assert question == VISIT
        assert cancel.wait(20.0)
        return None

    def bring_to_front(self) -> None:
        pass


def test_what_a_login_waits_for_stays_readable_until_it_goes_on() -> None:
    reports: list[Event] = []
    asks = Dependencies(
        lambda _: pytest.fail("connects"),
        lambda *_, **__: pytest.fail("listens"),
        NobodyAnswers(),
        NoBrowser(),
        lambda *_: (),
    )
    attempt = Attempt(1, SERVER, asks, reports.append, lambda: None)

    def waits_for(session: Session) -> tuple[State, str]:
        shown = snapshot(session, LinkInfo(progress=attempt.progress))
        return shown.state, shown.waits_for

    session, _ = run(Connect())
    attempt.say("opening a browser")
    assert waits_for(session) == (State.CONNECTING, "opening a browser")
    close = attempt.show(VISIT)
    session, _ = run(*reports, session=session)
    attempt.say("unseen")
    assert waits_for(session) == (State.NEEDS_YOU, VISIT.title)
    close()
    session, _ = run(*reports[1:], session=session)
    assert waits_for(session) == (State.CONNECTING, VISIT.title)
    assert not session.typed_login
    session, _ = run(Connected(1), session=session)
    attempt.say("late")
    assert waits_for(session) == (State.UP, "")


def test_a_typed_login_is_never_repeated_by_itself() -> None:
    session, effects = run(Connect(), Connected(1, typed_login=True), Failed(1, DOWN))
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
        session, effects = run(Failed(attempt, DOWN), session=session)
        seconds += [effect.seconds for effect in effects if isinstance(effect, RetryAfter)]
        session, _ = run(RetryDue(attempt + 1), session=session)
    assert seconds == [1, 1, 2, 4, 8, 16, 30, 30]  # the lower half of 1, 2, 4 … 60
    session, _ = run(Connected(9), session=session)
    soon = Now(now=1000.0 + machine.STABLE - 1, chance=0.0)
    late = Now(now=1000.0 + machine.STABLE, chance=0.0)
    lost_soon, _ = step(session, Failed(9, DOWN), soon)
    lost_late, _ = step(session, Failed(9, DOWN), late)
    assert lost_soon.failures == 9
    assert lost_late.failures == 1
    assert lost_late.retry_at == late.now + 1


@pytest.mark.parametrize("event", [NetworkChanged(), Connect()])
def test_a_due_retry_comes_early_and_its_timer_then_comes_too_late(event: Event) -> None:
    session, effects = run(Connect(), Failed(1, DOWN), event)
    assert session.state is State.CONNECTING
    assert effects == [Open(3, SERVER)]
    assert run(RetryDue(2), session=session) == (session, [])


@pytest.mark.parametrize("event", [NetworkChanged()])
def test_a_live_tunnel_is_checked_when_the_world_changed(event: Event) -> None:
    session, effects = run(*UP, event)
    assert session.state is State.UP
    assert effects == [Check()]


def test_a_login_that_fails_after_it_was_typed_is_not_asked_again_by_itself() -> None:
    asked = (Connect(), Asked(1, QUESTION))
    session, effects = run(*asked, Answered(1, Answer(("x",))), Failed(1, DOWN))
    assert session.state is State.NEEDS_YOU
    assert not any(isinstance(effect, RetryAfter) for effect in effects)
    session, _ = run(Connect(), Failed(2, DOWN), session=session)
    assert session.state is State.WAITING


@pytest.mark.parametrize(
    "kind",
    [QuestionKind.PASSWORD, QuestionKind.ONE_TIME_CODE, QuestionKind.KEYBOARD_INTERACTIVE],
)
def test_what_a_human_typed_for_this_login_alone_is_never_repeated(kind: QuestionKind) -> None:
    asked = (Connect(), Asked(1, replace(QUESTION, kind=kind)))
    session, _ = run(*asked, Answered(1, Answer(("x",))), Failed(1, DOWN))
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
    session, _ = run(*asked, Answered(1, answer), Failed(1, DOWN))
    assert session.state is State.WAITING


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
    session, _ = run(Connect(), Asked(1, QUESTION), Failed(1, DOWN))
    assert session.state is State.WAITING


def test_an_answer_without_a_question_is_illegal() -> None:
    session, _ = run(Connect(), Failed(1, REFUSED))
    with pytest.raises(IllegalEvent):
        run(Answered(2, Answer()), session=session)


@pytest.mark.parametrize(
    "events",
    [
        (Connect(),),
        UP,
        (Connect(), Failed(1, DOWN)),
        (Connect(), Failed(1, REFUSED)),
        (Connect(), Failed(1, CHANGED)),
        (Connect(), Asked(1, QUESTION)),
    ],
)
def test_stop_closes_from_everywhere_and_late_reports_change_nothing(
    events: tuple[Event, ...],
) -> None:
    session, _ = run(*events)
    attempt = session.attempt
    session, effects = run(Disconnect(), session=session)
    assert session.state is State.CLOSING
    assert effects == [Close(attempt + 1)]
    for late in (Connected(attempt), Failed(attempt, DOWN)):
        assert run(late, session=session) == (session, [])
    session, _ = run(Closed(attempt + 1), session=session)
    assert session.state is State.OFF


def test_start_while_closing_connects_again_afterwards() -> None:
    session, effects = run(*UP, Disconnect(), Connect())
    assert (session.state, effects) == (State.CLOSING, [])
    session, effects = run(Closed(2), session=session)
    assert (session.state, effects) == (State.CONNECTING, [Open(2, SERVER)])


def test_start_then_stop_while_closing_stays_off() -> None:
    session, _ = run(*UP, Disconnect(), Connect(), Disconnect(), Closed(2))
    assert session.state is State.OFF


def test_a_changed_page_keeps_the_tunnel() -> None:
    server = make_server(jupyter={"path": "/tree"})
    session, effects = run(*UP, ConfigChanged(server))
    assert session.state is State.UP
    assert session.server == server
    assert effects == []


def test_a_changed_host_makes_a_new_tunnel_without_a_click() -> None:
    server = make_server(host="other.example.org")
    session, effects = run(*UP, ConfigChanged(server))
    assert (session.state, effects) == (State.CLOSING, [Close(2)])
    session, effects = run(Closed(2), session=session)
    assert session.server == server
    assert effects == [Open(2, server)]


@pytest.mark.parametrize("before", [UP, (Connect(),), (Connect(), Failed(1, DOWN))])
def test_a_restart_closes_and_opens_again(before: tuple[Event, ...]) -> None:
    session, _ = run(*before)
    session, effects = run(Restart(), session=session)
    assert (session.state, effects) == (State.CLOSING, [Close(session.attempt)])
    session, effects = run(Closed(session.attempt), session=session)
    assert effects == [Open(session.attempt, SERVER)]


def test_only_a_disconnect_forgets_what_logs_in_again() -> None:
    session, _ = run(*UP, Restart())
    _, effects = run(Closed(session.attempt), session=session)
    assert not any(isinstance(effect, Forget) for effect in effects)
    session, _ = run(*UP, Restart(), Disconnect())
    _, effects = run(Closed(session.attempt), session=session)
    assert effects == [Forget(SERVER)]


def test_a_restart_of_one_that_is_off_connects_it() -> None:
    _, effects = run(Restart())
    assert effects == [Open(1, SERVER)]


def test_a_restart_while_closing_opens_again() -> None:
    session, _ = run(*UP, Disconnect(), Restart())
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
    lambda _: Disconnect(),
    lambda _: Restart(),
    lambda _: NetworkChanged(),
    lambda _: ConfigChanged(make_server(host="other.example.org")),
    lambda _: ConfigChanged(make_server(open_browser=False)),
    Connected,
    lambda n: Connected(n, typed_login=True),
    lambda n: Failed(n, DOWN),
    lambda n: Failed(n, REFUSED),
    lambda n: Failed(n, CHANGED),
    lambda n: Failed(n, ELSEWHERE),
    lambda n: Failed(n, DOWN),
    lambda n: Asked(n, QUESTION),
    lambda n: Answered(n, Answer(("x",))),
    lambda n: Answered(n, None),
    lambda n: Asked(n, VISIT),
    RetryDue,
    Closed,
]


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
                Disconnect,
                Restart,
                NetworkChanged,
                ConfigChanged,
            ),
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
                case Drop():
                    is_open = False
                case Close(attempt):
                    assert attempt == session.attempt
                    is_open = False
                case RetryAfter(attempt, seconds):
                    assert attempt == session.attempt
                    slow = session.state is State.FAILED
                    longest = machine.SLOW if slow else machine.LONGEST
                    assert machine.FIRST <= seconds <= longest
                    assert not session.typed_login
                case _:
                    pass
        retried = session.problem is not None and session.problem.recovery is Recovery.NETWORK
        slowly = session.state is State.FAILED and retried and not session.typed_login
        assert (session.retry_at is not None) == (session.state is State.WAITING or slowly)
        assert not session.retries_quietly or session.state is State.CONNECTING
        assert session.question is None or session.state is State.NEEDS_YOU
        if session.state in (State.CONNECTING, State.UP):
            assert is_open
        if session.state in (State.OFF, State.CLOSING, State.WAITING, State.FAILED):
            assert not is_open


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_between_its_bounds(failures: int, chance: float) -> None:
    wait = machine.delay(failures, chance)
    assert machine.FIRST <= wait <= machine.LONGEST
    assert wait <= max(1.0, 2.0 ** min(failures - 1, 10))


def test_what_a_link_answers_to_forwards_is_shown() -> None:
    """A remote forward listens while the link is up; a local one that is not bound never does."""
    remote = {"kind": "remote", "remote_port": 0, "port": 3000}
    server = make_server(
        forwards=[
            {"name": "any", **remote},
            {"name": "hook", **remote},
            {"name": "taken", "local_port": 8080, "port": 80},
        ]
    )
    link = LinkInfo(answers={"any": 9000, "hook": REFUSED, "taken": DOWN})

    def shown(state: State) -> list[tuple[bool, Problem | None]]:
        return [(one.is_up, one.problem) for one in forward_states(server, state, link)]

    assert shown(State.UP) == [(True, None), (False, REFUSED), (False, DOWN)]
    assert shown(State.WAITING) == [(False, None), (False, None), (False, DOWN)]
