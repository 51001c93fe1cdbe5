"""Ends of several steps, such as a close."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack


def do_all(*steps: Callable[[], object]) -> None:
    """Do all steps in this order, also if one of them raises: what it left open is no reason to
    leave the rest open. Raises the last error at the end."""
    with ExitStack() as stack:
        for step in reversed(steps):
            stack.callback(step)
