"""Looks once at what this desktop offers to show an icon with."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace

from trayconnect.desktop.helper_process import has_tkinter
from trayconnect.tray.backends.choice import BackendKind, ProbeResult, TrayReport, decide


def look(environ: Mapping[str, str] = os.environ) -> ProbeResult:
    """Ask the session bus and the X server; milliseconds, a few seconds where one hangs.

    The X server only where there is no better way."""
    from trayconnect.tray.backends import watcher

    bus = watcher.look(environ)
    x11 = bool(environ.get("DISPLAY"))
    wayland = bool(environ.get("WAYLAND_DISPLAY"))
    found = ProbeResult(bus.is_there, bus.watcher, bus.host, x11=x11, wayland=wayland)
    if bus.host or not x11:
        return found
    from trayconnect.tray.backends import xembed

    return replace(found, xembed=xembed.manager_name(environ), tk=has_tkinter())


if sys.platform in ("darwin", "win32"):

    def tray_report(environ: Mapping[str, str] = os.environ) -> TrayReport:
        """How an icon would be shown on this desktop now. Shows none."""
        del environ
        return TrayReport(BackendKind.NATIVE, "The system has a place for icons of its own")

else:

    def tray_report(environ: Mapping[str, str] = os.environ) -> TrayReport:
        """How an icon would be shown on this desktop now. Shows none."""
        return decide(look(environ))
