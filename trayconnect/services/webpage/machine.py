"""The state of a page without SSH. `step` is pure: it returns the new state and the effects to
carry out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.services.protocol import NO_DEBT, Level, PageDebt, ServiceStatus


@dataclass(frozen=True, slots=True)
class PageHealth:
    """The result of one check; `problem` says why its level is not higher."""

    level: Level
    page: Page
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class DirectPage:
    """What is known of the page."""

    server: Server
    health: PageHealth | None = None
    """Of the last check, while linked."""
    checks: int = 0
    debt: PageDebt = NO_DEBT

    @property
    def is_ready(self) -> bool:
        return self.health is not None and self.health.level >= Level.READY


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link is gone."""


@dataclass(frozen=True, slots=True)
class EntryChanged:
    server: Server


Event = Command | PageHealth | LinkDown | EntryChanged


@dataclass(frozen=True, slots=True)
class CheckNow:
    """Check now, if there is a link."""


@dataclass(frozen=True, slots=True)
class OpenBrowser:
    page: Page


Effect = CheckNow | OpenBrowser
Outcome = tuple[DirectPage, tuple[Effect, ...]]


def step(state: DirectPage, event: Event) -> Outcome:
    match event:
        case Command(name):
            return _command(state, name)
        case PageHealth():
            return _looked(state, event)
        case LinkDown():
            return replace(state, health=None), ()
        case EntryChanged(server):
            return replace(state, server=server), (CheckNow(),)


def _command(state: DirectPage, name: str) -> Outcome:
    debt = state.debt
    match name:
        case "connect" | "open" if not state.is_ready:
            return replace(state, debt=debt.owe(show=name == "open")), (CheckNow(),)
        case "open":  # the last check may be a minute old
            return replace(state, debt=replace(debt, force_open=True)), (CheckNow(),)
        case "disconnect":
            return replace(state, health=None, debt=NO_DEBT), ()
        case _:
            return state, ()


def _looked(state: DirectPage, health: PageHealth) -> Outcome:
    seen = replace(state, health=health, checks=state.checks + 1)
    if not seen.is_ready:
        return seen, ()
    opens = state.debt.opens(state.server)
    return replace(seen, debt=NO_DEBT), (OpenBrowser(health.page),) if opens else ()


def status(state: DirectPage) -> ServiceStatus:
    """The state as data of the protocol."""
    health = state.health
    known = ServiceStatus(
        state_text="looking for its page…",
        browser_pending=state.debt.browser_pending,
        checks=state.checks,
    )
    if health is None:
        return known
    return replace(
        known,
        level=health.level,
        page=health.page if state.is_ready else None,
        problem=health.problem,
        state_text=_words(health),
    )


def _words(health: PageHealth) -> str:
    if health.level >= Level.READY:
        return "connected"
    if health.level is Level.REACHABLE:
        return "connected, no web page answers yet"
    return "looking for its page…" if health.problem is None else "its page does not answer"
