"""The addresses that pages have of their own, and what is bound for them."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import string
import sys
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.servers import make_server
from tests.support.systems import checks_addresses, has_own_addresses
from trayconnect.config import local_addresses as module
from trayconnect.config.local_addresses import (
    addresses,
    has_address,
    is_loopback,
    jupyter_host,
    own_address,
    tool_host,
    url_path,
)
from trayconnect.config.values import page_path
from trayconnect.core.page import Page
from trayconnect.sessions.forwards import forward_states
from trayconnect.sessions.state import State

OWN = own_address(18888)


@pytest.fixture(autouse=True)
def ask_anew() -> Iterator[None]:
    has_address.cache_clear()
    yield
    has_address.cache_clear()


def without_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, which has 127.0.0.1 alone."""
    monkeypatch.setattr(module, "has_address", lambda address: address == "127.0.0.1")


def test_every_port_has_an_address_of_its_own() -> None:
    found = [own_address(port) for port in range(1, 65536)]
    assert len(set(found)) == len(found)
    reserved = ipaddress.ip_network("127.0.0.0/16"), ipaddress.ip_network("127.127.0.0/16")
    for text in found:
        address = ipaddress.ip_address(text)
        assert address.is_loopback
        assert not any(address in network for network in reserved)
        assert text.rpartition(".")[2] not in ("0", "255")


def test_they_hold_for_good() -> None:
    # Browsers keep logins by them.
    assert own_address(18888) == "127.148.88.9"
    assert own_address(25667) == "127.155.66.8"


@has_own_addresses
@pytest.mark.parametrize(
    ("bind_address", "bound", "jupyter", "tool", "as_localhost"),
    [
        ("localhost", ("127.0.0.1", "::1", OWN), OWN, OWN, "localhost"),
        ("*", ("0.0.0.0", "::"), OWN, OWN, "localhost"),
        ("0.0.0.0", ("0.0.0.0",), OWN, OWN, OWN),
        ("127.0.0.1", ("127.0.0.1",), "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.9", ("127.0.0.9",), "127.0.0.9", "127.0.0.9", "127.0.0.9"),
        ("::1", ("::1",), "::1", "::1", "::1"),
        ("::", ("::",), "::1", "::1", "::1"),
        ("192.168.1.2", ("192.168.1.2",), "192.168.1.2", "192.168.1.2", "192.168.1.2"),
    ],
)
def test_what_is_bound_and_opened(
    bind_address: str, bound: tuple[str, ...], jupyter: str, tool: str, as_localhost: str
) -> None:
    assert addresses(bind_address, 18888, own=True) == bound
    assert addresses(bind_address, 18888, own=False) == tuple(a for a in bound if a != OWN)
    assert jupyter_host(bind_address, 18888) == jupyter
    assert tool_host(bind_address, 18888, only_localhost=False) == tool
    assert tool_host(bind_address, 18888, only_localhost=True) == as_localhost


def test_where_there_is_only_one_address_tools_open_as_localhost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_own(monkeypatch)
    assert addresses("localhost", 18888, own=True) == ("127.0.0.1", "::1")
    for bind_address in ("localhost", "*"):
        assert jupyter_host(bind_address, 18888) == "127.0.0.1"
        assert tool_host(bind_address, 18888, only_localhost=False) == "localhost"
    assert jupyter_host("0.0.0.0", 18888) == "127.0.0.1"


@checks_addresses
def test_what_the_system_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_address("127.0.0.1")
    assert not has_address("192.0.2.1")

    def refuse(code: int) -> None:
        def bind(_self: object, _address: object) -> None:
            raise OSError(code, "no")

        monkeypatch.setattr(socket.socket, "bind", bind)
        has_address.cache_clear()

    refuse(errno.EADDRNOTAVAIL)
    assert not has_address(OWN)
    refuse(errno.EMFILE)
    assert has_address(OWN) is (sys.platform != "darwin")


@pytest.mark.skipif(sys.platform != "linux", reason="WSL is a Linux")
def test_a_browser_of_windows_reaches_localhost_alone_in_wsl(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sys.platform != "win32"
    release = "5.15.90.1-microsoft-standard-WSL2"
    of_wsl = os.uname_result(("Linux", "box", release, "#1 SMP", "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: of_wsl)
    assert jupyter_host("localhost", 18888) == "127.0.0.1"
    assert tool_host("localhost", 18888, only_localhost=False) == "localhost"


@pytest.mark.parametrize(
    ("bind_address", "loopback"),
    [
        ("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True),
        ("*", False), ("0.0.0.0", False), ("::", False), ("192.168.1.2", False),
        ("fe80::1%eth0", False),
    ],
)  # fmt: skip
def test_who_can_connect(bind_address: str, loopback: bool) -> None:
    assert is_loopback(bind_address) is loopback


FORWARDS = [
    {"name": "plain", "local_port": 5432, "port": 5432},
    {"name": "page", "local_port": 6006, "port": 6006, "open": True, "path": "/a b#c"},
    {"tool": "mlflow", "name": "MLflow", "local_port": 5000, "port": 5000, "open": True,
     "open_as": "localhost"},
    {"name": "one", "bind_address": "127.0.0.1", "local_port": 5001, "port": 1, "open": True},
    {"name": "all", "bind_address": "*", "local_port": 5002, "port": 1},
    {"name": "socks", "kind": "dynamic", "local_port": 1080},
]  # fmt: skip


@has_own_addresses
def test_programs_get_the_usual_address_and_the_browser_that_of_the_page() -> None:
    server = make_server(forwards=FORWARDS)
    shown = {each.name: each for each in forward_states(server, State.OFF)}
    assert [(each.listens, each.address, each.url) for each in shown.values()] == [
        ("localhost:5432", "127.0.0.1:5432", None),
        ("localhost:6006", "http://127.0.0.1:6006/a%20b#c", "http://127.136.0.7:6006/a%20b#c"),
        ("localhost:5000", "http://127.0.0.1:5000/", "http://localhost:5000/"),
        ("127.0.0.1:5001", "http://127.0.0.1:5001/", "http://127.0.0.1:5001/"),
        ("*:5002", "127.0.0.1:5002", None),
        ("localhost:1080 (SOCKS)", "socks5h://127.0.0.1:1080", None),
    ]
    bound = {each.name: [str(one) for one in each.binds("localhost")] for each in server.forwards}
    assert bound["plain"] == ["127.0.0.1:5432", "[::1]:5432"]
    assert bound["page"] == ["127.0.0.1:6006", "[::1]:6006", "127.136.0.7:6006"]
    assert bound["MLflow"] == ["127.0.0.1:5000", "[::1]:5000"]
    assert bound["socks"] == ["127.0.0.1:1080", "[::1]:1080"]


ORIGIN = "http://127.155.66.8:25667"


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/lab", "/lab?token=t%2B1"),
        ("/lab/tree/My work/α.ipynb", "/lab/tree/My%20work/%CE%B1.ipynb?token=t%2B1"),
        ("/lab/tree/a%20b", "/lab/tree/a%20b?token=t%2B1"),
        ("/lab/tree/100%.ipynb", "/lab/tree/100%25.ipynb?token=t%2B1"),
        ("/lab?reset", "/lab?reset&token=t%2B1"),
        ("/lab?", "/lab?token=t%2B1"),
        ("/lab?a=1&", "/lab?a=1&token=t%2B1"),
        ("/lab?a=b c&d=é", "/lab?a=b%20c&d=%C3%A9&token=t%2B1"),
        ("/lab#part two", "/lab?token=t%2B1#part%20two"),
        ("/lab#a?b", "/lab?token=t%2B1#a?b"),
        ("/lab?reset#a", "/lab?reset&token=t%2B1#a"),
        ("/lab#", "/lab?token=t%2B1#"),
        ("/lab?a&", "/lab?a&token=t%2B1"),
        ("/a&", "/a&?token=t%2B1"),
        ("/lab/tree/C%23 notes.ipynb", "/lab/tree/C%23%20notes.ipynb?token=t%2B1"),
        ('/lab/tree/a"b<c>\\d.ipynb', "/lab/tree/a%22b%3Cc%3E%5Cd.ipynb?token=t%2B1"),
    ],
)
def test_the_link_logs_in(path: str, link: str) -> None:
    assert Page(f"{ORIGIN}{url_path(page_path(path))}", "t+1").link == f"{ORIGIN}{link}"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), st.text(min_size=1))
def test_any_path_keeps_its_meaning(text: str, token: str) -> None:
    path = f"/{text}"
    url = url_path(path)
    assert set(url) <= set(string.ascii_letters + string.digits + "-._~/%:@!$&'()*+,;=?#")
    assert url_path(url) == url
    plain, link = urlsplit(ORIGIN + url), urlsplit(Page(ORIGIN + url, token).link)
    assert (link.netloc, link.path, link.fragment) == (plain.netloc, plain.path, plain.fragment)
    before = parse_qsl(plain.query, keep_blank_values=True)
    after = parse_qsl(link.query, keep_blank_values=True)
    assert after == [*before, ("token", token)]
    if "%" not in text:
        assert unquote(plain.path) == path.partition("#")[0].partition("?")[0]


@pytest.mark.parametrize("path", ["lab", "", "/a\nb", "/a\x00", "/a\u2028b", "/a\x7f"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="must begin with '/'"):
        page_path(path)
