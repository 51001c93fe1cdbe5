"""The examination over a real sshd, at a real JupyterLab in all its conditions."""

from __future__ import annotations

import contextlib
import shlex
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.jupyter import JupyterServer
from tests.support.jupyter_kinds import BareJupyter
from tests.support.jupyter_peers import self_signed
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, entry, nothing_left, until
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.link import Completed
from trayconnect.core.page import Page
from trayconnect.forwarding.forwarding import LocalForwarding, listen
from trayconnect.services.jupyter.health import HealthChecker
from trayconnect.services.jupyter.model import Health, Kernels
from trayconnect.services.jupyter.selection_store import BriefChoices
from trayconnect.services.jupyter.targets import jupyter_authority
from trayconnect.services.protocol import Level
from trayconnect.ssh.ssh_link import SshLink


@dataclass
class Live:
    """A server of the file with its tunnel and its local port."""

    server: Server
    tunnel: SshLink
    forwarding: LocalForwarding
    patience: float | None
    choices: BriefChoices = field(default_factory=BriefChoices)
    examiner: HealthChecker = field(init=False)
    cancel: CancelToken = field(default_factory=CancelToken)

    def __post_init__(self) -> None:
        self.examiner = HealthChecker(self.choices, self.patience)

    def later(self) -> None:
        """What the last search found counts no more."""
        known = self.examiner._known[self.tunnel]
        known.searched = known.next_search = 0.0

    @property
    def is_brief(self) -> bool:
        """Whether the next check may be a short one."""
        return self.examiner._known[self.tunnel].short is not None

    def examine(self) -> Health:
        return self.examiner(self.server, self.tunnel, self.forwarding.set_target, self.cancel)


def certificate_options(folder: Path) -> tuple[str, ...]:
    """For a Jupyter that speaks https."""
    self_signed(folder)
    return (
        f"--ServerApp.certfile={folder / 'certificate.pem'}",
        f"--ServerApp.keyfile={folder / 'key.pem'}",
    )


def count_calls(tunnel: SshLink) -> tuple[list[object], list[object]]:
    """From now on: the commands, and the channels to proven listeners."""
    executed: list[object] = []
    opened: list[object] = []
    execute, carry_own = tunnel.execute, tunnel.carry_own

    def noted_execute(*arguments: Any, **named: Any) -> Completed:
        executed.append(arguments)
        return execute(*arguments, **named)

    def noted_carry(*arguments: Any, **named: Any) -> None:
        opened.append(arguments)
        carry_own(*arguments, **named)

    tunnel.execute, tunnel.carry_own = noted_execute, noted_carry  # type: ignore[method-assign]
    return executed, opened


@contextlib.contextmanager
def live(
    sshd: Sshd, folder: Path, *, patience: float | None = None, **jupyter: object
) -> Iterator[Live]:
    """`patience`: None waits to the end of a search, however long a busy machine takes."""
    key = make_key(folder)
    sshd.authorize(key)
    kit = Kit(folder)
    kit.trust(sshd.known_hosts_lines())
    server = entry(sshd.port, identity_file=key, local_port=free_port(), jupyter=jupyter)
    with nothing_left(), kit.tunnel(server) as tunnel:
        forwarding = listen(server)
        try:
            forwarding.attach(tunnel)
            box = Live(server, tunnel, forwarding, patience)
            yield box
        finally:
            box.cancel.set()
            forwarding.close()


def sshd_for(jupyter: JupyterServer, **options: str) -> Sshd:
    """Its sessions find this Jupyter, and no other that may run on the machine first."""
    return Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}", **options})


@pytest.fixture(scope="module")
def jupyter() -> Iterator[JupyterServer]:
    with JupyterServer() as server:
        yield server


def fetch(page: Page) -> bytes:
    with urllib.request.urlopen(f"{page.url}?token={page.token}", timeout=60) as answer:
        body: bytes = answer.read()
    return body


def test_found_logged_in_and_the_page_is_there(jupyter: JupyterServer, tmp_path: Path) -> None:
    with sshd_for(jupyter) as sshd, live(sshd, tmp_path) as box:
        health = box.examine()
        url = f"http://{jupyter_authority(box.server)}/lab"
        assert (health.level, health.problem) == (Level.LOGGED_IN, None)
        assert (health.page, health.kernels) == (Page(url, jupyter.token), Kernels())
        assert [one.where for one in health.jupyters if one.in_use] == [str(jupyter.port)]
        assert b"jupyter-config-data" in fetch(health.page)


def test_a_login_that_chatters(jupyter: JupyterServer, tmp_path: Path) -> None:
    """A start-up file that prints, before and after."""
    before = 'echo "Welcome! @@trayconnect"; printf "quota: 5%%"'
    talk = f'{before}; eval "$SSH_ORIGINAL_COMMAND"; echo @@end'
    command = f"sh -c {shlex.quote(talk)}"
    with sshd_for(jupyter, ForceCommand=command) as sshd, live(sshd, tmp_path) as box:
        assert box.examine().level is Level.LOGGED_IN


def test_no_commands_allowed(jupyter: JupyterServer, tmp_path: Path) -> None:
    with (
        sshd_for(jupyter, ForceCommand="/bin/false") as sshd,
        live(sshd, tmp_path, port=jupyter.port) as box,
    ):
        assert box.examine().level is Level.READY


def test_forwarding_forbidden(jupyter: JupyterServer, tmp_path: Path) -> None:
    with sshd_for(jupyter, AllowTcpForwarding="no") as sshd, live(sshd, tmp_path) as box:
        health = box.examine()
    assert health.level is Level.NOTHING
    assert health.problem is not None
    assert "forbids forwarding" in health.problem.title


def test_a_server_that_forbids_forwarding_logs_little_of_it(
    jupyter: JupyterServer, tmp_path: Path
) -> None:
    """A page that a browser asks for again and again would be one channel each time; this is the
    request, and the question why it failed."""
    with sshd_for(jupyter, PermitOpen="127.0.0.1:1") as sshd, live(sshd, tmp_path) as box:
        counts = []
        for _ in range(3):
            before = sshd.log_text().count("request was denied")
            assert box.examine().level is Level.NOTHING
            counts.append(sshd.log_text().count("request was denied") - before)
        assert counts[1:] <= [2, 2], counts


def test_gone_and_back_with_another_token(tmp_path: Path) -> None:
    with (
        JupyterServer() as jupyter,
        sshd_for(jupyter) as sshd,
        live(sshd, tmp_path, port=jupyter.port) as box,
    ):
        assert box.examine().page.token == jupyter.token
        jupyter.stop()
        health = box.examine()
        assert health.level is Level.NOTHING
        assert health.problem is not None
        where = f"localhost:{jupyter.port}"
        assert health.problem.title == (f"SSH is up, but nothing listens on {where} at the server")
        old = jupyter.token
        jupyter.start()
        assert jupyter.token != old
        assert until(lambda: box.examine().level is Level.LOGGED_IN)
        assert box.examine().page.token == jupyter.token


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_short_checks_of_a_real_jupyter(scheme: str, tmp_path: Path) -> None:
    """They open no channel and run no command, and still see that it stops."""
    options = () if scheme == "http" else certificate_options(tmp_path)
    with (
        JupyterServer(*options, scheme=scheme) as jupyter,
        sshd_for(jupyter) as sshd,
        live(sshd, tmp_path, port=jupyter.port) as box,
    ):
        assert box.examine().level is Level.LOGGED_IN
        assert until(lambda: box.examine().level is Level.LOGGED_IN and box.is_brief)
        box.examine()  # whose connection is carried by now
        executed, opened = count_calls(box.tunnel)
        for _ in range(3):
            health = box.examine()
            assert (health.level, health.page.token) == (Level.LOGGED_IN, jupyter.token)
            assert health.kernels is not None
        assert (len(executed), len(opened)) == (0, 0)
        jupyter.stop()
        box.later()
        health = box.examine()
        assert health.level is Level.NOTHING
        assert executed
        jupyter.start()
        assert until(lambda: box.examine().page.token == jupyter.token)


def test_moved_to_another_port(tmp_path: Path) -> None:
    with JupyterServer() as jupyter, sshd_for(jupyter) as sshd, live(sshd, tmp_path) as box:
        assert box.examine().level is Level.LOGGED_IN
        jupyter.stop()
        before, jupyter.port = jupyter.port, 0
        jupyter.start()
        assert jupyter.port != before
        assert until(lambda: box.examine().page.token == jupyter.token)
        assert b"jupyter-config-data" in fetch(box.examine().page)


def test_a_base_url(tmp_path: Path) -> None:
    with (
        JupyterServer("--ServerApp.base_url=/user/ada") as jupyter,
        sshd_for(jupyter) as sshd,
        live(sshd, tmp_path, path="/tree") as box,
    ):
        health = box.examine()
        assert health.level is Level.LOGGED_IN
        assert health.page.url.endswith(f":{box.server.local_port}/user/ada/tree")


def test_a_server_without_lab_opens_the_page_that_is_there(tmp_path: Path) -> None:
    with BareJupyter() as jupyter, sshd_for(jupyter) as sshd, live(sshd, tmp_path) as box:
        page = box.examine().page
        assert page.url.endswith(f":{box.server.local_port}/")
        assert b"<title>Jupyter Server</title>" in fetch(page)


def test_a_password_only_server(tmp_path: Path) -> None:
    hashed = "argon2:$argon2id$v=19$m=10240,t=10,p=8$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
    options = ("--IdentityProvider.token=", f"--PasswordIdentityProvider.hashed_password={hashed}")
    with (
        JupyterServer(*options) as jupyter,
        sshd_for(jupyter) as sshd,
        live(sshd, tmp_path) as box,
    ):
        health = box.examine()
        assert (health.level, health.page.token) == (Level.READY, "")
        assert health.problem is None


def test_https_found_by_itself(tmp_path: Path) -> None:
    with (
        JupyterServer(*certificate_options(tmp_path), scheme="https") as jupyter,
        sshd_for(jupyter) as sshd,
        live(sshd, tmp_path) as box,
    ):
        health = box.examine()
        assert health.level is Level.LOGGED_IN
        assert health.page.url == f"https://{jupyter_authority(box.server)}/lab"
