"""The page, its link and its token, in the program as its user has it."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.running import LIMIT, RunningApp
from tests.support.waiting import wait_for
from tests.system.test_jupyter_health import sshd_for


@pytest.fixture
def jupyter() -> Iterator[JupyterServer]:
    with JupyterServer() as server:
        yield server


@pytest.fixture
def app(jupyter: JupyterServer, tmp_path: Path) -> Iterator[RunningApp]:
    key = make_key(tmp_path)
    with sshd_for(jupyter) as sshd:
        sshd.authorize(key)
        entry = {
            "name": "GPU box",
            "host": sshd.host,
            "port": sshd.port,
            "username": sshd.username,
            "local_port": free_port(),
            "auth": {"identity_file": str(key)},
        }
        file = json.dumps({"servers": [entry]})
        with RunningApp(file, known_hosts=sshd.known_hosts_lines()) as running:
            yield running


def token_opened(app: RunningApp, count: int) -> str:
    """That of the page which opened last, of so many."""
    wait_for(lambda: len(app.opened) >= count, "a page to open", LIMIT)
    assert len(app.opened) == count
    page = Path(url2pathname(urlsplit(app.opened[-1]).path)).read_text()
    found = re.search("token=([0-9a-f]+)", page)
    assert found is not None, page
    return found[1]


def test_a_token_is_proven_before_it_is_used(app: RunningApp, jupyter: JupyterServer) -> None:
    done = app.run("link", "GPU box", "--wait", str(LIMIT))  # connects, and opens nothing
    assert (done.returncode, done.stderr) == (0, "")
    link = done.stdout.strip()
    assert link.endswith(f"/lab?token={jupyter.token}")
    with urllib.request.urlopen(link, timeout=LIMIT) as answer:
        assert b"jupyter-config-data" in answer.read()
    assert app.opened == []

    assert app.run("open", "GPU box").returncode == 0
    assert token_opened(app, 1) == jupyter.token
    for count, command in enumerate(("open", "link"), start=2):
        old = jupyter.token
        jupyter.stop()
        jupyter.start()  # on the same port
        assert jupyter.token != old
        done = app.run(command, "GPU box")
        assert done.returncode == 0, done.stderr
        if command == "open":
            assert token_opened(app, count) == jupyter.token
        else:
            assert done.stdout.strip().endswith(f"token={jupyter.token}")
    assert jupyter.token not in app.output


def test_a_link_that_there_is_not_says_why(app: RunningApp, jupyter: JupyterServer) -> None:
    done = app.run("link", "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    jupyter.stop()
    app.run("connect", "GPU box")
    wait_for(lambda: app.status()["problem"], "the reason", LIMIT)
    done = app.run("link", "GPU box", "--wait", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No Jupyter of yours runs on the server" in done.stderr
