"""Notifications over a real session bus."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bus_names import wait_name
from tests.support.desktop import Desktop, SessionBus
from tests.support.notifications import NotificationServer
from tests.support.xvfb import wait_for
from trayconnect.desktop.notify import QueuedNotifier
from trayconnect.desktop.notify_dbus import DBusDelivery
from trayconnect.ports import Urgency

BODY = "<b>refused</b> & gone"


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tc-")]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def bus() -> Iterator[SessionBus]:
    with SessionBus() as bus:
        yield bus


@pytest.fixture
def address(bus: SessionBus) -> str:
    return bus.env["DBUS_SESSION_BUS_ADDRESS"]


@pytest.fixture
def notifier(bus: SessionBus) -> Iterator[QueuedNotifier]:
    notifier = QueuedNotifier(DBusDelivery(environ=bus.env))
    yield notifier
    notifier.close()
    assert our_threads() == []


@pytest.mark.parametrize(
    ("capabilities", "body"),
    [
        (["body", "body-markup", "actions"], "&lt;b&gt;refused&lt;/b&gt; &amp; gone"),
        (["body"], BODY),
    ],
)
def test_what_the_server_is_asked(
    address: str, notifier: QueuedNotifier, capabilities: list[str], body: str
) -> None:
    with NotificationServer(address, capabilities) as server:
        notifier.notify("GPU box: <lost> & found", BODY, Urgency.CRITICAL)
        notifier.notify("second", "")
        first, second = server.wait_shown(2)
    assert (first.title, first.body) == ("GPU box: <lost> & found", body)
    assert first.application == "trayconnect"
    assert first.hints["urgency"] == ("y", 2)
    assert second.hints["urgency"] == ("y", 1)
    assert first.replaces == second.replaces == 0
    assert first.actions == []


def test_nobody_shows_notifications_until_somebody_does(
    address: str, notifier: QueuedNotifier, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        notifier.notify("1", "")
        notifier.notify("2", "")
        wait_for(lambda: caplog.records, "the reason in the log")
    (record,) = caplog.records
    assert "notifications are dropped" in record.message
    with NotificationServer(address, []) as server:

        def arrives() -> bool:
            notifier.notify("3", "")
            # The bus may have kept the first ones for whoever comes.
            return any(shown.title == "3" for shown in server.shown())

        wait_for(arrives, "a notification")


def test_a_bus_that_restarts(bus: SessionBus, address: str, notifier: QueuedNotifier) -> None:
    with NotificationServer(address, []) as server:
        notifier.notify("1", "")
        server.wait_shown(1)
    bus.stop_bus()
    bus.start_bus()
    with NotificationServer(address, []) as server:

        def arrives() -> bool:
            notifier.notify("2", "")
            return bool(server.shown())

        wait_for(arrives, "a notification over the new bus")


def test_a_silent_server_does_not_delay_the_end(address: str, bus: SessionBus) -> None:
    before = descriptors()
    with NotificationServer(address, [], silent=True) as server:
        notifier = QueuedNotifier(DBusDelivery(environ=bus.env))
        notifier.notify("1", "")
        server.wait_called()
        notifier.close()
        assert our_threads() == []
    wait_for(lambda: descriptors() <= before, "the socket to be closed")


def test_a_bus_that_never_says_hello_does_not_delay_the_end(tmp_path: Path) -> None:
    path = tmp_path / "bus"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        environ = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={path}"}
        notifier = QueuedNotifier(DBusDelivery(environ=environ))
        notifier.notify("1", "")
        peer, _ = listener.accept()
        with peer:
            peer.recv(1)  # the login begins, and is answered; "Hello" is not
            peer.recv(1024)
            peer.sendall(b"OK 1234deadbeef1234deadbeef1234dead\r\n")
            peer.recv(1024)
            notifier.close()
        assert our_threads() == []


def test_no_bus_at_all(caplog: pytest.LogCaptureFixture) -> None:
    notifier = QueuedNotifier(DBusDelivery(environ={}))
    with caplog.at_level(logging.WARNING):
        notifier.notify("1", "")
        wait_for(lambda: caplog.records, "the reason in the log")
        notifier.close()
    assert "there is no session bus" in caplog.text


def test_a_real_desktop_shows_it() -> None:
    (daemon,) = Path("/usr/lib").glob("*/xfce4/notifyd/xfce4-notifyd")
    with Desktop() as desktop:
        desktop.spawn(str(daemon))
        wait_name(desktop.env["DBUS_SESSION_BUS_ADDRESS"], "org.freedesktop.Notifications")
        notifier = QueuedNotifier(DBusDelivery(environ=desktop.env))
        notifier.notify("GPU box is connected", "The page is http://127.0.0.1:18888/lab")
        wait_for(
            lambda: any("notifyd" in name.lower() for _, name in desktop.screen.windows()),
            "the notification's window",
        )
        notifier.close()
