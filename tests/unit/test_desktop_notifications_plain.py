"""Notices never hold up the caller, and arrive as their desktop can take them."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.systems import has_shell
from trayconnect.core.notices import Notice
from trayconnect.desktop.notifications.notifier import (
    CallableDelivery,
    DeliveryError,
    OsascriptDelivery,
    PlainNotifier,
    clip,
)

LIMIT = 90.0


def say(tag: str, title: str = "", body: str = "", *, asked: bool = False) -> Notice:
    return Notice(tag, title or tag, body, asked=asked)


class Recorder:
    """Shows into a list; blocks while `gate` is closed; fails while `error` is set."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.error: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Semaphore(0)

    def send(self, notice: Notice) -> None:
        self.arrived.release()
        assert self.gate.wait(LIMIT)
        if self.error:
            raise DeliveryError(self.error)
        self.shown.append(notice.title)

    def interrupt(self) -> None:
        self.error = "interrupted"
        self.gate.set()


class Stage:
    """A notifier over a `Recorder`."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.notifier = PlainNotifier(self.recorder)

    def send(self, notice: Notice) -> None:
        """Show it, and wait until it is on its way."""
        self.notifier.notify(notice)
        assert self.recorder.arrived.acquire(timeout=LIMIT)

    def close(self) -> list[str]:
        """All that was shown."""
        self.send(say("the end"))  # the worker is done with all before it
        self.notifier.close()
        assert not is_worker_alive()
        return [title for title in self.recorder.shown if title != "the end"]


def is_worker_alive() -> bool:
    return any(thread.name == "tc-notify" for thread in threading.enumerate())


def test_notices_arrive_in_order() -> None:
    stage = Stage()
    for tag in "abc":
        stage.send(say(tag))
    assert stage.close() == ["a", "b", "c"]


def test_the_same_is_shown_again_only_after_something_else() -> None:
    stage = Stage()
    stage.send(say("a", "lost"))
    stage.notifier.notify(say("a", "lost"))
    stage.send(say("b", "lost"))
    stage.send(say("a", "back"))
    stage.send(say("a", "lost"))
    stage.notifier.withdraw("a")
    stage.send(say("a", "lost"))
    stage.send(say("c", "why", asked=True))
    stage.send(say("c", "why", asked=True))
    assert stage.close() == ["lost", "lost", "back", "lost", "lost", "why", "why"]


def test_what_waits_gives_way_to_what_is_newer_and_goes_when_it_is_withdrawn() -> None:
    stage = Stage()
    stage.recorder.gate.clear()
    stage.send(say("first"))
    stage.notifier.notify(say("a", "lost"))
    stage.notifier.notify(say("b", "needs you"))
    stage.notifier.notify(say("a", "back"))
    stage.notifier.withdraw("b")
    stage.recorder.gate.set()
    assert stage.recorder.arrived.acquire(timeout=LIMIT)
    assert stage.close() == ["first", "back"]


def test_a_hung_desktop_costs_neither_time_nor_memory(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.recorder.gate.clear()
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            stage.notifier.notify(say(str(number)))
        assert len(stage.notifier._waiting) <= 16
        stage.notifier.close()
    assert not is_worker_alive()
    assert stage.recorder.shown == []
    assert [record.message for record in caplog.records] == [
        "notifications are dropped: too many are waiting"
    ]


def test_a_failure_is_logged_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    with caplog.at_level(logging.WARNING):
        stage.recorder.error = "no bus"
        for _ in range(3):
            stage.send(say("a", "lost"))  # not shown, so it may be sent again
        stage.notifier.close()
    assert [record.message for record in caplog.records] == ["notifications are dropped: no bus"]


def test_without_a_thread_a_notice_is_dropped_and_the_next_one_tries_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    stage = Stage()
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refuse)
        stage.notifier.notify(say("a"))
    assert "can't start new thread" in caplog.text
    stage.send(say("a"))
    assert stage.close() == ["a"]


def test_closing_twice_and_before_any_notice() -> None:
    stage = Stage()
    stage.notifier.close()
    stage.notifier.close()
    stage.notifier.notify(say("late"))
    assert not is_worker_alive()
    assert stage.recorder.shown == []


@given(st.text(), st.integers(1, 80))
def test_clip_counts_as_windows_does(text: str, longest: int) -> None:
    clipped = clip(text, longest)
    assert len(clipped.encode("utf-16-le", errors="surrogatepass")) // 2 <= longest
    if len(text.encode("utf-16-le", errors="surrogatepass")) // 2 <= longest:
        assert clipped == text
    else:
        assert clipped.endswith("…")


@pytest.mark.parametrize(
    ("notice", "title", "body"),
    [
        (Notice("a", "t" * 100, "b" * 1000), "t" * 62 + "…", "b" * 254 + "…"),
        (Notice("a", "", "body"), "trayconnect", "body"),
        (Notice("a", "title"), "title", "title"),
    ],
)
def test_the_tray_icon_gets_what_it_can_show(notice: Notice, title: str, body: str) -> None:
    shown: list[tuple[str, str]] = []
    CallableDelivery(lambda message, title: shown.append((title, message))).send(notice)
    assert shown == [(title, body)]


def test_an_error_of_the_tray_is_a_failed_delivery() -> None:
    def fail(message: str, title: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(DeliveryError):
        CallableDelivery(fail).send(say("t"))


@has_shell
def test_osascript_gets_texts_as_arguments_and_the_script_on_stdin(tmp_path: Path) -> None:
    program = tmp_path / "osascript"
    program.write_text(
        f'#!{sys.executable}\nimport sys\nprint(sys.argv[1:], file=open("{tmp_path}/out", "w"))\n'
        f'open("{tmp_path}/in", "wb").write(sys.stdin.buffer.read())\n'
    )
    program.chmod(0o755)
    body = 'say "hi"\0\n' + "b" * 300
    OsascriptDelivery(str(program)).send(Notice("a", "-e quit", body))
    assert (tmp_path / "out").read_text().startswith("['-', '-e quit', 'say \"hi\"\\nbbb")
    assert b"display notification (item 2 of argv)" in (tmp_path / "in").read_bytes()
    with pytest.raises(DeliveryError, match="could not be started"):
        OsascriptDelivery(str(tmp_path / "none")).send(say("a"))
