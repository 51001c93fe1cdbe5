"""A compute node's Jupyter behind a real sshd, which stands for the login node."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jupyter_kinds import NodeJupyter
from tests.support.sshd import Sshd
from tests.support.staged_jupyter import StagedJupyter
from tests.support.tunnel_kit import until
from tests.system.test_jupyter_health import fetch, live, sshd_for
from trayconnect.services.jupyter.model import Health
from trayconnect.services.protocol import Level

NODE = NodeJupyter.address


@pytest.fixture
def jupyter() -> Iterator[NodeJupyter]:
    with NodeJupyter() as server:
        yield server


def words(health: Health) -> str:
    assert health.problem is not None
    return str(health.problem)


@pytest.mark.parametrize("port", ["auto", "fixed"])
def test_the_token_is_in_the_home_that_it_shares(
    jupyter: NodeJupyter, tmp_path: Path, port: str
) -> None:
    said = "auto" if port == "auto" else jupyter.port
    with sshd_for(jupyter) as sshd, live(sshd, tmp_path, host=NODE, port=said) as box:
        health = box.examine()
        assert (health.level, health.problem) == (Level.LOGGED_IN, None)
        assert health.page.token == jupyter.token
        assert [one.where for one in health.jupyters] == [f"{NODE}:{jupyter.port}"]
        assert b"jupyter-config-data" in fetch(health.page)


def test_a_job_that_was_killed_and_who_takes_its_port(jupyter: NodeJupyter, tmp_path: Path) -> None:
    version = jupyter.request("api")["version"]
    with sshd_for(jupyter) as sshd, live(sshd, tmp_path, host=NODE, port=jupyter.port) as box:
        assert box.examine().page.token == jupyter.token
        old, file = jupyter.token, jupyter.runtime_file
        os.kill(jupyter.pid, signal.SIGKILL)
        jupyter.stop()
        assert file.exists()
        box.later()
        health = box.examine()
        assert (health.level, health.missing) == (Level.NOTHING, False)
        assert f"nothing listens on {NODE}:{jupyter.port}" in words(health)
        assert "Start Jupyter in the menu" not in words(health)
        assert f"--ip=0.0.0.0 --port={jupyter.port}" in words(health)
        with StagedJupyter(host=NODE, port=jupyter.port, version=version) as theirs:
            for _ in range(2):
                box.later()
                assert box.examine().page.token == ""
            assert theirs.end() == []
        jupyter.start()  # another job, on the same port
        assert jupyter.token != old
        box.later()
        assert until(lambda: box.examine().page.token == jupyter.token)


def test_a_name_that_the_server_does_not_know(tmp_path: Path) -> None:
    with Sshd() as sshd, live(sshd, tmp_path, host="node99.invalid", port=8888) as box:
        health = box.examine()
        assert health.level is Level.NOTHING
        assert "does not know a host named node99.invalid" in words(health)
