"""What the status window shows, and what passes between it and the app: a JSON object a line."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trayconnect.core.command import Button, Command, from_json, to_json

Icons = Mapping[str, Mapping[int, bytes]]
"""PNG pictures by the name of a state, and their size in pixels."""


@dataclass(frozen=True, slots=True)
class Group:
    """The heading of servers that belong together."""

    name: str
    more: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A server."""

    name: str
    words: str
    """Its state, as people say it."""
    icon: str
    """The name of a state among the icons."""
    toggle: Button
    main: Button | None = None
    """What one wants most of it now."""
    more: tuple[Button, ...] = ()
    problem: str = ""
    advice: str = ""
    group: str = ""
    """The heading that it stands below."""


@dataclass(frozen=True, slots=True)
class StatusPage:
    rows: tuple[Row, ...] = ()
    groups: tuple[Group, ...] = ()
    """The headings. The rows of one follow one another."""
    notice: str = ""
    """What concerns all of it, such as a mistake in the file."""
    edit: Button | None = None
    more: tuple[Button, ...] = ()
    quit: Button | None = None


def encode_icons(icons: Icons, window: str) -> bytes:
    """The first message; `window` is the path of a PNG file for the window, or nothing."""
    pictures = {
        state: {str(size): base64.b64encode(png).decode() for size, png in sizes.items()}
        for state, sizes in icons.items()
    }
    return _line({"icons": pictures, "window": window})


def encode_page(page: StatusPage, *, front: bool) -> bytes:
    """Show that, and with `front` come before the other windows."""
    return _line({"page": asdict(page), "front": front})


def encode_click(command: Command) -> bytes:
    """The command of a clicked button."""
    return _line(to_json(command))


def decode_click(line: bytes) -> Command:
    """Raises `ValueError` for anything that `encode_click` did not make."""
    return from_json(json.loads(line))


def decode_page(read: Any) -> StatusPage:  # noqa: ANN401 - JSON
    """Raises `ValueError` for anything that `encode_page` did not make."""
    try:
        return StatusPage(
            rows=tuple(_row(row) for row in read["rows"]),
            groups=tuple(
                Group(str(group["name"]), _buttons(group["more"])) for group in read["groups"]
            ),
            notice=str(read["notice"]),
            edit=_button(read["edit"]),
            more=_buttons(read["more"]),
            quit=_button(read["quit"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a page: {error!r}") from error


def _row(read: Any) -> Row:  # noqa: ANN401 - JSON
    toggle = _button(read["toggle"])
    if toggle is None:
        raise ValueError("a row without a toggle")
    return Row(
        name=str(read["name"]),
        words=str(read["words"]),
        icon=str(read["icon"]),
        toggle=toggle,
        main=_button(read["main"]),
        more=_buttons(read["more"]),
        problem=str(read["problem"]),
        advice=str(read["advice"]),
        group=str(read["group"]),
    )


def _buttons(read: Any) -> tuple[Button, ...]:  # noqa: ANN401 - JSON
    return tuple(button for button in map(_button, read) if button is not None)


def _button(read: Any) -> Button | None:  # noqa: ANN401 - JSON
    if read is None:
        return None
    checked = read["checked"]
    return Button(
        str(read["text"]),
        from_json(read["command"]),
        bool(read["enabled"]),
        None if checked is None else bool(checked),
    )


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
