"""The windows with a text, when the app ends meanwhile."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest

from trayconnect.desktop import helper_process
from trayconnect.desktop.windows.text_view import TextViews

READS_NOTHING = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_window_that_is_closed_before_it_has_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    views = TextViews(command=READS_NOTHING)
    timer = threading.Timer

    def guard(limit: float, end: Callable[[], None]) -> threading.Timer:
        views.close()
        return timer(limit, end)

    monkeypatch.setattr(helper_process, "has_display", lambda: True)
    monkeypatch.setattr(helper_process, "has_tkinter", lambda: True)
    monkeypatch.setattr(threading, "Timer", guard)
    views.show("GPU box: log", "text")
    assert "ended at once" in caplog.text
