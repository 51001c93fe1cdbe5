r"""The state machine of a session, the life of one SSH link: pure, and all of it in one table.

`step` is given the time and the dice, does no I/O, and returns the new session with the effects to
carry out. It knows nothing of what runs behind the link: see `trayconnect.services`.

            Connect              Connected
      OFF ----------> CONNECTING ----------> UP
       ^               |  ^  ^ \              | Lost
       | Closed        |  |  |  \ Asked       |
       |               |  |  |   v            |
    CLOSING            |  |  +-- NEEDS_YOU    |   by the problem's recovery:
       ^               |  |      Answered     |     RETRY        WAITING
       |               |  |                   |     USER_ACTION  NEEDS_YOU
       |               |  +--- RetryDue ---- WAITING, FAILED     NETWORK, FIX_FIRST: FAILED
       |               +------ ConnectFailed -^
       +-- Disconnect, Restart and a changed entry lead here from every state but OFF

- CONNECTING: `attempt` numbers the attempt; a number is used once, and a report of another one than
  the present comes too late. `failures` in a row set the length of the next wait. `says` is the
  progress that the login reports, and `typed_login` becomes true once a human typed what a retry
  could not reuse: such a login is never repeated without them. `quiet` marks a retry out of FAILED
  that the user did not order: until more is known the session still counts as failed.
- UP: the link lives. `remote` is what the server said to the remote forwards. A change of the
  network, and the end of sleep, make it ask the server for a sign of life.
- WAITING: `problem` says why, `retry_at` when. A change of the network, the end of sleep and the
  user's Connect try at once; the timer of the wait then comes too late.
- NEEDS_YOU: either a `question` is open, and the attempt waits for its answer; or a login was
  refused, and only the user's Connect tries again.
- FAILED: retrying soon cannot help. A change of the network and the end of sleep try again, and
  where another network may help, the clock too, slowly.
- CLOSING: everything is being closed. `restart` says whether to connect again then, and `successor`
  is the entry to go on with.

`additions` (of ssh_config(5)), `unbound_forwards` and `banner` hold from the first attempt until
everything is closed: the local listeners belong to the session, not to the attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.questions import QuestionKind
from trayconnect.sessions import backoff
from trayconnect.sessions.effects import (
    Close,
    Disconnect,
    Effect,
    Forget,
    Open,
    Ping,
    RetryAfter,
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
    Lost,
    NetworkChanged,
    ProgressChanged,
    RemoteAnswered,
    Report,
    Restart,
    RetryDue,
)
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
        "remote": (),
        "quiet": False,
        "says": "",
    }
    return replace(session, state=state, since=moment.now, **(cleared | changes))


def _open(session: Session, moment: Now, **changes: Any) -> Outcome:
    opened = _enter(session, State.CONNECTING, moment, typed_login=False, **changes)
    return opened, (Open(opened.attempt, opened.server),)


def _begin(session: Session, _event: Event, moment: Now) -> Outcome:
    return _open(session, moment, failures=0, problem=None)


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


def _begin_now(session: Session, event: Event, moment: Now) -> Outcome:
    return _begin(replace(session, attempt=session.attempt + 1), event, moment)


def _go_on(session: Session, _event: Connect, _moment: Now) -> Outcome:
    """The attempt is the user's own now."""
    return replace(session, quiet=False), ()


def _listening(session: Session, event: ForwardsBound, _moment: Now) -> Outcome:
    return replace(session, additions=event.additions, unbound_forwards=event.unbound_forwards), ()


def _connected(session: Session, event: Connected, moment: Now) -> Outcome:
    changes = {"typed_login": event.typed_login, "banner": event.banner}
    return _enter(session, State.UP, moment, problem=None, **changes), ()


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
        return _go_on(session, event, moment)
    return _begin(session, event, moment)


def _remote_answered(session: Session, event: RemoteAnswered, _moment: Now) -> Outcome:
    answers = dict(session.remote) | {event.name: event.answer}
    return replace(session, remote=tuple(answers.items())), ()


def _check(session: Session, _event: Event, _moment: Now) -> Outcome:
    return session, (Ping(),)


def _stop(session: Session, _event: DisconnectRequested, moment: Now) -> Outcome:
    return _close(session, moment)


def _close(session: Session, moment: Now) -> Outcome:
    attempt = session.attempt + 1
    settled = replace(session, attempt=attempt, problem=None)
    return _enter(settled, State.CLOSING, moment), (Close(attempt),)


def _restart(session: Session, _event: Event, moment: Now) -> Outcome:
    closing, effects = _close(session, moment)
    return replace(closing, restart=True), effects


def _want_restart(session: Session, _event: Event, _moment: Now) -> Outcome:
    return replace(session, restart=True), ()


def _want_off(session: Session, _event: DisconnectRequested, _moment: Now) -> Outcome:
    return replace(session, restart=False), ()


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
        return _open(settled, moment)
    return _enter(settled, State.OFF, moment), (Forget(session.server),)


def _replace_server(session: Session, event: ConfigChanged, _moment: Now) -> Outcome:
    return replace(session, server=event.server), ()


def _change_server(session: Session, event: ConfigChanged, moment: Now) -> Outcome:
    """What does not touch the tunnel is taken over as it is; anything else makes a new one."""
    if session.server.same_link(event.server):
        return replace(session, server=event.server), (Update(event.server),)
    closing, effects = _restart(session, event, moment)
    return replace(closing, successor=event.server), effects


def _change_successor(session: Session, event: ConfigChanged, _moment: Now) -> Outcome:
    return replace(session, successor=event.server), ()


_WITHOUT_RETRY = (State.OFF, State.CONNECTING, State.NEEDS_YOU, State.CLOSING)
"""The states in which nothing is gained by an attempt at once."""

IGNORED: frozenset[tuple[State, type[Event]]] = frozenset(
    {
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
    (State.OFF, Restart): _begin,
    (State.OFF, ConfigChanged): _replace_server,
    (State.CONNECTING, Connect): _go_on,
    (State.CONNECTING, DisconnectRequested): _stop,
    (State.CONNECTING, Restart): _restart,
    (State.CONNECTING, ForwardsBound): _listening,
    (State.CONNECTING, Connected): _connected,
    (State.CONNECTING, ConnectFailed): _failed,
    (State.CONNECTING, Lost): _failed,
    (State.CONNECTING, Asked): _asked,
    (State.CONNECTING, ProgressChanged): _said,
    (State.CONNECTING, ConfigChanged): _change_server,
    (State.UP, Connect): _check,
    (State.UP, DisconnectRequested): _stop,
    (State.UP, Restart): _restart,
    (State.UP, Lost): _lost,
    (State.UP, RemoteAnswered): _remote_answered,
    (State.UP, NetworkChanged): _check,
    (State.UP, ConfigChanged): _change_server,
    (State.WAITING, Connect): _begin_now,
    (State.WAITING, DisconnectRequested): _stop,
    (State.WAITING, Restart): _restart,
    (State.WAITING, RetryDue): _retry,
    (State.WAITING, NetworkChanged): _retry_now,
    (State.WAITING, ConfigChanged): _change_server,
    (State.NEEDS_YOU, Connect): _start_when_needed,
    (State.NEEDS_YOU, DisconnectRequested): _stop,
    (State.NEEDS_YOU, Restart): _restart,
    (State.NEEDS_YOU, Answered): _answered,
    (State.NEEDS_YOU, ConnectFailed): _failed_while_asking,
    (State.NEEDS_YOU, ConfigChanged): _change_server,
    (State.CLOSING, Connect): _want_restart,
    (State.CLOSING, DisconnectRequested): _want_off,
    (State.CLOSING, Restart): _want_restart,
    (State.CLOSING, Closed): _closed,
    (State.CLOSING, ConfigChanged): _change_successor,
    (State.FAILED, Connect): _begin_now,
    (State.FAILED, DisconnectRequested): _stop,
    (State.FAILED, Restart): _restart,
    (State.FAILED, RetryDue): _retry_failed,
    (State.FAILED, NetworkChanged): _retry_failed_now,
    (State.FAILED, ConfigChanged): _change_server,
}
