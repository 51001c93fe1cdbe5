"""The window with a text, looked at and copied from for real."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect.core.errors import ProblemError
from trayconnect.desktop.windows.text_view import TextViews

LIMIT = 120.0
TITLE = "GPU box: log"
TEXT = "\n".join(f"2026-01-01 10:00:{n:02} INFO line {n}" for n in range(60))


@pytest.fixture
def views() -> Iterator[TextViews]:
    views = TextViews()
    yield views
    views.close()


def children() -> set[str]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


def test_a_text_is_shown_copied_and_closed(screen: XServer, views: TextViews) -> None:
    views.show(TITLE, TEXT, at_end=True)
    window = screen.wait_window(TITLE, LIMIT)
    screen.focus(window)
    screen.wait_focus(window, LIMIT)

    def copied() -> bool:
        screen.key("c", "Control_L")  # again, as Tk hands keys to its parts a little later
        return screen.selection("CLIPBOARD", LIMIT) == TEXT

    wait_for(copied, "the text to be copied", LIMIT)
    screen.key("Escape")
    screen.wait_no_window(TITLE, LIMIT)


def test_windows_end_with_the_app(screen: XServer, views: TextViews) -> None:
    before = children()
    for _ in range(2):
        views.show(TITLE, TEXT)
    screen.wait_window(TITLE, LIMIT)
    views.close()
    screen.wait_no_window(TITLE, LIMIT)
    assert children() <= before
    views.show(TITLE, TEXT)  # too late: nothing happens
    assert children() <= before


def test_without_a_display_it_is_said(monkeypatch: pytest.MonkeyPatch, views: TextViews) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(ProblemError, match="No window"):
        views.show(TITLE, TEXT)


def test_a_helper_that_ends_at_once_harms_nobody(screen: XServer) -> None:
    views = TextViews(command=[sys.executable, "-c", "raise SystemExit(1)"])
    views.show(TITLE, "x" * 1_000_000)
    views.close()
