"""Notices as two real notification servers draw them, and clicks by the pointer."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

import pytest

from tests.support.bubbles import Bubbles, Kind, dunst, xfce
from tests.support.desktop import LIMIT, Desktop
from trayconnect.core.command import Command
from trayconnect.core.notices import Notice, disconnect, open_page, retry
from trayconnect.desktop.notifications.dbus import DBusNotifier
from trayconnect.tray.icon import icons_folder

LOST = Notice(
    "server GPU box",
    "GPU box no longer answers",
    "<b>The server</b> went silent & is gone\nTrying again automatically",
    buttons=(retry("GPU box"), disconnect("GPU box")),
)
BACK = Notice(
    "server GPU box",
    "GPU box is back",
    "http://127.0.0.1:18888/lab",
    passing=True,
    buttons=(open_page("GPU box"), disconnect("GPU box")),
)

Clicks = queue.SimpleQueue[Command]


@pytest.fixture
def desktop() -> Iterator[Desktop]:
    with Desktop() as desktop:
        yield desktop


@pytest.fixture
def clicks() -> Clicks:
    return queue.SimpleQueue()


@pytest.fixture
def notifier(desktop: Desktop, clicks: Clicks) -> Iterator[DBusNotifier]:
    notifier = DBusNotifier(
        clicks.put,
        icon=(icons_folder() / "trayconnect.png").as_uri(),
        environ=desktop.env,
    )
    yield notifier
    notifier.close()


@pytest.mark.parametrize("kind", [xfce, dunst])
def test_one_place_for_lost_and_back_a_click_and_what_is_over(
    kind: Callable[[], Kind], desktop: Desktop, notifier: DBusNotifier, clicks: Clicks
) -> None:
    bubbles = Bubbles(desktop, kind())
    notifier.notify(LOST)
    lost = bubbles.look()
    notifier.notify(BACK)
    bubbles.wait_other(lost)
    bubbles.take_default()
    assert clicks.get(timeout=LIMIT) == Command("open", "GPU box")
    bubbles.wait_none()
    notifier.notify(LOST)
    bubbles.look()
    notifier.withdraw(LOST.tag)
    bubbles.wait_none()
    assert clicks.empty()


@pytest.mark.parametrize(("number", "name"), [(0, "connect"), (1, "disconnect")])
def test_its_buttons_are_pressed(
    desktop: Desktop, notifier: DBusNotifier, clicks: Clicks, number: int, name: str
) -> None:
    bubbles = Bubbles(desktop, xfce())
    notifier.notify(LOST)
    bubbles.press(number)
    assert clicks.get(timeout=LIMIT) == Command(name, "GPU box")
    bubbles.wait_none()
    assert clicks.empty()


def test_a_server_that_restarts_shows_what_comes_next(
    desktop: Desktop, notifier: DBusNotifier, clicks: Clicks
) -> None:
    bubbles = Bubbles(desktop, xfce())
    notifier.notify(LOST)
    bubbles.look()
    bubbles.stop()
    bubbles.wait_none()
    bubbles.start()
    notifier.notify(LOST)
    bubbles.press(1)
    assert clicks.get(timeout=LIMIT) == Command("disconnect", "GPU box")


def test_nothing_stays_that_nobody_would_heed(desktop: Desktop, notifier: DBusNotifier) -> None:
    bubbles = Bubbles(desktop, xfce())
    notifier.notify(LOST)
    bubbles.look()
    notifier.close()
    bubbles.wait_none()
