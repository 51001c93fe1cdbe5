"""The icon in an XEmbed tray, for as long as no StatusNotifierItem host is there."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from trayconnect.core.command import Command
from trayconnect.desktop.helper_process import has_tkinter
from trayconnect.desktop.popup.popup_model import PopupMenu
from trayconnect.tray.icon import Glyph
from trayconnect.tray.text import one_line
from trayconnect.tray.tray_icon import TrayIcon
from trayconnect.tray.view import IconState, View

log = logging.getLogger(__name__)

JOIN_LIMIT = 15.0


class Fallback:
    """May be begun and ended again and again, from any thread; each time has a thread of its own
    ("tc-tray-xembed"), and the next waits for the end of the one before."""

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
        """Show the icon where there is an XEmbed tray, or will be one. Again: nothing."""
        with self._lock:
            if self._turn is not None:
                return
            self._turn = turn = _Turn(self._name, self._on_command, self._popup, self._view)
            before = self._last
            self._last = threading.Thread(
                target=turn.run, args=(before,), name="tc-tray-xembed", daemon=True
            )
            self._last.start()

    def end(self) -> None:
        """Take the icon away; returns at once."""
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
    """From a `begin` to its `end`."""

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
        except Exception:  # what a toolkit raises, and must not end the tunnels
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
