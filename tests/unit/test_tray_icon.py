"""The set of icons: told apart, readable, and what is committed is what the sources make."""

from __future__ import annotations

import io
import itertools
import runpy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageColor

import trayconnect
from trayconnect.tray import icon, svg
from trayconnect.tray.icon import ICO_SIZES, Glyph, icons_folder, picture
from trayconnect.tray.view import IconState

SIZES = (16, 22, 24, 32, 48, 64)
LIGHT, DARK = "#ffffff", "#202326"


def difference(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that differ clearly."""
    delta = ImageChops.difference(one.convert("L"), other.convert("L"))
    return sum(value > 64 for value in delta.tobytes()) / (one.width * one.height)


def on(ground: str, state: IconState, size: int, *, mono: bool = False) -> Image.Image:
    panel = Image.new("RGBA", (size, size), ground)
    panel.alpha_composite(picture(state, size, mono=mono))
    return panel


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("ground", "mono"), [(LIGHT, False), (DARK, False), (LIGHT, True)])
def test_states_are_told_apart_without_colour(size: int, ground: str, mono: bool) -> None:
    for one, other in itertools.combinations(IconState, 2):
        pair = (on(ground, state, size, mono=mono) for state in (one, other))
        assert difference(*pair) > 0.04, (one, other)


def luminance(colour: str) -> float:
    """Relative luminance (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    channels = [value / 255 for value in ImageColor.getrgb(colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("state", IconState)
def test_every_plate_shows_on_light_and_dark_panels(state: IconState) -> None:
    plate = svg.load(icons_folder() / f"{state.value}.svg").shapes[0].colour
    assert contrast(plate, LIGHT) >= 3
    assert contrast(plate, DARK) >= 3


@pytest.mark.parametrize("state", IconState)
@pytest.mark.parametrize("size", SIZES)
def test_edges_are_crisp(state: IconState, size: int) -> None:
    """The legs of the portal, left and right, have no half-covered pixels."""
    legs = [picture(state, size).getpixel((x, size * 3 // 4)) for x in range(size)]
    outer = [pixel[3] for pixel in legs if isinstance(pixel, tuple)]
    assert set(outer) <= {0, 255}
    assert outer == outer[::-1]


def test_a_picture_is_drawn_once() -> None:
    assert picture(IconState.UP, 16) is picture(IconState.UP, 16)


@pytest.mark.parametrize("mono", [False, True])
def test_a_glyph_is_drawn_at_the_size_that_is_asked_for(mono: bool) -> None:
    glyph = Glyph(IconState.UP, mono)
    assert glyph.resize((22, 22)) is picture(IconState.UP, 22, mono=mono)
    assert bool(glyph), "pystray takes a false picture for none"


def test_a_glyph_is_saved_with_every_size_of_windows() -> None:
    file = io.BytesIO()
    Glyph(IconState.UP).save(file, "ICO")
    ico: Any = Image.open(file)
    assert ico.info["sizes"] == {(size, size) for size in ICO_SIZES}
    for size in ICO_SIZES:
        frame = ico.ico.getimage((size, size)).convert("RGBA")
        assert frame.tobytes() == picture(IconState.UP, size).tobytes()


def test_the_sources_of_an_installed_package_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "trayconnect"
    monkeypatch.setattr(trayconnect, "__file__", str(package / "__init__.py"))
    find = icon.icons_folder.__wrapped__
    with pytest.raises(FileNotFoundError):
        find()
    for folder in (tmp_path / "icons", package / "icons"):
        folder.mkdir(parents=True)
        (folder / "up.svg").touch()
        assert find() == folder


BUILD = runpy.run_path(str(Path(trayconnect.__file__).parent.parent / "icons" / "build.py"))


@pytest.mark.parametrize("name", BUILD["PRODUCTS"])
def test_what_is_committed_is_what_the_sources_make(name: str) -> None:
    """By pixels: another zlib packs the same pixels otherwise."""
    made = Image.open(io.BytesIO(BUILD["PRODUCTS"][name]()))
    committed = Image.open(BUILD["FOLDER"] / name)
    assert committed.format == made.format
    assert committed.info.get("sizes") == made.info.get("sizes")
    assert committed.convert("RGBA").tobytes() == made.convert("RGBA").tobytes()


def test_the_programs_icon_has_every_size() -> None:
    folder = BUILD["FOLDER"]
    assert len(Image.open(folder / "trayconnect.ico").info["sizes"]) == 9
    sizes = Image.open(folder / "trayconnect.icns").info["sizes"]
    assert {width * scale for width, _, scale in sizes} == {32, 64, 128, 256, 512, 1024}
