"""Servers without SSH."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.jupyter_peers import Peer, Talk, hang_up, say, self_signed, silent, web
from tests.support.servers import make_server
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Command
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.link import Link
from trayconnect.core.page import Page
from trayconnect.core.questions import Answer, Question
from trayconnect.services.protocol import Level
from trayconnect.services.webpage.direct import DirectConnector, check_direct
from trayconnect.services.webpage.machine import (
    CheckNow,
    DirectPage,
    Effect,
    EntryChanged,
    Event,
    LinkDown,
    OpenBrowser,
    PageHealth,
    status,
    step,
)
from trayconnect.sessions.dependencies import Connector


def connect(url: str, timeout: float = 60.0, cancel: CancelToken | None = None) -> Link:
    def ask(question: Question) -> Answer:
        raise AssertionError(question)

    def on_lost(problem: Problem) -> None:
        raise AssertionError(problem)

    connector: Connector = DirectConnector()
    server = make_server(host=None, url=url, connect_timeout=timeout)
    return connector.connect(server, ask=ask, cancel=cancel or CancelToken(), on_lost=on_lost)


def problem_of(url: str, timeout: float = 60.0) -> Problem:
    with pytest.raises(ProblemError) as raised:
        connect(url, timeout)
    problem = raised.value.problem
    assert not problem.title.endswith(".")
    assert problem.advice
    return problem


def test_it_answers() -> None:
    with Peer(web(lambda *_: (302, ""))) as peer:
        tunnel = connect(f"http://{peer.authority}/")
    assert not tunnel.typed_login
    assert tunnel.latency is not None
    tunnel.check()
    with pytest.raises(ProblemError, match="without SSH"):
        tunnel.open_channel(TcpEndpoint("localhost", 1), ("127.0.0.1", 0))
    with pytest.raises(ProblemError, match="without SSH"):
        tunnel.execute("true", b"", 1.0)
    tunnel.close()
    tunnel.close()
    DirectConnector().forget(make_server())


def test_refused() -> None:
    with Peer(hang_up) as peer:
        url = f"http://{peer.authority}/"
    problem = problem_of(url)
    assert (problem.title, problem.recovery) == (f"{url} refuses connections", Recovery.RETRY)


def test_unknown_host() -> None:
    problem = problem_of("http://no-such-host.invalid:8888/")
    assert problem.title == "Cannot find the host of http://no-such-host.invalid:8888/"
    assert problem.recovery is Recovery.RETRY


@pytest.mark.parametrize(
    ("scheme", "talk", "words", "recovery"),
    [
        ("http", silent, "does not answer within 0.2 s", Recovery.RETRY),
        ("http", hang_up, "hangs up", Recovery.RETRY),
        ("https", hang_up, "hangs up", Recovery.RETRY),
        ("http", say(b"SSH-2.0-x\r\n"), "does not speak HTTP", Recovery.FIX_FIRST),
        ("https", say(b"HTTP/1.1 400 No\r\n\r\n"), "does not speak https", Recovery.FIX_FIRST),
    ],
)
def test_faults(scheme: str, talk: Talk, words: str, recovery: Recovery) -> None:
    with Peer(talk) as peer:
        bounded = 0.2 if talk is silent else 60.0
        problem = problem_of(f"{scheme}://{peer.authority}/", bounded)
    assert words in problem.title
    assert problem.recovery is recovery


def test_a_certificate_nobody_trusts(tmp_path: Path) -> None:
    with Peer(web(lambda *_: (200, "")), self_signed(tmp_path)) as peer:
        problem = problem_of(f"https://{peer.authority}/")
    assert "certificate" in problem.title
    assert problem.recovery is Recovery.FIX_FIRST


def test_a_certificate_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with Peer(web(lambda *_: (200, "")), tls) as peer:
        connect(f"https://{peer.authority}/").close()


def test_secrets_of_the_url_do_not_show() -> None:
    with Peer(hang_up) as peer:
        dead = peer.authority
    problem = check_direct(f"http://{dead}/lab?key=s3cret#s3cret", CancelToken()).problem
    assert problem is not None
    assert problem.title == f"http://{dead}/lab refuses connections"
    assert "s3cret" not in repr(problem)


def test_cancel() -> None:
    cancel = CancelToken()
    with Peer(silent) as peer:

        def stop() -> None:
            assert peer.connected.wait(60)
            cancel.set()

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(Cancelled):
            connect(f"http://{peer.authority}/", cancel=cancel)
        stopper.join()


def test_a_look_at_a_page() -> None:
    with Peer(web(lambda *_: (200, "hello"))) as peer:
        url = f"http://{peer.authority}/lab"
        assert check_direct(url, CancelToken()) == PageHealth(Level.READY, Page(url))
    health = check_direct(url, CancelToken())
    assert health.level is Level.NOTHING
    assert health.problem is not None


def test_a_look_at_a_proxy_with_nothing_behind_it() -> None:
    with Peer(web(lambda *_: (502, "sorry"))) as peer:
        health = check_direct(f"http://{peer.authority}/", CancelToken())
    assert health.level is Level.REACHABLE
    assert health.problem is not None
    assert health.problem.title == f"http://{peer.authority}/ answers 502 Staged"


# --- when it opens --------------------------------------------------------------------------------

DIRECT = make_server(host=None, url="http://lab/")
QUIET = DIRECT.model_copy(update={"open_browser": False})
PAGE = Page("http://lab/")
READY = PageHealth(Level.READY, PAGE)
DOWN = PageHealth(Level.NOTHING, PAGE, Problem("http://lab/ refuses connections", ""))
CONNECT, OPEN, OFF = Command("connect"), Command("open"), Command("disconnect")


@pytest.mark.parametrize(
    ("server", "events", "expected"),
    [
        (DIRECT, [CONNECT], [CheckNow()]),
        (DIRECT, [CONNECT, READY], [OpenBrowser(PAGE)]),
        (DIRECT, [CONNECT, DOWN, READY], [OpenBrowser(PAGE)]),
        (DIRECT, [CONNECT, READY, DOWN, READY], []),
        (DIRECT, [CONNECT, READY, LinkDown(), READY], []),
        (DIRECT, [CONNECT, OFF, READY], []),
        (DIRECT, [CONNECT, Command("reconnect"), READY], [OpenBrowser(PAGE)]),
        (DIRECT, [READY, CONNECT], []),
        (DIRECT, [READY, OPEN], [CheckNow()]),
        (DIRECT, [READY, OPEN, READY], [OpenBrowser(PAGE)]),
        (QUIET, [CONNECT, READY], []),
        (QUIET, [CONNECT, OPEN, CONNECT, READY], [OpenBrowser(PAGE)]),
        (QUIET, [CONNECT, EntryChanged(DIRECT), READY], [OpenBrowser(PAGE)]),
        (DIRECT, [EntryChanged(QUIET)], [CheckNow()]),
    ],
)
def test_the_last_of_these_events_leads_to(
    server: Server, events: list[Event], expected: list[Effect]
) -> None:
    state = DirectPage(server)
    for event in events:
        state, effects = step(state, event)
    assert list(effects) == expected


def test_only_a_page_that_answers_is_shown() -> None:
    state, _ = step(DirectPage(DIRECT), DOWN)
    assert (status(state).page, status(state).problem) == (None, DOWN.problem)
    state, _ = step(state, READY)
    assert (status(state).page, status(state).state_text, status(state).checks) == (
        PAGE,
        "connected",
        2,
    )
    state, _ = step(state, LinkDown())
    assert (status(state).level, status(state).page) == (Level.NOTHING, None)
