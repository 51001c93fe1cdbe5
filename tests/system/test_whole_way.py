"""From a click to the page and back, over OpenSSH's sshd and a real JupyterLab."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.support.forwarding import no_leaks
from tests.support.jupyter import JupyterServer
from tests.support.keys import SshAgent, make_key
from tests.support.ports import free_port
from tests.support.proxy import FaultyProxy
from tests.support.servers import make_server
from tests.support.snapshots import facts
from tests.support.sshd import Sshd, password_server
from tests.support.staged_jupyter import StagedJupyter
from tests.support.threads import our_threads
from tests.support.waiting import wait_for
from tests.support.whole import LIMIT, Whole, entry
from trayconnect.core.errors import Recovery
from trayconnect.core.questions import Answer, QuestionKind
from trayconnect.services.jupyter.targets import jupyter_authority
from trayconnect.services.protocol import Level
from trayconnect.sessions.state import State

QUICK = {"interval": 0.5, "count_max": 2}


@pytest.fixture(scope="module")
def jupyter() -> Iterator[JupyterServer]:
    with JupyterServer() as server:
        yield server


@pytest.fixture
def sshd(jupyter: JupyterServer) -> Iterator[Sshd]:
    """An sshd whose sessions find the test's Jupyter."""
    with Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as server:
        yield server


@pytest.fixture
def key(sshd: Sshd, tmp_path: Path) -> Path:
    path = make_key(tmp_path)
    sshd.authorize(path)
    return path


def fetch(url: str, token: str = "") -> bytes:
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"token {token}")
    with urllib.request.urlopen(request, timeout=LIMIT) as response:
        body: bytes = response.read()
    return body


@contextlib.contextmanager
def web_server(port: int) -> Iterator[None]:
    """Something that answers HTTP and is no Jupyter."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", port), http.server.SimpleHTTPRequestHandler
    )
    serving = threading.Thread(target=server.serve_forever, name="web")
    serving.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        serving.join(LIMIT)


def start_kernel(port: int, token: str) -> str:
    """A new kernel's name."""
    base = f"127.0.0.1:{port}"
    start = urllib.request.Request(
        f"http://{base}/api/kernels",
        data=b"{}",
        method="POST",
        headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(start, timeout=LIMIT) as response:
        name: str = json.load(response)["id"]
    return name


def kernel_socket(port: int, token: str, kernel: str) -> websocket.WebSocket:
    """A kernel's channels, through the local port."""
    return websocket.create_connection(
        f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels",
        timeout=LIMIT,
        header=[f"Authorization: token {token}"],
    )


def until_cut(channels: websocket.WebSocket) -> None:
    """Read on until the connection breaks."""
    with contextlib.suppress(websocket.WebSocketException, OSError):
        while channels.recv():
            pass
    channels.close()


def run_cell(channels: websocket.WebSocket, code: str) -> str:
    """Run code in the kernel; what it printed."""
    message: dict[str, Any] = {
        "header": {
            "msg_id": code,
            "msg_type": "execute_request",
            "username": "",
            "session": "test",
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False},
        "channel": "shell",
    }
    channels.send(json.dumps(message))
    printed = ""
    while True:
        answer = json.loads(channels.recv())
        if answer["parent_header"].get("msg_id") != code:
            continue
        if answer["msg_type"] == "stream":
            printed += answer["content"]["text"]
        if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
            return printed


# --- logins ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "pem"),
    [("ed25519", False), ("ecdsa", False), ("ecdsa", True), ("rsa", False), ("rsa", True)],
)
def test_a_key_leads_to_the_page(
    sshd: Sshd, jupyter: JupyterServer, tmp_path: Path, kind: str, pem: bool
) -> None:
    key = make_key(tmp_path, kind, pem=pem)
    sshd.authorize(key)
    with (
        no_leaks(),
        Whole(entry(sshd, key), known_hosts=sshd.known_hosts_lines()) as whole,
    ):
        whole.connect()
        ready = whole.until_ready()
        assert ready.level is Level.LOGGED_IN  # found by itself, token and all
        (page,) = wait_for(lambda: whole.pages, "the browser")
        assert page.url == f"http://{jupyter_authority(ready.server)}/lab"
        assert page.token == jupyter.token
        assert b"JupyterLab" in fetch(page.link)
        whole.off()
        wait_for(lambda: our_threads() == ["tc-manager"], "the session's threads to end")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", ready.server.local_port), LIMIT)


def test_an_agent_leads_to_the_page(sshd: Sshd, key: Path) -> None:
    with (
        SshAgent() as agent,
        no_leaks(),
        Whole(
            entry(sshd),
            known_hosts=sshd.known_hosts_lines(),
            agent_socket=agent.environment["SSH_AUTH_SOCK"],
        ) as whole,
    ):
        agent.add(key)
        whole.connect()
        whole.until_ready()
        assert whole.questions == []


def test_a_passphrase_is_asked_once_and_a_reconnect_needs_none(sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path, passphrase="open sesame")
    sshd.authorize(key)
    answers = (Answer(("wrong",)), Answer(("open sesame",)))
    known = sshd.known_hosts_lines()
    with no_leaks(), Whole(entry(sshd, key), known_hosts=known, answers=answers) as whole:
        whole.connect()
        whole.until_ready()
        assert [q.kind for q in whole.questions] == [QuestionKind.PASSPHRASE] * 2
        assert all(q.server == "GPU box" for q in whole.questions)
        sshd.kill_sessions()
        whole.until(lambda s: s.is_ready and s.attempt > 1)
        assert len(whole.questions) == 2


def test_a_password_is_asked_and_never_sent_again_by_itself(jupyter: JupyterServer) -> None:
    with (
        password_server() as account,
        no_leaks(),
        FaultyProxy(account.host, account.port) as proxy,
    ):
        server = make_server(
            host=proxy.host,
            port=proxy.port,
            username=account.username,
            local_port=free_port(),
            jupyter={"port": jupyter.port},
        )
        answers = (Answer((account.password,)), Answer((account.password,)))
        known = [
            line.replace(f":{account.port} ", f":{proxy.port} ")
            for line in account.known_hosts_lines
        ]
        with Whole(server, known_hosts=known, answers=answers) as whole:
            whole.connect()
            ready = whole.until_ready()
            (question,) = whole.questions
            assert question.kind is QuestionKind.PASSWORD
            assert fetch(f"http://127.0.0.1:{ready.server.local_port}/api")
            proxy.cut()
            lost = whole.until_state(State.NEEDS_YOU)
            assert lost.problem is not None
            assert lost.problem.recovery is Recovery.USER_ACTION
            assert len(whole.questions) == 1
            whole.connect()
            whole.until_ready()
            assert len(whole.questions) == 2


# --- what is behind the tunnel -----------------------------------------------------------------


def test_a_kernel_answers_and_is_found_again_after_the_session_was_killed(
    sshd: Sshd, jupyter: JupyterServer, key: Path
) -> None:
    server = entry(sshd, key, hold_seconds=LIMIT)  # on a busy machine
    with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        first = whole.until_ready()
        kernel = start_kernel(server.local_port, jupyter.token)
        channels = kernel_socket(server.local_port, jupyter.token, kernel)
        assert run_cell(channels, "x = 6 * 7; print(x)") == "42\n"
        sshd.kill_sessions()
        until_cut(channels)
        # Right now, while it reconnects, the port still takes a client, and holds it.
        again = kernel_socket(server.local_port, jupyter.token, kernel)
        assert run_cell(again, "print(x + 1)") == "43\n"
        again.close()
        second = whole.until_ready()
        assert second.attempt > first.attempt
        assert second.server.local_port == first.server.local_port
        assert len(whole.pages) == 1


def test_a_silent_jupyter_is_amber_and_turns_green_by_itself(sshd: Sshd, key: Path) -> None:
    port = free_port()
    server = entry(sshd, key, jupyter={"port": port})
    with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        amber = whole.until(lambda s: s.problem is not None)
        assert (amber.state, amber.level) == (State.UP, Level.NOTHING)
        assert amber.problem is not None
        assert f"nothing listens on localhost:{port}" in amber.problem.title
        assert whole.pages == []
        with web_server(port):
            other = whole.until(lambda s: s.level is Level.REACHABLE)
            assert other.problem is not None
            assert "is not Jupyter" in other.problem.title
        assert whole.pages == []
        with StagedJupyter(port=port):
            whole.until_ready()
            wait_for(lambda: whole.pages, "the browser")


def test_a_direct_connection_has_the_same_life(jupyter: JupyterServer) -> None:
    server = make_server(url=jupyter.url, host=None)
    with no_leaks(), Whole(server) as whole:
        whole.connect()
        whole.until_ready()
        (page,) = wait_for(lambda: whole.pages, "the browser")
        assert page.url == jupyter.url
        whole.off()
    with no_leaks(), Whole(make_server(url="http://127.0.0.1:1/", host=None)) as whole:
        whole.connect()
        assert whole.until_state(State.WAITING).problem is not None


# --- what can go wrong ---------------------------------------------------------------------------


def test_an_unknown_host_key_is_asked_with_its_fingerprint(sshd: Sshd, key: Path) -> None:
    with no_leaks(), Whole(entry(sshd, key), answers=(None, Answer())) as whole:
        whole.connect()
        whole.until(lambda s: s.state is State.OFF and s.attempt > 1)  # declined
        assert whole.known_hosts.read_text() == ""
        (question,) = whole.questions
        assert question.kind is QuestionKind.HOST_KEY
        assert not question.fields
        assert sshd.fingerprints()[0] in question.message
        assert "ED25519" in question.message.upper()
        whole.connect()
        whole.until_ready()
        whole.off()
        whole.connect()  # known from now on
        whole.until_ready()
        assert len(whole.questions) == 2


def test_a_changed_host_key_is_refused_with_both_fingerprints(sshd: Sshd, key: Path) -> None:
    old = sshd.known_hosts_lines()
    (old_print,) = sshd.fingerprints()
    sshd.replace_host_keys()
    sshd.restart()
    (new_print,) = sshd.fingerprints()
    with no_leaks(), Whole(entry(sshd, key), known_hosts=old) as whole:
        whole.connect()
        failed = whole.until_state(State.FAILED)
        assert whole.questions == []
        assert failed.problem is not None
        text = f"{failed.problem.title} {failed.problem.advice}"
        assert old_print in text
        assert new_print in text
        assert "ssh-keygen" in text


def test_a_wrong_key_is_refused_and_not_retried(sshd: Sshd, tmp_path: Path) -> None:
    stranger = make_key(tmp_path)
    server = entry(sshd, stranger)
    with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        refused = whole.until_state(State.NEEDS_YOU)
        assert refused.problem is not None
        assert refused.problem.recovery is Recovery.USER_ACTION
        assert "refused" in refused.problem.title
        assert refused.retry_at is None


def test_a_server_that_is_down_is_retried_and_found_when_it_is_back(sshd: Sshd, key: Path) -> None:
    sshd.stop()
    with no_leaks(), Whole(entry(sshd, key), known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        waiting = whole.until_state(State.WAITING)
        assert waiting.problem is not None
        assert "refused" in waiting.problem.title
        assert waiting.retry_at is not None
        sshd.start()
        whole.until_ready()


def test_forbidden_forwarding_is_said(sshd: Sshd, key: Path) -> None:
    sshd.set_option("AllowTcpForwarding", "no")
    sshd.restart()
    server = entry(sshd, key, jupyter={"port": 8888})
    with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        amber = whole.until(lambda s: s.problem is not None)
        assert amber.problem is not None
        assert "forbid" in f"{amber.problem.title} {amber.problem.advice}"
        assert not facts(whole.manager).can_start(server)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ForceCommand", "internal-sftp"),
        ("ForceCommand", "/usr/sbin/nologin"),
        ("MaxSessions", "0"),
    ],
)
@pytest.mark.parametrize("port", ["auto", 8888])
def test_an_account_that_runs_no_commands_is_told_as_that(
    sshd: Sshd, key: Path, option: str, value: str, port: object
) -> None:
    sshd.set_option(option, value)
    sshd.restart()
    server = entry(sshd, key, jupyter={"port": port})
    with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        amber = whole.until(lambda s: s.problem is not None)
        assert not facts(whole.manager).can_start(server)
    assert amber.problem is not None
    text = str(amber.problem)
    assert "Start Jupyter" not in text
    assert "commands" in text or "did not run the search" in text


def test_a_taken_port_names_who_has_it_and_is_never_left(sshd: Sshd, key: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = entry(sshd, key, local_port=port)
        with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
            whole.connect()
            failed = whole.until_state(State.FAILED)
            assert failed.problem is not None
            assert str(port) in failed.problem.title
            assert f"PID {os.getpid()}" in failed.problem.title
            other.close()
            whole.connect()
            whole.until_ready()


def test_a_frozen_server_is_noticed_and_the_other_one_never_feels_it(
    jupyter: JupyterServer, sshd: Sshd, key: Path
) -> None:
    with Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as other:
        other.authorize(key)
        frozen, lively = (
            entry(sshd, key, keepalive=QUICK),
            entry(other, key, "Lab", keepalive=QUICK | {"count_max": 100}),  # on a busy machine
        )
        known = [*sshd.known_hosts_lines(), *other.known_hosts_lines()]
        with no_leaks(), Whole(frozen, lively, known_hosts=known) as whole:
            whole.connect()
            whole.connect("Lab")
            whole.until_ready()
            unaffected = whole.until_ready("Lab")
            sshd.freeze()
            lost = whole.until(lambda s: s.state is not State.UP)
            assert lost.problem is not None
            assert fetch(f"http://127.0.0.1:{lively.local_port}/api")
            sshd.thaw()
            whole.until_ready()
            still = whole.until_ready("Lab")
            assert (still.attempt, still.since) == (unaffected.attempt, unaffected.since)


def test_disconnecting_from_a_frozen_server_is_bounded(sshd: Sshd, key: Path) -> None:
    with no_leaks(), Whole(entry(sshd, key), known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        whole.until_ready()
        sshd.freeze()
        whole.off()
        wait_for(lambda: our_threads() == ["tc-manager"], "the session's threads to end")
        sshd.thaw()
