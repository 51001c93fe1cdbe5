r"""The state machine of a session, the life of one SSH link: pure, and all of it in one table.

`step` gets the time and a random number, does no I/O, and returns the new session with the effects
to carry out. It holds only what it decides on: what is merely shown of a link (its forwards, its
banner, its progress) is the worker's, in `LinkInfo`. What runs behind the link is a service.

            Connect              Connected
      OFF ----------> CONNECTING ----------> UP
       ^               |  ^  ^ \              | Failed
       | Closed        |  |  |  \ Asked       |
       |               |  |  |   v            |
    CLOSING            |  |  +-- NEEDS_YOU    |   by the problem's recovery:
       ^               |  |      Answered     |     RETRY        WAITING
       |               |  |                   |     USER_ACTION  NEEDS_YOU
       |               |  +--- RetryDue ---- WAITING, FAILED     NETWORK, FIX_FIRST: FAILED
       |               +------ Failed -------^
       +-- Disconnect, Restart and a changed entry lead here from every state but OFF

- CONNECTING: `attempt` numbers the attempt. A number is used once, and a report about another
  attempt comes too late. `failures` in a row set the length of the next wait. `typed_login` becomes
  true as soon as a human typed what a retry could not reuse: such a login is never repeated without
  the user. A retry out of FAILED keeps its problem, and counts as failed until more is known
  (`retries_quietly`); the user's Connect makes it an attempt like any other.
- UP: the link lives. A network change and the end of sleep send a keepalive request at once.
- WAITING: `problem` says why, `retry_at` when. A network change, the end of sleep and the user's
  Connect try at once; the timer of the wait then comes too late.
- NEEDS_YOU: either a `question` is open, and the attempt waits for its answer; or a login was
  refused, and only the user's Connect tries again.
- FAILED: retrying soon cannot help. A network change and the end of sleep try again, and where
  another network may help, the clock too, slowly.
- CLOSING: everything is being closed. `restart` says whether to connect again afterwards, and
  `successor` is the entry to go on with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.questions import QuestionKind
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
    Report,
    Restart,
    RetryAfter,
    RetryDue,
    Session,
    State,
)

FIRST = 1.0
"""Seconds before the first retry."""
LONGEST = 60.0
"""Limit of a wait in seconds, unless the problem asks for more."""
SLOW = 300.0
"""Seconds between the retries where only another network can help (`Recovery.NETWORK`)."""
STABLE = 30.0
"""Seconds after which the loss of a link is a first failure again."""

# Answers that a retry cannot repeat. A passphrase is kept until the user disconnects, and the
# decision on a host key for good.
_TYPED_LOGINS = frozenset(
    {QuestionKind.PASSWORD, QuestionKind.ONE_TIME_CODE, QuestionKind.KEYBOARD_INTERACTIVE}
)

_AFTER_FAILURE: Mapping[Recovery, State] = {
    Recovery.RETRY: State.WAITING,
    Recovery.NETWORK: State.FAILED,
    Recovery.USER_ACTION: State.NEEDS_YOU,
    Recovery.FIX_FIRST: State.FAILED,
}
_TRIED_AGAIN = (
    f"Trying again when the network changes, and every {SLOW / 60:g} minutes until you disconnect."
)


class IllegalEvent(Exception):  # noqa: N818 - named for what it is
    """An event that cannot happen in this state: a bug of its sender."""


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
    """The session after an event, and the effects to carry out. A report about another attempt than
    the present one comes too late and changes nothing.

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


def delay(failures: int, chance: float, least: float = 0.0) -> float:
    """Seconds to wait after that many failures in a row (at least one), and no less than `least`.

    Doubles from `FIRST` to `LONGEST`. `chance`, in [0, 1), spreads the wait over its upper half, so
    that many clients of one server do not return at the same moment."""
    longest = min(FIRST * 2.0 ** min(failures - 1, 16), LONGEST)
    return max(FIRST, longest * (0.5 + chance / 2), least * (1 + chance / 2))


# --- the transitions --------------------------------------------------------------------------


def _enter(session: Session, state: State, moment: Now, **changes: Any) -> Session:
    """Change the state, and clear what holds only in the state before."""
    cleared: dict[str, Any] = {"retry_at": None, "question": None}
    return replace(session, state=state, since=moment.now, **(cleared | changes))


def _open(session: Session, moment: Now, **changes: Any) -> Outcome:
    opened = _enter(session, State.CONNECTING, moment, typed_login=False, **changes)
    return opened, (Open(opened.attempt, opened.server),)


def _begin(session: Session, _event: Event, moment: Now) -> Outcome:
    return _open(session, moment, failures=0, problem=None)


def _begin_now(session: Session, event: Event, moment: Now) -> Outcome:
    """Before the timer: the number is skipped, so that the timer's report comes too late."""
    return _begin(replace(session, attempt=session.attempt + 1), event, moment)


def _retry(session: Session, _event: RetryDue, moment: Now) -> Outcome:
    return _open(session, moment)


def _retry_now(session: Session, _event: NetworkChanged, moment: Now) -> Outcome:
    if session.typed_login:
        return session, ()
    return _open(session, moment, attempt=session.attempt + 1)


def _order_again(session: Session, _event: Connect, _moment: Now) -> Outcome:
    """A quiet retry becomes an attempt that the user ordered."""
    return replace(session, problem=None) if session.retries_quietly else session, ()


def _connected(session: Session, event: Connected, moment: Now) -> Outcome:
    return _enter(session, State.UP, moment, problem=None, typed_login=event.typed_login), ()


def _failed(session: Session, event: Failed, moment: Now) -> Outcome:
    return _recover(session, event.problem, session.failures + 1, moment)


def _lost(session: Session, event: Failed, moment: Now) -> Outcome:
    was_stable = moment.now - session.since >= STABLE
    return _recover(session, event.problem, 1 if was_stable else session.failures + 1, moment)


def _recover(session: Session, problem: Problem, failures: int, moment: Now) -> Outcome:
    """End the attempt, and go where the problem's recovery leads."""
    if session.typed_login and problem.recovery is Recovery.RETRY:
        problem = replace(
            problem,
            advice="You typed the login, so it is not repeated automatically. Click to reconnect.",
            recovery=Recovery.USER_ACTION,
        )
    seconds = None
    if problem.recovery is Recovery.RETRY:
        seconds = delay(failures, moment.chance, problem.wait)
    elif problem.recovery is Recovery.NETWORK and not session.typed_login:
        seconds = SLOW
        problem = replace(problem, advice=f"{problem.advice}\n{_TRIED_AGAIN}")
    attempt = session.attempt + 1
    ended = _enter(
        session,
        _AFTER_FAILURE[problem.recovery],
        moment,
        attempt=attempt,
        failures=failures,
        problem=problem,
        retry_at=None if seconds is None else moment.now + seconds,
    )
    return ended, (Drop(),) if seconds is None else (Drop(), RetryAfter(attempt, seconds))


def _asked(session: Session, event: Asked, moment: Now) -> Outcome:
    return _enter(session, State.NEEDS_YOU, moment, question=event.question, problem=None), ()


def _answered(session: Session, event: Answered, moment: Now) -> Outcome:
    if session.question is None:
        raise IllegalEvent("Answered without a question")
    if event.answer is None:
        return _close(session, event, moment)
    typed = session.question.kind in _TYPED_LOGINS and not event.answer.remember
    return _enter(session, State.CONNECTING, moment, typed_login=session.typed_login or typed), ()


def _failed_while_asking(session: Session, event: Failed, moment: Now) -> Outcome:
    if session.question is None:
        raise IllegalEvent("Failed without an attempt under way")
    return _failed(session, event, moment)


def _begin_unless_asking(session: Session, event: Connect, moment: Now) -> Outcome:
    return _begin(session, event, moment) if session.question is None else (session, ())


def _check(session: Session, _event: Event, _moment: Now) -> Outcome:
    return session, (Check(),)


def _close(session: Session, _event: Event, moment: Now) -> Outcome:
    attempt = session.attempt + 1
    closing = _enter(session, State.CLOSING, moment, attempt=attempt, problem=None)
    return closing, (Close(attempt),)


def _restart(session: Session, event: Event, moment: Now) -> Outcome:
    closing, effects = _close(session, event, moment)
    return replace(closing, restart=True), effects


def _restart_afterwards(session: Session, _event: Event, _moment: Now) -> Outcome:
    return replace(session, restart=True), ()


def _stay_off_afterwards(session: Session, _event: Disconnect, _moment: Now) -> Outcome:
    return replace(session, restart=False), ()


def _closed(session: Session, _event: Closed, moment: Now) -> Outcome:
    server = session.successor or session.server
    settled = replace(session, server=server, successor=None, restart=False, failures=0)
    if session.restart:
        return _open(settled, moment)
    return _enter(settled, State.OFF, moment), (Forget(session.server),)


def _replace_server(session: Session, event: ConfigChanged, _moment: Now) -> Outcome:
    return replace(session, server=event.server), ()


def _change_server(session: Session, event: ConfigChanged, moment: Now) -> Outcome:
    """Make a new link if the change concerns the link."""
    if session.server.same_link(event.server):
        return _replace_server(session, event, moment)
    closing, effects = _restart(session, event, moment)
    return replace(closing, successor=event.server), effects


def _change_successor(session: Session, event: ConfigChanged, _moment: Now) -> Outcome:
    return replace(session, successor=event.server), ()


IGNORED: frozenset[tuple[State, type[Event]]] = frozenset(
    {
        (State.OFF, Disconnect),
        (State.OFF, NetworkChanged),
        (State.CONNECTING, NetworkChanged),
        (State.NEEDS_YOU, NetworkChanged),
        (State.CLOSING, NetworkChanged),
    }
)
"""Events that may come in these states, and change nothing."""

# Every transition there is. A pair that is neither here nor IGNORED is an illegal event.
TABLE: Mapping[tuple[State, type[Event]], Transition] = {
    (State.OFF, Connect): _begin,
    (State.OFF, Restart): _begin,
    (State.OFF, ConfigChanged): _replace_server,
    (State.CONNECTING, Connect): _order_again,
    (State.CONNECTING, Disconnect): _close,
    (State.CONNECTING, Restart): _restart,
    (State.CONNECTING, ConfigChanged): _change_server,
    (State.CONNECTING, Connected): _connected,
    (State.CONNECTING, Failed): _failed,
    (State.CONNECTING, Asked): _asked,
    (State.UP, Connect): _check,
    (State.UP, Disconnect): _close,
    (State.UP, Restart): _restart,
    (State.UP, NetworkChanged): _check,
    (State.UP, ConfigChanged): _change_server,
    (State.UP, Failed): _lost,
    (State.WAITING, Connect): _begin_now,
    (State.WAITING, Disconnect): _close,
    (State.WAITING, Restart): _restart,
    (State.WAITING, NetworkChanged): _retry_now,
    (State.WAITING, ConfigChanged): _change_server,
    (State.WAITING, RetryDue): _retry,
    (State.NEEDS_YOU, Connect): _begin_unless_asking,
    (State.NEEDS_YOU, Disconnect): _close,
    (State.NEEDS_YOU, Restart): _restart,
    (State.NEEDS_YOU, ConfigChanged): _change_server,
    (State.NEEDS_YOU, Failed): _failed_while_asking,
    (State.NEEDS_YOU, Answered): _answered,
    (State.CLOSING, Connect): _restart_afterwards,
    (State.CLOSING, Disconnect): _stay_off_afterwards,
    (State.CLOSING, Restart): _restart_afterwards,
    (State.CLOSING, ConfigChanged): _change_successor,
    (State.CLOSING, Closed): _closed,
    (State.FAILED, Connect): _begin_now,
    (State.FAILED, Disconnect): _close,
    (State.FAILED, Restart): _restart,
    (State.FAILED, NetworkChanged): _retry_now,
    (State.FAILED, ConfigChanged): _change_server,
    (State.FAILED, RetryDue): _retry,
}
