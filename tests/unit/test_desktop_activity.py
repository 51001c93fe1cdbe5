"""App Nap is kept away while a tunnel is up."""

from __future__ import annotations

from trayconnect.desktop.events.power import (
    USER_INITIATED_ALLOWING_IDLE_SYSTEM_SLEEP,
    SystemActivity,
)


class Foundation:
    """PyObjC's: what NSProcessInfo was asked."""

    def __init__(self) -> None:
        self.NSProcessInfo = self
        self.asked: list[object] = []

    def processInfo(self) -> Foundation:
        return self

    def beginActivityWithOptions_reason_(self, options: int, reason: str) -> str:
        self.asked.append(("begin", options))
        assert reason
        return "token"

    def endActivity_(self, token: str) -> None:
        self.asked.append(("end", token))


def test_one_activity_is_held_while_it_is_wanted() -> None:
    foundation = Foundation()
    activity = SystemActivity(foundation)
    for wanted in (False, True, True, False, False, True):
        activity.hold(wanted)
    begin = ("begin", USER_INITIATED_ALLOWING_IDLE_SYSTEM_SLEEP)
    assert foundation.asked == [begin, ("end", "token"), begin]


def test_elsewhere_nothing_is_asked() -> None:
    SystemActivity().hold(True)
