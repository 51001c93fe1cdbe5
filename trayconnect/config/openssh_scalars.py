"""Single values of ssh_config(5); each function raises ValueError for a value that OpenSSH
refuses."""

from __future__ import annotations

import re
import socket
from typing import Literal

StrictHostKeyChecking = Literal["yes", "accept-new", "ask", "no"]

_TIME = re.compile(r"([0-9]+)([smhdwSMHDW]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = 2**31 - 1

FLAGS = {"yes": True, "true": True, "no": False, "false": False}


def flag(text: str) -> bool:
    """yes or no."""
    try:
        return FLAGS[text.lower()]
    except KeyError:
        raise ValueError(f"must be yes or no, not {text!r}") from None


def seconds(text: str) -> int | None:
    """A time such as 90, 1m30s or 2h, in seconds; None for `none`."""
    if text == "none":
        return None
    total = 0
    position = 0
    for match in _TIME.finditer(text):
        if match.start() != position:
            break
        total += int(match[1][:12]) * _SECONDS[match[2].lower()]
        position = match.end()
    if not text or position != len(text) or total > _LONGEST:
        raise ValueError(f"must be a time such as 90 or 1m30s, not {text!r}")
    return total


def port_number(text: str, lowest: int = 1) -> int:
    """A port, by its number or its service's name."""
    if text.isascii() and text.isdigit():
        port = int(text[:6])
    else:
        try:
            port = socket.getservbyname(text, "tcp")
        except (OSError, UnicodeError, ValueError):
            raise ValueError(f"{text!r} is no port") from None
    if not lowest <= port <= 65_535:
        raise ValueError(f"a port must be from {lowest} to 65535, not {text}")
    return port


def whole_number(text: str) -> int:
    """An integer."""
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(f"must be a whole number, not {text!r}")
    return int(text)


def strictness(text: str) -> StrictHostKeyChecking:
    """StrictHostKeyChecking."""
    match text.lower():
        case "yes" | "true":
            return "yes"
        case "no" | "false" | "off":
            return "no"
        case "ask":
            return "ask"
        case "accept-new":
            return "accept-new"
    raise ValueError(f"must be yes, no, ask or accept-new, not {text!r}")
