"""Which tray is chosen, and how that is said, by a table."""

from __future__ import annotations

import itertools

import pytest

from trayconnect.tray.backends.choice import BackendKind, ProbeResult, TrayReport, decide


@pytest.mark.parametrize(
    ("found", "way", "host", "words"),
    [
        (
            ProbeResult(bus=True, watcher="plasmashell", sni_host=True),
            BackendKind.SNI,
            "plasmashell",
            "plasmashell is",
        ),
        (
            ProbeResult(
                bus=True, watcher="lxqt-panel", sni_host=True, x11=True, xembed="trayer", tk=True
            ),
            BackendKind.SNI,
            "lxqt-panel",
            "lxqt-panel is",
        ),
        (
            ProbeResult(bus=True, x11=True, xembed="trayer", tk=True),
            BackendKind.XEMBED,
            "trayer",
            "trayer has an XEmbed tray",
        ),
        (
            ProbeResult(x11=True, xembed="trayer", tk=True),
            BackendKind.XEMBED,
            "trayer",
            "no session bus",
        ),
        (
            ProbeResult(bus=True, watcher="kded5", x11=True, xembed="trayer", tk=True),
            BackendKind.XEMBED,
            "trayer",
            "kded5 watches for StatusNotifierItems, but no panel shows them",
        ),
        (ProbeResult(bus=True, x11=True, xembed="trayer"), BackendKind.NONE, "trayer", "needs Tk"),
        (
            ProbeResult(bus=True, x11=True, tk=True),
            BackendKind.NONE,
            "",
            "no program has an XEmbed tray",
        ),
        (ProbeResult(bus=True, wayland=True, tk=True), BackendKind.NONE, "", "no X11 screen"),
        (ProbeResult(bus=True), BackendKind.NONE, "", "neither DISPLAY nor WAYLAND_DISPLAY"),
        (ProbeResult(), BackendKind.NONE, "", "no session bus"),
    ],
)
def test_the_best_way_there_is(found: ProbeResult, way: BackendKind, host: str, words: str) -> None:
    report = decide(found)
    assert (report.kind, report.host, report.shown) == (way, host, None)
    assert words in report.reason


def test_every_finding_has_a_way_and_a_sentence() -> None:
    programs = (None, "panel")
    yes_no = (False, True)
    for bus, watcher, host, x11, wayland, xembed, tk in itertools.product(
        yes_no, programs, yes_no, yes_no, yes_no, programs, yes_no
    ):
        report = decide(ProbeResult(bus, watcher, host, x11, wayland, xembed, tk))
        assert (report.kind is BackendKind.SNI) == (host and watcher is not None)
        assert report.reason[0].isupper() or report.reason.startswith("panel ")
        assert not report.reason.endswith(".")


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (TrayReport(BackendKind.XEMBED, "Why", "trayer"), "Icon by XEmbed: Why"),
        (
            TrayReport(BackendKind.SNI, "Why", "x", shown=True),
            "Icon by StatusNotifierItem: Why; it is shown",
        ),
        (
            TrayReport(BackendKind.SNI, "Why", shown=False),
            "Icon by StatusNotifierItem: Why; it is not shown yet",
        ),
        (TrayReport(BackendKind.NONE, "Why", shown=False), "No icon: Why"),
    ],
)
def test_a_report_is_a_line(report: TrayReport, words: str) -> None:
    assert str(report) == words
