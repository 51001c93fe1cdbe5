"""Makes the pictures in this folder from the SVG sources beside it: `python icons/build.py`.

The tray draws its own pictures from the sources while it runs; what is made here is the program's
own icon for installers and desktops, and the contact sheet of the README.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from trayconnect.tray import svg  # noqa: E402
from trayconnect.tray.icon import FRAMES, Glyph  # noqa: E402
from trayconnect.tray.view import IconState  # noqa: E402

PNG_SIZE = 256
ICO_SIZES = (16, 20, 24, 32, 40, 48, 64, 128, 256)
ICNS_SIZES = (32, 64, 128, 256, 512, 1024)
"""Pixels, from 16 x 16@2x to 512 x 512@2x: all that Pillow writes."""

SHEET_SIZES = (16, 22, 24, 32, 48, 64)
SHEET_GAP = 8
SHEET_LEFT, SHEET_TOP = 104, 44
"""Pixels of the sheet that are for words: left of the pictures, and above them."""
STYLES = ("colour", "grey", "template")
LIGHT, DARK = "#f6f5f4", "#202326"
GLYPHS = {
    "off": Glyph(IconState.OFF),
    "connecting": Glyph(IconState.CONNECTING),
    **{
        f"… moving, {frame}": Glyph(IconState.CONNECTING, frame=frame) for frame in range(1, FRAMES)
    },
    "up": Glyph(IconState.UP),
    "silent": Glyph(IconState.SILENT),
    "needs you": Glyph(IconState.NEEDS_YOU),
    "failed": Glyph(IconState.FAILED),
}


def app(size: int) -> Image.Image:
    return svg.draw(svg.load(FOLDER / "app.svg"), size)


def png() -> bytes:
    return _saved(app(PNG_SIZE), "PNG", optimize=True)


def ico() -> bytes:
    *smaller, largest = (app(size) for size in ICO_SIZES)
    sizes = [(size, size) for size in ICO_SIZES]
    return _saved(largest, "ICO", sizes=sizes, append_images=smaller)


def icns() -> bytes:
    *smaller, largest = (app(size) for size in ICNS_SIZES)
    return _saved(largest, "ICNS", append_images=smaller)


def contact_sheet() -> bytes:
    """A line for each picture, on a light and a dark panel: in colour, in grey, as a template."""
    row = max(SHEET_SIZES) + SHEET_GAP
    width = sum(SHEET_SIZES) + SHEET_GAP * (len(SHEET_SIZES) + 1)
    height = row * len(GLYPHS) + SHEET_GAP
    size = (SHEET_LEFT + len(STYLES) * width, SHEET_TOP + 2 * height)
    sheet = Image.new("RGB", size, LIGHT)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for across, style in enumerate(STYLES):
        left = SHEET_LEFT + across * width
        pen.text((left + SHEET_GAP, 6), style, fill=DARK, font=font)
        for side, x in _columns():
            pen.text((left + x + side // 2, 40), str(side), fill=DARK, font=font, anchor="ms")
    for down, ground in enumerate((LIGHT, DARK)):
        top = SHEET_TOP + down * height
        pen.rectangle((0, top, SHEET_LEFT, top + height), fill=ground)
        for line, name in enumerate(GLYPHS):
            place = (SHEET_GAP, top + SHEET_GAP + line * row + row // 2)
            pen.text(place, name, fill=(DARK, LIGHT)[down], font=font, anchor="lm")
        for across, style in enumerate(STYLES):
            block = _block((width, height), row, ground, style)
            sheet.paste(block, (SHEET_LEFT + across * width, top))
    return _saved(sheet, "PNG", optimize=True)


def _columns() -> Iterator[tuple[int, int]]:
    """Each size, and where its column begins."""
    x = SHEET_GAP
    for side in SHEET_SIZES:
        yield side, x
        x += side + SHEET_GAP


def _block(size: tuple[int, int], row: int, ground: str, style: str) -> Image.Image:
    block = Image.new("RGBA", size, ground)
    for line, glyph in enumerate(GLYPHS.values()):
        for side, x in _columns():
            icon = replace(glyph, mono=style == "template").at(side)
            if style == "template" and ground == DARK:
                icon = _tinted(icon, "white")
            block.alpha_composite(icon, (x, SHEET_GAP + row * line + (row - side) // 2))
    return block.convert("L" if style == "grey" else "RGB").convert("RGB")


def _tinted(template: Image.Image, colour: str) -> Image.Image:
    tinted = Image.new("RGBA", template.size, colour)
    tinted.putalpha(template.getchannel("A"))
    return tinted


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PRODUCTS = {
    "trayconnect.png": png,
    "trayconnect.ico": ico,
    "trayconnect.icns": icns,
    "contact-sheet.png": contact_sheet,
}


def main() -> None:
    for name, make in PRODUCTS.items():
        (FOLDER / name).write_bytes(make())


if __name__ == "__main__":
    main()
