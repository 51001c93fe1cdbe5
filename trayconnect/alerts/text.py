"""The notice of an alert: of one server, or of several. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trayconnect.alerts.policy import Alert
from trayconnect.core.command import Button
from trayconnect.core.notices import EDIT, Notice, Urgency, disconnect, open_page, retry
from trayconnect.core.questions import QuestionKind
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State

LINES = 5
"""Limit for the servers that a notice names: notices are short."""
_RETRIED = "Trying again automatically"


@dataclass(frozen=True, slots=True)
class _Wording:
    one: str
    """After the name of one server."""
    several: str
    """After the number of several."""
    buttons: tuple[Callable[[str], Button], ...]
    """Each for the server of that name."""
    urgency: Urgency = Urgency.NORMAL
    passing: bool = False


_WORDINGS: Mapping[Alert, _Wording] = {
    Alert.UP: _Wording(
        "is connected",
        "servers are connected",
        (open_page, disconnect),
        passing=True,
    ),
    Alert.DELAYED: _Wording(
        "cannot be reached yet",
        "servers cannot be reached yet",
        (retry, disconnect),
    ),
    Alert.SILENT: _Wording(
        "has no page yet",
        "servers have no page yet",
        (retry, disconnect),
    ),
    Alert.LOST: _Wording(
        "no longer answers",
        "servers no longer answer",
        (retry, disconnect),
    ),
    Alert.BACK: _Wording(
        "is back",
        "servers are back",
        (open_page, disconnect),
        passing=True,
    ),
    Alert.ASKING: _Wording(
        "waits for your answer",
        "servers wait for your answer",
        (disconnect,),
    ),
    Alert.NEEDS_YOU: _Wording(
        "needs you",
        "servers need you",
        (retry, disconnect),
        Urgency.CRITICAL,
    ),
    Alert.FAILED: _Wording(
        "could not be connected",
        "servers could not be connected",
        (retry, lambda _: EDIT),
        Urgency.CRITICAL,
    ),
}

ADVICE_LINES = 4
"""Limit for the advice in a notice: more would cover half the screen."""


def notice(alert: Alert, sessions: Sequence[Snapshot]) -> Notice:
    """The notice of an alert that holds of these sessions, at least one."""
    wording = _WORDINGS[alert]
    if len(sessions) > 1:
        return Notice(
            tag=f"servers {alert.value}",
            title=f"{len(sessions)} {wording.several}",
            body=_several(sessions),
            urgency=wording.urgency,
            passing=wording.passing,
        )
    (session,) = sessions
    name = session.server.name
    return Notice(
        tag=f"server {name}",
        title=f"{name} {wording.one}",
        body="\n".join(_lines(alert, session)),
        urgency=wording.urgency,
        passing=wording.passing,
        buttons=tuple(button(name) for button in wording.buttons),
    )


def _lines(alert: Alert, session: Snapshot) -> list[str]:
    if session.question is not None:
        question = session.question
        more = _short(question.message) if question.kind is QuestionKind.VISIT else []
        return [question.title, *more]
    problem = session.page_problem
    if alert in (Alert.UP, Alert.BACK):
        page = [session.page.url] if session.page is not None else []
        return [*page, problem.title] if problem is not None else page
    lines = [problem.title, *_short(problem.advice)] if problem is not None else []
    if session.state in (State.WAITING, State.CONNECTING) or (
        session.retry_at is not None and "…" in lines
    ):
        lines.append(_RETRIED)
    return [line for line in lines if line]


def _short(advice: str) -> list[str]:
    """The beginning of the advice. The menu's Show problem has fingerprints and commands, to be
    copied."""
    lines = [line for line in advice.splitlines() if line.strip()]
    if len(lines) <= ADVICE_LINES:
        return lines
    first = list(itertools.takewhile(lambda line: not line.startswith(" "), lines))
    return [*first[: ADVICE_LINES - 1], "…"]


def _several(sessions: Sequence[Snapshot]) -> str:
    lines = []
    for session in sessions[:LINES]:
        why = f": {session.page_problem.title}" if session.page_problem is not None else ""
        lines.append(f"{session.server.name}{why}")
    more = len(sessions) - len(lines)
    return "\n".join([*lines, f"and {more} more"] if more else lines)
