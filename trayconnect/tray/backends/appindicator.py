"""pystray's libappindicator icon, for a tray that our own StatusNotifierItem does not reach.

Where there is no StatusNotifierWatcher, libappindicator shows a GTK icon in an XEmbed tray, with a
menu of GTK's: more of the desktop's own than what we can draw. Importing this loads GTK and opens
the display. pystray brings each call onto GLib's loop, but leaves each picture in the temporary
folder until the next one; here they are in a folder that goes with the icon.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gi.repository import GLib
from pystray import _appindicator

from trayconnect.tray.icon import Glyph

SIDE = 64
"""Pixels of the pictures; GTK scales them down."""


class AppIndicatorIcon(_appindicator.Icon):  # type: ignore[misc]  # pystray is not annotated
    """For one `run`, on any thread, which then is GTK's."""

    HAS_NOTIFICATION = False

    def __init__(self, name: str, icon: Glyph, title: str) -> None:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        folder = runtime if os.access(runtime, os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix="trayconnect-icon-", dir=folder)
        self._files: dict[Glyph, str] = {}
        super().__init__(name, icon, title)

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` on GLib's loop."""

        def once() -> bool:
            job()
            return False

        GLib.idle_add(once)

    def _update_fs_icon(self) -> None:
        """A file for each picture, written once."""
        path = self._files.get(self.icon)
        if path is None:
            path = self._files[self.icon] = str(Path(self._folder.name, f"{len(self._files)}.png"))
            self.icon.at(SIDE).save(path, "PNG")
        self._icon_path = path
        self._icon_valid = True

    def _remove_fs_icon(self) -> None:
        """They go with their folder."""
        self._icon_valid = False

    def _initialize(self) -> None:
        """Not pystray's, which takes SIGINT and connects to the notifications."""
        self._mark_ready()

    def _finalize(self) -> None:
        """The loop has ended; what was posted since, and the farewell, take some steps of it."""
        self._hide()
        context = GLib.MainContext.default()
        while context.pending():
            context.iteration(False)
        self._visible = False
        del self._appindicator
        self._folder.cleanup()
