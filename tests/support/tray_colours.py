"""The colours by which an icon is found on a screen."""

from __future__ import annotations

from pathlib import Path

from PIL import ImageColor

from icons import svg
from trayconnect.tray.view import IconState

SOURCES = Path(__file__).resolve().parents[2] / "icons"


def shape_colours(state: IconState) -> list[str]:
    """Of the shapes of a picture, as its source has them, the plate first."""
    return [shape.colour for shape in svg.load(SOURCES / f"{state.value}.svg").shapes]


def plate_colour(state: IconState) -> tuple[int, ...]:
    return ImageColor.getrgb(shape_colours(state)[0])[:3]
