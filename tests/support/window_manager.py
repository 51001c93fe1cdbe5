"""A window manager on a test's own X server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from Xlib import X

from tests.support.waiting import wait_for
from tests.support.xvfb import XServer


@contextmanager
def window_manager(screen: XServer, home: Path) -> Iterator[None]:
    """openbox(1), with the settings it comes with; it gives new windows the keyboard unless the
    user is busy in another."""
    root = screen.client.screen().root
    # Told last: a window that is mapped while it starts would never be shown.
    ready = screen.client.intern_atom("_NET_CLIENT_LIST_STACKING")
    root.delete_property(ready)
    screen.client.sync()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "DISPLAY": screen.display}
    process = subprocess.Popen(
        ["openbox", "--sm-disable"], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: root.get_full_property(ready, X.AnyPropertyType), "a window manager")
        yield
    finally:
        process.terminate()
        process.wait(30)
