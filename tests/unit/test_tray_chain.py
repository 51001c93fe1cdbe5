"""Which tray is chosen, and how that is said, by a table."""

from __future__ import annotations

import itertools

import pytest

from trayconnect.tray.chain import Findings, Report, Way, decide


@pytest.mark.parametrize(
    ("found", "way", "host", "words"),
    [
        (
            Findings(bus=True, watcher="plasmashell", sni_host=True),
            Way.SNI,
            "plasmashell",
            "plasmashell is",
        ),
        (
            Findings(
                bus=True, watcher="lxqt-panel", sni_host=True, x11=True, xembed="trayer", tk=True
            ),
            Way.SNI,
            "lxqt-panel",
            "lxqt-panel is",
        ),
        (
            Findings(bus=True, x11=True, xembed="trayer", appindicator=True, tk=True),
            Way.APPINDICATOR,
            "trayer",
            "libappindicator is installed",
        ),
        (
            Findings(bus=True, x11=True, xembed="trayer", tk=True),
            Way.XEMBED,
            "trayer",
            "trayer has an XEmbed tray",
        ),
        (
            Findings(x11=True, xembed="trayer", appindicator=True, tk=True),
            Way.XEMBED,
            "trayer",
            "no session bus",
        ),
        (
            Findings(bus=True, watcher="kded5", x11=True, xembed="trayer", tk=True),
            Way.XEMBED,
            "trayer",
            "kded5 watches for StatusNotifierItems, but no panel shows them",
        ),
        (Findings(bus=True, x11=True, xembed="trayer"), Way.NONE, "trayer", "needs Tk"),
        (Findings(bus=True, x11=True, tk=True), Way.NONE, "", "no program has an XEmbed tray"),
        (Findings(bus=True, wayland=True, tk=True), Way.NONE, "", "no X11 screen"),
        (Findings(bus=True), Way.NONE, "", "neither DISPLAY nor WAYLAND_DISPLAY"),
        (Findings(), Way.NONE, "", "no session bus"),
    ],
)
def test_the_best_way_there_is(found: Findings, way: Way, host: str, words: str) -> None:
    report = decide(found)
    assert (report.way, report.host, report.shown) == (way, host, None)
    assert words in report.reason


def test_every_finding_has_a_way_and_a_sentence() -> None:
    programs = (None, "panel")
    yes_no = (False, True)
    for bus, watcher, host, x11, wayland, xembed, gtk, tk in itertools.product(
        yes_no, programs, yes_no, yes_no, yes_no, programs, yes_no, yes_no
    ):
        report = decide(Findings(bus, watcher, host, x11, wayland, xembed, gtk, tk))
        assert (report.way is Way.SNI) == (host and watcher is not None)
        assert report.reason[0].isupper() or report.reason.startswith("panel ")
        assert not report.reason.endswith(".")


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Report(Way.XEMBED, "Why", "trayer"), "Icon by XEmbed: Why"),
        (Report(Way.SNI, "Why", "x", shown=True), "Icon by StatusNotifierItem: Why; it is shown"),
        (
            Report(Way.SNI, "Why", shown=False),
            "Icon by StatusNotifierItem: Why; it is not shown yet",
        ),
        (Report(Way.NONE, "Why", shown=False), "No icon: Why"),
    ],
)
def test_a_report_is_a_line(report: Report, words: str) -> None:
    assert str(report) == words
