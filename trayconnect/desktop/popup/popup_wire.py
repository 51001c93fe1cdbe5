"""JSON format of menu lines and choices between the app and the popup helper."""

from __future__ import annotations

import json
from typing import Any

from trayconnect.desktop.popup.popup_model import MenuLine


def encode_menu(lines: tuple[MenuLine, ...], at: tuple[int, int]) -> bytes:
    return json.dumps({"at": at, "lines": [_to_json(line) for line in lines]}).encode()


def decode_menu(data: bytes) -> tuple[tuple[MenuLine, ...], tuple[int, int]]:
    """Raises `ValueError` for data that `encode_menu` did not make."""
    try:
        read = json.loads(data)
        x, y = read["at"]
        return tuple(_from_json(line) for line in read["lines"]), (int(x), int(y))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a menu: {error!r}") from error


def encode_choice(keys: tuple[str, ...]) -> bytes:
    """The keys of a line; none for no choice."""
    return json.dumps(keys).encode()


def decode_choice(data: bytes) -> tuple[str, ...]:
    """Raises `ValueError` for data that `encode_choice` did not make."""
    read = json.loads(data)
    if not isinstance(read, list) or not all(isinstance(key, str) for key in read):
        raise ValueError("not a choice")
    return tuple(read)


def _to_json(line: MenuLine) -> dict[str, Any]:
    return {
        "key": line.key,
        "text": line.text,
        "enabled": line.enabled,
        "checked": line.checked,
        "children": [_to_json(child) for child in line.children],
        "separator": line.separator,
    }


def _from_json(read: Any) -> MenuLine:  # noqa: ANN401 - JSON
    checked = read["checked"]
    return MenuLine(
        key=str(read["key"]),
        text=str(read["text"]),
        enabled=bool(read["enabled"]),
        checked=None if checked is None else bool(checked),
        children=tuple(_from_json(child) for child in read["children"]),
        separator=bool(read["separator"]),
    )
