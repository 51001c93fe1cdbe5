"""Notifications never hold up the caller."""

from __future__ import annotations

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.desktop.notify import CallableDelivery, DeliveryError, QueuedNotifier, clip
from trayconnect.desktop.notify_dbus import session_bus_address
from trayconnect.ports import Urgency

LIMIT = 20.0


class Recorder:
    """Shows into a list; blocks while `gate` is closed; fails while `error` is set."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.error: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Semaphore(0)
        self.closed = 0

    def send(self, title: str, body: str, urgency: Urgency) -> None:
        self.arrived.release()
        assert self.gate.wait(LIMIT)
        if self.error:
            raise DeliveryError(self.error)
        self.shown.append(title)

    def interrupt(self) -> None:
        self.error = "interrupted"
        self.gate.set()

    def close(self) -> None:
        self.closed += 1


def is_worker_alive() -> bool:
    return any(thread.name == "tc-notify" for thread in threading.enumerate())


def test_messages_arrive_in_order() -> None:
    recorder = Recorder()
    notifier = QueuedNotifier(recorder)
    for title in "abc":
        notifier.notify(title, "")
        assert recorder.arrived.acquire(timeout=LIMIT)
    notifier.close()
    assert recorder.shown[:2] == ["a", "b"]
    assert recorder.closed == 1
    assert not is_worker_alive()


def test_a_hung_desktop_costs_neither_time_nor_memory(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    recorder.gate.clear()
    notifier = QueuedNotifier(recorder)
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            notifier.notify(str(number), "")
        assert notifier._queue.qsize() <= 16
        notifier.close()
    assert not is_worker_alive()
    assert recorder.shown == []
    assert [record.message for record in caplog.records] == [
        "notifications are dropped: too many are waiting"
    ]


def test_a_failure_is_logged_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    notifier = QueuedNotifier(recorder)

    def send(title: str) -> None:
        notifier.notify(title, "")
        assert recorder.arrived.acquire(timeout=LIMIT)

    with caplog.at_level(logging.WARNING):
        recorder.error = "no bus"
        send("1")
        send("2")
        notifier.notify("3", "")
        assert recorder.arrived.acquire(timeout=LIMIT)
        notifier.close()
    assert [record.message for record in caplog.records] == ["notifications are dropped: no bus"]


def test_closing_twice_and_before_any_message() -> None:
    recorder = Recorder()
    notifier = QueuedNotifier(recorder)
    notifier.close()
    notifier.close()
    notifier.notify("late", "")
    assert not is_worker_alive()
    assert recorder.shown == []


@given(st.text(), st.integers(1, 80))
def test_clip_counts_as_windows_does(text: str, longest: int) -> None:
    clipped = clip(text, longest)
    assert len(clipped.encode("utf-16-le", errors="surrogatepass")) // 2 <= longest
    if len(text.encode("utf-16-le", errors="surrogatepass")) // 2 <= longest:
        assert clipped == text
    else:
        assert clipped.endswith("…")


def test_the_tray_icon_gets_what_it_can_show() -> None:
    shown: list[tuple[str, str]] = []
    delivery = CallableDelivery(lambda message, title: shown.append((message, title)))
    delivery.send("t" * 100, "b" * 1000, Urgency.NORMAL)
    ((message, title),) = shown
    assert (len(message), len(title)) == (255, 63)


def test_an_error_of_the_tray_is_a_failed_delivery() -> None:
    def fail(message: str, title: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(DeliveryError):
        CallableDelivery(fail).send("t", "b", Urgency.NORMAL)


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}, "unix:path=/x"),
        (
            {"DBUS_SESSION_BUS_ADDRESS": "", "XDG_RUNTIME_DIR": "/run/user/1"},
            "unix:path=/run/user/1/bus",
        ),
    ],
)
def test_the_session_bus(environ: dict[str, str], address: str) -> None:
    assert session_bus_address(environ) == address


def test_no_session_bus() -> None:
    with pytest.raises(LookupError):
        session_bus_address({})
