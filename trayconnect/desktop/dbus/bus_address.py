"""The address of the session bus.

Source: "Server Addresses" in https://dbus.freedesktop.org/doc/dbus-specification.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote_to_bytes


def session_bus_sockets(environ: Mapping[str, str]) -> list[bytes]:
    """The Unix socket addresses to try, in order; one that begins with a zero byte is abstract.

    From `DBUS_SESSION_BUS_ADDRESS` or, if that is not set, from systemd's default. Unsupported
    addresses (TCP, launchd, malformed parts) are left out, so the list may be empty."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    fallback = [_bytes(Path(runtime, "bus"))] if runtime else []
    address = environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    if not address:
        return fallback
    found: list[bytes] = []
    for part in address.split(";"):
        transport, _, options = part.partition(":")
        if transport == "unix":
            for key, value in _pairs(options):
                if key == "path":
                    found.append(value)
                elif key == "abstract":
                    found.append(b"\0" + value)
                elif key == "runtime" and value == b"yes":
                    found += fallback
    return found


def _pairs(options: str) -> Iterator[tuple[str, bytes]]:
    for option in options.split(","):
        key, equals, value = option.partition("=")
        if equals and value:
            yield key, unquote_to_bytes(value)


def _bytes(path: Path) -> bytes:
    return str(path).encode("utf-8", "surrogateescape")
