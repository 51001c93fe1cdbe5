"""Several Jupyters on one host, as the program's user sees and chooses them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.running import LIMIT, RunningApp
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for


@pytest.fixture
def jupyters(tmp_path: Path) -> Iterator[tuple[Path, JupyterServer, JupyterServer]]:
    """A runtime folder that both are noted in."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(0o700)
    with JupyterServer() as thesis, JupyterServer() as data:
        for one in (thesis, data):
            (runtime / one.runtime_file.name).write_bytes(one.runtime_file.read_bytes())
        yield runtime, thesis, data


@pytest.fixture
def app(
    jupyters: tuple[Path, JupyterServer, JupyterServer], tmp_path: Path
) -> Iterator[RunningApp]:
    key = make_key(tmp_path)
    with Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyters[0]}"}) as sshd:
        sshd.authorize(key)
        entry = {
            "name": "GPU box",
            "host": sshd.host,
            "port": sshd.port,
            "username": sshd.username,
            "local_port": free_port(),
            "auth": {"identity_file": str(key)},
            "open_browser": False,
        }
        file = json.dumps({"servers": [entry]})
        with RunningApp(file, known_hosts=sshd.known_hosts_lines()) as running:
            yield running


def marked(app: RunningApp) -> str:
    done = app.run("servers", "GPU box")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("*"))
    return line.split()[1]


def test_without_a_choice_the_one_in_use_is_kept_in_the_next_run(
    app: RunningApp, jupyters: tuple[Path, JupyterServer, JupyterServer]
) -> None:
    runtime, thesis, data = jupyters
    newer, older = (runtime / one.runtime_file.name for one in (data, thesis))
    os.utime(older, (1, 1))
    app.run("connect", "GPU box", "--wait", str(LIMIT))
    assert marked(app) == str(data.port)
    os.utime(newer, (0, 0))
    app.end()
    app.start()
    app.run("connect", "GPU box", "--wait", str(LIMIT))
    assert marked(app) == str(data.port)


def test_one_is_chosen_for_good(
    app: RunningApp, jupyters: tuple[Path, JupyterServer, JupyterServer]
) -> None:
    _, thesis, data = jupyters
    done = app.run("servers", "GPU box")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "GPU box is not connected")
    app.run("connect", "GPU box", "--wait", str(LIMIT))
    for jupyter in (thesis, data, thesis):
        done = app.run("choose", "GPU box", str(jupyter.notebooks))
        assert done.returncode == 0, done.stderr
        assert marked(app) == str(jupyter.port)
        ours = [one for one in app.status()["jupyters"] if one["in_use"]]
        assert [one["folder"] for one in ours] == [str(jupyter.notebooks)]
    done = app.run("choose", "GPU box", "nowhere")
    assert done.returncode == 1
    assert str(thesis.port) in done.stderr

    app.run("choose", "GPU box", str(data.port))
    app.end()
    app.start()
    app.run("connect", "GPU box", "--wait", str(LIMIT))
    wait_for(lambda: marked(app) == str(data.port), "the choice", LIMIT)
    file = app.home / ".local/state/trayconnect/jupyters.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    app.run("--verbose", "status")
    for token in (thesis.token, data.token):
        assert token not in app.output + json.dumps(app.status()) + file.read_text()
