"""The texts of a Debian package, out of the project's own."""

from __future__ import annotations

import gzip
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

MAINTAINER = "The trayconnect contributors <trayconnect@users.noreply.github.com>"
RECOMMENDS = (
    "ca-certificates",
    "default-dbus-session-bus | dbus-session-bus",
    "openssh-client",  # asked what ~/.ssh/config means; runs in the terminal that a menu line opens
    "xdg-utils",
)
SUGGESTS = ("gnome-keyring | kwalletmanager", "gnome-shell-extension-appindicator")
DESCRIPTION = """\
tray icon that opens SSH tunnels to remote Jupyter servers
 An icon in the panel, whose menu lists your servers. One click opens an SSH
 tunnel and, as soon as Jupyter answers behind it, your browser, logged in.
 Another click closes it. Tunnels hold on through sleep, network changes and
 server restarts, on local ports that never change.
 .
 The package brings its own Python and needs none on the machine."""


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
    """`depends`, less these packages and Python's library: what the bundle has itself."""

    def is_needed(name: str) -> bool:
        return name not in packages and not name.startswith("libpython")

    return ", ".join(one for one in depends.split(", ") if is_needed(one.split()[0]))


def changelog(build: Build) -> bytes:
    """Debian's changelog, compressed: one entry, as the changes are in CHANGELOG.md beside it."""
    text = (
        f"trayconnect ({build.version}) stable; urgency=medium\n\n"
        f"  * Release {build.version}: see CHANGELOG.md.gz in this folder.\n\n"
        f" -- {MAINTAINER}  {format_datetime(build.made)}\n"
    )
    return compressed(text.encode())


def compressed(data: bytes) -> bytes:
    """The same bytes each time: no name and no date in them."""
    return gzip.compress(data, 9, mtime=0)


def debian_version(version: str) -> str:
    """A version of Python's kind, where a candidate sorts before the release."""
    return re.sub(r"\.?(a|b|rc|dev)(\d+)", r"~\1\2", version)
