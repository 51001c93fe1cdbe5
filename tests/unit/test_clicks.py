"""Clicks are carried out in order, and a slow one does not hold up the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from trayconnect.app.clicks import Clicks
from trayconnect.core.command import Command

LIMIT = 90.0


@pytest.fixture(autouse=True)
def _leaves_no_thread() -> Iterator[None]:
    yield
    assert not [t.name for t in threading.enumerate() if t.name.startswith("tc-click")]


def test_they_keep_their_order_and_are_finished() -> None:
    done: list[str] = []
    clicks = Clicks(lambda command: done.append(command.name))
    clicks.start()
    for number in range(50):
        clicks.submit(Command(str(number)))
    clicks.stop()
    assert done == [str(number) for number in range(50)]


def test_one_that_takes_long_does_not_hold_up_the_next() -> None:
    next_one = threading.Event()
    waited: list[bool] = []

    def carry_out(command: Command) -> None:
        if command.name == "copy-link":
            waited.append(next_one.wait(LIMIT))
        else:
            next_one.set()

    clicks = Clicks(carry_out)
    clicks.start()
    clicks.submit(Command("copy-link"))
    clicks.submit(Command("connect"))
    clicks.stop()
    assert waited == [True]


def test_one_that_fails_does_not_end_the_next(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def carry_out(command: Command) -> None:
        if command.name == "connect":
            raise ZeroDivisionError
        done.append(command.name)

    clicks = Clicks(carry_out)
    clicks.start()
    clicks.submit(Command("connect"))
    clicks.submit(Command("quit"))
    clicks.stop()
    assert done == ["quit"]
    assert "connect failed" in caplog.text


def test_without_threads_they_are_carried_out_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    clicks = Clicks(lambda command: done.append(command.name))
    clicks.start()

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    clicks.submit(Command("connect"))
    clicks.submit(Command("quit"))
    clicks.stop()
    assert done == ["connect", "quit"]
