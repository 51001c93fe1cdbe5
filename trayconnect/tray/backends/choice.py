"""Which kind of tray this desktop offers, and why. `decide` is pure."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from trayconnect.desktop.helper_process import has_tkinter


class BackendKind(enum.Enum):
    """How the icon is shown."""

    NATIVE = "the system's own tray"
    """What macOS and Windows have."""
    SNI = "StatusNotifierItem"
    XEMBED = "XEmbed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    bus: bool = False
    """Whether there is a session bus."""
    watcher: str | None = None
    """The program that is the StatusNotifierWatcher, if there is one."""
    sni_host: bool = False
    """Whether a panel has registered with the watcher to show items."""
    x11: bool = False
    """Whether DISPLAY names a screen."""
    wayland: bool = False
    xembed: str | None = None
    """The program that has the XEmbed tray of that screen, if there is one."""
    tk: bool = False
    """Whether there is tkinter, which draws the menu of an XEmbed icon."""


@dataclass(frozen=True, slots=True)
class TrayReport:
    """How the icon is shown."""

    kind: BackendKind
    reason: str
    """Why this kind and no better one: a sentence."""
    host: str = ""
    """The program that shows the icon, or would."""
    shown: bool | None = None
    """Whether a panel has taken the icon; None: unknown."""

    def __str__(self) -> str:
        name = "No icon" if self.kind is BackendKind.NONE else f"Icon by {self.kind.value}"
        shown = {True: "; it is shown", False: "; it is not shown yet", None: ""}[self.shown]
        return f"{name}: {self.reason}{'' if self.kind is BackendKind.NONE else shown}"


def decide(found: ProbeResult) -> TrayReport:
    """The best kind of tray there is now; the program switches when a better one appears."""
    if found.watcher is not None and found.sni_host:
        reason = f"{found.watcher} is the StatusNotifierWatcher on the session bus"
        return TrayReport(BackendKind.SNI, reason, found.watcher)
    lack = _no_sni(found)
    if found.xembed is None:
        return TrayReport(BackendKind.NONE, f"{lack}, and {_no_xembed(found)}")
    tray = f"{found.xembed} has an XEmbed tray"
    if found.tk:
        reason = f"{lack}; {tray}"
        return TrayReport(BackendKind.XEMBED, reason, found.xembed)
    reason = f"{lack}; {tray}, but its menu needs Tk (on Debian: python3-tk)"
    return TrayReport(BackendKind.NONE, reason, found.xembed)


def _no_sni(found: ProbeResult) -> str:
    if not found.bus:
        return "There is no session bus to offer a StatusNotifierItem on"
    if found.watcher is None:
        return "No panel on the session bus takes StatusNotifierItems"
    return f"{found.watcher} watches for StatusNotifierItems, but no panel shows them"


def _no_xembed(found: ProbeResult) -> str:
    if found.x11:
        return "no program has an XEmbed tray on this screen"
    if found.wayland:
        return "there is no X11 screen, where an XEmbed tray could be"
    return "there is no screen: neither DISPLAY nor WAYLAND_DISPLAY is set"


def probe_desktop(environ: Mapping[str, str] = os.environ) -> ProbeResult:
    """Ask the session bus and the X server; milliseconds, a few seconds where one hangs.

    The X server only if there is no StatusNotifierItem host."""
    from trayconnect.tray.backends import watcher

    bus = watcher.probe_bus(environ)
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
        return decide(probe_desktop(environ))
