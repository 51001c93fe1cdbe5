"""From what is known to what the tray shows. Pure."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trayconnect.ports import Reached
from trayconnect.session.snapshot import Snapshot
from trayconnect.session.state import State
from trayconnect.tray.view import Action, IconState, Item, Verb, View

WIDTH = 64
"""Characters of a line; longer texts are wrapped or clipped, since menus do neither."""
INDENT = "    "
ADVICE_LINES = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What the menu shows beside the sessions."""

    autostart: bool | None = None
    """Whether the program starts at login; None where that cannot be told."""
    file_problems: tuple[str, ...] = ()
    """What is wrong with the file as it is saved."""
    file_in_force: bool = True
    """Whether a reading of the file is in force: this one, or an older one that was good."""


def build_view(snapshots: Sequence[Snapshot], facts: Facts) -> View:
    """All that the tray shows for these sessions, in their order."""
    items: list[Item] = [*_file_lines(facts)]
    for snapshot in snapshots:
        items.extend(_server_lines(snapshot))
    if not snapshots:
        items.append(Item("none", "No servers yet", enabled=False))
    items.append(Item("separator-all", separator=True))
    if snapshots:
        items.append(
            Item(
                "connect-all",
                "Connect all",
                Action(Verb.CONNECT_ALL),
                enabled=any(_can_connect(s) for s in snapshots),
            )
        )
        items.append(
            Item(
                "disconnect-all",
                "Disconnect all",
                Action(Verb.DISCONNECT_ALL),
                enabled=any(s.is_active for s in snapshots),
            )
        )
        items.append(Item("separator-app", separator=True))
    items.append(Item("edit", "Edit servers…", Action(Verb.EDIT_SERVERS)))
    if facts.autostart is not None:
        autostart = Action(Verb.TOGGLE_AUTOSTART)
        items.append(Item("autostart", "Start at login", autostart, checked=facts.autostart))
    items.append(Item("quit", "Quit trayconnect", Action(Verb.QUIT)))
    todo = primary(snapshots, facts)
    return View(_icon(snapshots), _title(snapshots), tuple(items), primary=todo)


def primary(snapshots: Sequence[Snapshot], facts: Facts) -> Action:
    """The most useful single thing to do now: what needs the user, else what a click on the only
    server would mean, else the only page, else all there is to see."""
    if facts.file_problems or not snapshots:
        return Action(Verb.EDIT_SERVERS)
    look = Action(Verb.SHOW_STATUS)
    needing = [s for s in snapshots if s.state is State.NEEDS_YOU]
    if needing:  # an open question has a window of its own already
        ask_again = [s for s in needing if not s.asking]
        return Action(Verb.CONNECT, ask_again[0].name) if ask_again else look
    pages = [s for s in snapshots if s.page is not None]
    if len(pages) == 1:
        return Action(Verb.OPEN, pages[0].name)
    if len(snapshots) == 1 and (_can_connect(snapshots[0]) or snapshots[0].state is State.WAITING):
        return Action(Verb.CONNECT, snapshots[0].name)
    return look


def state_words(snapshot: Snapshot) -> str:
    """A session's state, as people say it."""
    match snapshot.state:
        case State.OFF:
            return "off"
        case State.CONNECTING:
            return "connecting…"
        case State.UP if snapshot.is_ready:
            return "connected"
        case State.UP if snapshot.reached is Reached.PORT:
            return "connected, no web page answers yet"
        case State.UP if snapshot.server.is_direct:
            return "looking for its page…" if snapshot.problem is None else "its page is silent"
        case State.UP if snapshot.problem is None:
            return "logged in, looking for Jupyter…"
        case State.UP:
            return "connected, Jupyter is silent"
        case State.WAITING:
            return f"retrying at {_clock(snapshot.retry_at or snapshot.since)}"
        case State.NEEDS_YOU if snapshot.asking:
            return "waits for your answer"
        case State.NEEDS_YOU:
            return "needs you"
        case State.CLOSING:
            return "disconnecting…"
        case State.FAILED:
            return "failed"


def _server_lines(snapshot: Snapshot) -> Iterator[Item]:
    name = snapshot.name
    # What a line is comes first in its key: at the end, it could be the end of another's name.
    on = snapshot.is_active and not _can_connect(snapshot)
    verb = Verb.DISCONNECT if on else Verb.CONNECT
    yield Item(
        f"server {name}", f"{_clip(name)}: {state_words(snapshot)}", Action(verb, name), checked=on
    )
    if snapshot.page is not None:
        yield Item(f"open {name}", f"{INDENT}Open", Action(Verb.OPEN, name))
        yield Item(f"copy {name}", f"{INDENT}Copy link", Action(Verb.COPY_LINK, name))
    if snapshot.state is State.UP:
        for forward in snapshot.server.forwards:
            if forward.open:
                text = f"{INDENT}Open {_clip(forward.name)}"
                action = Action(Verb.OPEN, name, forward.name)
                yield Item(f"forward {name}\n{forward.name}", text, action)
    if snapshot.state is State.WAITING:
        yield Item(f"retry {name}", f"{INDENT}Try now", Action(Verb.CONNECT, name))
    if snapshot.problem is not None:
        title = f"{INDENT}⚠ {_clip(snapshot.problem.title)}"
        yield Item(f"problem {name}", title, Action(Verb.SHOW_PROBLEM, name))
        for number, line in enumerate(_wrap(snapshot.problem.advice)):
            yield Item(f"advice {number} {name}", f"{INDENT}{INDENT}{line}", enabled=False)
    if snapshot.is_active and not on:
        yield Item(f"off {name}", f"{INDENT}Dismiss", Action(Verb.DISCONNECT, name))


def _file_lines(facts: Facts) -> Iterator[Item]:
    if not facts.file_problems:
        return
    count = len(facts.file_problems)
    what = "a problem" if count == 1 else f"{count} problems"
    edit = Action(Verb.EDIT_SERVERS)
    then = "the last good one is in force" if facts.file_in_force else "click to mend it"
    yield Item("file", f"⚠ The server file has {what}; {then}", edit)
    for number, problem in enumerate(facts.file_problems[:ADVICE_LINES]):
        for part, line in enumerate(_wrap(problem)):
            yield Item(f"file {number} {part}", f"{INDENT}{line}", enabled=False)
    yield Item("separator-file", separator=True)


def _can_connect(snapshot: Snapshot) -> bool:
    """Whether a click on its line means to connect: it is off, or it waits for just that click."""
    if snapshot.state is State.NEEDS_YOU:
        return not snapshot.asking
    return snapshot.state in (State.OFF, State.CLOSING, State.FAILED)


def _icon(snapshots: Sequence[Snapshot]) -> IconState:
    """The most pressing of all states."""
    states = {_icon_of(snapshot) for snapshot in snapshots}
    pressing = (
        IconState.NEEDS_YOU,
        IconState.FAILED,
        IconState.CONNECTING,
        IconState.SILENT,
        IconState.UP,
    )
    return next((state for state in pressing if state in states), IconState.OFF)


def _icon_of(snapshot: Snapshot) -> IconState:
    match snapshot.state:
        case State.UP if snapshot.is_ready:
            return IconState.UP
        case State.UP if snapshot.problem is None:
            return IconState.CONNECTING
        case State.UP:
            return IconState.SILENT
        case State.CONNECTING | State.WAITING:
            return IconState.CONNECTING
        case State.NEEDS_YOU:
            return IconState.NEEDS_YOU
        case State.FAILED:
            return IconState.FAILED
        case State.OFF | State.CLOSING:
            return IconState.OFF


def _title(snapshots: Sequence[Snapshot]) -> str:
    """The tooltip: each session that is not off, and no more lines than a tooltip takes."""
    active = [s for s in snapshots if s.state is not State.OFF]
    if not active:
        return "trayconnect: not connected"
    lines = [f"{_clip(s.name, 40)}: {state_words(s)}" for s in active[:5]]
    more = len(active) - len(lines)
    return "\n".join([*lines, f"and {more} more"] if more else lines)


def _clip(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrap(text: str) -> list[str]:
    """Lines that fit; those of the text itself are kept, since a command or a fingerprint has one
    to itself."""
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, WIDTH)]
    return lines if len(lines) <= ADVICE_LINES else [*lines[: ADVICE_LINES - 1], "…"]


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
