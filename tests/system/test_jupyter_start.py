"""Jupyter started on a server: over a real sshd, in real tmux and screen sessions, by the login
shells that people have; found again, from elsewhere too; and stopped."""

from __future__ import annotations

import json
import socket
import stat
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.support.far_account import WAYS, FarAccount, is_alive
from tests.support.forwarding import free_port, no_leaks
from tests.support.running import RunningApp
from tests.support.whole import LIMIT, Whole
from tests.support.xvfb import wait_for
from trayconnect.cancel import Cancel
from trayconnect.config.model import Config, Server
from trayconnect.errors import ProblemError
from trayconnect.jupyter import launch
from trayconnect.jupyter_orders import JupyterOrders
from trayconnect.jupyter_stops import JupyterStops
from trayconnect.orders import Orders
from trayconnect.ports import Answer, BriefChoices, Page, QuestionKind, Reached
from trayconnect.session.snapshot import Snapshot
from trayconnect.session.state import State

TCP = {"socket": "never"}


def orders(whole: Whole, *servers: Server) -> JupyterOrders:
    config = Config(servers=servers)
    return JupyterOrders(Orders(whole.manager, whole, print, lambda: config, BriefChoices()))


def logged_in(whole: Whole) -> Snapshot:
    return whole.until(lambda s: s.reached is Reached.LOGGED_IN)


def entry(far: FarAccount, **start: Any) -> Server:
    """With a port of its own: other Jupyters of the machine are none of its business."""
    return far.entry(jupyter={"port": free_port()}, start=start)


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        (WAYS, "in the tmux session trayconnect-gpu-box-"),
        (WAYS[1:], "in the screen session trayconnect-gpu-box-"),
        (("setsid", "nohup"), "in a session of its own"),
        (("nohup",), "in the background"),
    ],
)
def test_it_outlives_the_tunnel_and_is_found_again_from_elsewhere(
    tmp_path: Path, ways: tuple[str, ...], words: str
) -> None:
    with FarAccount(tmp_path, ways=ways) as far, no_leaks():
        here = entry(far)
        with far.client(here) as whole:
            whole.connect()
            started = logged_in(whole)
            assert started.runs_in.startswith(words)
            (page,) = wait_for(lambda: whole.pages, "the page")
            (info,) = far.runtime_files()
            assert page.token == info["token"]
            assert stat.S_IMODE(far.state().stat().st_mode) == 0o700
            whole.off()
        far.drop_connections()
        assert is_alive(info["pid"])
        elsewhere = here.model_copy(update={"local_port": free_port()})
        with far.client(elsewhere) as whole:
            whole.connect()
            found = logged_in(whole)
            assert found.runs_in == ""  # nothing had to be started
            assert far.runtime_files() == [info]
            orders(whole, elsewhere).stop("GPU box", Cancel())
            wait_for(lambda: not is_alive(info["pid"]), "its end")
            stopped = whole.until(lambda s: s.problem is not None)
            assert stopped.state is State.UP
        if "tmux" in ways:
            assert "trayconnect" not in far.run("tmux", "ls").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh", "ash"])
def test_login_shells_and_their_noise(tmp_path: Path, shell: str) -> None:
    """Jupyter is on the PATH of people alone, as conda puts it there."""
    with FarAccount(tmp_path, has_jupyter=False, shell=shell) as far, no_leaks():
        server = entry(far)
        with far.client(server) as whole:
            whole.connect()
            assert "tmux" in logged_in(whole).runs_in
            orders(whole, server).stop("GPU box", Cancel())


def test_two_starts_at_once_make_one_jupyter(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        one = entry(far)
        two = one.model_copy(update={"local_port": free_port()})
        with far.client(one) as here, far.client(two) as there:
            here.connect()
            there.connect()
            for client in (here, there):
                logged_in(client)
            assert len(far.runtime_files()) == 1


def test_a_unix_socket_and_the_folder(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        (far.home / "my thesis").mkdir()
        server = far.entry(start={"socket": "always", "folder": "~/my thesis"})
        with far.client(server) as whole:
            orders(whole, server).start("GPU box")
            # Another Jupyter of the machine may have been found before.
            whole.until(lambda s: any(j.in_use and j.where[0] == "/" for j in s.jupyters))
            (info,) = far.runtime_files()
            assert info["root_dir"] == str(far.home / "my thesis")
            path = Path(info["sock"])
            assert path.parent.stat().st_mode & 0o777 == 0o700
            assert path.is_socket()
            orders(whole, server).stop("GPU box", Cancel())


def test_the_user_may_start_what_the_file_leaves_alone(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        server = far.entry(jupyter={"port": free_port()})
        with far.client(server) as whole:
            whole.connect()
            whole.until(lambda s: s.problem is not None)
            assert far.runtime_files() == []
            ready = orders(whole, server).start_and_wait("GPU box", LIMIT, Cancel())
            assert ready.reached is Reached.LOGGED_IN


# --- what may go wrong ----------------------------------------------------------------------------


def failed(far: FarAccount, server: Server) -> str:
    """Why it did not start; the tunnel stays."""
    with far.client(server) as whole:
        with pytest.raises(ProblemError) as caught:
            orders(whole, server).start_and_wait("GPU box", LIMIT, Cancel())
        now = whole.manager.snapshot("GPU box")
        assert now is not None
        assert (now.state, now.problem) == (State.UP, caught.value.problem)
        return str(caught.value.problem)


def test_no_jupyter_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with FarAccount(tmp_path, has_jupyter=False) as far, no_leaks():
        (far.home / ".local/bin").mkdir(parents=True)
        # The machine may have one where people usually have it.
        text = failed(far, entry(far, app="server", environment="PATH=/usr/bin:/bin"))
        assert "jupyter-server was not found in “PATH=/usr/bin:/bin”" in text
        assert "Looked in /usr/bin, /bin." in text


def test_a_server_that_leads_to_no_sockets_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "REACH_TIMES", 2)
    options = {"AllowStreamLocalForwarding": "no"}
    with FarAccount(tmp_path, options=options) as far, no_leaks():
        server = far.entry(jupyter={"socket": f"{far.home}/lab.sock"}, start={"app": "server"})
        with far.client(server) as whole:
            orders(whole, server).start("GPU box")
            forbidden = whole.until(lambda s: s.problem is not None and not s.starting)
            assert forbidden.problem is not None
            assert "its UNIX socket cannot be reached" in forbidden.problem.title
            assert "socket: never" in forbidden.problem.advice


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        assert "The folder ~/nowhere" in failed(far, entry(far, folder="~/nowhere"))


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with (
        FarAccount(tmp_path) as far,
        no_leaks(),
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        port = other.getsockname()[1]
        server = far.entry(jupyter={"port": port}, start={"when": "menu"})
        with far.client(server) as whole:
            whole.connect()
            orders(whole, server).start("GPU box")
            taken = whole.until(lambda s: s.problem is not None and "taken" in s.problem.title)
            assert taken.problem is not None
            assert f"Port {port} on 127.0.0.1 is taken" in taken.problem.title


def test_an_option_that_it_does_not_know_is_said(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        text = failed(far, entry(far, app="server", options=["--no-such-flag-as-this"]))
        assert "does not take its options" in text
        assert "--no-such-flag-as-this" in text


# --- stopping it ----------------------------------------------------------------------------------


def busy_kernel(page: Page) -> websocket.WebSocket:
    """A notebook whose kernel computes, until its channels are closed."""

    def post(path: str, body: object) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{page.root}{path}",
            data=json.dumps(body).encode(),
            method="POST",
            headers={"Authorization": f"token {page.token}"},
        )
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            decoded: dict[str, Any] = json.load(answer)
        return decoded

    session = post(
        "api/sessions",
        {
            "path": "thesis.ipynb",
            "name": "thesis.ipynb",
            "type": "notebook",
            "kernel": {"name": "python3"},
        },
    )
    kernel = session["kernel"]["id"]
    channels = websocket.create_connection(
        f"{page.root.replace('http', 'ws', 1)}api/kernels/{kernel}/channels",
        timeout=LIMIT,
        header=[f"Authorization: token {page.token}"],
    )
    header = {
        "msg_id": "1",
        "msg_type": "execute_request",
        "username": "",
        "session": "test",
        "version": "5.3",
    }
    content = {"code": "print('begun'); import time; time.sleep(600)", "silent": False}
    channels.send(
        json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content,
                    "channel": "shell"})
    )  # fmt: skip
    while json.loads(channels.recv())["msg_type"] != "stream":
        pass
    return channels


def test_a_busy_kernel_is_asked_about(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        server = entry(far)
        with far.client(server, answers=(None, Answer())) as whole:
            whole.connect()
            page = logged_in(whole).page
            assert page is not None
            (info,) = far.runtime_files()
            channels = busy_kernel(page)
            stopping = orders(whole, server)
            assert stopping.busy_kernels("GPU box", Cancel()) == ("thesis.ipynb",)
            stops = JupyterStops(stopping, whole, whole)
            stops.begin("GPU box")
            wait_for(lambda: whole.questions, "the question")
            (question,) = whole.questions
            assert question.kind is QuestionKind.CONFIRM
            assert "A kernel is busy: thesis.ipynb." in question.message
            stops.close()
            assert is_alive(info["pid"])  # declined
            stops = JupyterStops(stopping, whole, whole)
            stops.begin("GPU box")
            wait_for(lambda: not is_alive(info["pid"]), "its end")
            wait_for(lambda: "Jupyter on GPU box was stopped" in [n.title for n in whole.notices],
                     "the notice")  # fmt: skip
            stops.close()
            channels.close()
            far.drop_connections()
            wait_for(lambda: whole.manager.snapshot("GPU box"), "a reconnect")
            whole.until(lambda s: s.attempt > 1 and s.problem is not None and s.state is State.UP)
            assert far.runtime_files() == []  # stopped it stays


def test_the_commands(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far:
        server = entry(far, when="menu")
        text = f"""
servers:
  - name: GPU box
    host: {server.host}
    port: {server.port}
    username: {server.username}
    local_port: {server.local_port}
    auth: {{identity_file: "{far.key}"}}
    jupyter: {{port: {server.jupyter.port}}}
"""
        with RunningApp(text, known_hosts=far.known_hosts_lines()) as app:
            early = app.run("stop", "GPU box")
            assert early.returncode == 1
            assert "No Jupyter answers on GPU box" in early.stderr
            started = app.run("start", "GPU box")
            assert started.returncode == 0, started.stderr
            assert "runs in the tmux session trayconnect-gpu-box-" in started.stdout
            status = app.status()
            assert status["reached"] == "logged_in"
            (info,) = far.runtime_files()
            page = Page(status["url"], info["token"], f"http://127.0.0.1:{server.local_port}/")
            channels = busy_kernel(page)
            refused = app.run("stop", "GPU box")
            assert refused.returncode == 1
            assert "A kernel is busy: thesis.ipynb." in refused.stderr
            assert "--force" in refused.stderr
            assert is_alive(info["pid"])
            stopped = app.run("stop", "--force", "GPU box")
            assert stopped.returncode == 0, stopped.stderr
            wait_for(lambda: not is_alive(info["pid"]), "its end")
            channels.close()
            assert info["token"] not in app.output
