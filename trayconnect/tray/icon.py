"""The picture of an `IconState` at any size, drawn from `icons/` once and then remembered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import IO

from PIL import Image

import trayconnect
from trayconnect.tray import svg
from trayconnect.tray.view import IconState

ICO_SIZES = (16, 20, 24, 32, 40, 48, 64)
"""Pixels of a small and a large Windows icon at 100 % to 200 % scaling."""


@cache
def icons_folder() -> Path:
    """Where the SVG sources are: inside an installed package, beside it in a checkout.

    A PyInstaller bundle unpacks its data like either. Raises FileNotFoundError."""
    package = Path(trayconnect.__file__).parent
    for folder in (package / "icons", package.parent / "icons"):
        if (folder / "up.svg").is_file():
            return folder
    raise FileNotFoundError(f"trayconnect's icons are missing from {package}")


@lru_cache(maxsize=128)
def picture(state: IconState, size: int, *, mono: bool = False) -> Image.Image:
    """A square RGBA picture of `size` pixels; shared, so not to be changed.

    `mono` is black with the sign cut out: a template image, which the desktop tints."""
    return svg.draw(svg.load(icons_folder() / f"{state.value}.svg"), size, mono=mono)


@dataclass(frozen=True, slots=True)
class Glyph:
    """What pystray takes for a `PIL.Image.Image`, but drawn anew at each size it asks for."""

    state: IconState
    mono: bool = False

    @property
    def size(self) -> tuple[int, int]:
        return (64, 64)

    def resize(self, size: tuple[int, int], resample: int | None = None) -> Image.Image:  # noqa: ARG002
        return picture(self.state, size[0], mono=self.mono)

    def save(self, file: IO[bytes], format: str) -> None:  # noqa: A002 - Pillow's word
        """Write it; an ICO file gets all of `ICO_SIZES`."""
        *smaller, largest = (picture(self.state, size, mono=self.mono) for size in ICO_SIZES)
        sizes = [(size, size) for size in ICO_SIZES]
        largest.save(file, format, sizes=sizes, append_images=smaller)
