"""The set of icons: told apart, readable, and what is committed is what the sources make."""

from __future__ import annotations

import io
import itertools
import runpy
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageColor

import trayconnect
from icons import svg
from tests.support.tray_colours import SOURCES, shape_colours
from trayconnect.tray import icon
from trayconnect.tray.icon import FRAMES, SIZES, TEMPLATE_SIZES, Glyph, picture
from trayconnect.tray.view import IconState

SHOWN = [
    *itertools.product((16, 22, 24, 32, 48, 64), [False]),
    *((side, True) for side in TEMPLATE_SIZES),
]
"""Sizes in pixels, and whether as a template."""
LIGHT, DARK = "#ffffff", "#202326"
BUILD = runpy.run_path(str(Path(trayconnect.__file__).parent.parent / "icons" / "build.py"))


def difference(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that differ clearly."""
    delta = ImageChops.difference(one.convert("L"), other.convert("L"))
    return sum(value > 64 for value in delta.tobytes()) / (one.width * one.height)


def on(ground: str, glyph: Glyph, size: int) -> Image.Image:
    panel = Image.new("RGBA", (size, size), ground)
    panel.alpha_composite(glyph.at(size))
    return panel


def glyphs(*, mono: bool) -> list[Glyph]:
    """Of every state, and of every frame of the one that moves."""
    frames = [Glyph(IconState.CONNECTING, mono, frame) for frame in range(1, FRAMES)]
    return [*(Glyph(state, mono) for state in IconState), *frames]


@pytest.mark.parametrize(("size", "mono"), SHOWN)
@pytest.mark.parametrize("ground", [LIGHT, DARK])
def test_states_are_told_apart_without_colour(size: int, ground: str, mono: bool) -> None:
    if mono and ground == DARK:
        return  # the desktop tints it
    for one, other in itertools.combinations(glyphs(mono=mono), 2):
        if one.state is not other.state:
            pair = (on(ground, glyph, size) for glyph in (one, other))
            assert difference(*pair) > 0.04, (one, other)


@pytest.mark.parametrize(("size", "mono"), SHOWN)
def test_frames_are_seen_to_move_without_colour(size: int, mono: bool) -> None:
    frames = [Glyph(IconState.CONNECTING, mono, frame) for frame in range(FRAMES)]
    for one, other in itertools.combinations(frames, 2):
        assert difference(on(LIGHT, one, size), on(LIGHT, other, size)) > 0.01, (one, other)


def test_frames_are_one_picture_but_for_the_lights() -> None:
    still, *others = (
        svg.load(SOURCES / f"{name}.svg") for name in BUILD["NAMES"] if "connecting" in name
    )
    for other in others:
        assert other.shapes[0] == still.shapes[0]
        assert [s.outlines for s in other.shapes] == [s.outlines for s in still.shapes]


def test_every_source_is_a_picture_of_ours() -> None:
    used = {"app.svg", *(f"{state.value}.svg" for state in IconState)}
    used |= {f"connecting-{frame}.svg" for frame in range(1, FRAMES)}
    assert {path.name for path in SOURCES.glob("*.svg")} == used


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
    plate, *_ = shape_colours(state)
    assert contrast(plate, LIGHT) >= 3
    assert contrast(plate, DARK) >= 3


@pytest.mark.parametrize("grey", range(0, 256, 5))
def test_off_shows_on_a_panel_of_any_grey(grey: int) -> None:
    """The only one without a colour."""
    panel = f"#{grey:02x}{grey:02x}{grey:02x}"
    assert max(contrast(colour, panel) for colour in shape_colours(IconState.OFF)) >= 3


@pytest.mark.parametrize("state", IconState)
def test_edges_are_crisp(state: IconState) -> None:
    """The legs of the portal, left and right, have no half-covered pixels."""
    for size in SIZES:
        legs = [picture(state, size).getpixel((x, size * 3 // 4)) for x in range(size)]
        outer = [pixel[3] for pixel in legs if isinstance(pixel, tuple)]
        assert set(outer) <= {0, 255}
        assert outer == outer[::-1]


@pytest.mark.parametrize("mono", [False, True])
@pytest.mark.parametrize("size", [1, 15, 22, 50, 96, 200])
def test_a_glyph_has_the_size_that_is_asked_for(mono: bool, size: int) -> None:
    """Also a size that no picture of ours has."""
    glyph = Glyph(IconState.UP, mono)
    assert glyph.at(size).size == (size, size)
    assert glyph.at(size) is Glyph(IconState.UP, mono).at(size), "and read once"
    assert bool(glyph), "pystray takes a false picture for none"


def test_the_pictures_of_an_installed_package_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "trayconnect"
    monkeypatch.setattr(trayconnect, "__file__", str(package / "__init__.py"))
    find = icon.icons_folder.__wrapped__
    with pytest.raises(FileNotFoundError):
        find()
    for folder in (tmp_path / "icons", package / "icons"):
        folder.mkdir(parents=True)
        (folder / "trayconnect.png").touch()
        assert find() == folder


@pytest.mark.parametrize("name", BUILD["PRODUCTS"])
def test_what_is_committed_is_what_the_sources_make(name: str) -> None:
    """By pixels: another zlib packs the same pixels otherwise."""
    made = Image.open(io.BytesIO(BUILD["PRODUCTS"][name]()))
    committed = Image.open(BUILD["FOLDER"] / name)
    assert committed.format == made.format
    assert committed.size == made.size
    assert committed.info.get("sizes") == made.info.get("sizes")
    # Another FreeType draws the words on the sheet otherwise.
    words = (BUILD["SHEET_LEFT"], BUILD["SHEET_TOP"]) if name == "contact-sheet.png" else (0, 0)
    pixels = [image.convert("RGBA").crop((*words, *made.size)) for image in (committed, made)]
    assert pixels[0].tobytes() == pixels[1].tobytes()


@pytest.mark.parametrize("mono", [False, True])
def test_every_picture_is_drawn_at_its_size(mono: bool) -> None:
    """Not scaled from another size, which would blur its edges."""
    for glyph in glyphs(mono=mono):
        name = f"{glyph.state.value}{f'-{glyph.frame}' if glyph.frame else ''}"
        for size in TEMPLATE_SIZES if mono else SIZES:
            drawn = svg.draw(svg.load(SOURCES / f"{name}.svg"), size, mono=mono)
            assert glyph.at(size).tobytes() == drawn.tobytes(), (name, size)


def test_the_programs_icon_has_every_size() -> None:
    folder = BUILD["FOLDER"]
    assert len(Image.open(folder / "trayconnect.ico").info["sizes"]) == 9
    sizes = Image.open(folder / "trayconnect.icns").info["sizes"]
    assert {width * scale for width, _, scale in sizes} == {32, 64, 128, 256, 512, 1024}
