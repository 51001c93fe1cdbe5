"""Which page opens where the file names none."""

from __future__ import annotations

import pytest

from trayconnect.services.http_client import Failure, ProbeError, Response
from trayconnect.services.jupyter.targets import front_page


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
