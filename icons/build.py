"""Makes the pictures in this folder from the SVG sources beside it: `python icons/build.py`.

The pictures of the tray, the program's own icon for installers and desktops, and the contact
sheet of the README.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from icons import svg  # noqa: E402
from trayconnect.tray.icon import FRAMES, SIZES, TEMPLATE_SIZES  # noqa: E402
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
NAMES = (
    *(state.value for state in IconState),
    *(f"{IconState.CONNECTING.value}-{frame}" for frame in range(1, FRAMES)),
)
"""Of the sources of the tray's pictures."""
GLYPHS = {
    "off": "off",
    "connecting": "connecting",
    **{f"… moving, {frame}": f"connecting-{frame}" for frame in range(1, FRAMES)},
    "up": "up",
    "silent": "silent",
    "needs you": "needs-you",
    "failed": "failed",
}
"""The lines of the sheet, and their sources."""


def glyph(name: str, size: int, *, mono: bool = False) -> Image.Image:
    return svg.draw(svg.load(FOLDER / f"{name}.svg"), size, mono=mono)


def row(name: str, *, mono: bool) -> bytes:
    """The pictures of the tray at all their sizes, side by side."""
    sizes = TEMPLATE_SIZES if mono else SIZES
    pictures = Image.new("RGBA", (sum(sizes), max(sizes)))
    left = 0
    for size in sizes:
        pictures.paste(glyph(name, size, mono=mono), (left, 0))
        left += size
    return _saved(pictures, "PNG", optimize=True)


def app(size: int) -> Image.Image:
    return glyph("app", size)


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
    for line, name in enumerate(GLYPHS.values()):
        for side, x in _columns():
            icon = glyph(name, side, mono=style == "template")
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


PRODUCTS: dict[str, Callable[[], bytes]] = {
    "trayconnect.png": png,
    "trayconnect.ico": ico,
    "trayconnect.icns": icns,
    "contact-sheet.png": contact_sheet,
    **{f"tray/{name}.png": partial(row, name, mono=False) for name in NAMES},
    **{f"tray/{name}-template.png": partial(row, name, mono=True) for name in NAMES},
}


def main() -> None:
    for name, make in PRODUCTS.items():
        (FOLDER / name).write_bytes(make())


if __name__ == "__main__":
    main()
