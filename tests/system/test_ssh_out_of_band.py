"""A login that waits for someone elsewhere: a page to visit, a telephone to be tapped."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support.asyncssh_server import AsyncsshServer
from tests.support.forwarding import no_leaks
from tests.support.ports import free_port
from tests.support.tunnel_kit import until
from tests.support.whole import Patient, Whole
from trayconnect.config.model import Server
from trayconnect.core.questions import Answer, QuestionKind
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.ssh import out_of_band
from trayconnect.tray.menu_server import needs_you_line, server_lines

PAGE = "https://login.tailscale.com/a/1f2e3d"
BANNER = f"# Tailscale SSH requires an additional check.\r\n# To authenticate, visit: {PAGE}\r\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out_of_band, "SHOW_SECONDS", 0.2)
    monkeypatch.setattr(out_of_band, "NOBODY_SECONDS", 0.4)


def box(server: AsyncsshServer, **changes: object) -> Server:
    fields = {
        "name": "GPU box",
        "host": server.host,
        "port": server.port,
        "username": server.username,
        "local_port": free_port(),
        "jupyter": {"port": free_port()},
        "connect_timeout": 4,
    }
    return Server.model_validate(fields | changes)


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def server(gate: threading.Event) -> Iterator[AsyncsshServer]:
    with AsyncsshServer(banner=BANNER, holds=gate) as running:
        yield running
        gate.set()


@pytest.fixture
def whole(server: AsyncsshServer) -> Iterator[Patient]:
    with (
        no_leaks(),
        Patient(box(server), known_hosts=[server.known_hosts_line]) as running,
    ):
        yield running


def asked(whole: Whole) -> Snapshot:
    now = whole.until(lambda s: s.asking)
    assert until(lambda: bool(whole.questions))
    return now


def test_the_page_is_shown_and_the_login_goes_on(whole: Patient, gate: threading.Event) -> None:
    whole.connect()
    now = asked(whole)
    (question,) = whole.questions
    assert question.kind is QuestionKind.VISIT
    assert question.title == "The login to 127.0.0.1 waits for you at login.tailscale.com"
    assert question.url == PAGE
    assert PAGE in question.message
    assert question.title in needs_you_line(now).text
    assert any(question.title[:40] in item.text for item in server_lines(now))
    assert until(lambda: any(PAGE in notice.body for notice in whole.notices))
    whole.answer = Answer()
    assert until(lambda: [page.url for page in whole.pages] == [PAGE])
    assert not threading.Event().wait(4.5)  # longer than connect_timeout
    waiting = whole.manager.snapshot("GPU box")
    assert waiting is not None
    assert (waiting.state, waiting.waits_for) == (State.CONNECTING, question.title)
    gate.set()
    up = whole.until_state(State.UP)
    assert up.waits_for == ""
    assert len(whole.questions) == 1
    whole.off()


def test_it_goes_on_without_an_answer_and_is_not_repeated(
    whole: Patient, server: AsyncsshServer, gate: threading.Event
) -> None:
    whole.connect()
    asked(whole)
    assert not threading.Event().wait(0.5)
    gate.set()
    whole.until_state(State.UP)
    assert whole.pages == []

    async def drop() -> None:
        server.connections[-1].abort()

    server.run(drop())
    lost = whole.until_state(State.NEEDS_YOU)
    assert not lost.asking
    whole.off()


def test_a_no_ends_it_at_once(whole: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "ask", lambda *_: None)
    whole.connect()
    whole.until_state(State.OFF)


def test_a_disconnect_ends_it_at_once(whole: Patient) -> None:
    whole.connect()
    asked(whole)
    whole.off()


def test_nobody_comes(whole: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out_of_band, "HUMAN_SECONDS", 1.0)
    whole.connect()
    failed = whole.until(lambda s: s.state is State.NEEDS_YOU and not s.asking)
    assert failed.problem is not None
    assert "in time" in failed.problem.title
    assert failed.retry_at is None
    whole.off()


def test_a_round_without_prompts() -> None:
    rounds = [[], [("Code", True, "1")]]
    with (
        AsyncsshServer(rounds, thinks=1.0) as server,
        no_leaks(),
        Patient(box(server), known_hosts=[server.known_hosts_line]) as whole,
    ):
        whole.connect()
        asked(whole)
        assert whole.questions[0].kind is QuestionKind.VISIT
        assert "Step 1" in whole.questions[0].message
        assert whole.questions[0].url == ""
        assert until(lambda: len(whole.questions) == 2)
        assert whole.questions[1].kind is not QuestionKind.VISIT
        whole.off()


def test_an_address_in_a_greeting_asks_nobody() -> None:
    with (
        AsyncsshServer(banner=f"Read {PAGE} before you log in.") as server,
        no_leaks(),
        Patient(box(server), known_hosts=[server.known_hosts_line]) as whole,
    ):
        whole.answer = Answer((server.password,))
        whole.connect()
        whole.until_state(State.UP)
        assert [question.kind for question in whole.questions] == [QuestionKind.PASSWORD]
        whole.off()


@pytest.mark.parametrize(
    ("words", "link"),
    [
        (f"visit: {PAGE}\n", PAGE),
        (f"({PAGE}).", PAGE),
        ("https://sso.uni.example:8443/x", "https://sso.uni.example:8443/x"),
        ("HTTPS://login.example/a", "HTTPS://login.example/a"),
        ("http://login.tailscale.com/a", ""),
        ("https://login.tailscale.com@evil.example/", ""),
        ("https://login.tailscale.com\\@evil.example/", ""),
        ("https://lоgin.example/", ""),
        ("https://[::1]/", ""),
        ("https://x:99999/", ""),
        ("https://", ""),
        ("javascript:alert(1)", ""),
        ("call 555-1234", ""),
    ],
)
def test_only_a_plain_https_address_can_be_clicked(words: str, link: str) -> None:
    assert out_of_band.link(words) == link
