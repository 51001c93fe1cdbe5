"""The lines of one server in the menu. Pure.

A line that opens a submenu cannot be clicked on any desktop, so the toggle, which should take one
click, is a line of its own, and what is wanted less often stands in a submenu below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from trayconnect.config.local_addresses import ports_text
from trayconnect.core.command import Command
from trayconnect.services.protocol import Offer, PageState
from trayconnect.sessions.forwards import ForwardState
from trayconnect.sessions.snapshot import Snapshot, state_words
from trayconnect.sessions.state import State
from trayconnect.tray.text import INDENT, clip, wrap
from trayconnect.tray.view import Item

_NAME_WIDTH, _PLACE_WIDTH, _LINE_WIDTH = 32, 40, 80


def can_connect(snapshot: Snapshot) -> bool:
    """Whether a click on its line means to connect: it is off, or it waits for just that click."""
    if snapshot.state is State.NEEDS_YOU:
        return not snapshot.asking
    return snapshot.state in (State.OFF, State.CLOSING, State.FAILED)


def server_lines(snapshot: Snapshot, *, advise: bool = True) -> Iterator[Item]:
    """The toggle, and while it is not off, what is done next, and the rest in a submenu. `advise`:
    whether the advice of its problem is not told yet."""
    lines = list(_first_lines(snapshot, advise=advise))
    yield from lines
    if snapshot.state is not State.OFF:
        rest = tuple(_rest(snapshot, lines))
        yield Item(f"more {snapshot.name}", f"{INDENT}More", children=rest)


def server_line(snapshot: Snapshot) -> Item:
    """One line for all of it, which opens a submenu that begins with the toggle."""
    name, problem = snapshot.name, snapshot.problem
    toggle, *lines = _first_lines(snapshot)
    mark, why = ("", "") if problem is None else ("⚠ ", f": {problem.title}")
    text = clip(f"{mark}{clip(name, _NAME_WIDTH)}: {state_words(snapshot)}{why}", _LINE_WIDTH)
    children = (
        replace(toggle, text="Disconnect" if toggle.checked else "Connect", checked=None),
        *(replace(line, text=line.text.removeprefix(INDENT)) for line in lines),
        Item("separator-more", separator=True),
        *_rest(snapshot, [toggle, *lines]),
    )
    return Item(f"server {name}", text, children=children)


def _rest(snapshot: Snapshot, lines: Sequence[Item]) -> Iterator[Item]:
    """What is not said by those lines."""
    said = {line.command for line in lines if line.command is not None}
    return (item for item in server_submenu(snapshot) if item.command not in said)


def _first_lines(snapshot: Snapshot, *, advise: bool = True) -> Iterator[Item]:
    name = snapshot.name
    # What a line is comes first in its key: at the end, it could be the end of another's name.
    on = snapshot.is_active and not can_connect(snapshot)
    toggle = Command("disconnect" if on else "connect", name)
    yield Item(f"server {name}", f"{clip(name)}: {state_words(snapshot)}", toggle, checked=on)
    if snapshot.state is State.OFF:
        return
    for said in snapshot.service.lines:
        if said.in_menu:
            yield Item(f"{said.key} {name}", f"{INDENT}{said.text}", enabled=False)
    if snapshot.page is not None:
        yield Item(f"open {name}", f"{INDENT}Open", Command("open", name))
    if snapshot.waits_for:
        answer = Command("answer", name) if snapshot.asking else None
        mark = "⚠ " if snapshot.asking else ""
        text = f"{INDENT}{mark}{clip(snapshot.waits_for)}"
        yield Item(f"waits {name}", text, answer, enabled=snapshot.asking)
    if snapshot.state is State.WAITING:
        yield Item(f"retry {name}", f"{INDENT}Try now", Command("connect", name))
    for offer in snapshot.service.commands if snapshot.problem is not None else ():
        if offer.mends and offer.enabled:
            yield Item(f"{offer.key} {name}", f"{INDENT}{offer.text}", offer.command)
    if snapshot.problem is not None:
        title = f"{INDENT}⚠ {clip(snapshot.problem.title)}"
        yield Item(f"problem {name}", title, Command("show-problem", name))
        for number, line in enumerate(wrap(snapshot.problem.advice) if advise else ()):
            yield Item(f"advice {number} {name}", f"{INDENT}{INDENT}{line}", enabled=False)
    if snapshot.is_active and not on:
        yield Item(f"off {name}", f"{INDENT}Disconnect", Command("disconnect", name))


def server_submenu(snapshot: Snapshot) -> Iterator[Item]:
    """All that can be done with one server, but for its toggle."""
    name = snapshot.name
    if snapshot.state is not State.OFF:
        yield from _use_lines(snapshot)
    else:
        # With hundreds of servers nearly all are off, and every line costs a panel time.
        yield Item("open", "Connect and open", Command("open", name))
    if snapshot.server.host is not None:
        yield Item("terminal", "Open a terminal", Command("open-terminal", name))
    yield Item("diagnostics", "Copy diagnostics", Command("copy-diagnostics", name))
    yield Item("log", "Show log", Command("show-log", name))


def _use_lines(snapshot: Snapshot) -> Iterator[Item]:
    name = snapshot.name
    has_page = snapshot.page is not None
    yield Item("open", "Open", Command("open", name), enabled=has_page)
    for forward in snapshot.forwards:
        yield _forward_line(name, forward)
    if snapshot.open_ports:
        text = f"⚠ Other computers can connect to {ports_text(snapshot.open_ports)}"
        yield Item("open-ports", clip(text), enabled=False)
    offers = [_offered(offer) for offer in snapshot.service.commands]
    yield from (item for item in offers if item.children)
    yield Item("copy", "Copy link", Command("copy-link", name), enabled=has_page)
    active = snapshot.is_active
    yield Item("reconnect", "Reconnect", Command("reconnect", name), enabled=active)
    yield from (item for item in offers if not item.children)
    yield Item("separator-help", separator=True)
    has_problem = snapshot.problem is not None
    yield Item("problem", "Show problem", Command("show-problem", name), enabled=has_problem)
    if snapshot.notes or snapshot.banner:
        yield Item("notes", _notes_words(len(snapshot.notes)), Command("show-notes", name))


def _forward_line(server: str, forward: ForwardState) -> Item:
    """What a click does with a forward, and where it listens; or why it does not."""
    key = f"forward {forward.name}"
    name = clip(forward.name, _NAME_WIDTH)
    if forward.problem is not None:
        text = clip(f"⚠ {name}: {forward.problem.title}")
        return Item(key, text, Command("show-problem", server, {"forward": forward.name}))
    if forward.is_up and forward.page is PageState.OTHERS:
        return Item(key, f"{name}: belongs to another user", enabled=False)
    where = clip(forward.listens, _PLACE_WIDTH)
    if forward.is_up and forward.page is PageState.UNPROVEN:
        where = f"{where} (owner not proven)"
    if forward.url is not None:
        action = Command("open", server, {"forward": forward.name})
        if forward.is_up and forward.answers is False:
            return Item(key, f"Open {name} (no answer yet)", action, enabled=False)
        return Item(key, f"Open {name}: {where}", action, enabled=forward.is_up)
    action = Command("copy-forward", server, {"forward": forward.name})
    enabled = forward.is_up and bool(forward.address)
    return Item(key, f"Copy {name}: {where}", action, enabled=enabled)


def _notes_words(count: int) -> str:
    if not count:
        return "Show the message of the login"
    what = "1 thing of ssh_config is" if count == 1 else f"{count} things of ssh_config are"
    return f"{what} not honoured"


def _offered(offer: Offer) -> Item:
    return Item(
        offer.key,
        clip(offer.text),
        offer.command,
        enabled=offer.enabled,
        checked=offer.checked,
        children=tuple(_offered(child) for child in offer.children),
        radio=offer.radio,
    )


def needs_you_line(snapshot: Snapshot) -> Item:
    """For the top of the menu: what waits for the user, and a click that goes on with it."""
    name = snapshot.name
    command = Command("answer" if snapshot.asking else "connect", name)
    if snapshot.asking:
        what = snapshot.waits_for or "waits for your answer"
    elif snapshot.problem is not None:
        what = f"needs you: {snapshot.problem.title}"
    else:
        what = "needs you"
    return Item(f"needs {name}", f"⚠ {clip(f'{clip(name, 40)} {what}', 80)}", command)
