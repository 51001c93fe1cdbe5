"""Watching the kernels of a real JupyterLab, through a tunnel and without waking it up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.support.forwarding import no_leaks
from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.scoped import Scoped
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from tests.support.whole import Whole, entry
from trayconnect.config.model import Server
from trayconnect.core.notices import open_page
from trayconnect.services import base
from trayconnect.services.jupyter import activity
from trayconnect.services.jupyter.activity import Activity
from trayconnect.sessions.snapshot import Snapshot


def kernels(snapshot: Snapshot) -> Activity:
    """What is known of them; nothing before the first look."""
    known: Any = snapshot.service.json.get("kernels")
    if known is None:
        return Activity(0.0, busy=-1, idle=-1)
    return Activity(known["at"], known["busy"], known["idle"], busy_since=known["busy_since"])


@pytest.fixture(scope="module")
def jupyter() -> Iterator[JupyterServer]:
    with JupyterServer() as server:
        yield server


@pytest.fixture
def sshd(jupyter: JupyterServer) -> Iterator[Sshd]:
    with Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as server:
        yield server


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks twice a second, for which a second is a long time."""
    monkeypatch.setattr(base, "POLL_READY", 0.5)
    monkeypatch.setattr(activity, "LONG", 0.9)


class Notebook(Scoped):
    """A notebook that is open on a Jupyter, and its kernel."""

    def __init__(self, jupyter: JupyterServer, name: str) -> None:
        session = {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
        self._jupyter = jupyter
        self._session = jupyter.request("api/sessions", "POST", session)
        self.kernel = self._session["kernel"]["id"]
        self._channels = websocket.create_connection(
            f"ws://127.0.0.1:{jupyter.port}/api/kernels/{self.kernel}/channels",
            timeout=60,
            header=[f"Authorization: token {jupyter.token}"],
        )

    def close(self) -> None:
        self._channels.close()
        self._jupyter.request(f"api/sessions/{self._session['id']}", "DELETE")

    def wait_done(self, code: str) -> None:
        """Until the cell with that code has run."""
        while True:
            message = json.loads(self._channels.recv())
            if message["parent_header"].get("msg_id") == code and (
                message["content"].get("execution_state") == "idle"
            ):
                return

    def run(self, code: str) -> None:
        """Begin with a cell; its end is not waited for."""
        header: dict[str, Any] = {
            "msg_id": code, "msg_type": "execute_request", "username": "", "session": "test",
            "version": "5.3",
        }  # fmt: skip
        content = {"code": code, "silent": False}
        self._channels.send(
            json.dumps(
                {
                    "header": header,
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                    "channel": "shell",
                }
            )
        )


@contextlib.contextmanager
def connected(sshd: Sshd, tmp_path: Path, **changes: Any) -> Iterator[tuple[Whole, Server]]:
    key = make_key(tmp_path)
    sshd.authorize(key)
    server = entry(sshd, key, **changes)
    with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        whole.until_ready()
        yield whole, server


def until_exists(file: Path) -> str:
    """A cell that ends once the file is there."""
    return f"import pathlib, time\nwhile not pathlib.Path({str(file)!r}).exists(): time.sleep(.05)"


def see_busy_for_long(whole: Whole) -> None:
    """Wait until the looks have seen the kernel busy for a long time."""
    since = kernels(whole.until(lambda s: kernels(s).busy == 1)).busy_since
    assert since is not None
    whole.until(lambda s: kernels(s).at - since > 1.5)


def test_a_long_cell_is_seen_and_its_end_is_told(
    sshd: Sshd, jupyter: JupyterServer, tmp_path: Path
) -> None:
    with connected(sshd, tmp_path) as (whole, _), Notebook(jupyter, "train.ipynb") as notebook:
        stop = tmp_path / "stop"
        notebook.run(until_exists(stop))
        see_busy_for_long(whole)
        stop.touch()
        told = wait_for(lambda: [n for n in whole.notices if "idle" in n.tag], "the notice")
        assert [n.title for n in told] == ["train.ipynb is idle again"]
        assert told[0].buttons == (open_page("GPU box"),)
        idle = whole.until(lambda s: kernels(s).busy == 0)
        assert kernels(idle).idle == 1


def test_watching_is_no_activity(sshd: Sshd, jupyter: JupyterServer, tmp_path: Path) -> None:
    """Else a server that shuts itself down when idle never would."""

    def last() -> tuple[str, str]:
        status = jupyter.request("api/status")
        (kernel,) = jupyter.request("api/kernels?no_track_activity=1")
        return status["last_activity"], kernel["last_activity"]  # type: ignore[index]

    with Notebook(jupyter, "quiet.ipynb") as notebook:
        notebook.run("1 + 1")
        notebook.wait_done("1 + 1")  # a kernel that starts is idle, too
        with connected(sshd, tmp_path) as (whole, _):
            idle = whole.until(lambda s: kernels(s).idle == 1)
            before = last()
            at = kernels(idle).at
            whole.until(lambda s: kernels(s).at > at + 1.5)
            assert last() == before


def test_no_notice_where_the_file_says_so(
    sshd: Sshd, jupyter: JupyterServer, tmp_path: Path
) -> None:
    with (
        connected(sshd, tmp_path, notify_idle=False) as (whole, _),
        Notebook(jupyter, "a.ipynb") as notebook,
    ):
        stop = tmp_path / "stop"
        notebook.run(until_exists(stop))
        see_busy_for_long(whole)
        stop.touch()
        whole.until(lambda s: kernels(s).idle == 1)
        assert [n for n in whole.notices if "idle" in n.tag] == []
