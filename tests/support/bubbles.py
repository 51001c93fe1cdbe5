"""Notifications on the screen of a desktop, drawn by a real server and clicked by the pointer."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from Xlib.error import XError

from tests.support.bus_names import wait_name
from tests.support.desktop import LIMIT, Desktop, Point
from tests.support.notifications import NAME
from tests.support.waiting import wait_for

Box = tuple[int, int, int, int]
_BUTTONS_ABOVE_BOTTOM = 31
"""Pixels, in xfce4-notifyd's bubbles with the theme of the tests."""
_NARROWEST_BUTTON = 40


# Notifications that stay until they are clicked or taken away: a test may be slow.
_XFCE = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-notifyd" version="1.0">
  <property name="expire-timeout" type="int" value="600"/>
</channel>
"""
_DUNST = """[global]
    mouse_middle_click = do_action, close_current
[urgency_normal]
    timeout = 0
"""


@dataclass(frozen=True)
class Kind:
    """A notification server."""

    program: str
    window: str
    """The title of its windows."""
    file: str
    """Where its configuration is, in the home folder."""
    configuration: str
    buttons: bool
    """Whether it draws a button for each action, also for the default one; else the pointer's
    middle button takes that."""


def xfce() -> Kind:
    (program,) = Path("/usr/lib").glob("*/xfce4/notifyd/xfce4-notifyd")
    file = ".config/xfce4/xfconf/xfce-perchannel-xml/xfce4-notifyd.xml"
    return Kind(str(program), "xfce4-notifyd", file, _XFCE, buttons=True)


def dunst() -> Kind:
    return Kind("/usr/bin/dunst", "Dunst", ".config/dunst/dunstrc", _DUNST, buttons=False)


class Bubbles:
    """A notification server on `desktop`, and what it draws."""

    def __init__(self, desktop: Desktop, kind: Kind) -> None:
        self._desktop = desktop
        self._kind = kind
        self._process: subprocess.Popen[bytes]
        file = desktop.home / kind.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(kind.configuration)
        self.start()

    def start(self) -> None:
        self._process = self._desktop.spawn(self._kind.program)
        wait_name(self._desktop.env["DBUS_SESSION_BUS_ADDRESS"], NAME)

    def stop(self) -> None:
        self._desktop.end(self._process)

    # --- looking ---

    def boxes(self) -> list[Box]:
        """Left, top, right, bottom of each, from the top down."""
        found = []
        for window, title in self._desktop.screen.windows():
            if title == self._kind.window:
                try:
                    place = window.get_geometry()
                except XError:
                    continue  # it went away while we looked
                right, bottom = place.x + place.width, place.y + place.height
                found.append((place.x, place.y, right, bottom))
        return sorted(found, key=lambda box: box[1])

    def look(self) -> Image.Image:
        """The only one there is, once it has stopped moving and fading."""
        pictures: list[tuple[Box, bytes]] = []

        def rests() -> Image.Image | None:
            boxes = self.boxes()
            if len(boxes) != 1:
                pictures.clear()
                return None
            picture = self._desktop.screenshot().crop(boxes[0])
            pictures.append((boxes[0], picture.tobytes()))
            same = len(pictures) > 5 and len(set(pictures[-5:])) == 1
            return picture if same and len(picture.getcolors(1 << 20) or ()) > 20 else None

        picture = wait_for(rests, "one notification at rest", LIMIT)
        assert picture is not None
        return picture

    def wait_other(self, before: Image.Image) -> Image.Image:
        """Until it shows something else."""
        return wait_for(
            lambda: now if (now := self.look()).tobytes() != before.tobytes() else None,
            "another picture",
            LIMIT,
        )  # type: ignore[return-value]

    def wait_none(self) -> None:
        wait_for(lambda: not self.boxes(), "no notification on the screen", LIMIT)

    # --- acting ---

    def take_default(self) -> None:
        """Click the only one for its default action."""
        if self._kind.buttons:
            self.press(0)
            return
        self.look()
        ((left, top, _, _),) = self.boxes()
        self._click((left + 40, top + 40), 2)

    def press(self, number: int) -> None:
        """Press the button of that number in the only one, counted from the left; xfce's."""
        picture = self.look()
        ((left, top, _, _),) = self.boxes()
        y = picture.height - _BUTTONS_ABOVE_BOTTOM
        x = _runs([picture.getpixel((x, y)) for x in range(picture.width)])[number]
        self._click((left + x, top + y), 1)

    def _click(self, at: Point, button: int) -> None:
        self._desktop.click(at, button)
        self._desktop.screen.move(0, 599)  # what the pointer is over does not go away


def _runs(line: Sequence[object]) -> list[int]:
    """The middles of the parts of a line of pixels that differ from the ground at its left."""
    ground = line[20]
    middles, start = [], None
    for x, pixel in enumerate([*line, ground]):
        if pixel != ground and start is None:
            start = x
        elif pixel == ground and start is not None:
            if x - start >= _NARROWEST_BUTTON:
                middles.append((start + x) // 2)
            start = None
    return middles
