"""The text files of the Debian package."""

from __future__ import annotations

import gzip
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

MAINTAINER = "The trayconnect contributors <trayconnect@trayconnect.invalid>"
"""Debian requires an address, and the project has none: .invalid belongs to nobody (RFC 2606)."""
RECOMMENDS = (
    "ca-certificates",
    "default-dbus-session-bus | dbus-session-bus",
    "openssh-client",  # `ssh -G` reads ~/.ssh/config; the menu's Open terminal runs ssh
    "xdg-utils",
)
SUGGESTS = ("gnome-keyring | kwalletmanager", "gnome-shell-extension-appindicator")
DESCRIPTION = """\
tray icon that opens SSH tunnels to remote Jupyter servers
 An icon in the panel, whose menu lists your servers. One click opens an SSH
 tunnel and, as soon as Jupyter answers behind it, your browser, logged in.
 Another click closes it. Tunnels survive suspend, network changes and server
 restarts, and keep their local ports.
 .
 The package has its own Python and needs none on the machine."""


@dataclass(frozen=True, slots=True)
class Build:
    version: str
    architecture: str
    seconds: int
    """When the commit was made, since 1970."""

    @property
    def made(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    @property
    def file_name(self) -> str:
        return f"trayconnect_{self.version}_{self.architecture}.deb"


def control_file(build: Build, depends: str, installed_kib: int) -> str:
    """`depends` as dpkg-shlibdeps gives it."""
    return (
        "Package: trayconnect\n"
        f"Version: {build.version}\n"
        f"Architecture: {build.architecture}\n"
        f"Maintainer: {MAINTAINER}\n"
        f"Installed-Size: {installed_kib}\n"
        f"Depends: {depends}\n"
        f"Recommends: {', '.join(RECOMMENDS)}\n"
        f"Suggests: {', '.join(SUGGESTS)}\n"
        "Section: net\n"
        "Priority: optional\n"
        f"Description: {DESCRIPTION}\n"
    )


def without(depends: str, packages: Collection[str]) -> str:
    """`depends` without these packages and Python's library, which the bundle has itself."""

    def is_needed(name: str) -> bool:
        return name not in packages and not name.startswith("libpython")

    return ", ".join(one for one in depends.split(", ") if is_needed(one.split()[0]))


def changelog(build: Build) -> bytes:
    """Debian's changelog, compressed: one entry, which refers to CHANGELOG.md."""
    text = (
        f"trayconnect ({build.version}) stable; urgency=medium\n\n"
        f"  * Release {build.version}: see CHANGELOG.md.gz in this folder.\n\n"
        f" -- {MAINTAINER}  {format_datetime(build.made)}\n"
    )
    return compressed(text.encode())


def compressed(data: bytes) -> bytes:
    """The same bytes each time: without a name and a date."""
    return gzip.compress(data, 9, mtime=0)


def debian_version(version: str) -> str:
    """Debian's form of a Python version: a candidate sorts before its release."""
    return re.sub(r"\.?(a|b|rc|dev)(\d+)", r"~\1\2", version)
