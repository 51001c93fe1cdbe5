"""The address and the page that the browser gets."""

from __future__ import annotations

import pytest

from trayconnect.services.dialling import Failure, ProbeError
from trayconnect.services.http_client import Response, host_port
from trayconnect.services.jupyter.targets import base_of, front_page, page_url


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


@pytest.mark.parametrize(
    ("base", "pages", "expected"),
    [
        ("/", {"lab": 200}, "/lab"),
        ("/", {"lab": "/login?next=%2Flab"}, "/lab"),
        ("/", {"lab": 403}, "/lab"),
        ("/", {"": 200}, "/"),
        ("/", {"lab": 500, "": 200, "tree": 200}, "/tree"),  # Notebook 7 with Lab switched off
        ("/", {"": "/tree?"}, "/tree"),
        ("/jup/", {"": "/jup/voila/render/a.ipynb"}, "/voila/render/a.ipynb"),
        ("/jup/", {"": "http://elsewhere/hub"}, "/"),
        ("/", {"": "/login?next=%2F", "tree": "/login?next=%2Ftree"}, "/tree"),
        ("/", {"": 200, "nbclassic/tree": 200}, "/nbclassic/tree"),
        ("/", {"": 200, "voila": 200, "retro/tree": 200}, "/retro/tree"),
        ("/", {}, "/"),
    ],
)
def test_the_page_that_is_there(base: str, pages: dict[str, int | str], expected: str) -> None:
    def get(path: str) -> Response:
        answer = pages.get(path, 404)
        if isinstance(answer, str):
            return Response(302, "Found", b"", {"location": answer})
        return Response(answer, "", b"")

    assert front_page(get, base) == expected


def test_a_server_that_does_not_answer() -> None:
    def get(path: str) -> Response:
        raise ProbeError(Failure.SILENT, "slow")

    assert front_page(get, "/") is None
