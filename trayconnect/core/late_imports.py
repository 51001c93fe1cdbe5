"""What the app imports only when it needs it, and where that may be too late.

A bundle's files can be replaced while it runs: by an upgrade of the package, or of the application
on a Mac. Then the program's archive is another one, and what is not imported yet cannot be.
(Windows keeps the files of a running program.)
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress

LATE = (
    "encodings.idna",  # by the first look-up of a host's name
    "importlib.resources.readers",  # by the first script that is sent to a server
    "keyring.backends",
    "keyring.backends.SecretService",
    "keyring.backends.kwallet",
    "keyring.backends.macOS",
    "trayconnect.desktop.terminal_posix",
    "trayconnect.tray.backends.xembed",
)


def import_early() -> None:
    """Import it now, in a bundle whose files may be replaced."""
    if sys.platform != "win32" and getattr(sys, "frozen", False):
        for name in LATE:
            with suppress(ImportError):  # of another system
                importlib.import_module(name)
