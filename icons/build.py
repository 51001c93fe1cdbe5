"""Makes the pictures in this folder from the SVG sources beside it: `python icons/build.py`.

The tray draws its own pictures from the sources while it runs; what is made here is the program's
own icon for installers and desktops, and the contact sheet of the README.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from trayconnect.tray import svg  # noqa: E402
from trayconnect.tray.icon import picture  # noqa: E402
from trayconnect.tray.view import IconState  # noqa: E402

PNG_SIZE = 256
ICO_SIZES = (16, 20, 24, 32, 40, 48, 64, 128, 256)
ICNS_SIZES = (32, 64, 128, 256, 512, 1024)
"""Pixels, from 16 x 16@2x to 512 x 512@2x: all that Pillow writes."""

SHEET_SIZES = (16, 22, 24, 32, 48, 64)
SHEET_GAP = 12
STYLES = ("colour", "grey", "template")
LIGHT, DARK = "#f6f5f4", "#202326"


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
    """A line for each state, on a light and a dark panel: in colour, in grey, as a template."""
    blocks = [[_block(ground, style) for style in STYLES] for ground in (LIGHT, DARK)]
    width, height = blocks[0][0].size
    sheet = Image.new("RGB", (len(STYLES) * width, 2 * height))
    for down, row in enumerate(blocks):
        for across, block in enumerate(row):
            sheet.paste(block, (across * width, down * height))
    return _saved(sheet, "PNG", optimize=True)


def _block(ground: str, style: str) -> Image.Image:
    row = max(SHEET_SIZES) + SHEET_GAP
    width = sum(SHEET_SIZES) + SHEET_GAP * (len(SHEET_SIZES) + 1)
    block = Image.new("RGBA", (width, row * len(IconState) + SHEET_GAP), ground)
    for line, state in enumerate(IconState):
        x = SHEET_GAP
        for size in SHEET_SIZES:
            icon = picture(state, size, mono=style == "template")
            if style == "template" and ground == DARK:
                icon = _tinted(icon, "white")
            block.alpha_composite(icon, (x, SHEET_GAP + row * line + (64 - size) // 2))
            x += size + SHEET_GAP
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
