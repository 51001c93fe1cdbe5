"""The HTTP look: every failure told apart, every wait bounded."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.jupyter_peers import (
    Peer,
    Talk,
    drip,
    hang_up,
    jupyter_pages,
    say,
    self_signed,
    silent,
    web,
)
from tests.support.threads import our_threads
from trayconnect.core import abandonable
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled
from trayconnect.services.dialling import Failure, ProbeError
from trayconnect.services.http_client import BODY_LIMIT, get

LONG = 60.0
SHORT = 0.2


def failure(url: str, timeout: float = LONG) -> Failure:
    with pytest.raises(ProbeError) as raised:
        get(url, timeout=timeout, cancel=CancelToken())
    return raised.value.failure


def test_an_answer_with_status_and_body() -> None:
    with Peer(web(lambda path, _: (404, f"no {path}"))) as peer:
        answer = get(f"http://{peer.authority}/a%20b?c=d e", timeout=LONG, cancel=CancelToken())
    assert (answer.status, answer.reason, answer.body) == (404, "Staged", b"no /a%20b?c=d%20e")


def test_the_token_goes_into_the_header_only() -> None:
    with Peer(web(jupyter_pages("s3cret"))) as peer:
        url = f"http://{peer.authority}/api/status"
        assert get(url, timeout=LONG, cancel=CancelToken()).status == 403
        assert get(url, token="s3cret", timeout=LONG, cancel=CancelToken()).status == 200


def test_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Peer(web(lambda *_: (200, "straight"))) as peer:
        assert (
            get(f"http://{peer.authority}", timeout=LONG, cancel=CancelToken()).body == b"straight"
        )


def test_redirects_are_answers() -> None:
    with Peer(say(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")) as peer:
        assert get(f"http://{peer.authority}/", timeout=LONG, cancel=CancelToken()).status == 302


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (hang_up, Failure.CLOSED),
        (silent, Failure.SILENT),
        (drip(), Failure.SILENT),
        (drip(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 20"), Failure.SILENT),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n"), Failure.NOT_HTTP),
        (say(b"\x15\x03\x01\x00\x02\x02\x46"), Failure.NOT_HTTP),
        (say(b"HTTP/1.1 two OK\r\n\r\n"), Failure.NOT_HTTP),
        (say(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"), Failure.NOT_HTTP),
        (say(b"HTTP/1.1 200 OK\r\n" + b"y" * 100_000), Failure.NOT_HTTP),
    ],
)
def test_what_is_no_answer(talk: Talk, expected: Failure) -> None:
    with Peer(talk) as peer:
        bounded = SHORT if expected is Failure.SILENT else LONG
        assert failure(f"http://{peer.authority}/", bounded) is expected


@pytest.mark.parametrize(
    "talk",
    [
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nhello"),
        say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"),
        say(b"HTTP/1.0 200 OK\r\n\r\nhello"),
        say(b"HTTP/1.1 200\r\n\r\nhello"),
        drip(b"HTTP/1.1 200 OK\r\n\r\nhello"),
    ],
)
def test_a_body_that_goes_wrong_is_still_an_answer(talk: Talk) -> None:
    with Peer(talk) as peer:
        answer = get(f"http://{peer.authority}/", timeout=SHORT, cancel=CancelToken())
    assert answer.status == 200
    assert answer.body.startswith(b"hello")


def test_a_huge_body_is_cut() -> None:
    with Peer(web(lambda *_: (200, "x" * (BODY_LIMIT + 1)))) as peer:
        answer = get(f"http://{peer.authority}/", timeout=LONG, cancel=CancelToken())
    assert len(answer.body) == BODY_LIMIT


def test_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert failure(f"http://127.0.0.1:{port}/") is Failure.REFUSED


def test_an_unknown_name() -> None:
    assert failure("http://no-such-host.invalid/") is Failure.UNRESOLVABLE
    assert failure(f"http://{'x' * 70}.invalid/") is Failure.UNRESOLVABLE


def test_a_resolver_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def stuck(host: str, port: int, family: int, flags: int = 0) -> list[object]:
        if not flags:
            release.wait(LONG)
        raise socket.gaierror("no")

    monkeypatch.setattr(abandonable, "_addresses", stuck)
    assert failure("http://slow.example/", SHORT) is Failure.UNRESOLVABLE
    release.set()
    for thread in threading.enumerate():
        if thread.name == "tc-resolve slow.example":
            thread.join(LONG)
    assert our_threads() == []


def test_the_second_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = listener.getsockname()
    with Peer(web(lambda *_: (200, "second"))) as peer:
        rows = [(socket.AF_INET, dead), (socket.AF_INET, ("127.0.0.1", peer.port))]
        monkeypatch.setattr(abandonable, "_addresses", lambda *_, **__: rows)
        assert get("http://two.example/", timeout=LONG, cancel=CancelToken()).body == b"second"


@pytest.mark.parametrize("url", ["ftp://host/", "host:8888", "http:///lab", "http://host:x/", ""])
def test_what_is_no_web_address(url: str) -> None:
    with pytest.raises(ValueError):
        get(url, timeout=LONG, cancel=CancelToken())


# --- TLS ---


def test_a_certificate_nobody_trusts(tmp_path: Path) -> None:
    with Peer(web(lambda *_: (200, "safe")), self_signed(tmp_path)) as peer:
        url = f"https://{peer.authority}/"
        assert failure(url) is Failure.CERTIFICATE
        answer = get(url, timeout=LONG, cancel=CancelToken(), verify=False)
    assert answer.body == b"safe"


def test_a_certificate_the_system_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with Peer(web(lambda *_: (200, "safe")), tls) as peer:
        url = f"https://{peer.authority}/"
        assert get(url, timeout=LONG, cancel=CancelToken()).body == b"safe"


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Failure.NO_TLS),
        (hang_up, Failure.CLOSED),
        (silent, Failure.SILENT),
    ],
)
def test_https_where_there_is_none(talk: Talk, expected: Failure) -> None:
    with Peer(talk) as peer:
        bounded = SHORT if expected is Failure.SILENT else LONG
        assert failure(f"https://{peer.authority}/", bounded) is expected


# --- cancelling ---


def cancelled_while(peer: Peer, cancel: CancelToken, look: Callable[[], object]) -> None:
    """Cancel from another thread once the peer has been reached; it must not take long, which
    the test's own time limit sees to."""

    def stop() -> None:
        assert peer.connected.wait(LONG)
        cancel.set()

    stopper = threading.Thread(target=stop)
    stopper.start()
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        look()
    stopper.join()
    assert time.monotonic() - begin < LONG


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("talk", [silent, drip(), drip(b"HTTP/1.1 200 OK\r\n\r\n")])
def test_cancel_wakes_a_blocked_look(scheme: str, talk: Talk, tmp_path: Path) -> None:
    cancel = CancelToken()
    with Peer(talk, self_signed(tmp_path) if scheme == "https" else None) as peer:
        url = f"{scheme}://{peer.authority}/"
        cancelled_while(
            peer, cancel, lambda: get(url, timeout=2 * LONG, cancel=cancel, verify=False)
        )


def test_cancel_during_the_handshake() -> None:
    cancel = CancelToken()
    with Peer(silent) as peer:
        url = f"https://{peer.authority}/"
        cancelled_while(peer, cancel, lambda: get(url, timeout=2 * LONG, cancel=cancel))


def test_cancel_during_the_name_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    cancel = CancelToken()

    def stuck(host: str, port: int, family: int, flags: int = 0) -> list[object]:
        if not flags:
            cancel.set()
            release.wait(LONG)
        raise socket.gaierror("no")

    monkeypatch.setattr(abandonable, "_addresses", stuck)
    with pytest.raises(Cancelled):
        get("http://slow.example/", timeout=LONG, cancel=cancel)
    release.set()


def test_a_cancelled_look_does_not_begin() -> None:
    cancel = CancelToken()
    cancel.set()
    with Peer(silent) as peer, pytest.raises(Cancelled):
        get(f"http://{peer.authority}/", timeout=LONG, cancel=cancel)
    assert not peer.connected.is_set()


@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]))
def test_any_bytes_are_an_answer_or_a_probe_error(data: bytes, head: bytes) -> None:
    with Peer(say(head + data)) as peer, contextlib.suppress(ProbeError):
        get(f"http://{peer.authority}/", timeout=LONG, cancel=CancelToken())


def test_a_hang_up_that_is_faster_than_the_connection_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system tells of a reset in the place of the connection that came before it."""

    def reset(*_: object) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr("socket.socket.connect", reset)
    with pytest.raises(ProbeError) as caught:
        get("http://127.0.0.1:9/", timeout=30.0, cancel=CancelToken())
    assert caught.value.failure is Failure.CLOSED
