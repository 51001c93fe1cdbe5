"""Calls that nothing can interrupt."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from trayconnect.cancel import Cancel
from trayconnect.errors import Cancelled

T = TypeVar("T")


def abandonable(call: Callable[[], T], name: str, cancel: Cancel) -> T:
    """Run `call` in a thread and return its result, or leave it to its fate after `cancel.set`.

    For calls on a tunnel: they are bounded in time and end, with nobody listening, as soon as
    the tunnel is closed. Raises `Cancelled`, and what `call` raises.
    """
    done: queue.SimpleQueue[tuple[T] | Exception | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((call(),))
        except Exception as error:  # noqa: BLE001 - raised again on the caller's thread
            done.put(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    with cancel.releasing(lambda: done.put(None)):
        result = done.get()
    if result is None:
        raise Cancelled
    thread.join()
    if isinstance(result, Exception):
        raise result
    return result[0]
