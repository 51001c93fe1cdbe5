"""What the menu says, in words and in lines that fit. Pure."""

from __future__ import annotations

import textwrap

from trayconnect.services.model import FoundJupyter, is_our_socket

WIDTH = 64
"""Characters of a line; longer texts are wrapped or clipped, since menus do neither."""
INDENT = "    "
ADVICE_LINES = 6


def jupyter_words(jupyter: FoundJupyter) -> str:
    """One of a host's Jupyter servers, as people tell them apart."""
    words = [jupyter.folder] if jupyter.folder else []
    if not jupyter.where.startswith("/"):
        words.append(f"port {jupyter.where}")
    elif not is_our_socket(jupyter.where):
        words.append(f"socket {jupyter.where}")
    if jupyter.kernels is not None:
        words.append(f"{jupyter.kernels} kernel{'' if jupyter.kernels == 1 else 's'}")
    if jupyter.of_hub:
        words.append("of a JupyterHub")
    return ", ".join(words) or "on a socket"


def clip(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def wrap(text: str) -> list[str]:
    """Lines that fit; those of the text itself are kept, since a command or a fingerprint has one
    to itself."""
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, WIDTH)]
    return lines if len(lines) <= ADVICE_LINES else [*lines[: ADVICE_LINES - 1], "…"]
