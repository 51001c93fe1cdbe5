"""News in words: the notice of one server, or of several for which the same holds. Pure."""

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
"""Servers that a notice names; notices are short."""
_RETRIED = "Trying again automatically"


@dataclass(frozen=True, slots=True)
class _Wording:
    one: str
    """What is said of one server, after its name."""
    several: str
    """The same of several, after their number."""
    buttons: tuple[Callable[[str], Button], ...]
    """Each for the server of that name."""
    urgency: Urgency = Urgency.NORMAL
    passing: bool = False


_MANNERS: Mapping[Alert, _Wording] = {
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
"""Lines of advice in a notice; more would cover half the screen."""


def notice(news: Alert, sessions: Sequence[Snapshot]) -> Notice:
    """The notice that tells it of these sessions, at least one."""
    manner = _MANNERS[news]
    if len(sessions) > 1:
        return Notice(
            tag=f"servers {news.value}",
            title=f"{len(sessions)} {manner.several}",
            body=_several(sessions),
            urgency=manner.urgency,
            passing=manner.passing,
        )
    (session,) = sessions
    name = session.server.name
    return Notice(
        tag=f"server {name}",
        title=f"{name} {manner.one}",
        body="\n".join(_lines(news, session)),
        urgency=manner.urgency,
        passing=manner.passing,
        buttons=tuple(button(name) for button in manner.buttons),
    )


def _lines(news: Alert, session: Snapshot) -> list[str]:
    if session.question is not None:
        question = session.question
        more = _short(question.message) if question.kind is QuestionKind.VISIT else []
        return [question.title, *more]
    problem = session.page_problem
    if news in (Alert.UP, Alert.BACK):
        page = [session.page.url] if session.page is not None else []
        return [*page, problem.title] if problem is not None else page
    lines = [problem.title, *_short(problem.advice)] if problem is not None else []
    if session.state in (State.WAITING, State.CONNECTING) or (
        session.retry_at is not None and "…" in lines
    ):
        lines.append(_RETRIED)
    return [line for line in lines if line]


def _short(advice: str) -> list[str]:
    """Its beginning: fingerprints and commands are in the menu's Show problem, to be copied."""
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
