"""The windows with a text, when the app ends meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from trayconnect.desktop import helper_process
from trayconnect.desktop.windows import text_view
from trayconnect.desktop.windows.text_view import TextViews

READS_NOTHING = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_window_that_is_closed_before_it_has_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    views = TextViews(command=READS_NOTHING)

    @contextmanager
    def close_first(_limit: float, _end: Callable[[], None]) -> Iterator[None]:
        views.close()
        yield

    monkeypatch.setattr(helper_process, "has_display", lambda: True)
    monkeypatch.setattr(helper_process, "has_tkinter", lambda: True)
    monkeypatch.setattr(text_view, "deadline", close_first)
    views.show("GPU box: log", "text")
    assert "ended at once" in caplog.text
