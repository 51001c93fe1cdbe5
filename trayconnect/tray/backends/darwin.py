"""pystray's macOS icon, with every AppKit call on the main thread.

Recent systems kill a process that calls AppKit elsewhere. To be made and run on the main thread.
The picture is a template: black on transparent, tinted by the menu bar; the shapes differ.
"""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from typing import Any

from trayconnect.tray.backends import pystray_base, signals
from trayconnect.tray.icon import Glyph

ACCESSORY = 1
"""NSApplicationActivationPolicyAccessory: no icon in the Dock, no menu bar of its own."""
POINTS = 18
"""The side of a menu bar picture, by Apple's guidelines; it has two pixels a point."""
REMEMBERED = 4096
_ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class MacIcon(pystray_base.Icon):  # type: ignore[misc]  # pystray is not annotated
    def __init__(self, name: str, icon: Glyph, title: str) -> None:
        self._lines = NoticeLines()
        self._icon_image: Any = None
        self._images: dict[tuple[Glyph, int], object] = {}
        """Every picture that was shown, by its side in points: few, since a menu bar has one
        height or another."""
        super().__init__(name, icon, title)
        self._app.setActivationPolicy_(ACCESSORY)

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` on the main thread, as soon as the application runs."""
        from PyObjCTools import AppHelper

        AppHelper.callAfter(job)

    def _run(self) -> None:
        """pystray's own ends the process at once on SIGINT, and no other signal is seen while
        AppKit waits; here Python's handlers are called for each."""
        self._mark_ready()
        try:
            with signals.heard(*_ENDING):
                self._app.run()
        finally:
            self.visible = False  # pystray hides it else when it is collected, on any thread
            self._status_bar.removeStatusItem_(self._status_item)

    def _stop(self) -> None:
        self.post(self._leave)

    def _leave(self) -> None:
        """An open menu runs a loop of its own, which would go on until the user closes it."""
        menu, _ = getattr(self, "_menu_handle", (None, None))  # it is set with the first menu
        if menu is not None:
            menu.cancelTracking()
        super()._stop()

    def _update_menu(self) -> None:
        menu = self._create_menu(self.menu, self._lines)
        self._status_item.setMenu_(menu)
        self._menu_handle = (menu, self._lines)

    def _assert_image(self) -> None:
        if self._icon_image is not None:
            return
        side = min(POINTS, int(self._status_bar.thickness()))
        key = (self.icon, side)
        if key not in self._images:
            self._images[key] = _image(*key)
        self._icon_image = self._images[key]
        self._status_item.button().setImage_(self._icon_image)


def _image(glyph: Glyph, side: int) -> object:
    """An NSImage of `side` points."""
    import AppKit
    import Foundation

    data = png(glyph, 2 * side)
    image = AppKit.NSImage.alloc().initWithData_(
        Foundation.NSData.dataWithBytes_length_(data, len(data))
    )
    image.setSize_((side, side))
    image.setTemplate_(True)
    image.setAccessibilityDescription_(f"trayconnect: {glyph.state.value}")
    return image


class NoticeLines:
    """The callbacks of menu items by tag, for pystray, which uses a list for each menu.

    A menu that is open stays on the screen when it is replaced. Tags never repeat, so a click in
    it does what its line shows, not what is at that place in the new menu. The last
    `REMEMBERED` callbacks are kept."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[..., object]] = {}
        self._next = 0

    def __len__(self) -> int:
        """The tag of the callback to be added next."""
        return self._next

    def append(self, callback: Callable[..., object]) -> None:
        self._callbacks[self._next] = callback
        self._callbacks.pop(self._next - REMEMBERED, None)
        self._next += 1

    def __getitem__(self, tag: int) -> Callable[..., object]:
        return self._callbacks.get(tag, _nothing)


def _nothing(*_arguments: Any) -> None:
    """The line is too old."""


def png(glyph: Glyph, side: int) -> bytes:
    """The picture as a PNG file of `side` pixels."""
    file = io.BytesIO()
    glyph.at(side).save(file, "PNG")
    return file.getvalue()
