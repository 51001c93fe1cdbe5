"""Modules that the app imports late, and imports early where late would fail.

A bundle's files can be replaced while it runs: by an upgrade of the package, or of the application
on a Mac. The archive of modules is then a different one, and modules that are not imported yet
cannot be. (Windows keeps the files of a running program.)"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress

LATE = (
    "encodings.idna",  # imported by the first name lookup
    "importlib.resources.readers",  # imported by the first script sent to a server
    "keyring.backends",
    "keyring.backends.SecretService",
    "keyring.backends.kwallet",
    "keyring.backends.macOS",
    "psutil",  # imported when a port is taken
    "trayconnect.desktop.prompts.terminals",
    "trayconnect.tray.backends.xembed",
)


def import_early() -> None:
    """Import these modules now, in a bundle whose files may be replaced."""
    if sys.platform != "win32" and getattr(sys, "frozen", False):
        for name in LATE:
            with suppress(ImportError):  # a module of another system
                importlib.import_module(name)
