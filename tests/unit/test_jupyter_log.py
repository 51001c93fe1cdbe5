"""The log of a Jupyter: which one is shown, and what is left out of it."""

from __future__ import annotations

import pytest

from tests.support.servers import make_server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import Completed
from trayconnect.services.jupyter.log import clean, read_log
from trayconnect.services.jupyter.model import FoundJupyter

BY_HAND = FoundJupyter("8888", "/", "/", "2", 0, in_use=True, pid=7, born="x")
TOKEN = "0123456789abcdef" * 3


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("\x1b[32m[I 2026]\x1b[0m Serving", "[I 2026] Serving"),
        ("\x1b]52;c;aGk=\x07x", "x"),
        ("\x1b]0;title\x1b\\x", "x"),
        ("  indented", "  indented"),
        ("10%\r50%\r100%\r", "100%"),
        (f"http://127.0.0.1:8888/lab?token={TOKEN}", "http://127.0.0.1:8888/lab?token=…"),
        (f"Authorization: token {TOKEN}", "Authorization: token …"),
        (f"a bare {TOKEN} here", "a bare … here"),
        ("GET /?next=%2F&code=s3cr3t 200", "GET /?next=%2F&code=… 200"),
        ("Kernel died, exit code: 137", "Kernel died, exit code: 137"),
        ("Authorization: Bearer abcdefghij", "Authorization: Bearer …"),
        ("pip uses http://ada:pw@proxy:3128/", "pip uses http://ada:…@proxy:3128/"),
        ("a\u202eb\x00c\x07d", "abcd"),
    ],
)
def test_what_is_left_out(line: str, expected: str) -> None:
    assert clean(line) == expected
    assert clean(f"{line}\n{line}") == f"{expected}\n{expected}"


def log(output: bytes, used: FoundJupyter | None = None) -> str:
    return read_log(lambda *_: Completed(0, output, b""), make_server(), used, CancelToken())


def test_it_begins_with_where_it_lies() -> None:
    output = b"noise\n@@trayconnect log 1\n@@log /home/ada/log\none\ntwo\n@@end\n"
    assert log(output) == "/home/ada/log\n\none\ntwo\n"


@pytest.mark.parametrize(
    ("used", "title"),
    [
        (None, "has started no Jupyter on GPU box"),
        (
            FoundJupyter("8888", "/", "/", "2", 0, in_use=True, pid=7, born="x"),
            "was not started by",
        ),
    ],
)
def test_where_there_is_none_it_is_said(used: FoundJupyter | None, title: str) -> None:
    with pytest.raises(ProblemError, match=title):
        log(b"\n@@trayconnect log 1\n", used)


def test_a_shell_that_did_not_look_is_told_as_that() -> None:
    with pytest.raises(ProblemError) as caught:
        log(b"This account is for file transfers only.\n", BY_HAND)
    assert "not started" not in caught.value.problem.title
