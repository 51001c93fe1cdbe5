"""The small SVG drawer, by what its pixels are."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from icons import svg

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><title>t</title>'


def drawn(folder: Path, body: str, size: int = 16, *, mono: bool = False) -> Image.Image:
    file = folder / "x.svg"
    file.write_text(f"{HEAD}{body}</svg>")
    svg.load.cache_clear()
    return svg.draw(svg.load(file), size, mono=mono)


def covered(picture: Image.Image) -> float:
    """In pixels."""
    return sum(picture.getchannel("A").tobytes()) / 255


@pytest.mark.parametrize(
    ("body", "box"),
    [
        ('<rect fill="#f00" x="2" y="3" width="5" height="7"/>', (2, 3, 7, 10)),
        ('<path fill="#f00" d="M2 3H7V10H2Z"/>', (2, 3, 7, 10)),
        ('<path fill="#f00" d="M2,3 L7,3 7,10 2,10 Z"/>', (2, 3, 7, 10)),
    ],
)
def test_edges_on_the_grid_are_exact(tmp_path: Path, body: str, box: tuple[int, ...]) -> None:
    picture = drawn(tmp_path, body)
    assert picture.getbbox() == box
    assert {colour for _, colour in picture.getcolors() or ()} == {(0, 0, 0, 0), (255, 0, 0, 255)}


@pytest.mark.parametrize("size", [16, 20, 22, 24, 32, 40, 48, 64])
def test_edges_fall_on_whole_pixels_and_mirror(tmp_path: Path, size: int) -> None:
    picture = drawn(tmp_path, '<path fill="#f00" d="M3 3H13V13H3Z"/>', size)
    assert set(picture.getchannel("A").tobytes()) == {0, 255}
    assert picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) == picture
    assert picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM) == picture


@pytest.mark.parametrize(
    ("body", "area"),
    [
        ('<circle fill="#f00" cx="8" cy="8" r="5"/>', 78.5),
        ('<path fill="#f00" d="M3 8A5 5 0 0 1 13 8Z"/>', 39.3),
        ('<path fill="#f00" d="M3 8A5 5 0 0 0 13 8Z"/>', 39.3),
        ('<path fill="#f00" d="M8 3A5 5 0 1 1 3 8L8 8Z"/>', 58.9),
        ('<path fill="#f00" d="M2 2H14V14H2ZM4 4H12V12H4Z"/>', 144 - 64),
        ('<path stroke="#f00" stroke-width="2" d="M4 8L12 8"/>', 16 + 3.1),
        ('<rect fill="#f00" x="2" y="2" width="12" height="12" rx="4"/>', 144 - 13.7),
    ],
)
def test_areas(tmp_path: Path, body: str, area: float) -> None:
    assert covered(drawn(tmp_path, body)) == pytest.approx(area, rel=0.05)


def test_which_way_an_arc_bends(tmp_path: Path) -> None:
    above = drawn(tmp_path, '<path fill="#f00" d="M3 8A5 5 0 0 1 13 8Z"/>')
    below = drawn(tmp_path, '<path fill="#f00" d="M3 8A5 5 0 0 0 13 8Z"/>')
    assert above.getbbox() == (3, 3, 13, 8)
    assert below.getbbox() == (3, 8, 13, 13)


def test_a_sign_is_cut_out_of_a_template(tmp_path: Path) -> None:
    body = (
        '<rect class="plate" fill="#f00" x="2" y="2" width="12" height="12"/>'
        '<rect class="sign" fill="#fff" x="6" y="6" width="4" height="4"/>'
    )
    assert drawn(tmp_path, body).getpixel((7, 7)) == (255, 255, 255, 255)
    template = drawn(tmp_path, body, mono=True)
    assert template.getpixel((7, 7)) == (0, 0, 0, 0)
    assert template.getpixel((3, 3)) == (0, 0, 0, 255)


@pytest.mark.parametrize(
    "body",
    [
        '<ellipse fill="#f00" cx="8" cy="8" rx="1" ry="2"/>',
        '<path d="M2 2H3V3Z"/>',
        '<path fill="nocolour" d="M2 2H3V3Z"/>',
        '<path fill="#f00" d="M2 2C1 1 2 2 3 3Z"/>',
        '<path fill="#f00" d="m2 2h3v3z"/>',
        '<circle stroke="#f00" stroke-width="1" cx="8" cy="8" r="4"/>',
    ],
)
def test_what_is_not_understood_is_said(tmp_path: Path, body: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        drawn(tmp_path, body)


def test_the_view_box_must_be_a_square(tmp_path: Path) -> None:
    (tmp_path / "x.svg").write_text('<svg viewBox="0 0 16 8"/>')
    with pytest.raises(ValueError, match="square"):
        svg.load(tmp_path / "x.svg")
