"""The Linux tray: a StatusNotifierItem, and an XEmbed icon while no panel takes that.

The item stays on offer: a panel that starts late, or again, gets it at once, and the XEmbed icon
disappears. So a login may start us and the panel in any order, and no panel shows two icons for
long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from trayconnect.core.command import Command
from trayconnect.desktop.helper_process import has_tkinter
from trayconnect.desktop.windows.popup_menu import PopupMenu
from trayconnect.tray.backends import sni
from trayconnect.tray.backends.choice import BackendKind, TrayReport, decide, probe_desktop
from trayconnect.tray.icon import Glyph
from trayconnect.tray.text import dbusmenu_label, one_line
from trayconnect.tray.tray_icon import TrayIcon
from trayconnect.tray.view import IconState, View

log = logging.getLogger(__name__)

JOIN_LIMIT = 15.0


class Fallback:
    """The XEmbed icon: begins and ends any number of times, from any thread. Each time has a thread
    of its own ("tc-tray-xembed"), which waits for the end of the one before."""

    def __init__(
        self, name: str, on_command: Callable[[Command], object], popup: PopupMenu
    ) -> None:
        self._name = name
        self._on_command = on_command
        self._popup = popup
        self._lock = threading.Lock()
        self._view = View()
        self._turn: _Turn | None = None
        self._last: threading.Thread | None = None

    @property
    def host(self) -> str | None:
        """The program that has the XEmbed tray where the icon is shown."""
        turn = self._turn
        return None if turn is None else turn.host

    def show(self, view: View) -> None:
        with self._lock:
            self._view = view
            if self._turn is not None:
                self._turn.show(view)

    def begin(self) -> None:
        """Show the icon in the XEmbed tray, now or when one appears. Raises RuntimeError if no
        thread can be started."""
        with self._lock:
            if self._turn is not None:
                return
            turn = _Turn(self._name, self._on_command, self._popup, self._view)
            thread = threading.Thread(
                target=turn.run, args=(self._last,), name="tc-tray-xembed", daemon=True
            )
            thread.start()
            self._turn, self._last = turn, thread

    def end(self) -> None:
        """Remove the icon; returns at once."""
        with self._lock:
            turn, self._turn = self._turn, None
        if turn is not None:
            turn.stop()

    def stop(self) -> None:
        """End it and join its thread."""
        self.end()
        if self._last is not None:
            self._last.join(JOIN_LIMIT)
            if self._last.is_alive():
                log.warning("the XEmbed icon still ends after %g s", JOIN_LIMIT)


class _Turn:
    """The time from a `begin` to its `end`."""

    def __init__(
        self, name: str, on_command: Callable[[Command], object], popup: PopupMenu, view: View
    ) -> None:
        self.host: str | None = None
        self._name = name
        self._on_command = on_command
        self._popup = popup
        self._lock = threading.Lock()
        self._view = view
        self._tray: TrayIcon | None = None
        self._stopped = False

    def run(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        try:
            tray = self._make()
            with self._lock:
                if self._stopped or tray is None:
                    return
                self._tray = tray
                tray.show(self._view)
            tray.run()
        except Exception:  # an error of the toolkit, which must not end the tunnels
            log.exception("no icon in an XEmbed tray")
        finally:
            self.host = None

    def show(self, view: View) -> None:
        with self._lock:
            self._view = view
            if self._tray is not None:
                self._tray.show(view)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            tray = self._tray
        if tray is not None:
            tray.stop()

    def _make(self) -> TrayIcon | None:
        if not has_tkinter():
            return None
        from trayconnect.tray.backends import xembed

        docking = xembed.XEmbedIcon(
            self._name,
            Glyph(IconState.OFF),
            self._name,
            popup=self._popup,
            on_docked=self._on_docked,
        )
        return TrayIcon(docking, self._on_command, label=one_line)

    def _on_docked(self, host: str | None) -> None:
        self.host = host


FALLBACK_PATIENCE = 3.0
"""Seconds without a StatusNotifierWatcher after which an XEmbed tray will do."""
HOST_PATIENCE = 30.0
"""Seconds without a panel for the icon until the user is told: at login, panels may start after
us."""
HAND_PATIENCE = 0.5
"""Seconds between two checks whether a panel has the icon, for a user who waits for it."""


class LinuxTray:
    """`tray_icon.Tray`. On its thread, `on_no_host` is called once if no panel has taken the icon
    in time, and `on_shown` each time one has it."""

    def __init__(
        self,
        name: str,
        on_command: Callable[[Command], object],
        on_no_host: Callable[[], object],
        popup: PopupMenu,
        *,
        screen: bool,
        by_hand: bool = False,
        on_shown: Callable[[], object] = lambda: None,
        fallback_patience: float = FALLBACK_PATIENCE,
        host_patience: float = HOST_PATIENCE,
    ) -> None:
        """`screen`: whether there is an X11 screen, which may have an XEmbed tray. `by_hand`: the
        desktop has started, so do not wait for its panel."""
        self._on_no_host = on_no_host
        self._on_shown = on_shown
        self._is_known = False
        self._screen = screen
        self._by_hand = by_hand
        self._fallback_patience = HAND_PATIENCE if by_hand else fallback_patience
        self._host_patience = host_patience
        self._item = sni.SniIcon(
            name, Glyph(IconState.OFF), name, on_registered=self._on_registered
        )
        self._tray = TrayIcon(self._item, on_command, label=dbusmenu_label)
        self._item.on_activate = self._tray.activate
        self._fallback = Fallback(name, on_command, popup)
        self._stopping = threading.Event()

    def show(self, view: View) -> None:
        self._tray.show(view)
        self._fallback.show(view)

    def run(self) -> None:
        self._item.post(lambda: self._item.later(self._host_patience, self._check_host))
        if self._by_hand:
            self._item.post(self._check_place)
        try:
            self._tray.run()
        finally:
            self._fallback.stop()

    def notify(self, message: str, title: str) -> None:
        self._tray.notify(message, title)

    def stop(self) -> None:
        self._stopping.set()
        self._fallback.end()
        self._tray.stop()

    @property
    def is_shown(self) -> bool:
        """Whether a panel has taken the icon."""
        return self._item.registered or self._fallback.host is not None

    def report(self) -> TrayReport:
        """Asks the desktop; takes a moment, at most some seconds."""
        found = probe_desktop()
        if self._item.registered:
            found = replace(found, watcher=found.watcher or "a panel", sni_host=True)
            return replace(decide(found), shown=True)
        cold = decide(found)
        if cold.kind is BackendKind.SNI:  # it is there, but has not taken the item yet
            return replace(cold, shown=False)
        host = self._fallback.host
        if host is None or found.xembed is None:
            return replace(cold, shown=False)
        return replace(decide(replace(found, tk=True)), host=host, shown=True)

    # --- on the tray's thread -----------------------------------------------------------------

    def _on_registered(self, registered: bool) -> None:
        if registered:
            self._is_known = True
            self._on_shown()
            self._fallback.end()
        elif self._screen:
            self._item.later(self._fallback_patience, self._fall_back)

    def _fall_back(self) -> None:
        if not self._item.registered and not self._stopping.is_set():
            self._fallback.begin()

    def _check_place(self) -> None:
        if self._is_known or self._stopping.is_set():
            return
        if self.is_shown:
            self._is_known = True
            self._on_shown()
        elif decide(probe_desktop()).kind is BackendKind.NONE:
            self._report_no_host()
        else:  # it is there, but has not taken the icon yet
            self._item.later(HAND_PATIENCE, self._check_place)

    def _check_host(self) -> None:
        if not self._is_known and not self.is_shown:
            self._report_no_host()

    def _report_no_host(self) -> None:
        self._is_known = True
        log.warning("no panel shows the icon")
        self._on_no_host()
