"""Several requests over one connection."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.support.jupyter_peers import (
    Peer,
    Talk,
    hang_up,
    lasting_web,
    say,
    self_signed,
    silent,
    web,
)
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled
from trayconnect.services.dialling import Failure, ProbeError
from trayconnect.services.held_connection import HeldConnection

LONG = 60.0


def opened(url: str, cancel: CancelToken | None = None) -> HeldConnection:
    return HeldConnection(url, timeout=LONG, cancel=cancel or CancelToken(), verify=False)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_share_a_connection(scheme: str, tmp_path: Path) -> None:
    tls = self_signed(tmp_path) if scheme == "https" else None
    with Peer(lasting_web(lambda path, _: (200, path)), tls) as peer:
        url = f"{scheme}://{peer.authority}"
        with contextlib.closing(opened(url)) as connection:
            answers = [connection.get(f"{url}/{path}", timeout=LONG) for path in "abc"]
            assert [(one.status, one.body) for one in answers] == [
                (200, b"/a"), (200, b"/b"), (200, b"/c")
            ]  # fmt: skip
            assert connection.is_open
            assert peer.connections == 1


ENDLESS = say(b"HTTP/1.1 200 OK\r\n\r\nHi")
OLD = say(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nHi")


@pytest.mark.parametrize("talk", [web(lambda *_: (200, "Hi")), ENDLESS, OLD])
def test_an_answer_may_be_the_last(talk: Talk) -> None:
    with Peer(talk) as peer:
        url = f"http://{peer.authority}/"
        connection = opened(url)
        assert connection.get(url, timeout=LONG).body == b"Hi"
        assert not connection.is_open
        with pytest.raises(ProbeError) as raised:
            connection.get(url, timeout=LONG)
    assert raised.value.failure is Failure.CLOSED


def test_chunks_are_read_to_their_end() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nHi\r\n0\r\n\r\n"
    with Peer(say(answer)) as peer:
        url = f"http://{peer.authority}/"
        with contextlib.closing(opened(url)) as connection:
            assert connection.get(url, timeout=LONG).body == b"Hi"
            assert connection.is_open


def test_a_body_beyond_the_limit_ends_it() -> None:
    with Peer(lasting_web(lambda *_: (200, "x" * 100_000))) as peer:
        url = f"http://{peer.authority}/"
        connection = opened(url)
        assert connection.get(url, timeout=LONG).status == 200
        assert not connection.is_open


@pytest.mark.parametrize(
    ("talk", "expected", "timeout"),
    [(hang_up, Failure.CLOSED, LONG), (silent, Failure.SILENT, 0.2)],
)
def test_a_failure_ends_it(talk: Talk, expected: Failure, timeout: float) -> None:
    with Peer(talk) as peer:
        url = f"http://{peer.authority}/"
        connection = opened(url)
        with pytest.raises(ProbeError) as raised:
            connection.get(url, timeout=timeout)
    assert raised.value.failure is expected
    assert not connection.is_open


def test_the_token_that_opened_it_ends_it() -> None:
    cancel = CancelToken()
    with Peer(lasting_web(lambda path, _: (200, path))) as peer:
        url = f"http://{peer.authority}/"
        connection = opened(url, cancel)
        cancel.set()
        assert not connection.is_open
        with pytest.raises(Cancelled):
            connection.get(url, timeout=LONG)
        with pytest.raises(Cancelled):
            opened(url, cancel)


def test_it_ends_while_a_request_is_under_way() -> None:
    cancel = CancelToken()

    def page(*_: object) -> tuple[int, str]:
        cancel.set()
        return 200, ""

    with Peer(lasting_web(page)) as peer:
        url = f"http://{peer.authority}/"
        connection = opened(url, cancel)
        with pytest.raises(Cancelled):
            connection.get(url, timeout=LONG)
    assert not connection.is_open
    connection.close()
