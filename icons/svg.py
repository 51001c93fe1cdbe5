"""Draws the small part of SVG that our icons use, with Pillow, hinted to the pixel grid.

A picture is a square `viewBox` of filled or stroked `path`, `circle` and `rect` elements. Paths use
the absolute commands M L H V A Z (https://www.w3.org/TR/SVG2/paths.html). Strokes have round caps
and joins. An element's class says what it is for:

- `plate`: the ground the sign stands on; solid in the monochrome style;
- `sign`: drawn over the plate; cut out of it in the monochrome style.

Corners of filled shapes are moved to whole pixels, away from the middle or towards it alike, so
that edges are crisp and mirrored shapes stay mirrored at every size.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageChops, ImageColor, ImageDraw

Point = tuple[float, float]

_SMALL = 128
"""Pixels up to which a picture is drawn with the most samples."""
_ARC_STEPS = 96
_TOKEN = re.compile(r"[MLHVAZ]|-?\d*\.?\d+")
_NAMESPACE = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, slots=True)
class SvgShape:
    """One element: its outlines in user units, and how it is painted."""

    outlines: tuple[tuple[str, ...], ...]
    """Each a path, as tokens."""
    colour: str
    sign: bool
    stroke: float | None = None
    """The width of the line, in user units; None for a filled shape."""


@dataclass(frozen=True, slots=True)
class Drawing:
    side: float
    """Of the view box, in user units."""
    shapes: tuple[SvgShape, ...]


@lru_cache(maxsize=32)
def load(path: Path) -> Drawing:
    """Read an SVG file. Raises OSError, and ValueError for what is not understood."""
    root = ElementTree.fromstring(path.read_text("utf-8"))  # noqa: S314 - a file of our own
    left, top, width, height = (float(part) for part in root.attrib["viewBox"].split())
    if (left, top) != (0, 0) or width != height:
        raise ValueError(f"{path.name}: the view box must be a square at 0, 0")
    return Drawing(width, tuple(_shape(element) for element in root if _tag(element) != "title"))


def draw(drawing: Drawing, size: int, *, mono: bool = False) -> Image.Image:
    """A square RGBA picture of `size` pixels; black with transparent signs when `mono`."""
    picture = Image.new("RGBA", (size, size))
    for shape in drawing.shapes:
        mask = _mask(shape, size, size / drawing.side)
        if mono and shape.sign:
            picture.putalpha(ImageChops.multiply(picture.getchannel("A"), ImageChops.invert(mask)))
            continue
        layer = Image.new("RGBA", (size, size), "black" if mono else shape.colour)
        layer.putalpha(mask)
        picture.alpha_composite(layer)
    return picture


# --- reading ----------------------------------------------------------------------------------


def _tag(element: ElementTree.Element) -> str:
    return element.tag.removeprefix(_NAMESPACE)


def _shape(element: ElementTree.Element) -> SvgShape:
    get = element.attrib.get
    stroked = "stroke" in element.attrib
    colour = get("stroke") if stroked else get("fill")
    if colour is None:
        raise ValueError(f"<{_tag(element)}> without a colour")
    ImageColor.getrgb(colour)
    width = float(element.attrib["stroke-width"]) if stroked else None
    if _tag(element) == "circle":
        if stroked:
            raise ValueError("a stroked <circle> is not drawn here")
        width = 2 * float(element.attrib["r"])
    return SvgShape(
        outlines=_outlines(element),
        colour=colour,
        sign=get("class") == "sign",
        stroke=width,
    )


def _outlines(element: ElementTree.Element) -> tuple[tuple[str, ...], ...]:
    def number(name: str) -> float:
        return float(element.attrib.get(name, 0))

    match _tag(element):
        case "path":
            data = element.attrib["d"]
        case "circle":
            data = f"M{number('cx')} {number('cy')}"  # the point of a pen as wide as the circle
        case "rect":
            x, y, r = number("x"), number("y"), number("rx")
            right, bottom = x + number("width"), y + number("height")
            arc = f"A{r} {r} 0 0 1"
            data = (
                f"M{x + r} {y}H{right - r}{arc} {right} {y + r}"
                f"V{bottom - r}{arc} {right - r} {bottom}"
                f"H{x + r}{arc} {x} {bottom - r}V{y + r}{arc} {x + r} {y}Z"
            )
        case tag:
            raise ValueError(f"<{tag}> is not drawn here")
    if _TOKEN.sub("", data).strip(" ,\n\t"):
        raise ValueError(f"not understood in a path: {data!r}")
    return tuple(tuple(_TOKEN.findall("M" + part)) for part in data.split("M") if part.strip())


# --- drawing ----------------------------------------------------------------------------------


def _mask(shape: SvgShape, size: int, scale: float) -> Image.Image:
    """The coverage of a shape; its outlines combine by the even-odd rule."""
    samples = 8 if size <= _SMALL else 4
    side = size * samples
    place = _to_pixels(size, scale, snap=shape.stroke is None)
    mask = Image.new("1", (side, side))
    for tokens in shape.outlines:
        points = [(x * samples, y * samples) for x, y in _flatten(tokens, place)]
        layer = Image.new("1", (side, side))
        pen = ImageDraw.Draw(layer)
        if shape.stroke is None:
            pen.polygon(_inner(points), fill=1)
        else:
            _line(pen, points, max(1.0, shape.stroke * scale) * samples)
        mask = ImageChops.logical_xor(mask, layer)
    return mask.convert("L").reduce(samples)


def _line(pen: ImageDraw.ImageDraw, points: list[Point], width: float) -> None:
    pen.line(points, fill=1, width=round(width))
    for x, y in points:
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2 - 1, y + width / 2 - 1), fill=1)


def _inner(points: list[Point]) -> list[Point]:
    """Less one sample at the right and the bottom, where Pillow fills the border as well."""
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    wide, high = (max(point[axis] for point in points) for axis in (0, 1))
    across, down = 1 - 1 / max(1, wide - left), 1 - 1 / max(1, high - top)
    return [(left + (x - left) * across, top + (y - top) * down) for x, y in points]


def _to_pixels(size: int, scale: float, *, snap: bool) -> Callable[[float], float]:
    middle = size / 2

    def place(value: float) -> float:
        offset = value * scale - middle
        if not snap:
            return middle + offset
        # Half a pixel goes outwards on either side, which keeps symmetry.
        whole = math.floor(abs(offset) + (middle % 1) + 0.5) - (middle % 1)
        return middle + math.copysign(whole, offset)

    return place


def _flatten(tokens: tuple[str, ...], place: Callable[[float], float]) -> list[Point]:
    """A path as a polygon, in pixels."""
    here: Point = (0.0, 0.0)
    points: list[Point] = []
    queue = list(reversed(tokens))
    command = ""

    def number() -> float:
        return float(queue.pop())

    while queue:
        if queue[-1].isalpha():
            command = queue.pop()
        before = here
        match command:
            case "M" | "L":
                here = (number(), number())
            case "H":
                here = (number(), here[1])
            case "V":
                here = (here[0], number())
            case "A":
                radius, _, _, large, sweep = (number() for _ in range(5))
                here = (number(), number())
                points += _bend(_arc(before, here, radius, bool(large), bool(sweep)), place)
        if command != "Z":
            points.append((place(here[0]), place(here[1])))
    return points


def _arc(start: Point, end: Point, radius: float, large: bool, sweep: bool) -> list[Point]:
    """A circular arc from `start` to `end`, in user units; a radius too small for them grows
    (https://www.w3.org/TR/SVG2/implnote.html#ArcImplementationNotes)."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    half = math.hypot(dx, dy) / 2
    if half == 0 or radius == 0:
        return [start, end]
    radius = max(radius, half)
    height = math.sqrt(radius**2 - half**2)
    side = -1 if large == sweep else 1
    centre = (
        (start[0] + end[0]) / 2 - side * height * dy / (2 * half),
        (start[1] + end[1]) / 2 + side * height * dx / (2 * half),
    )
    first = math.atan2(start[1] - centre[1], start[0] - centre[0])
    last = math.atan2(end[1] - centre[1], end[0] - centre[0])
    turn = (last - first) % math.tau if sweep else -((first - last) % math.tau)
    angles = [first + turn * step / _ARC_STEPS for step in range(1, _ARC_STEPS)]
    curve = [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]
    return [start, *curve, end]


def _bend(arc: list[Point], place: Callable[[float], float]) -> list[Point]:
    """The arc in pixels, stretched so that it meets its two ends where they were placed."""
    (x0, y0), (x1, y1) = arc[0], arc[-1]
    left, top = place(x0), place(y0)
    wide = (place(x1) - left) / (x1 - x0) if x1 != x0 else None
    high = (place(y1) - top) / (y1 - y0) if y1 != y0 else None
    across, down = wide or high or 1.0, high or wide or 1.0
    return [(left + (x - x0) * across, top + (y - y0) * down) for x, y in arc]
