"""The state machine of a session: pure, and all of it in one table.

`step` is given the time and the dice, does no I/O, and returns the new session with the effects
to carry out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.questions import QuestionKind
from trayconnect.services.model import Health, Reached
from trayconnect.sessions import backoff
from trayconnect.sessions.effects import (
    AllowStart,
    CheckHealth,
    Close,
    Disconnect,
    Effect,
    Forget,
    NotifyIdle,
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
    PagesSeen,
    ProgressChanged,
    RemoteAnswered,
    Report,
    Restart,
    RetryDue,
    StartJupyter,
    Woke,
)
from trayconnect.sessions.kernel_activity import follow
from trayconnect.sessions.state import Session, State
from trayconnect.ssh.config.configured_forwards import NOTHING

# What a retry could not answer again by itself. A passphrase is kept while the user wants it
# connected, a judged host key for good.
_TYPED_LOGINS = frozenset(
    {QuestionKind.PASSWORD, QuestionKind.ONE_TIME_CODE, QuestionKind.KEYBOARD_INTERACTIVE}
)

# Where an attempt that came to nothing leaves its session.
_LEAVES_FOR: Mapping[Recovery, State] = {
    Recovery.RETRY: State.WAITING,
    Recovery.NETWORK: State.FAILED,
    Recovery.USER_ACTION: State.NEEDS_YOU,
    Recovery.FIX_FIRST: State.FAILED,
}
_TRIED_AGAIN = (
    "Trying again when the network changes, and every "
    f"{backoff.SLOW / 60:g} minutes until you disconnect."
)

_NO_WISHES: dict[str, Any] = {
    "browser_pending": False,
    "force_open": False,
    "start_pending": False,
    "is_fresh": False,
}


class IllegalEvent(Exception):  # noqa: N818 - named for what it is
    """An event that cannot happen in this state: a bug in whoever sent it."""


@dataclass(frozen=True, slots=True)
class Now:
    """What a transition may know of the world."""

    now: float
    """Seconds since the epoch."""
    chance: float
    """A random number in [0, 1)."""


Outcome = tuple[Session, tuple[Effect, ...]]
Transition = Callable[[Session, Any, Now], Outcome]


def step(session: Session, event: Event, moment: Now) -> Outcome:
    """What becomes of a session, and what is to be done. A report of another attempt than the
    present one comes too late and changes nothing.

    Raises `IllegalEvent`, and then nothing has changed."""
    if isinstance(event, Report) and event.attempt != session.attempt:
        return session, ()
    pair = session.state, type(event)
    if pair in IGNORED:
        return session, ()
    transition = TABLE.get(pair)
    if transition is None:
        raise IllegalEvent(f"{type(event).__name__} while {session.state.name}")
    return transition(session, event, moment)


# --- the transitions --------------------------------------------------------------------------


def _enter(session: Session, state: State, moment: Now, **changes: Any) -> Session:
    """Change the state; what only holds in the state that is left is cleared."""
    cleared: dict[str, Any] = {
        "retry_at": None,
        "question": None,
        "health": None,
        "remote": (),
        "ready_pages": (),
        "starting": False,
        "quiet": False,
        "says": "",
        "launcher": "",
    }
    return replace(session, state=state, since=moment.now, **(cleared | changes))


def _open(session: Session, moment: Now, **changes: Any) -> Outcome:
    opened = _enter(session, State.CONNECTING, moment, typed_login=False, **changes)
    return opened, (Open(opened.attempt, opened.server),)


def _owe(session: Session, event: Connect) -> Session:
    return replace(
        session, browser_pending=True, force_open=session.force_open or event.show, is_fresh=True
    )


def _allowing(session: Session) -> tuple[Effect, ...]:
    """What a runner that has been at work before is told on the user's connect."""
    return (AllowStart(),) if session.server.start is not None else ()


def _begin(session: Session, event: Connect, moment: Now) -> Outcome:
    opened, effects = _open(_owe(session, event), moment, failures=0, problem=None)
    if session.state is State.OFF:  # its runner is a new one
        return opened, effects
    return opened, (*_allowing(session), *effects)


def _retry(session: Session, _event: RetryDue, moment: Now) -> Outcome:
    return _open(session, moment)


def _retry_now(session: Session, _event: Event, moment: Now) -> Outcome:
    """Ahead of time: the number is skipped, so that the timer's own report comes too late."""
    return _open(session, moment, attempt=session.attempt + 1)


def _retry_failed(session: Session, _event: RetryDue, moment: Now) -> Outcome:
    return _open(session, moment, quiet=True)


def _retry_failed_now(session: Session, _event: Event, moment: Now) -> Outcome:
    if session.typed_login:
        return session, ()
    return _open(session, moment, attempt=session.attempt + 1, quiet=True)


def _begin_now(session: Session, event: Connect, moment: Now) -> Outcome:
    return _begin(replace(session, attempt=session.attempt + 1), event, moment)


def _owe_browser(session: Session, event: Connect, _moment: Now) -> Outcome:
    return replace(_owe(session, event), quiet=False), ()


def _start_while_up(session: Session, event: Connect, _moment: Now) -> Outcome:
    health = session.health
    if health is None or health.reached < Reached.JUPYTER:
        return _owe(session, event), (*_allowing(session), Ping())
    if not event.show:
        return session, ()
    # What is known of its page may be a minute old, and the token dead.
    return replace(session, force_open=True), (CheckHealth(),)


def _listening(session: Session, event: ForwardsBound, _moment: Now) -> Outcome:
    return replace(session, additions=event.additions, unbound_forwards=event.unbound_forwards), ()


def _connected(session: Session, event: Connected, moment: Now) -> Outcome:
    changes = {"typed_login": event.typed_login, "banner": event.banner}
    up = _enter(session, State.UP, moment, problem=None, **changes)
    if not up.start_pending:
        return up, ()
    return replace(up, start_pending=False, starting=True), (StartServer(),)


def _failed(session: Session, event: ConnectFailed | Lost, moment: Now) -> Outcome:
    return _give_way(session, event.problem, session.failures + 1, moment)


def _lost(session: Session, event: Lost, moment: Now) -> Outcome:
    failures = backoff.failures_after(session.failures, moment.now - session.since)
    return _give_way(session, event.problem, failures, moment)


def _give_way(session: Session, problem: Problem, failures: int, moment: Now) -> Outcome:
    """Leave an attempt that came to nothing, by what can help."""
    if session.typed_login and problem.recovery is Recovery.RETRY:
        problem = replace(
            problem,
            advice="You typed the login, so it is not repeated automatically. Click to reconnect.",
            recovery=Recovery.USER_ACTION,
        )
    seconds = None
    if problem.recovery is Recovery.RETRY:
        seconds = backoff.delay(failures, moment.chance, problem.wait)
    elif problem.recovery is Recovery.NETWORK and not session.typed_login:
        seconds = backoff.SLOW
        problem = replace(problem, advice=f"{problem.advice}\n{_TRIED_AGAIN}")
    attempt = session.attempt + 1
    left = _enter(
        session,
        _LEAVES_FOR[problem.recovery],
        moment,
        attempt=attempt,
        failures=failures,
        problem=problem,
        retry_at=None if seconds is None else moment.now + seconds,
    )
    return left, (Disconnect(),) if seconds is None else (
        Disconnect(),
        RetryAfter(attempt, seconds),
    )


def _asked(session: Session, event: Asked, moment: Now) -> Outcome:
    # What it waits for now is the answer, whatever failed before.
    return _enter(session, State.NEEDS_YOU, moment, question=event.question, problem=None), ()


def _said(session: Session, event: ProgressChanged, _moment: Now) -> Outcome:
    return replace(session, says=event.text), ()


def _answered(session: Session, event: Answered, moment: Now) -> Outcome:
    if session.question is None:
        raise IllegalEvent("Answered without a question")
    if event.answer is None:
        return _close(session, moment)
    typed = session.question.kind in _TYPED_LOGINS and not event.answer.remember
    typed_login = session.typed_login or typed
    waits = session.question.kind is QuestionKind.VISIT  # go on saying so
    says = session.question.title if waits else ""
    return _enter(session, State.CONNECTING, moment, typed_login=typed_login, says=says), ()


def _failed_while_asking(session: Session, event: ConnectFailed, moment: Now) -> Outcome:
    if session.question is None:
        raise IllegalEvent("ConnectFailed without an attempt under way")
    return _failed(session, event, moment)


def _start_when_needed(session: Session, event: Connect, moment: Now) -> Outcome:
    """A click on a session that waits for an answer changes nothing: the question is open."""
    if session.question is not None:
        return _owe_browser(session, event, moment)
    return _begin(session, event, moment)


def _examined(session: Session, event: HealthChanged, moment: Now) -> Outcome:
    health = event.health
    examined, effects = _watched(session, health, moment)
    problem = None if session.starting else health.problem
    examined = replace(
        examined,
        health=health,
        problem=problem,
        looks=session.looks + 1,
        launcher="" if _is_gone(session, health) else session.launcher,
    )
    if health.reached >= Reached.JUPYTER:
        examined = replace(examined, browser_pending=False, force_open=False, is_fresh=False)
        if session.force_open or (session.browser_pending and session.server.open_browser):
            effects = (OpenBrowser(health.page), *effects)
    return examined, effects


def _is_gone(session: Session, health: Health) -> bool:
    """Whether the Jupyter that was started ended, or another one took its place."""
    before = session.health
    if health.missing or before is None or session.looks <= session.looks_at_start:
        return health.missing
    was, now = ({(j.pid, j.born) for j in h.jupyters if j.in_use} for h in (before, health))
    return bool(was and now) and was != now


def _watched(session: Session, health: Health, moment: Now) -> Outcome:
    """What its kernels do; nothing changes where that is not known."""
    if health.kernels is None:
        return session, ()
    runs, ended = follow(session.runs, health.kernels, moment.now)
    tells = ended and session.server.notify_idle
    watched = replace(session, runs=runs, looked_at=moment.now)
    return watched, (NotifyIdle(session.server, ended),) if tells else ()


def _remote_answered(session: Session, event: RemoteAnswered, _moment: Now) -> Outcome:
    answers = dict(session.remote) | {event.name: event.answer}
    return replace(session, remote=tuple(answers.items())), ()


def _start_jupyter(session: Session, _event: StartJupyter, _moment: Now) -> Outcome:
    health = session.health
    runs = health is not None and health.reached >= Reached.JUPYTER and not health.missing
    if health is not None and any(one.in_use and not one.is_own for one in health.jupyters):
        runs = False  # the user chose another one than the entry would start
    if runs or session.starting or session.server.is_direct:
        return session, ()
    return replace(session, starting=True, browser_pending=True, problem=None), (StartServer(),)


def _connect_for_jupyter(session: Session, _event: StartJupyter, moment: Now) -> Outcome:
    begin = TABLE[session.state, Connect]
    begun, effects = begin(session, Connect(), moment)
    return replace(begun, start_pending=not session.server.is_direct), effects


def _starting(session: Session, _event: JupyterStarting, _moment: Now) -> Outcome:
    return replace(session, starting=True, problem=None), ()


def _started(session: Session, event: JupyterStarted, _moment: Now) -> Outcome:
    started = replace(session, starting=False, launcher=event.words, is_fresh=False)
    return replace(started, looks_at_start=session.looks), ()


def _jupyter_stopped(session: Session, event: JupyterStopped, _moment: Now) -> Outcome:
    if not event.done:
        return replace(session, is_fresh=False), (SuppressAutostart(),)
    return replace(session, health=None, launcher="", **_NO_WISHES), (SuppressAutostart(), Ping())


def _pages_seen(session: Session, event: PagesSeen, _moment: Now) -> Outcome:
    return replace(session, ready_pages=event.ready_pages), ()


def _check(session: Session, _event: Event, _moment: Now) -> Outcome:
    return session, (Ping(),)


def _look(session: Session, _event: LookAgain, _moment: Now) -> Outcome:
    return session, (CheckHealth(),)


def _stop(session: Session, _event: DisconnectRequested, moment: Now) -> Outcome:
    return _close(session, moment)


def _close(session: Session, moment: Now) -> Outcome:
    attempt = session.attempt + 1
    settled = replace(session, attempt=attempt, problem=None, runs=(), **_NO_WISHES)
    return _enter(settled, State.CLOSING, moment), (Close(attempt),)


def _restart(session: Session, _event: Restart, moment: Now) -> Outcome:
    closing, effects = _close(session, moment)
    restarting = replace(
        closing,
        restart=True,
        browser_pending=session.browser_pending,
        force_open=session.force_open,
        is_fresh=True,
    )
    return restarting, effects


def _begin_quietly(session: Session, _event: Restart, moment: Now) -> Outcome:
    return _open(session, moment, failures=0, problem=None, is_fresh=True)


def _want_restart_quietly(session: Session, _event: Restart, _moment: Now) -> Outcome:
    return replace(session, restart=True, is_fresh=True), ()


def _want_restart(session: Session, event: Connect, _moment: Now) -> Outcome:
    return replace(_owe(session, event), restart=True), ()


def _want_off(session: Session, _event: DisconnectRequested, _moment: Now) -> Outcome:
    return replace(session, restart=False, **_NO_WISHES), ()


def _closed(session: Session, _event: Closed, moment: Now) -> Outcome:
    server = session.successor or session.server
    settled = replace(
        session,
        server=server,
        successor=None,
        restart=False,
        failures=0,
        additions=NOTHING,
        unbound_forwards=(),
        banner="",
    )
    if session.restart:
        opened, effects = _open(settled, moment)
        # A change of the file is no connect by the user.
        stays = settled.server.start is not None and not session.is_fresh
        return opened, (SuppressAutostart(), *effects) if stays else effects
    return _enter(settled, State.OFF, moment), (Forget(session.server),)


def _replace_server(session: Session, event: ConfigChanged, _moment: Now) -> Outcome:
    return replace(session, server=event.server), ()


def _change_server(session: Session, event: ConfigChanged, moment: Now) -> Outcome:
    """What does not touch the tunnel is taken over as it is; anything else makes a new one."""
    if session.server.same_link(event.server):
        return replace(session, server=event.server), (Update(event.server),)
    closing, effects = _restart(session, Restart(), moment)
    return replace(closing, successor=event.server, is_fresh=session.is_fresh), effects


def _change_successor(session: Session, event: ConfigChanged, _moment: Now) -> Outcome:
    return replace(session, successor=event.server), ()


_WITHOUT_RETRY = (State.OFF, State.CONNECTING, State.NEEDS_YOU, State.CLOSING)
"""The states in which nothing is gained by an attempt at once."""

IGNORED: frozenset[tuple[State, type[Event]]] = frozenset(
    {
        *((state, LookAgain) for state in State if state is not State.UP),
        *((state, JupyterStopped) for state in State if state is not State.UP),
        *((state, Woke) for state in _WITHOUT_RETRY),
        *((state, NetworkChanged) for state in _WITHOUT_RETRY),
        (State.OFF, DisconnectRequested),
        (State.UP, ProgressChanged),
        (State.NEEDS_YOU, ProgressChanged),
    }
)
"""Events that may come in these states, and change nothing."""

# Every transition there is. A pair that is neither here nor IGNORED is an illegal event.
TABLE: Mapping[tuple[State, type[Event]], Transition] = {
    (State.OFF, Connect): _begin,
    (State.OFF, Restart): _begin_quietly,
    (State.OFF, StartJupyter): _connect_for_jupyter,
    (State.OFF, ConfigChanged): _replace_server,
    (State.CONNECTING, Connect): _owe_browser,
    (State.CONNECTING, DisconnectRequested): _stop,
    (State.CONNECTING, Restart): _restart,
    (State.CONNECTING, ForwardsBound): _listening,
    (State.CONNECTING, StartJupyter): _connect_for_jupyter,
    (State.CONNECTING, Connected): _connected,
    (State.CONNECTING, ConnectFailed): _failed,
    (State.CONNECTING, Lost): _failed,
    (State.CONNECTING, Asked): _asked,
    (State.CONNECTING, ProgressChanged): _said,
    (State.CONNECTING, ConfigChanged): _change_server,
    (State.UP, Connect): _start_while_up,
    (State.UP, DisconnectRequested): _stop,
    (State.UP, Restart): _restart,
    (State.UP, StartJupyter): _start_jupyter,
    (State.UP, JupyterStopped): _jupyter_stopped,
    (State.UP, Lost): _lost,
    (State.UP, HealthChanged): _examined,
    (State.UP, JupyterStarting): _starting,
    (State.UP, JupyterStarted): _started,
    (State.UP, RemoteAnswered): _remote_answered,
    (State.UP, PagesSeen): _pages_seen,
    (State.UP, Woke): _check,
    (State.UP, NetworkChanged): _check,
    (State.UP, LookAgain): _look,
    (State.UP, ConfigChanged): _change_server,
    (State.WAITING, Connect): _begin_now,
    (State.WAITING, DisconnectRequested): _stop,
    (State.WAITING, Restart): _restart,
    (State.WAITING, StartJupyter): _connect_for_jupyter,
    (State.WAITING, RetryDue): _retry,
    (State.WAITING, Woke): _retry_now,
    (State.WAITING, NetworkChanged): _retry_now,
    (State.WAITING, ConfigChanged): _change_server,
    (State.NEEDS_YOU, Connect): _start_when_needed,
    (State.NEEDS_YOU, DisconnectRequested): _stop,
    (State.NEEDS_YOU, Restart): _restart,
    (State.NEEDS_YOU, StartJupyter): _connect_for_jupyter,
    (State.NEEDS_YOU, Answered): _answered,
    (State.NEEDS_YOU, ConnectFailed): _failed_while_asking,
    (State.NEEDS_YOU, ConfigChanged): _change_server,
    (State.CLOSING, Connect): _want_restart,
    (State.CLOSING, DisconnectRequested): _want_off,
    (State.CLOSING, Restart): _want_restart_quietly,
    (State.CLOSING, StartJupyter): _connect_for_jupyter,
    (State.CLOSING, Closed): _closed,
    (State.CLOSING, ConfigChanged): _change_successor,
    (State.FAILED, Connect): _begin_now,
    (State.FAILED, DisconnectRequested): _stop,
    (State.FAILED, Restart): _restart,
    (State.FAILED, StartJupyter): _connect_for_jupyter,
    (State.FAILED, RetryDue): _retry_failed,
    (State.FAILED, Woke): _retry_failed_now,
    (State.FAILED, NetworkChanged): _retry_failed_now,
    (State.FAILED, ConfigChanged): _change_server,
}
