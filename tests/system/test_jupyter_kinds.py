"""JupyterLab 4, Notebook 7 and Notebook 6: found, logged in to, and told from one another."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jupyter_kinds import KINDS, LAB4, NOTEBOOK6, Kind, PeerJupyter
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import until
from tests.system.test_jupyter_health import fetch, live, sshd_for
from trayconnect.core.page import Page
from trayconnect.services.jupyter.model import Health
from trayconnect.services.jupyter.selection_store import Choice
from trayconnect.services.jupyter.targets import jupyter_authority
from trayconnect.services.protocol import Level

pytestmark = pytest.mark.long

LOGIN = b'type="password"'
"""What only the page that asks for a token has."""
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def jupyter(request: pytest.FixtureRequest) -> Iterator[PeerJupyter]:
    with PeerJupyter(request.param) as server:
        (server.notebooks / "thesis.ipynb").write_text(json.dumps(NOTEBOOK))
        yield server


def test_found_logged_in_and_its_page_is_there(jupyter: PeerJupyter, tmp_path: Path) -> None:
    page = jupyter.kind.page
    with sshd_for(jupyter) as sshd, live(sshd, tmp_path, path=page) as box:
        health = box.examine()
        assert (health.level, health.problem) == (Level.LOGGED_IN, None)
        assert health.page.url == f"http://{jupyter_authority(box.server)}{page}"
        assert LOGIN not in fetch(health.page)
        assert LOGIN in fetch(Page(health.page.url, "wrong"))
        (ours,) = (one for one in health.jupyters if one.in_use)
        assert ours.where == str(jupyter.port)
        assert ours.root_dir == str(jupyter.notebooks)
        # The file of Notebook 6 has none.
        version = "" if jupyter.kind is NOTEBOOK6 else jupyter.request("api")["version"]
        assert ours.version == version


def test_what_opens_unless_the_entry_says_otherwise(jupyter: PeerJupyter, tmp_path: Path) -> None:
    with sshd_for(jupyter) as sshd, live(sshd, tmp_path) as box:
        page = box.examine().page
        assert page.url.endswith("/tree" if jupyter.kind is NOTEBOOK6 else "/lab")
        assert LOGIN not in fetch(page)


def test_its_kernels_are_counted(jupyter: PeerJupyter, tmp_path: Path) -> None:
    def count(health: Health) -> int | None:
        (kernels,) = (one.kernels for one in health.jupyters if one.in_use)
        return kernels

    with sshd_for(jupyter) as sshd, live(sshd, tmp_path) as box:
        assert count(box.examine()) == 0
        kernel = jupyter.request("api/kernels", "POST", {})["id"]
        try:
            assert until(lambda: count(box.examine()) == 1)
        finally:
            jupyter.request(f"api/kernels/{kernel}", "DELETE")


def test_a_notebook_as_the_page(jupyter: PeerJupyter, tmp_path: Path) -> None:
    tree = "/lab/tree" if jupyter.kind is LAB4 else "/notebooks"
    with (
        sshd_for(jupyter) as sshd,
        live(sshd, tmp_path, path=f"{tree}/thesis.ipynb") as box,
    ):
        health = box.examine()
        assert health.page.url.endswith(f"{tree}/thesis.ipynb")
        assert LOGIN not in fetch(health.page)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_on_a_unix_socket(kind: Kind, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    socket = tmp_path / "lab sock"
    with (
        PeerJupyterOnSocket(kind, socket) as jupyter,
        sshd_for(jupyter) as sshd,
        live(sshd, tmp_path) as box,
    ):
        health = box.examine()
        assert (health.level, health.problem) == (Level.LOGGED_IN, None)
        (ours,) = (one for one in health.jupyters if one.in_use)
        assert ours.where == str(socket)
        request = urllib.request.Request(
            f"http://127.0.0.1:{box.server.local_port}/api/contents",
            headers={"Authorization": f"token {health.page.token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200


class PeerJupyterOnSocket(PeerJupyter):
    """On a UNIX socket, and on no port."""

    def __init__(self, kind: Kind, path: Path) -> None:
        super().__init__(kind, f"--sock={path}")
        self.port = 8888  # what is never said; any other, beside a socket, is refused
        self._path = path

    def _is_ready(self) -> bool:
        import socket

        try:
            self.token = json.loads(self.runtime_file.read_text())["token"]
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(str(self._path))
                sock.sendall(b"GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return b"200 OK" in sock.recv(4096)
        except (OSError, ValueError):
            return False


def test_several_on_one_host(tmp_path: Path) -> None:
    """All are listed; the choice outlives a restart on another port, and is missed when gone."""
    with PeerJupyter(LAB4) as lab, PeerJupyter(NOTEBOOK6) as classic:
        shared = tmp_path / "runtime"
        shared.mkdir(0o700)
        both = {str(one.port): str(one.notebooks) for one in (lab, classic)}
        with Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={shared}"}) as sshd:
            link_runtime(shared, lab, classic)
            with live(sshd, tmp_path) as box:
                health = box.examine()
                there = {one.where: one.root_dir for one in health.jupyters}
                assert there.items() >= both.items()

                box.choices.put(box.server.name, Choice(str(lab.notebooks), str(lab.port)))
                assert token_in_use(box.examine()) == lab.token
                box.choices.put(box.server.name, Choice(str(classic.notebooks), "1"))
                assert token_in_use(box.examine()) == classic.token

                classic.stop()
                classic.port += 1
                box.later()
                health = box.examine()
                assert token_in_use(health) == lab.token
                assert health.problem is not None
                assert str(classic.notebooks) in health.problem.title

                classic.start()
                link_runtime(shared, classic)
                box.later()
                health = box.examine()
                assert token_in_use(health) == classic.token
                assert health.problem is None


def link_runtime(shared: Path, *jupyters: PeerJupyter) -> None:
    for jupyter in jupyters:
        (shared / jupyter.runtime_file.name).write_bytes(jupyter.runtime_file.read_bytes())


def token_in_use(health: Health) -> str:
    assert health.level is Level.LOGGED_IN
    return health.page.token


def test_notebook_6_does_not_note_the_port_that_it_chose(tmp_path: Path) -> None:
    """With a port of 0 its file says 0: the one that it listens on counts."""
    jupyter = PeerJupyterOfAnyPort()
    with jupyter, sshd_for(jupyter) as sshd, live(sshd, tmp_path) as box:
        health = box.examine()
        assert (health.level, health.page.token) == (Level.LOGGED_IN, jupyter.token)


class PeerJupyterOfAnyPort(PeerJupyter):
    """Started with a port of 0, which is also what it says it has."""

    def __init__(self) -> None:
        super().__init__(NOTEBOOK6)

    def _command(self) -> list[str]:
        self.port = 0
        return super()._command()

    def _is_ready(self) -> bool:
        try:
            info = json.loads(self.runtime_file.read_text())
        except (OSError, ValueError):  # not there yet, or half written
            return False
        self.token = info["token"]
        assert info["port"] == 0
        return "is running at" in self.log.read_text()
