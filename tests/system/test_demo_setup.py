"""The demo as a whole: it runs, it is private, and nothing of it is left."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.tunnel_kit import Kit, until
from trayconnect.config.model import Server
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.demo.setup import NAME, Demo
from trayconnect.services.jupyter.discovery import RunningServer, find

LIMIT = 120.0


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Demo() as running:
        yield running


def the_server(demo: Demo) -> Server:
    (fields,) = yaml.safe_load(demo.config_file.read_text())["servers"]
    return Server.model_validate(fields)


def kit_for(demo: Demo, folder: Path) -> Kit:
    kit = Kit(folder)
    kit.trust(demo.known_hosts.read_text().splitlines())
    return kit


def running_in(demo: Demo, folder: Path) -> RunningServer:
    with kit_for(demo, folder).tunnel(the_server(demo)) as tunnel:
        return find(tunnel.execute, "127.0.0.1").servers[0]


def test_the_file_is_valid_and_says_what_there_is(demo: Demo) -> None:
    server = the_server(demo)
    assert server.name == NAME == demo.name
    assert server.jupyter.port == "auto"
    assert server.connect_on_start
    assert demo.token
    assert demo.token not in demo.config_file.read_text()


def test_only_the_user_can_read_it(demo: Demo) -> None:
    assert stat.S_IMODE(demo.folder.stat().st_mode) == 0o700
    identity_file = the_server(demo).auth.identity_file
    assert identity_file is not None
    for file in (demo.config_file, identity_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_tunnel_finds_this_jupyter(demo: Demo, tmp_path: Path) -> None:
    running = running_in(demo, tmp_path)
    assert running.token == demo.token
    with kit_for(demo, tmp_path).tunnel(the_server(demo)) as tunnel:
        stream = tunnel.open_channel(TcpEndpoint(running.host, running.port), ("127.0.0.1", 0))
        stream.sendall(b"GET /api HTTP/1.0\r\n\r\n")
        assert stream.recv(4096).startswith(b"HTTP/1.1 200 OK")
        stream.close()


def test_the_notebook_is_there_and_nothing_asks_first(demo: Demo, tmp_path: Path) -> None:
    running = running_in(demo, tmp_path)

    def get(path: str) -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{running.port}/{path}",
            headers={"Authorization": f"token {running.token}"},
        )
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            text: bytes = answer.read()
        return text.decode()

    page = the_server(demo).jupyter.path.removeprefix("/lab/tree/")
    assert json.loads(get(f"api/contents/{page}"))["type"] == "notebook"
    settings = json.loads(get("lab/api/settings/@jupyterlab/apputils-extension:notification"))
    assert settings["schema"]["properties"]["fetchNews"]["default"] == "false"


def test_nothing_is_left_of_it() -> None:
    # Another demo may be running meanwhile: the fixture's.
    before = set(threading.enumerate())
    with Demo() as demo:
        folder = demo.folder
        assert processes_of(folder)
        assert set(threading.enumerate()) > before
    assert not folder.exists()
    assert not processes_of(folder)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("missing", [{"asyncssh"}, {"jupyterlab"}, {"asyncssh", "jupyterlab"}])
def test_without_the_extra(missing: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else real(name)
    )
    with pytest.raises(ProblemError) as raised, Demo():
        pass
    assert raised.value.problem.title.startswith("The demo needs ")
    assert "pip install 'trayconnect[demo]'" in raised.value.problem.advice


# --- signals ---

PROGRAM = """
import sys
from trayconnect.demo.setup import Demo

print("starting", flush=True)
with Demo():
    print("running", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("during", ["starting", "running"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_all(during: str, number: signal.Signals, tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    try:
        for line in program.stdout:
            if line.strip() == during:
                break
        # Until JupyterLab itself runs there is nothing to leave behind.
        assert until(lambda: bool(processes_of(tmp_path) - {program.pid}), LIMIT)
        program.send_signal(number)
        program.communicate(timeout=LIMIT)
    finally:
        program.kill()
        program.wait()
    expected = -number if number is signal.SIGINT else 128 + number
    assert program.returncode == expected
    assert not processes_of(tmp_path)
    assert not list(tmp_path.glob("trayconnect-*"))


def processes_of(folder: Path) -> set[int]:
    """The living processes that were started with a folder below this one."""
    found = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{folder}/".encode() in environ.read_bytes().replace(b"\0", b"/\0"):
                found.add(int(environ.parent.name))
        except OSError:
            continue  # it has ended, or is not ours
    return found
