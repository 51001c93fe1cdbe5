"""The lines of one server in the menu. Pure.

A line that opens a submenu cannot be clicked on any desktop, so the toggle, which should take one
click, is a line of its own, and what is wanted less often stands in a submenu below it.
"""

from __future__ import annotations

from collections.abc import Iterator

from trayconnect.session.snapshot import Snapshot
from trayconnect.session.state import State
from trayconnect.tray.view import Action, Item, Verb
from trayconnect.tray.words import INDENT, clip, jupyter_words, state_words, wrap


def can_connect(snapshot: Snapshot) -> bool:
    """Whether a click on its line means to connect: it is off, or it waits for just that click."""
    if snapshot.state is State.NEEDS_YOU:
        return not snapshot.asking
    return snapshot.state in (State.OFF, State.CLOSING, State.FAILED)


def server_lines(snapshot: Snapshot) -> Iterator[Item]:
    """The toggle, and while it is not off, what is done next, and the rest in a submenu."""
    name = snapshot.name
    # What a line is comes first in its key: at the end, it could be the end of another's name.
    on = snapshot.is_active and not can_connect(snapshot)
    verb = Verb.DISCONNECT if on else Verb.CONNECT
    yield Item(
        f"server {name}", f"{clip(name)}: {state_words(snapshot)}", Action(verb, name), checked=on
    )
    if snapshot.state is State.OFF:
        return
    if snapshot.page is not None:
        yield Item(f"open {name}", f"{INDENT}Open", Action(Verb.OPEN, name))
    if snapshot.state is State.WAITING:
        yield Item(f"retry {name}", f"{INDENT}Try now", Action(Verb.CONNECT, name))
    if snapshot.problem is not None and _can_start(snapshot):
        yield Item(f"start {name}", f"{INDENT}Start Jupyter", Action(Verb.START_JUPYTER, name))
    if snapshot.problem is not None:
        title = f"{INDENT}⚠ {clip(snapshot.problem.title)}"
        yield Item(f"problem {name}", title, Action(Verb.SHOW_PROBLEM, name))
        for number, line in enumerate(wrap(snapshot.problem.advice)):
            yield Item(f"advice {number} {name}", f"{INDENT}{INDENT}{line}", enabled=False)
    if snapshot.is_active and not on:
        yield Item(f"off {name}", f"{INDENT}Dismiss", Action(Verb.DISCONNECT, name))
    yield Item(f"more {name}", f"{INDENT}More", children=tuple(server_submenu(snapshot)))


def server_submenu(snapshot: Snapshot) -> Iterator[Item]:
    """All that can be done with one server, but for its toggle."""
    name = snapshot.name
    if snapshot.state is not State.OFF:
        yield from _use_lines(snapshot)
    else:
        # With hundreds of servers nearly all are off, and every line costs a panel time.
        yield Item("open", "Connect and open", Action(Verb.OPEN, name))
    yield Item("diagnostics", "Copy diagnostics", Action(Verb.COPY_DIAGNOSTICS, name))
    yield Item("log", "Show log", Action(Verb.SHOW_LOG, name))


def _use_lines(snapshot: Snapshot) -> Iterator[Item]:
    name = snapshot.name
    has_page = snapshot.page is not None
    yield Item("open", "Open", Action(Verb.OPEN, name), enabled=has_page)
    for forward in snapshot.server.forwards:
        if forward.open:
            action = Action(Verb.OPEN, name, forward.name)
            text = f"Open {clip(forward.name)}"
            yield Item(f"forward {forward.name}", text, action, enabled=snapshot.state is State.UP)
    if snapshot.jupyters:
        lines = tuple(_jupyter_lines(snapshot))
        yield Item("jupyters", "Jupyter servers", children=lines)
    yield Item("copy", "Copy link", Action(Verb.COPY_LINK, name), enabled=has_page)
    active = snapshot.is_active
    yield Item("reconnect", "Reconnect", Action(Verb.RECONNECT, name), enabled=active)
    if not snapshot.server.is_direct:
        yield _start_or_stop(snapshot)
    yield Item("separator-help", separator=True)
    has_problem = snapshot.problem is not None
    yield Item("problem", "Show problem", Action(Verb.SHOW_PROBLEM, name), enabled=has_problem)


def _can_start(snapshot: Snapshot) -> bool:
    up = snapshot.state is State.UP and not snapshot.server.is_direct
    return up and not snapshot.is_ready and not snapshot.starting


def _start_or_stop(snapshot: Snapshot) -> Item:
    name = snapshot.name
    if snapshot.is_ready:
        allowed = snapshot.page is not None and bool(snapshot.page.token)
        stop = Action(Verb.STOP_JUPYTER, name)
        return Item("stop-jupyter", "Stop Jupyter…", stop, enabled=allowed)
    start = Action(Verb.START_JUPYTER, name)
    return Item("start-jupyter", "Start Jupyter", start, enabled=_can_start(snapshot))


def _jupyter_lines(snapshot: Snapshot) -> Iterator[Item]:
    """Those that run there; the one that the local port leads to is marked."""
    for jupyter in snapshot.jupyters:
        action = Action(Verb.CHOOSE_JUPYTER, snapshot.name, jupyter=jupyter.where)
        text = clip(jupyter_words(jupyter))
        key = f"jupyter {jupyter.where}"
        yield Item(key, text, action, checked=jupyter.in_use, radio=True)


def needs_you_line(snapshot: Snapshot) -> Item:
    """For the top of the menu: what waits for the user, and a click that goes on with it."""
    name = snapshot.name
    if snapshot.asking:
        what, verb = "waits for your answer", Verb.ANSWER
    else:
        what, verb = "needs you", Verb.CONNECT
        if snapshot.problem is not None:
            what = f"needs you: {snapshot.problem.title}"
    return Item(f"needs {name}", f"⚠ {clip(f'{clip(name, 40)} {what}', 80)}", Action(verb, name))
