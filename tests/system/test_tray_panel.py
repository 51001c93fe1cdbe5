"""The tray in xfce4-panel, and in lxqt-panel, clicked for real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.desktop import LIMIT, Desktop
from tests.support.tray_lines import DISCONNECT, ITEMS, OPEN, PRIMARY, VIEW
from tests.support.tray_run import enter, running
from tests.support.waiting import wait_for
from trayconnect.core.command import Command
from trayconnect.tray.backends.choice import BackendKind
from trayconnect.tray.icon import FRAMES
from trayconnect.tray.view import IconState, Item, View


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    with Desktop() as desktop:
        enter(desktop, monkeypatch)
        yield desktop


def test_a_click_on_a_line_is_its_action(desktop: Desktop) -> None:
    """By the right button, by the left one, and in a submenu."""
    desktop.start_panel()
    with running() as (tray, actions):
        for button in (3, 1):
            desktop.open_menu(IconState.UP, button)
            desktop.choose(ITEMS, "gpu")
            assert actions.get(timeout=LIMIT) == DISCONNECT
        desktop.open_menu(IconState.UP)
        desktop.choose(ITEMS, "lab", "open")
        assert actions.get(timeout=LIMIT) == OPEN
        report = tray.report()
        assert (report.kind, report.host, report.shown) == (
            BackendKind.SNI,
            "panel-1-systray",
            True,
        )
    desktop.wait_no_icon(IconState.UP)


def test_a_panel_that_keeps_the_menu_for_the_right_button(desktop: Desktop) -> None:
    """lxqt-panel: not GTK's menu but Qt's, and another reading of the protocol."""
    desktop.start_lxqt_panel()
    with running() as (tray, actions):
        desktop.click(desktop.wait_icon(IconState.UP))
        assert actions.get(timeout=LIMIT) == PRIMARY
        desktop.open_menu(IconState.UP)
        desktop.choose(ITEMS, "gpu")
        assert actions.get(timeout=LIMIT) == DISCONNECT
        desktop.open_menu(IconState.UP)
        desktop.choose(ITEMS, "lab", "open")
        assert actions.get(timeout=LIMIT) == OPEN

        tray.show(replace(VIEW, icon=IconState.FAILED, items=ITEMS[3:]))
        desktop.open_menu(IconState.FAILED)
        desktop.choose(ITEMS[3:], "quit")
        assert actions.get(timeout=LIMIT) == Command("quit")
        report = tray.report()
        assert (report.kind, report.host, report.shown) == (BackendKind.SNI, "lxqt-panel", True)
    desktop.wait_no_icon(IconState.FAILED)


def test_a_menu_that_was_opened_during_the_start_is_whole_the_next_time(desktop: Desktop) -> None:
    """GTK keeps the size of a menu that grows while it is open, and lets it be scrolled."""
    desktop.start_panel()
    with running() as (tray, actions):
        few = ITEMS[-1:]
        tray.show(replace(VIEW, icon=IconState.OFF, items=few))
        desktop.open_menu(IconState.OFF)
        tray.show(VIEW)
        wait_for(lambda: not desktop.menus(), "the small menu to close", LIMIT)
        desktop.open_menu(IconState.UP)
        desktop.choose(ITEMS, "gpu")
        assert actions.get(timeout=LIMIT) == DISCONNECT


@pytest.mark.parametrize("panel", ["xfce4-panel", "lxqt-panel"])
def test_a_change_inside_a_submenu_leaves_the_open_menu(desktop: Desktop, panel: str) -> None:
    if panel == "lxqt-panel":
        desktop.start_lxqt_panel()
    else:
        desktop.start_panel()
    lab = ITEMS[3]
    more = replace(lab, children=(Item("new", "New", Command("copy-link", "x")), *lab.children))
    changed = (*ITEMS[:3], more, ITEMS[4])
    with running() as (tray, actions):
        desktop.open_menu(IconState.UP)
        places = desktop.menus()
        tray.show(replace(VIEW, icon=IconState.FAILED, items=changed))
        desktop.wait_icon(IconState.FAILED)
        desktop.settle()
        assert desktop.menus() == places
        desktop.choose(changed, "lab", "new")
        assert actions.get(timeout=LIMIT) == Command("copy-link", "x")


def test_an_open_menu_changes_before_the_eyes(desktop: Desktop) -> None:
    desktop.start_panel()
    with running() as (tray, actions):
        desktop.open_menu(IconState.UP)
        before, places = desktop.look_at_menus(), desktop.menus()

        changed = (replace(ITEMS[0], text="GPU box: waiting", checked=False), *ITEMS[1:])
        tray.show(View(IconState.CONNECTING, "GPU box is lost", changed))
        desktop.wait_icon(IconState.CONNECTING)
        wait_for(lambda: desktop.look_at_menus() != before, "the text to change", LIMIT)
        assert len(desktop.menus()) == len(places), "the menu stays open"

        desktop.settle()
        before, fewer = desktop.look_at_menus(), (ITEMS[3], ITEMS[4])
        tray.show(View(IconState.OFF, "nothing is connected", fewer))
        desktop.wait_icon(IconState.OFF)
        wait_for(lambda: desktop.look_at_menus() != before, "the lines to change", LIMIT)
        assert len(desktop.menus()) == len(places), "the menu stays open"
        desktop.choose(fewer, "quit")
        assert actions.get(timeout=LIMIT) == Command("quit")

        desktop.open_menu(IconState.OFF)
        assert desktop.menus() != places, "fewer lines are a smaller menu"
        desktop.choose(fewer, "quit")
        assert actions.get(timeout=LIMIT) == Command("quit")


def test_the_panel_starts_late_and_restarts(desktop: Desktop) -> None:
    with running() as (_, actions):
        desktop.start_panel()
        desktop.wait_icon(IconState.UP)
        desktop.stop_panel()
        desktop.wait_no_icon(IconState.UP)
        desktop.start_panel()
        desktop.open_menu(IconState.UP)
        desktop.choose(ITEMS, "gpu")
        assert actions.get(timeout=LIMIT) == DISCONNECT


def test_every_state_is_seen_in_the_panel(desktop: Desktop) -> None:
    desktop.start_panel()
    with running() as (tray, _):
        for state in IconState:
            tray.show(replace(VIEW, icon=state))
            desktop.wait_icon(state)


def test_the_icon_is_seen_to_move_and_to_stand_still(desktop: Desktop) -> None:
    desktop.start_panel()
    with running() as (tray, _):
        desktop.wait_icon(IconState.UP)
        tray.show(replace(VIEW, icon=IconState.CONNECTING))
        x, y = desktop.wait_icon(IconState.CONNECTING)

        def look() -> bytes:
            return desktop.screenshot().crop((x - 16, y - 16, x + 16, y + 16)).tobytes()

        still = look()
        tray.show(replace(VIEW, icon=IconState.CONNECTING, attempt_since=1.0))
        seen = set[bytes]()

        def moved() -> bool:
            seen.add(look())
            return len(seen) >= FRAMES

        wait_for(moved, "every frame", LIMIT)
        tray.show(replace(VIEW, icon=IconState.CONNECTING))
        wait_for(lambda: look() == still, "the still picture", LIMIT)
