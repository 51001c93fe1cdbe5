"""The tray in trayer, an XEmbed tray that knows no StatusNotifierItem, clicked for real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from Xlib import X

from tests.support.desktop import LIMIT, Desktop
from tests.support.tray_lines import DISCONNECT, ITEMS, OPEN, VIEW
from tests.support.tray_run import Actions, enter, running
from tests.support.waiting import wait_for
from trayconnect.core.command import Command
from trayconnect.desktop.windows.popup_menu import PopupMenu, TkPopupMenu
from trayconnect.tray.backends import xembed
from trayconnect.tray.backends.choice import BackendKind
from trayconnect.tray.backends.linux import LinuxTray
from trayconnect.tray.icon import Glyph
from trayconnect.tray.text import one_line
from trayconnect.tray.tray_icon import Tray, TrayIcon
from trayconnect.tray.view import IconState, Item, View


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    with Desktop() as desktop:
        enter(desktop, monkeypatch)
        yield desktop


def impatient(
    on_command: Callable[[Command], object],
    on_no_host: Callable[[], object],
    popup: PopupMenu,
    host_patience: float = 600.0,
    by_hand: bool = False,
    on_shown: Callable[[], object] = lambda: None,
) -> Tray:
    """Not waiting for a StatusNotifierItem host that will not come."""
    return LinuxTray(
        "trayconnect",
        on_command,
        on_no_host,
        popup,
        screen=True,
        fallback_patience=0.1,
        host_patience=host_patience,
        by_hand=by_hand,
        on_shown=on_shown,
    )


run_tray = partial(running, TkPopupMenu(), make=impatient)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def choose(desktop: Desktop, actions: Actions, state: IconState, *keys: str) -> Command:
    desktop.open_menu(state)
    desktop.choose(ITEMS, *keys)
    return actions.get(timeout=LIMIT)


def test_a_click_on_a_line_is_its_action(desktop: Desktop) -> None:
    desktop.start_xembed_tray()
    descriptors = open_descriptors()
    with run_tray() as (tray, actions):
        for button in (3, 1):
            desktop.open_menu(IconState.UP, button)
            desktop.choose(ITEMS, "gpu")
            assert actions.get(timeout=LIMIT) == DISCONNECT
        assert choose(desktop, actions, IconState.UP, "lab", "open") == OPEN
        assert choose(desktop, actions, IconState.UP, "quit") == Command("quit")
        report = tray.report()
        assert (report.kind, report.host, report.shown) == (BackendKind.XEMBED, "trayer", True)
    desktop.wait_no_icon(IconState.UP)
    assert open_descriptors() <= descriptors


def test_a_menu_is_left_without_a_choice_and_opens_again(desktop: Desktop) -> None:
    desktop.start_xembed_tray()
    with run_tray() as (_, actions):
        desktop.open_menu(IconState.UP)
        desktop.close_menu()
        desktop.open_menu(IconState.UP)
        desktop.click((600, 500))
        wait_for(lambda: not desktop.menus(), "the menu to close", LIMIT)
        assert choose(desktop, actions, IconState.UP, "gpu") == DISCONNECT
        assert actions.empty()


def test_a_late_click_hits_by_key(desktop: Desktop) -> None:
    """The menu that is open is older than what it is about."""
    desktop.start_xembed_tray()
    with run_tray() as (tray, actions):
        desktop.open_menu(IconState.UP)
        tray.show(View(IconState.OFF, "", ITEMS[3:]))
        desktop.wait_icon(IconState.OFF)
        desktop.choose(ITEMS, "gpu")  # gone
        desktop.open_menu(IconState.OFF)
        tray.show(View(IconState.FAILED, "", (*ITEMS[:1], *ITEMS[3:])))
        desktop.wait_icon(IconState.FAILED)
        desktop.choose(ITEMS[3:], "quit")  # elsewhere by now
        assert actions.get(timeout=LIMIT) == Command("quit")


def test_a_late_click_means_what_its_line_said(desktop: Desktop) -> None:
    desktop.start_xembed_tray()
    connect = replace(ITEMS[0], command=Command("connect", "gpu"), checked=False)
    with run_tray() as (tray, actions):
        desktop.open_menu(IconState.UP)
        tray.show(View(IconState.OFF, "", (connect, *ITEMS[1:])))
        desktop.wait_icon(IconState.OFF)
        desktop.choose(ITEMS, "gpu")
        assert actions.get(timeout=LIMIT) == DISCONNECT


def test_the_tray_starts_late_and_restarts(desktop: Desktop) -> None:
    with run_tray() as (tray, actions):
        wait_for(lambda: thread("tc-tray-xembed"), "the wait for a tray", LIMIT)
        assert not tray.is_shown
        assert tray.report().kind is BackendKind.NONE
        desktop.start_xembed_tray()
        desktop.wait_icon(IconState.UP)
        desktop.stop_panel()
        desktop.wait_no_icon(IconState.UP)
        tray.show(replace(VIEW, icon=IconState.SILENT))
        desktop.start_xembed_tray()
        assert choose(desktop, actions, IconState.SILENT, "gpu") == DISCONNECT


def test_a_tray_that_does_not_hear_is_asked_again(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xembed, "FIRST_RETRY", 0.05)
    desktop.screen.own_selection("_NET_SYSTEM_TRAY_S0")
    client = desktop.screen.client
    asked: list[int] = []

    def hear() -> bool:
        while client.pending_events():
            event = client.next_event()
            if event.type == X.ClientMessage:
                asked.append(event.data[1][2])
        return len(asked) >= 3

    with running(TkPopupMenu(), make=xembed_only):
        wait_for(hear, "three requests", LIMIT)
    assert len(set(asked)) > 1, "each with a window of its own"


def test_a_menu_that_is_longer_than_the_screen_has_columns(desktop: Desktop) -> None:
    desktop.start_xembed_tray()
    items = tuple(Item(f"line {n}", f"Line {n}", Command("open", f"{n}")) for n in range(60))
    with run_tray() as (tray, actions):
        tray.show(View(IconState.OFF, "", items))
        desktop.open_menu(IconState.OFF)
        _, top, _, bottom = desktop.menus()[0]
        assert 0 <= top < bottom <= 600
        desktop.choose(items, "line 3")
        assert actions.get(timeout=LIMIT) == Command("open", "3")


def thread(name: str) -> bool:
    return any(t.name == name for t in threading.enumerate())


@pytest.mark.parametrize("size", [16, 40, 96])
def test_the_icon_has_the_size_and_the_ground_of_the_tray(desktop: Desktop, size: int) -> None:
    desktop.start_xembed_tray("--transparent", "true", "--tint", "0xff00ff", height=size)
    with run_tray():
        # The tray keeps a pixel or two for itself.
        corner = wait_for(lambda: icon_of_side(desktop, size - 4), "the icon to fit", LIMIT)
        assert corner is not None
        desktop.wait_icon(IconState.UP, height=size)

        def is_round() -> bool:
            screen = desktop.screenshot()
            return screen.getpixel(corner) == screen.getpixel((400, 3))

        wait_for(is_round, "its round corners", LIMIT)


def icon_of_side(desktop: Desktop, least: int) -> tuple[int, int] | None:
    """The corner of our window on the screen, once it is a square that large."""
    window = desktop.screen.find_window(VIEW.title)
    if window is None:
        return None
    place = window.get_geometry()
    if min(place.width, place.height) < least:
        return None
    at = window.translate_coords(desktop.screen.client.screen().root, 0, 0)
    return -at.x, -at.y


def test_a_tray_with_an_alpha_channel(desktop: Desktop) -> None:
    """xfce4-panel: asked for its XEmbed tray only, which wants 32 bits a pixel."""
    desktop.start_panel()
    with running(TkPopupMenu(), make=xembed_only) as (_, actions):
        assert choose(desktop, actions, IconState.UP, "lab", "open") == OPEN
        window = desktop.screen.find_window(VIEW.title)
        assert window is not None
        assert window.get_geometry().depth == 32
        corner = icon_of_side(desktop, 16)
        assert corner is not None

        def is_round() -> bool:
            screen = desktop.screenshot()
            return screen.getpixel(corner) == screen.getpixel((900, corner[1]))

        wait_for(is_round, "its round corners", LIMIT)


def xembed_only(
    on_command: Callable[[Command], object], _on_no_host: Callable[[], object], popup: PopupMenu
) -> Tray:
    icon = xembed.XEmbedIcon("trayconnect", Glyph(IconState.OFF), "", popup=popup)
    return TrayIcon(icon, on_command, label=one_line)


def test_a_better_panel_takes_over_and_gives_back(desktop: Desktop) -> None:
    """Never two icons for long: one tray is on the left, the other on the right."""
    desktop.start_xembed_tray()
    with run_tray() as (tray, actions):
        wait_for(lambda: tray.report().kind is BackendKind.XEMBED, "the XEmbed tray", LIMIT)
        panel = desktop.start_lxqt_panel(bottom=True)
        wait_for(lambda: tray.report().kind is BackendKind.SNI, "the panel", LIMIT)
        desktop.wait_no_icon(IconState.UP)
        desktop.end(panel)
        wait_for(lambda: tray.report().kind is BackendKind.XEMBED, "the XEmbed tray again", LIMIT)
        assert choose(desktop, actions, IconState.UP, "gpu") == DISCONNECT


def test_no_place_at_all_is_told_once(desktop: Desktop) -> None:
    told = threading.Semaphore(0)
    make = partial(impatient, host_patience=0.5)
    with running(TkPopupMenu(), told.release, make) as (_, _):
        assert told.acquire(timeout=LIMIT)
        desktop.start_xembed_tray()
        desktop.wait_icon(IconState.UP)
    assert not told.acquire(blocking=False)


def test_who_starts_it_by_hand_is_told_without_a_wait(desktop: Desktop) -> None:
    missing, shown = threading.Semaphore(0), threading.Semaphore(0)
    make = partial(impatient, by_hand=True, on_shown=shown.release)
    with running(TkPopupMenu(), missing.release, make) as (tray, _):
        assert missing.acquire(timeout=LIMIT)
        panel = desktop.start_lxqt_panel()
        assert shown.acquire(timeout=LIMIT)
        desktop.end(panel)
        wait_for(lambda: not tray.is_shown, "the panel to go", LIMIT)
    assert not missing.acquire(blocking=False), "told once"


def test_who_starts_it_by_hand_is_told_where_it_is(desktop: Desktop) -> None:
    missing, shown = threading.Semaphore(0), threading.Semaphore(0)
    desktop.start_xembed_tray()
    make = partial(impatient, by_hand=True, on_shown=shown.release)
    with running(TkPopupMenu(), missing.release, make) as (_, _):
        assert shown.acquire(timeout=LIMIT)
        desktop.wait_icon(IconState.UP)
    assert not missing.acquire(blocking=False)


def test_a_place_is_not_told_as_missing(desktop: Desktop) -> None:
    told: list[None] = []
    desktop.start_xembed_tray()
    with running(TkPopupMenu(), lambda: told.append(None), impatient) as (tray, _):
        desktop.wait_icon(IconState.UP)
        assert isinstance(tray, LinuxTray)
        tray._item.post(tray._check_host)
        done = threading.Event()
        tray._item.post(done.set)
        assert done.wait(LIMIT)
    assert told == []


def test_without_a_session_bus(desktop: Desktop) -> None:
    """As in a bare window manager."""
    desktop.start_xembed_tray()
    desktop.stop_bus()
    with run_tray() as (tray, actions):
        assert choose(desktop, actions, IconState.UP, "gpu") == DISCONNECT
        assert "no session bus" in tray.report().reason


def test_the_end_of_the_screen_ends_nothing_else(desktop: Desktop) -> None:
    desktop.start_xembed_tray()
    with run_tray() as (tray, _):
        desktop.wait_icon(IconState.UP)
        desktop.screen.close()
        wait_for(lambda: not tray.is_shown, "the loss to be noticed", LIMIT)
        tray.show(View(IconState.OFF))
