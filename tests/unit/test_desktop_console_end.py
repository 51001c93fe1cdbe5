"""What is done before a console of Windows is closed."""

from __future__ import annotations

import pytest

from trayconnect.desktop.windows_console import CLOSE, LOGOFF, SHUTDOWN, answer, before_console_ends


@pytest.mark.parametrize(
    ("event", "ends"), [(0, False), (1, False), (CLOSE, True), (LOGOFF, True), (SHUTDOWN, True)]
)
def test_the_end_is_answered_when_all_is_done(event: int, ends: bool) -> None:
    done: list[str] = []
    assert answer(event, lambda: done.append("sessions closed")) is ends
    assert done == ["sessions closed"] * ends


def test_it_is_asked_for_and_given_back() -> None:
    for _ in range(2):
        with before_console_ends(lambda: None):
            pass
