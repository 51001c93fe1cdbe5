"""The address that the browser is given."""

from __future__ import annotations

import pytest

from trayconnect.services.http_client import host_port
from trayconnect.services.jupyter.targets import base_of, page_url


@pytest.mark.parametrize(
    ("base_url", "path", "expected"),
    [
        ("/", "/lab", "/lab"),
        ("/", "/", "/"),
        ("/user/ada/", "/lab", "/user/ada/lab"),
        ("/user/ada/", "/", "/user/ada/"),
        ("/user/ada/", "/user/ada/lab", "/user/ada/lab"),
        ("/user/ada/", "/user/ada", "/user/ada"),
        ("/user/ada/", "/user/ada?x#y", "/user/ada?x#y"),
        ("/user/ada/", "/lab/tree/a b.ipynb?reset#x", "/user/ada/lab/tree/a%20b.ipynb?reset#x"),
        ("/user/jörg b/", "/user/jörg b/lab", "/user/j%C3%B6rg%20b/lab"),
        ("/user/j%C3%B6rg/", "/lab", "/user/j%C3%B6rg/lab"),
        ("/lab/", "/labour", "/lab/labour"),
    ],
)
def test_pages(base_url: str, path: str, expected: str) -> None:
    assert page_url("https", "h:1", base_url, path) == f"https://h:1{expected}"


@pytest.mark.parametrize(
    ("path", "base_url"),
    [
        ("/lab", "/"),
        ("/", "/"),
        ("/user/ada/lab/tree/x", "/user/ada/"),
        ("/user/ada/tree", "/user/ada/"),
        ("/laboratory/lab", "/laboratory/"),
        ("/something", "/"),
        ("/user/ada?next=/lab", "/"),
        ("/#/user/ada/lab", "/"),
    ],
)
def test_the_base_a_page_implies(path: str, base_url: str) -> None:
    assert base_of(path) == base_url


def test_ipv6_in_brackets() -> None:
    assert host_port("::1", 1) == "[::1]:1"
    assert host_port("localhost", 1) == "localhost:1"
