"""The small window that an XEmbed tray takes in, and the picture in it.

Source: https://specifications.freedesktop.org/systemtray-spec/latest/ and
https://specifications.freedesktop.org/xembed-spec/latest/
"""

from __future__ import annotations

from typing import Any

from PIL import Image
from Xlib import X, Xatom, Xutil
from Xlib.display import Display
from Xlib.error import XError
from Xlib.xobject.drawable import Window

from trayconnect.tray.icon import Glyph

START_SIZE = 24
"""Pixels until the tray gives it a size."""
MOST = 256
XEMBED_VERSION, XEMBED_MAPPED = 0, 1

_STRIP = 128 * 1024
"""Bytes of pixels in one request; the least that a server may refuse is 256 KiB."""


class TrayWindow:
    """Made for one docking, in the visual that the tray asks for; to be closed after it.

    Raises `XError`. For the thread of its display."""

    def __init__(self, display: Display, visual: int, name: str) -> None:
        """`visual`: the id the tray wants, or 0 for the screen's own."""
        self._display = display
        screen = display.screen()
        depths = {v.visual_id: d.depth for d in screen.allowed_depths for v in d.visuals}
        self._depth: int = depths.get(visual, screen.root_depth)
        self._argb = self._depth == 32
        self._colormap: Any = None
        look: dict[str, Any] = {"background_pixmap": X.ParentRelative}
        if self._argb:
            self._colormap = screen.root.create_colormap(visual, X.AllocNone)
            look = {
                "visual": visual,
                "colormap": self._colormap,
                "background_pixel": 0,
                "border_pixel": 0,
            }
        self.window: Window = screen.root.create_window(
            -START_SIZE, -START_SIZE, START_SIZE, START_SIZE, 0,
            self._depth,
            X.InputOutput,
            event_mask=X.ExposureMask | X.StructureNotifyMask | X.ButtonReleaseMask
            | X.ButtonPressMask,
            **look,
        )  # fmt: skip
        self._gc = self.window.create_gc()
        self.window.set_wm_class(name, name)
        self._least = (START_SIZE, START_SIZE)
        self._hint()
        info = display.intern_atom("_XEMBED_INFO")
        self.window.change_property(info, info, 32, [XEMBED_VERSION, XEMBED_MAPPED])

    def close(self) -> None:
        """Destroy it, be it gone already."""
        self.window.destroy()
        self._gc.free()
        if self._colormap is not None:
            self._colormap.free()
        self._display.flush()

    def set_title(self, title: str) -> None:
        utf8 = self._display.intern_atom("UTF8_STRING")
        name = self._display.intern_atom("_NET_WM_NAME")
        self.window.change_property(name, utf8, 8, title.encode())
        # WM_NAME is Latin-1 text (ICCCM 2.7.1).
        latin = title.encode("latin-1", "replace")
        self.window.change_property(Xatom.WM_NAME, Xatom.STRING, 8, latin)

    def fit(self, width: int, height: int, *, vertical: bool) -> None:
        """The tray has given it that size: ask for a square as wide as the panel is thick."""
        least = (START_SIZE, min(width, MOST)) if vertical else (min(height, MOST), START_SIZE)
        if least != self._least:
            self._least = least
            self._hint()

    def _hint(self) -> None:
        width, height = self._least
        self.window.set_wm_normal_hints(
            flags=Xutil.PMinSize | Xutil.PBaseSize,
            min_width=width,
            min_height=height,
            base_width=width,
            base_height=height,
        )

    def draw(self, icon: Glyph) -> None:
        """Fill the window with the picture, over the tray's background. Nothing while it cannot
        be seen: an Expose event will follow."""
        try:
            place = self.window.get_geometry()
            ground = self._ground(place.width, place.height)
        except XError:
            return
        side = min(place.width, place.height)
        picture = icon.at(side)
        corner = ((place.width - side) // 2, (place.height - side) // 2)
        ground.alpha_composite(picture, corner)
        self._put(ground)

    def _ground(self, width: int, height: int) -> Image.Image:
        """What the picture lies upon: nothing in a visual with alpha, else the parent's pixels."""
        if self._argb:
            return Image.new("RGBA", (width, height))
        self.window.clear_area(0, 0, width, height)
        pixels = self.window.get_image(0, 0, width, height, X.ZPixmap, 0xFFFFFFFF).data
        return Image.frombytes("RGB", (width, height), pixels, "raw", self._order).convert("RGBA")

    def _put(self, picture: Image.Image) -> None:
        width, height = picture.size
        if self._argb:
            order = "BGRa" if self._little_endian else "aRGB"
            pixels = _premultiplied(picture, order)
        else:
            pixels = picture.convert("RGB").tobytes("raw", self._order)
        rows = max(1, _STRIP // (4 * width))
        for top in range(0, height, rows):
            count = min(rows, height - top)
            part = pixels[4 * width * top : 4 * width * (top + count)]
            self.window.put_image(self._gc, 0, top, width, count, X.ZPixmap, self._depth, 0, part)
        self._display.flush()

    @property
    def _little_endian(self) -> bool:
        return bool(self._display.display.info.image_byte_order == X.LSBFirst)

    @property
    def _order(self) -> str:
        """Of the bytes of a pixel without alpha: 24 bits of colour in 32."""
        return "BGRX" if self._little_endian else "XRGB"


def _premultiplied(picture: Image.Image, order: str) -> bytes:
    """The pixels as the RENDER extension has them: colours times alpha."""
    pixels = picture.convert("RGBa")
    if order == "BGRa":
        return pixels.tobytes("raw", order)
    red, green, blue, alpha = pixels.split()
    return Image.merge("RGBA", (alpha, red, green, blue)).tobytes()
