"""Notices over a real session bus, with a notification server of the test's own."""

from __future__ import annotations

import logging
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

from tests.support.bus_names import wait_name
from tests.support.desktop import SessionBus
from tests.support.notifications import NAME, NotificationServer
from tests.support.threads import our_threads
from tests.support.waiting import wait_for
from trayconnect.core.command import Command
from trayconnect.core.notices import Notice, disconnect, open_page, retry
from trayconnect.desktop.notifications import freedesktop
from trayconnect.desktop.notifications.dbus import DBusNotifier

LIMIT = 120.0
ALL = ["body", "body-markup", "actions", "persistence"]
LOST = Notice(
    "server GPU box",
    "GPU box no longer answers",
    "<b>refused</b> & gone",
    buttons=(retry("GPU box"), disconnect("GPU box")),
)
BACK = Notice("server GPU box", "GPU box is back", buttons=(open_page("GPU box"),))
LAB = Notice("server Lab", "Lab needs you", buttons=(retry("Lab"),))

Clicks = queue.SimpleQueue[Command]


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
def clicks() -> Clicks:
    return queue.SimpleQueue()


@pytest.fixture
def notifier(bus: SessionBus, clicks: Clicks) -> Iterator[DBusNotifier]:
    before = descriptors()
    notifier = DBusNotifier(clicks.put, icon="file:///i.png", environ=bus.env)
    yield notifier
    notifier.close()
    notifier.close()
    notifier.notify(LOST)  # too late
    assert our_threads() == []
    wait_for(lambda: descriptors() <= before, "the sockets to be closed")


def test_a_click_arrives_with_its_server(
    address: str, notifier: DBusNotifier, clicks: Clicks
) -> None:
    with NotificationServer(address, ALL) as server:
        notifier.notify(LOST)
        notifier.notify(LAB)
        numbers = server.wait_screen(LOST.title, LAB.title)
        (first, _) = server.shown()
        assert first.body == "&lt;b&gt;refused&lt;/b&gt; &amp; gone"
        assert first.icon == "file:///i.png"
        assert first.actions == [
            *("default", "Retry"),
            *("connect", "Retry"),
            *("disconnect", "Disconnect"),
        ]
        server.press(4711, "connect")  # another program's
        server.press(numbers[LOST.title], "unheard-of")
        server.press(numbers[LAB.title], "default")
        server.press(numbers[LOST.title], "disconnect")
        got = {clicks.get(timeout=LIMIT), clicks.get(timeout=LIMIT)}
    assert got == {Command("connect", "Lab"), Command("disconnect", "GPU box")}
    assert clicks.empty()


def test_a_newer_one_takes_the_place_and_the_same_is_not_shown_again(
    address: str, notifier: DBusNotifier
) -> None:
    with NotificationServer(address, ALL) as server:
        notifier.notify(LOST)
        number = server.wait_screen(LOST.title)[LOST.title]
        notifier.notify(LOST)
        notifier.notify(BACK)
        assert server.wait_screen(BACK.title)[BACK.title] == number
        assert len(server.shown()) == 2


def test_what_the_user_put_away_is_shown_anew(address: str, notifier: DBusNotifier) -> None:
    with NotificationServer(address, ALL) as server:
        notifier.notify(LOST)
        server.dismiss(server.wait_screen(LOST.title)[LOST.title])
        server.wait_screen()

        def again() -> bool:  # the word that it was put away comes in its own time
            notifier.notify(LOST)
            return len(server.shown()) == 2

        wait_for(again, "the notice again", LIMIT)
        assert server.shown()[1].replaces == 0


def test_what_was_asked_for_is_shown_each_time(address: str, notifier: DBusNotifier) -> None:
    why = Notice("problem GPU box", "gpu refused", asked=True)
    with NotificationServer(address, ALL) as server:
        notifier.notify(why)
        first = server.wait_screen(why.title)
        notifier.notify(why)
        wait_for(lambda: len(server.shown()) == 2, "the second", LIMIT)
        assert server.wait_screen(why.title) != first


def test_what_no_longer_holds_is_taken_away(address: str, notifier: DBusNotifier) -> None:
    with NotificationServer(address, ALL) as server:
        notifier.withdraw("server GPU box")  # nothing is there
        notifier.notify(LOST)
        notifier.notify(LAB)
        server.wait_screen(LOST.title, LAB.title)
        notifier.withdraw(LOST.tag)
        server.wait_screen(LAB.title)
        notifier.close()
        server.wait_screen()  # its buttons would do nothing any more


def test_a_late_click_on_what_is_gone_still_says_what_was_meant(
    address: str, notifier: DBusNotifier, clicks: Clicks
) -> None:
    with NotificationServer(address, ALL) as server:
        notifier.notify(LOST)
        number = server.wait_screen(LOST.title)[LOST.title]
        notifier.withdraw(LOST.tag)
        server.wait_screen()
        server.press(number, "connect")
        assert clicks.get(timeout=LIMIT) == Command("connect", "GPU box")


def test_a_plain_server_gets_no_buttons(address: str, notifier: DBusNotifier) -> None:
    with NotificationServer(address, ["body"]) as server:
        notifier.notify(LOST)
        (shown,) = server.wait_shown(1)
    assert (shown.body, shown.actions) == ("<b>refused</b> & gone", [])


def test_a_server_that_restarts_is_another_one(
    address: str, notifier: DBusNotifier, clicks: Clicks
) -> None:
    with NotificationServer(address, ALL) as server:
        notifier.notify(LOST)
        server.wait_screen(LOST.title)
    with NotificationServer(address, ["body"]) as server:

        def arrives() -> bool:
            notifier.notify(LOST)  # the same, but what showed it is gone
            return bool(server.shown())

        wait_for(arrives, "the notice", LIMIT)
        assert (server.shown()[0].replaces, server.shown()[0].actions) == (0, [])
        server.press(7, "connect")  # never shown by this one
        server.press(1, "connect")
        assert clicks.get(timeout=LIMIT) == Command("connect", "GPU box")
        assert clicks.empty()


def test_buttons_that_another_program_claims_are_pressed_do_nothing(
    address: str, notifier: DBusNotifier, clicks: Clicks
) -> None:
    with NotificationServer(address, ALL) as server:
        notifier.notify(LOST)
        number = server.wait_screen(LOST.title)[LOST.title]
        with NotificationServer(address, ALL) as stranger:  # in the queue for the name
            assert notifier._client is not None
            stranger.press(number, "disconnect")
            stranger.press(number, "disconnect", to=notifier._client._link.unique_name)
            wait_name(address, NAME)  # the bus has passed on what it got before
            server.press(number, "connect")
            assert clicks.get(timeout=LIMIT) == Command("connect", "GPU box")
    assert clicks.empty()


def test_nobody_shows_notices_until_somebody_does(
    address: str, notifier: DBusNotifier, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        notifier.notify(LOST)
        notifier.notify(LAB)
        wait_for(lambda: caplog.records, "the reason in the log")
    (record,) = caplog.records
    assert "notifications are dropped" in record.message
    with NotificationServer(address, []) as server:

        def arrives() -> bool:
            notifier.notify(BACK)
            # The bus may have kept the first ones for whoever comes.
            return any(shown.title == BACK.title for shown in server.shown())

        wait_for(arrives, "a notice")


def test_a_bus_that_restarts(bus: SessionBus, address: str, notifier: DBusNotifier) -> None:
    with NotificationServer(address, []) as server:
        notifier.notify(LOST)
        server.wait_shown(1)
    bus.stop_bus()
    wait_for(lambda: our_threads() == [], "nothing to wait for a bus")
    bus.start_bus()
    with NotificationServer(address, []) as server:
        wait_name(address, NAME)
        notifier.notify(LOST)
        server.wait_shown(1)


def test_a_silent_server_is_given_up_and_does_not_delay_the_end(
    address: str,
    notifier: DBusNotifier,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(freedesktop, "LIMIT", 0.2)
    with (
        NotificationServer(address, [], silent=True) as server,
        caplog.at_level(logging.WARNING),
    ):
        notifier.notify(LOST)
        wait_for(lambda: "said nothing for 0.2 s" in caplog.text, "it to be given up", LIMIT)
        monkeypatch.undo()
        notifier.notify(LAB)
        server.wait_called()
        notifier.close()
        assert our_threads() == []


def test_a_bus_that_never_says_hello_does_not_delay_the_end(tmp_path: Path) -> None:
    path = tmp_path / "bus"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        environ = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={path}"}
        notifier = DBusNotifier(lambda *_: None, environ=environ)
        notifier.notify(LOST)
        peer, _ = listener.accept()
        with peer:
            peer.recv(1)  # the login begins, and is answered; "Hello" is not
            peer.recv(1024)
            peer.sendall(b"OK 1234deadbeef1234deadbeef1234dead\r\n")
            peer.recv(1024)
            notifier.close()
        assert our_threads() == []


def test_no_bus_at_all_is_said_once_and_keeps_no_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notifier = DBusNotifier(lambda *_: None, environ={})
    with caplog.at_level(logging.WARNING):
        for notice in (LOST, BACK):
            notifier.notify(notice)
            wait_for(lambda: our_threads() == [], "the thread to end")
    notifier.close()
    (record,) = caplog.records
    assert "no address of a session bus" in record.message


def test_nothing_stirs_while_nothing_happens(address: str, notifier: DBusNotifier) -> None:
    with NotificationServer(address, ALL) as server:
        notifier.notify(LOST)
        server.wait_screen(LOST.title)
        (thread,) = [t for t in threading.enumerate() if t.name == "tc-notify"]
        status = Path(f"/proc/self/task/{thread.native_id}/status")

        def switches() -> str:
            return next(x for x in status.read_text().splitlines() if x.startswith("voluntary"))

        # The limit of the last answer is the only thing that it still waits for.
        seen = [switches()]

        def rests() -> bool:
            threading.Event().wait(1.0)
            seen.append(switches())
            return len(seen) > 3 and seen[-1] == seen[-2] == seen[-3]

        wait_for(rests, "the thread to rest", LIMIT)


def test_who_calls_it_is_refused_at_once(notifier: DBusNotifier, address: str) -> None:
    """Such as a program that looks over the bus."""
    with open_dbus_connection(address) as looking:
        with NotificationServer(address, ALL) as server:
            notifier.notify(LOST)
            server.wait_shown(1)
            (names,) = looking.send_and_get_reply(message_bus.ListNames(), timeout=LIMIT).body
            (ours,) = {name for name in names if name.startswith(":")} - {
                looking.unique_name,
                server.unique_name,
            }
        introspectable = DBusAddress("/", ours, "org.freedesktop.DBus.Introspectable")
        call = new_method_call(introspectable, "Introspect")
        reply = looking.send_and_get_reply(call, timeout=LIMIT)
    assert reply.header.message_type is MessageType.error
