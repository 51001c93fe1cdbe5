"""Where the user is told that the icon is."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.notices import Notice
from trayconnect.tray import icon_place
from trayconnect.tray.backends.choice import BackendKind, TrayReport
from trayconnect.tray.icon_place import PLACE, IconPlace
from trayconnect.tray.view import View


@dataclass
class FakeTray:
    is_shown: bool

    def show(self, view: View) -> None: ...
    def run(self) -> None: ...
    def notify(self, message: str, title: str) -> None: ...
    def stop(self) -> None: ...
    def report(self) -> TrayReport:
        return TrayReport(BackendKind.NATIVE, "")


@dataclass
class Told:
    has_window: bool = True
    windows: int = 0
    notices: list[str] = field(default_factory=list)

    def window(self) -> None:
        if not self.has_window:
            raise ProblemError(Problem("There is no screen", ""))
        self.windows += 1

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice.body)

    def withdraw(self, tag: str) -> None: ...


@pytest.mark.parametrize(
    ("hides", "is_shown", "has_window", "windows", "notices"),
    [
        (False, True, True, 0, [PLACE]),
        (False, False, True, 1, []),
        (True, True, True, 1, []),
        (True, True, False, 0, [PLACE]),
        (False, False, False, 0, [f"There is no screen. {icon_place.COMMANDS}"]),
    ],
)
def test_a_second_start_shows_the_window_where_the_icon_may_not_be_seen(
    monkeypatch: pytest.MonkeyPatch,
    hides: bool,
    is_shown: bool,
    has_window: bool,
    windows: int,
    notices: list[str],
) -> None:
    monkeypatch.setattr(icon_place, "HIDES", hides)
    told = Told(has_window)
    place = IconPlace(told.window, told, lambda _: None)
    place.asked(FakeTray(is_shown))
    assert (told.windows, told.notices) == (windows, notices)
