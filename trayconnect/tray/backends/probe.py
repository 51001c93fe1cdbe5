"""Looks once at what this desktop offers to show an icon with."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import replace

from trayconnect.tray.backends.choice import BackendKind, ProbeResult, TrayReport, decide


def look(environ: Mapping[str, str] = os.environ) -> ProbeResult:
    """Ask the session bus and the X server; milliseconds, a few seconds where one hangs.

    The X server only where there is no better way, and GTK only where it could be used."""
    from trayconnect.tray.backends import watcher

    bus = watcher.look(environ)
    x11 = bool(environ.get("DISPLAY"))
    wayland = bool(environ.get("WAYLAND_DISPLAY"))
    found = ProbeResult(bus.is_there, bus.watcher, bus.host, x11=x11, wayland=wayland)
    if bus.host or not x11:
        return found
    from trayconnect.tray.backends import xembed

    manager = xembed.manager_name(environ)
    return replace(
        found,
        xembed=manager,
        appindicator=manager is not None and has_appindicator(),
        tk=has_tk(),
    )


def has_tk() -> bool:
    """Whether tkinter is installed, without importing it."""
    return all(importlib.util.find_spec(name) is not None for name in ("_tkinter", "tkinter"))


def has_appindicator() -> bool:
    """Whether PyGObject and the typelibs of GTK 3 and libappindicator are there; loads the first
    only."""
    if importlib.util.find_spec("gi") is None:
        return False
    try:
        import gi

        gi.require_version("Gtk", "3.0")
    except (ImportError, ValueError):
        return False
    for name in ("AyatanaAppIndicator3", "AppIndicator3"):
        try:
            gi.require_version(name, "0.1")
        except ValueError:
            continue
        return True
    return False


if sys.platform in ("darwin", "win32"):

    def tray_report(environ: Mapping[str, str] = os.environ) -> TrayReport:
        """How an icon would be shown on this desktop now. Shows none."""
        del environ
        return TrayReport(BackendKind.NATIVE, "The system has a place for icons of its own")

else:

    def tray_report(environ: Mapping[str, str] = os.environ) -> TrayReport:
        """How an icon would be shown on this desktop now. Shows none."""
        return decide(look(environ))
