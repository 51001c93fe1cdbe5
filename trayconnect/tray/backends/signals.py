"""Handles signals while the main thread waits in code of the system, where Python calls no handler:
AppKit waits in the kernel, and while a menu is open it serves no other source of events."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

JOIN_LIMIT = 5.0
_END = b"\0"


@contextmanager
def heard(*numbers: signal.Signals) -> Iterator[None]:
    """Call the handlers of these signals at once, on a thread of its own. Python calls them again
    when the main thread runs its code. To be entered on the main thread."""
    handlers = {int(number): signal.getsignal(number) for number in numbers}
    reading, writing = os.pipe()
    if sys.platform != "win32":
        os.set_blocking(writing, False)

    def listen() -> None:
        while True:
            for number in (data := os.read(reading, 64)):
                handler = handlers.get(number)
                if callable(handler):
                    handler(number, None)
            if _END in data:
                return

    thread = threading.Thread(target=listen, name="tc-signals", daemon=True)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(writing, _END)
        thread.join(JOIN_LIMIT)
        os.close(writing)
        os.close(reading)
