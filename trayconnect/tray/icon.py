"""The picture of an `IconState` at any size, from the files in `icons/tray/`.

`icons/build.py` draws those files from the SVG sources: one for each state and frame, with its
pictures in a row, one for each size.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image

import trayconnect
from trayconnect.tray.view import IconState

FRAMES = 4
"""Pictures of `IconState.CONNECTING` while it moves, the still one being number 0."""
SIZES = (*range(16, 49), 52, 56, 60, 64, 72, 96)
"""Pixels of the pictures in colour: every size that panels of Linux, the taskbar of Windows at
100 % to 400 %, and our windows use. XEmbed trays use any size."""
TEMPLATE_SIZES = (36,)
"""Pixels of the templates: macOS asks for 18 points at 2 pixels each."""
WINDOW_SIZES = (24, 30, 36, 42, 48, 60, 72, 96)
"""Pixels of the pictures in the status window, for screens of 100 % to 400 %."""


@cache
def icons_folder() -> Path:
    """Where the pictures are: inside an installed package, beside it in a checkout.

    A PyInstaller bundle unpacks its data like either. Raises FileNotFoundError."""
    package = Path(trayconnect.__file__).parent
    for folder in (package / "icons", package.parent / "icons"):
        if (folder / "trayconnect.png").is_file():
            return folder
    raise FileNotFoundError(f"trayconnect's icons are missing from {package}")


@lru_cache(maxsize=128)
def picture(state: IconState, size: int, *, frame: int = 0, mono: bool = False) -> Image.Image:
    """A square RGBA picture of `size` pixels; shared, so do not change it. A size that has no
    picture is scaled from the next larger one.

    `mono` is black with the sign cut out: a template image, which the desktop tints."""
    sizes = TEMPLATE_SIZES if mono else SIZES
    side = next((side for side in sizes if side >= size), sizes[-1])
    left = sum(smaller for smaller in sizes if smaller < side)
    row = _row(f"{state.value}{f'-{frame}' if frame else ''}{'-template' if mono else ''}.png")
    stored = row.crop((left, 0, left + side, side))
    return stored if side == size else stored.resize((size, size), Image.Resampling.HAMMING)


def icons() -> dict[str, dict[int, bytes]]:
    """The pictures of all states for the status window, as PNG files by state and size."""
    return {state.value: {size: _png(state, size) for size in WINDOW_SIZES} for state in IconState}


def _png(state: IconState, size: int) -> bytes:
    file = io.BytesIO()
    picture(state, size).save(file, "PNG")
    return file.getvalue()


@lru_cache(maxsize=1)  # a StatusNotifierItem asks for eight sizes of one state
def _row(name: str) -> Image.Image:
    """The pixels of one of our PNG files (https://www.w3.org/TR/png-3/#5DataRep). Importing
    Pillow's reader takes as long as drawing the pictures would."""
    file = (icons_folder() / "tray" / name).read_bytes()
    size, pixels, at = (0, 0), b"", 8
    while at < len(file):
        length, kind = struct.unpack_from(">I4s", file, at)
        if kind == b"IHDR":
            size = struct.unpack_from(">II", file, at + 8)
        elif kind == b"IDAT":
            pixels += file[at + 8 : at + 8 + length]
        at += 12 + length
    return Image.frombytes("RGBA", size, pixels, "zip", "RGBA")


@dataclass(frozen=True, slots=True)
class Glyph:
    """In the place of the `PIL.Image.Image` that pystray expects: has the picture in any size."""

    state: IconState
    mono: bool = False
    frame: int = 0

    def at(self, size: int) -> Image.Image:
        """The picture at `size` pixels."""
        return picture(self.state, size, frame=self.frame, mono=self.mono)
