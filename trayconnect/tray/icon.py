"""The picture of an `IconState` at any size, drawn from `icons/` once and then remembered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image

import trayconnect
from trayconnect.tray import svg
from trayconnect.tray.view import IconState

FRAMES = 4
"""Pictures of `IconState.CONNECTING` while it moves, the still one being number 0."""


@cache
def icons_folder() -> Path:
    """Where the SVG sources are: inside an installed package, beside it in a checkout.

    A PyInstaller bundle unpacks its data like either. Raises FileNotFoundError."""
    package = Path(trayconnect.__file__).parent
    for folder in (package / "icons", package.parent / "icons"):
        if (folder / "up.svg").is_file():
            return folder
    raise FileNotFoundError(f"trayconnect's icons are missing from {package}")


def source(state: IconState, frame: int = 0) -> Path:
    """The SVG file of a state; only `IconState.CONNECTING` has frames beyond 0."""
    return icons_folder() / (f"{state.value}-{frame}.svg" if frame else f"{state.value}.svg")


@lru_cache(maxsize=128)
def picture(state: IconState, size: int, *, frame: int = 0, mono: bool = False) -> Image.Image:
    """A square RGBA picture of `size` pixels; shared, so not to be changed.

    `mono` is black with the sign cut out: a template image, which the desktop tints."""
    return svg.draw(svg.load(source(state, frame)), size, mono=mono)


@dataclass(frozen=True, slots=True)
class Glyph:
    """What pystray takes for a `PIL.Image.Image`, but drawn at the very size that is asked for."""

    state: IconState
    mono: bool = False
    frame: int = 0

    def at(self, size: int) -> Image.Image:
        """The picture at `size` pixels."""
        return picture(self.state, size, frame=self.frame, mono=self.mono)
