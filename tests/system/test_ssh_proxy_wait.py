"""A ProxyCommand that takes its time, or wants something: a page to be visited, a password."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forwarding import no_leaks
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd, password_server
from tests.support.tunnel_kit import Kit, nothing_left, until
from tests.support.whole import Patient
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Recovery
from trayconnect.core.questions import Answer, ProgressDisplay, Question, QuestionKind
from trayconnect.sessions.state import State
from trayconnect.ssh import out_of_band
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.proxy_command import ProxyCommand, ProxyWait
from trayconnect.ssh.target import LoginTarget
from trayconnect.tray.menu_server import server_lines

PAGE = "https://team.cloudflareaccess.com/cdn-cgi/access/cli?token=" + "x" * 700
CLOUDFLARED = f"""\
A browser window should have opened at the following URL:

{PAGE}

If the browser failed to open, please visit the URL above directly in your browser.
"""
GATE = """\
import os, socket, sys, threading, time
words, gate, host, port = sys.argv[1:]
os.write(2, open(words, "rb").read())
while not os.path.exists(gate):
    time.sleep(0.02)
peer = socket.create_connection((host, int(port)))
def back():
    while data := peer.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    peer.sendall(data)
"""
"""Says some words, and leads to a server once a file is there."""
PYTHON = Path(sys.executable).name


class Setup:
    """A real sshd behind such a command."""

    def __init__(self, folder: Path, sshd: Sshd, key: Path) -> None:
        self.folder = folder
        self.sshd = sshd
        self.key = key
        self.gate = folder / "gate"
        (folder / "gate.py").write_text(GATE)

    def through(self, command: str, connect_timeout: float = 2) -> SshConfig:
        file = self.folder / "ssh_config"
        file.write_text(
            f"Host gpu\n  HostName {self.sshd.host}\n  Port {self.sshd.port}\n"
            f"  User {self.sshd.username}\n  IdentityFile {self.key}\n"
            f"  ConnectTimeout {connect_timeout}\n  ProxyCommand {command}\n"
        )
        file.chmod(0o600)
        return SshConfig(file)

    def saying(self, words: bytes | str, connect_timeout: float = 2) -> SshConfig:
        said = self.folder / "words"
        said.write_bytes(words if isinstance(words, bytes) else words.encode())
        python = f"{sys.executable} {self.folder}/gate.py {said} {self.gate} %h %p"
        return self.through(python, connect_timeout)

    def whole(self, config: SshConfig) -> Patient:
        lines = self.sshd.known_hosts_lines()
        return Patient(box(), known_hosts=lines, ssh_config=lambda: config)


def box() -> Server:
    fields = {"name": "GPU box", "host": "gpu", "local_port": free_port()}
    return Server.model_validate(fields | {"jupyter": {"port": free_port()}})


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def sshd(key: Path) -> Iterator[Sshd]:
    with Sshd() as server:
        server.authorize(key)
        yield server


@pytest.fixture
def setup(tmp_path: Path, sshd: Sshd, key: Path) -> Setup:
    return Setup(tmp_path, sshd, key)


def test_what_it_says_is_shown_while_it_waits(setup: Setup) -> None:
    words = b"old\n\x1b]52;c;aGk=\x07Starting \xe2\x80\xaethe\x1b[2J workspace\r\n"
    config = setup.saying(words, connect_timeout=60)
    with no_leaks(), setup.whole(config) as whole:
        whole.connect()
        now = whole.until(lambda s: bool(s.waits_for))
        assert now.waits_for == f"{PYTHON}: Starting the workspace"
        assert now.state is State.CONNECTING
        assert any("Starting the workspace" in item.text for item in server_lines(now))
        setup.gate.touch()
        assert whole.until_state(State.UP).waits_for == ""
        assert whole.questions == []
        whole.off()


def test_one_that_takes_too_long(setup: Setup, tmp_path: Path) -> None:
    config = setup.saying("Starting the workspace\n", connect_timeout=1)
    kit = Kit(tmp_path, ssh_config=lambda: config)
    with nothing_left():
        problem = kit.problem(box())
    assert problem.title == (
        f"The ProxyCommand for 127.0.0.1 ({PYTHON}) gave no SSH answer within 1 s"
    )
    assert "Starting the workspace" in problem.advice
    assert "connect_timeout" in problem.advice
    assert "SSH port" not in problem.advice
    assert problem.recovery is Recovery.RETRY


def test_a_page_to_visit_is_shown_and_waited_for(setup: Setup) -> None:
    with no_leaks(), setup.whole(setup.saying(CLOUDFLARED)) as whole:
        whole.connect()
        whole.until(lambda s: s.asking)
        assert until(lambda: bool(whole.questions))
        (question,) = whole.questions
        assert question.kind is QuestionKind.VISIT
        assert question.url == PAGE
        assert f"The ProxyCommand ({PYTHON}) says:" in question.message
        assert PAGE in question.message
        whole.answer = Answer()
        assert until(lambda: [page.url for page in whole.pages] == [PAGE])
        assert not threading.Event().wait(2.5)  # longer than its ConnectTimeout
        setup.gate.touch()
        up = whole.until_state(State.UP)
        assert up.waits_for == ""
        assert len(whole.questions) == 1
        whole.off()


@pytest.mark.parametrize("how", ["no", "disconnect", "quit"])
def test_that_wait_ends_at_once(setup: Setup, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    ended = threading.Event()
    if how == "no":

        def ask(_self: Patient, _question: Question, _cancel: CancelToken) -> None:
            ended.set()

        monkeypatch.setattr(Patient, "ask", ask)
    with no_leaks(), setup.whole(setup.saying(CLOUDFLARED)) as whole:
        whole.connect()
        if how == "no":
            assert ended.wait(60)
            whole.until_state(State.OFF)
        else:
            whole.until(lambda s: s.asking)
            if how == "disconnect":
                whole.off()


@pytest.mark.parametrize("ends", [False, True])
def test_nobody_visits_it(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """Then it is not repeated automatically: the command may open the page each time."""
    monkeypatch.setattr(out_of_band, "SHOW_SECONDS", 0.2)
    monkeypatch.setattr(out_of_band, "NOBODY_SECONDS", 0.4)
    if ends:
        said = tmp_path / "page"
        said.write_text(CLOUDFLARED)
        ending = f"until [ -e {setup.gate} ]; do sleep 0.1; done; exit 1"
        config = setup.through(f"sh -c 'cat {said} >&2; {ending}'")
    else:
        monkeypatch.setattr(out_of_band, "HUMAN_SECONDS", 3.0)
        config = setup.saying(CLOUDFLARED)
    with no_leaks(), setup.whole(config) as whole:
        whole.connect()
        if ends:
            whole.until(lambda s: s.asking)
            assert not threading.Event().wait(1.5)  # long enough to count as nobody
            setup.gate.touch()
        failed = whole.until(lambda s: s.state is State.NEEDS_YOU and not s.asking)
        assert failed.problem is not None
        what = "ended with status 1" if ends else "no SSH answer within 3 s"
        assert what in failed.problem.title
        assert failed.retry_at is None
        whole.off()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make accounts")
@pytest.mark.parametrize("known", [True, False], ids=["password", "host key"])
def test_a_gate_that_wants_to_ask(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """OpenSSH's ssh as the command: it has no terminal to ask on."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with password_server({"PubkeyAuthentication": "no"}) as gate:
        hosts = tmp_path / "gate_hosts"
        hosts.write_text("".join(f"{line}\n" for line in gate.known_hosts_lines if known))
        config = setup.through(
            f"ssh -F none -o UserKnownHostsFile={hosts} -o GlobalKnownHostsFile=none "
            f"-p {gate.port} -W %h:%p {gate.username}@{gate.host}",
            connect_timeout=30,
        )
        kit = Kit(tmp_path, ssh_config=lambda: config)
        with nothing_left():
            problem = kit.problem(box())
    assert problem.title == "The ProxyCommand for 127.0.0.1 (ssh) ended with status 255"
    assert ("Permission denied" if known else "Host key verification failed") in problem.advice
    assert "jump_hosts" in problem.advice
    assert problem.recovery is Recovery.NETWORK


def test_a_prompt_that_nobody_sees(setup: Setup, tmp_path: Path) -> None:
    config = setup.saying("Password for gate: ", connect_timeout=1)
    kit = Kit(tmp_path, ssh_config=lambda: config)
    with nothing_left():
        problem = kit.problem(box())
    assert "Password for gate:" in problem.advice
    assert "jump_hosts" in problem.advice
    assert "SSH port" not in problem.advice


@pytest.mark.parametrize("pipes", [False, True], ids=["socket", "pipes"])
@pytest.mark.parametrize(
    "line", ["seq 1 1000000", "yes '' | tr -d '\\n'", "yes x | tr '\\n' '\\r'"]
)
def test_a_flood_is_bounded(pipes: bool, line: str) -> None:
    said: list[str] = []

    class Heard(ProgressDisplay):
        def say(self, text: str) -> None:
            said.append(text)

    target = LoginTarget("GPU box", "gpu", 22, "ada")
    with nothing_left():
        proxy = ProxyCommand(target, f'sh -c "({line}) >&2"', pipes=pipes)
        try:
            assert not ProxyWait(target, proxy, Heard()).wait_greeting(threading.Event(), 1.5)
            assert len(said) <= 8
            assert all(len(text) <= 2100 for text in said)
            assert len(proxy.last_lines) <= 5
        finally:
            proxy.close()
