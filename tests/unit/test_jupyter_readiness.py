"""One look through the local port: the layer that answers, and why none further does."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.jupyter_peers import (
    Answer,
    LoopbackTunnel,
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
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Cancelled, Problem, Recovery
from trayconnect.core.link import ByteStream
from trayconnect.services.http_client import Response
from trayconnect.services.jupyter.readiness import (
    HealthCheck,
    ProbeTarget,
    check_layers,
    jupyter_version,
)
from trayconnect.services.protocol import Level

LONG = 60.0
SHORT = 0.2


def look_at(peer: Peer, *, timeout: float = LONG, **target: object) -> HealthCheck:
    """Look at a peer whose port stands for the local port as well as for the remote one."""
    aim = ProbeTarget("127.0.0.1", peer.port, **target)  # type: ignore[arg-type]
    return check_layers(peer.authority, aim, LoopbackTunnel().open_channel, CancelToken(), timeout)


def title(seen: HealthCheck) -> str:
    assert seen.problem is not None
    assert not seen.problem.title.endswith(".")
    return seen.problem.title


def test_jupyter_without_a_token() -> None:
    with Peer(web(jupyter_pages("t0ken"))) as peer:
        assert look_at(peer) == HealthCheck(Level.READY, secure=False)


def test_logged_in() -> None:
    with Peer(web(jupyter_pages("t0ken", "/user/ada/"))) as peer:
        seen = look_at(peer, token="t0ken", base_url="/user/ada/")
    assert seen == HealthCheck(Level.LOGGED_IN, secure=False, status=b"{}")


def test_a_token_that_is_not_accepted() -> None:
    with Peer(web(jupyter_pages("new"))) as peer:
        seen = look_at(peer, token="old")
    assert (seen.level, seen.token_refused) == (Level.READY, True)
    assert "does not accept the token" in title(seen)
    assert "old" not in repr(seen)


def test_a_login_that_gets_no_answer_is_no_refusal() -> None:
    pages = jupyter_pages()

    def talk(sock: socket.socket, ending: threading.Event) -> None:
        head = sock.recv(65536, socket.MSG_PEEK)
        (silent if b"/status" in head else web(pages))(sock, ending)

    with Peer(talk) as peer:
        # Long enough for the answer that does come, on a busy machine.
        assert look_at(peer, token="t", timeout=2.0) == HealthCheck(Level.READY, secure=False)


def test_a_jupyter_of_another_version_gets_no_token() -> None:
    tokens: list[str] = []

    def page(path: str, headers: Mapping[str, str]) -> Answer:
        tokens.append(headers.get("authorization", ""))
        return 200, json.dumps({"version": "6.5.7"})

    with Peer(web(page)) as peer:
        seen = look_at(peer, token="t0ken", version="2.21.1")
    assert seen.level is Level.REACHABLE
    assert "is not the one found there" in title(seen)
    assert seen.problem is not None
    assert seen.problem.detail == "version 6.5.7 instead of 2.21.1"
    assert set(tokens) == {""}


def hub(paths: Mapping[str, Answer]) -> Talk:
    """A JupyterHub, or a server that one started, with these pages and no others."""
    return web(
        lambda path, _: paths.get(path, (404, "not found")), "X-JupyterHub-Version: 5.4.0\r\n"
    )


VERSION = (200, json.dumps({"version": "2.21.1"}))
AWAY = (302, "")


@pytest.mark.parametrize("answer", [VERSION, AWAY])
@pytest.mark.parametrize("known", [None, "", "https://hub.example/user/ada/"])
def test_a_single_user_server_of_a_hub_that_is_elsewhere(answer: Answer, known: str | None) -> None:
    with Peer(hub({"/user/ada/api": answer})) as peer:
        seen = look_at(peer, base_url="/user/ada/", token="t", hub=known)
    assert seen.level is Level.REACHABLE
    assert "was started by a JupyterHub" in title(seen)
    assert seen.problem is not None
    where = known or "Open your Hub's own address, there /user/ada/."
    assert where in seen.problem.advice


def test_one_that_does_not_say_so_itself() -> None:
    with Peer(web(jupyter_pages("", "/user/ada/"))) as peer:
        seen = look_at(peer, base_url="/user/ada/", hub="")
    assert "was started by a JupyterHub" in title(seen)


@pytest.mark.parametrize(
    ("base_url", "pages"),
    [
        ("/", {"/api": AWAY, "/hub/api": VERSION}),
        ("/user/ada/", {"/user/ada/api": VERSION, "/hub/api": VERSION}),
        ("/jup/user/ada/", {"/jup/user/ada/api": (503, ""), "/jup/hub/api": VERSION}),
    ],
)
def test_a_hub_behind_the_tunnel_logs_in_itself(base_url: str, pages: dict[str, Answer]) -> None:
    with Peer(hub(pages)) as peer:
        assert look_at(peer, base_url=base_url) == HealthCheck(Level.READY, secure=False)


def test_another_web_page() -> None:
    with Peer(web(lambda *_: (200, "<h1>TensorBoard</h1>"))) as peer:
        seen = look_at(peer, token="t0ken")
    assert seen.level is Level.REACHABLE
    assert title(seen) == f"What answers on localhost:{peer.port} at the server is not Jupyter"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_with_nothing_behind_it(status: int) -> None:
    with Peer(web(lambda *_: (status, "sorry"))) as peer:
        seen = look_at(peer)
    assert seen.level is Level.REACHABLE
    assert f"answers {status} Staged" in title(seen)


@pytest.mark.parametrize("talk", [silent, drip()])
def test_something_that_does_not_answer(talk: Talk) -> None:
    with Peer(talk) as peer:
        seen = look_at(peer, timeout=SHORT)
    assert seen.level is Level.REACHABLE
    assert title(seen).endswith("does not answer within 0.2 s")


@pytest.mark.parametrize("talk", [hang_up, say(b"SSH-2.0-OpenSSH_9.2\r\n"), say(b"\0\1\2")])
def test_something_that_is_no_web_server(talk: Talk) -> None:
    with Peer(talk) as peer:
        seen = look_at(peer)
    assert seen.level is Level.REACHABLE
    assert title(seen).endswith("does not speak HTTP")


# --- nothing there: the local side hangs up, the tunnel knows why -------------------------------


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_nothing_listens(free_port: int) -> None:
    target = ProbeTarget("127.0.0.1", free_port, start_hint="Start Jupyter there")
    with Peer(hang_up) as peer:
        seen = check_layers(peer.authority, target, LoopbackTunnel().open_channel, CancelToken())
    assert seen.level is Level.NOTHING
    where = f"localhost:{free_port}"
    assert title(seen) == f"SSH is up, but nothing listens on {where} at the server"
    assert seen.problem is not None
    assert (seen.problem.advice, seen.problem.recovery) == ("Start Jupyter there", Recovery.RETRY)


def test_forwarding_forbidden() -> None:
    tunnel = LoopbackTunnel()
    tunnel.forbidden = Problem("The administrator forbids forwarding", "Ask", Recovery.FIX_FIRST)
    with Peer(hang_up) as peer:
        aim = ProbeTarget("127.0.0.1", peer.port)
        seen = check_layers(peer.authority, aim, tunnel.open_channel, CancelToken())
    assert (seen.level, seen.problem) == (Level.NOTHING, tunnel.forbidden)


def test_no_listener_of_our_own(free_port: int) -> None:
    aim = ProbeTarget("127.0.0.1", free_port)
    authority = f"127.0.0.1:{free_port}"
    seen = check_layers(authority, aim, LoopbackTunnel().open_channel, CancelToken())
    assert seen.level is Level.NOTHING
    assert title(seen) == f"{authority} on this machine accepts no connections"


def test_it_begins_to_listen_during_the_look() -> None:
    """The first request finds nothing, then the channel opens: that is no riddle for the user."""
    served = iter([hang_up])
    pages = web(jupyter_pages())

    def talk(sock: socket.socket, ending: threading.Event) -> None:
        next(served, pages)(sock, ending)

    # The tunnel's channel goes elsewhere, so that it does not count as a request.
    with Peer(talk) as peer, Peer(silent) as far:
        aim = ProbeTarget("127.0.0.1", far.port)
        seen = check_layers(peer.authority, aim, LoopbackTunnel().open_channel, CancelToken(), LONG)
    assert seen == HealthCheck(Level.READY, secure=False)


# --- https ---


def test_https_as_expected(tmp_path: Path) -> None:
    with Peer(web(jupyter_pages("t0ken")), self_signed(tmp_path)) as peer:
        seen = look_at(peer, secure=True, token="t0ken")
    assert seen == HealthCheck(Level.LOGGED_IN, secure=True, status=b"{}")


def test_https_unexpectedly(tmp_path: Path) -> None:
    with Peer(web(jupyter_pages()), self_signed(tmp_path)) as peer:
        assert look_at(peer) == HealthCheck(Level.READY, secure=True)


def test_http_where_https_was_expected() -> None:
    def talk(sock: socket.socket, ending: threading.Event) -> None:
        tls = sock.recv(1, socket.MSG_PEEK) == b"\x16"
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n") if tls else web(jupyter_pages()))(sock, ending)

    with Peer(talk) as peer:
        assert look_at(peer, secure=True) == HealthCheck(Level.READY, secure=False)


def test_https_behind_a_polite_web_server(tmp_path: Path) -> None:
    """As nginx does: the right scheme gets the page, plain HTTP a 400 that says so."""
    tls = self_signed(tmp_path)
    complaint = say(b"HTTP/1.1 400 Bad Request\r\n\r\nplain HTTP request sent to HTTPS port")

    def talk(sock: socket.socket, ending: threading.Event) -> None:
        if sock.recv(1, socket.MSG_PEEK) == b"\x16":
            with tls.wrap_socket(sock, server_side=True) as safe:
                web(jupyter_pages())(safe, ending)
        else:
            complaint(sock, ending)

    with Peer(talk) as peer:
        assert look_at(peer) == HealthCheck(Level.READY, secure=True)


# --- cancelling ---


def test_cancel_leaves_a_channel_that_does_not_open() -> None:
    cancel, release = CancelToken(), threading.Event()

    def stuck(target: Endpoint, origin: tuple[str, int]) -> ByteStream:
        cancel.set()
        release.wait(LONG)
        return LoopbackTunnel().open_channel(target, origin)

    with Peer(hang_up) as peer:
        aim = ProbeTarget("127.0.0.1", peer.port)
        with pytest.raises(Cancelled):
            check_layers(peer.authority, aim, stuck, cancel)
        release.set()
        for thread in threading.enumerate():
            if thread.name.startswith("tc-look"):
                thread.join(LONG)
                assert not thread.is_alive()


# --- what Jupyter says ---


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (json.dumps({"version": "2.21.1"}), True),
        (json.dumps({"version": 2}), False),
        (json.dumps(["version"]), False),
        (json.dumps("version"), False),
        ("[" * 100_000, False),
        ("\ufffd", False),
        ("", False),
    ],
)
def test_jupyters_version(body: str, expected: bool) -> None:
    assert (jupyter_version(Response(200, "OK", body.encode())) is not None) is expected
