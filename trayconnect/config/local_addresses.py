"""The addresses of this computer that a server's forwards listen on, and at which its pages open;
the path of a page in a URL.

Cookies ignore ports: a page at 127.0.0.1 receives those of every other page at 127.0.0.1. So each
page that opens in the browser has a loopback address of its own where the system has several: Linux
and Windows have all of 127.0.0.0/8, macOS only 127.0.0.1."""

from __future__ import annotations

import errno
import functools
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Sequence
from urllib.parse import quote

LOCALHOST = "localhost"
EVERYWHERE = "*"

_BOUND = {LOCALHOST: ("127.0.0.1", "::1"), EVERYWHERE: ("0.0.0.0", "::")}
"""OpenSSH's choice (`channel_setup_fwd_listener_tcpip` in its channels.c)."""
_NEAR = {LOCALHOST: "127.0.0.1", EVERYWHERE: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_REACHES_OWN = (LOCALHOST, EVERYWHERE, "0.0.0.0")


def own_address(port: int) -> str:
    """The loopback address of the page on that local port; different for every port.

    Local ports are stable and distinct in a file, and so are these addresses. The range, from
    127.130.0.1 to 127.195.53.6, avoids those of other programs (127.0.0.0/16 has 127.0.0.53 and
    127.0.1.1; the clock drivers of ntpd are at 127.127.0.0/16), and addresses that end with .0 or
    .255."""
    return f"127.{130 + port // 1000}.{port // 10 % 100}.{1 + port % 10}"


@functools.cache
def has_address(address: str) -> bool:
    """Whether this computer has that IPv4 loopback address, and its browsers reach it there;
    cached. Browsers of Windows reach listeners in WSL at 127.0.0.1 and localhost only."""
    if sys.platform == "linux" and "microsoft" in os.uname().release.lower():
        return address == "127.0.0.1"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.bind((address, 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL and sys.platform != "darwin"
    return True


def addresses(bind_address: str, port: int, *, own: bool) -> tuple[str, ...]:
    """The addresses to listen on. Those after the first may be missing on this computer.

    `own`: also on the page's own address."""
    bound = _BOUND.get(bind_address, (bind_address,))
    if own and bind_address == LOCALHOST and (found := _own(bind_address, port)):
        return (*bound, found)
    return bound


def near_host(bind_address: str) -> str:
    """The host that a program on this computer uses for a listener bound there."""
    return _NEAR.get(bind_address, bind_address)


def jupyter_host(bind_address: str, port: int) -> str:
    """The host in the URL of a server's Jupyter."""
    return _own(bind_address, port) or near_host(bind_address)


def tool_host(bind_address: str, port: int, *, only_localhost: bool) -> str:
    """The host in the URL of another page, to which the browser sends no cookies of Jupyter, unless
    the file gives both the same address."""
    if bind_address in (LOCALHOST, EVERYWHERE):
        return (not only_localhost and _own(bind_address, port)) or LOCALHOST
    return _own(bind_address, port) or near_host(bind_address)


def is_loopback(bind_address: str) -> bool:
    """Whether only this computer can reach a listener at that address."""
    if bind_address in _BOUND:
        return bind_address == LOCALHOST
    return ipaddress.ip_address(bind_address).is_loopback


def ports_text(ports: Sequence[int]) -> str:
    """For a sentence: "local port 8888", "local ports 5432 and 8888"."""
    *most, last = map(str, ports)
    return f"local ports {', '.join(most)} and {last}" if most else f"local port {last}"


def _own(bind_address: str, port: int) -> str:
    """The page's own address, if this computer has it and a listener at `bind_address` reaches
    it."""
    address = own_address(port)
    return address if bind_address in _REACHES_OWN and has_address(address) else ""


_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SAFE = "/%:@!$&'()*+,;=~"


def url_path(path: str) -> str:
    """Path, query and fragment in the form of a URI (RFC 3986): blanks and non-ASCII letters are
    percent-encoded, existing percent-encoding stays. The first `#` begins the fragment, and the
    first `?` before it the query."""
    path, is_query, query, is_fragment, fragment = url_parts(path)
    return f"{_quoted(path)}{is_query}{_quoted(query)}{is_fragment}{_quoted(fragment)}"


def url_parts(path: str) -> tuple[str, str, str, str, str]:
    """Path, "?" or "", query, "#" or "", fragment."""
    before, is_fragment, fragment = path.partition("#")
    page, is_query, query = before.partition("?")
    return page, is_query, query, is_fragment, fragment


def _quoted(text: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=_SAFE + "?")
