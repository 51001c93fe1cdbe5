"""Our own menu, when its helper does not do its part."""

from __future__ import annotations

import sys
import threading

import pytest

from trayconnect.desktop.windows.popup_menu import MenuLine, TkPopupMenu

LIMIT = 60.0
HANGS = [sys.executable, "-c", "import time; time.sleep(600)"]
LONG = tuple(MenuLine(str(number), "x" * 1000) for number in range(300))


@pytest.mark.parametrize("lines", [(MenuLine("one", "One"),), LONG], ids=["short", "long"])
def test_a_helper_that_hangs_is_ended(
    lines: tuple[MenuLine, ...], caplog: pytest.LogCaptureFixture
) -> None:
    popup = TkPopupMenu(HANGS, limit=0.5)
    popup.show(lines, (0, 0), lambda _: pytest.fail("nothing was chosen"))
    for thread in threading.enumerate():
        if thread.name == "tc-popup":
            thread.join(LIMIT)
            assert not thread.is_alive()
    assert caplog.messages


def test_closing_takes_away_a_menu_that_is_not_read() -> None:
    popup = TkPopupMenu(HANGS, limit=LIMIT)
    popup.show(LONG, (0, 0), lambda _: pytest.fail("nothing was chosen"))
    popup.close()
    assert "tc-popup" not in [thread.name for thread in threading.enumerate()]
