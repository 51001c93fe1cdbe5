"""Jupyter started on a server: over a real sshd, in real tmux and screen sessions, by the login
shells that people have; found again, from elsewhere too; and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.support.far_account import WAYS, FarAccount, is_alive
from tests.support.forwarding import no_leaks
from tests.support.ports import free_port
from tests.support.running import RunningApp
from tests.support.snapshots import facts
from tests.support.sshd import Options
from tests.support.threads import our_threads
from tests.support.waiting import wait_for
from tests.support.whole import LIMIT, Whole
from trayconnect.actions.dispatcher import Outcome
from trayconnect.actions.server_commands import ServerCommands
from trayconnect.config.model import Config, Server
from trayconnect.config.start_options import StartOptions
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Argument, Command
from trayconnect.core.errors import ProblemError
from trayconnect.core.page import Page
from trayconnect.core.questions import Answer, QuestionKind
from trayconnect.services.jupyter.start import start
from trayconnect.services.protocol import Level
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State

TCP = {"socket": "never"}


def do(whole: Whole, name: str, server: Server, **arguments: Argument) -> Outcome:
    """The outcome of a command."""
    config = Config(servers=(server,))
    handlers = ServerCommands(whole.manager, whole, print, lambda: config).handlers
    return handlers[name](Command(name, server.name, arguments), CancelToken())


def start_and_wait(whole: Whole, server: Server) -> Snapshot:
    ready = do(whole, "start-jupyter", server, wait=LIMIT)
    assert isinstance(ready, Snapshot)
    return ready


def stop(whole: Whole, identity: str = "") -> None:
    whole.jupyter.commands.stop(CancelToken(), identity)


def logged_in(whole: Whole) -> Snapshot:
    return whole.until(lambda s: s.level is Level.LOGGED_IN)


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
            logged_in(whole)
            assert facts(whole.manager).launcher.startswith(words)
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
            logged_in(whole)
            assert facts(whole.manager).launcher == ""  # nothing had to be started
            assert far.runtime_files() == [info]
            stop(whole)
            wait_for(lambda: not is_alive(info["pid"]), "its end")
            stopped = whole.until(lambda s: s.problem is not None)
            assert stopped.state is State.UP
        if "tmux" in ways:
            wait_for(
                lambda: "trayconnect" not in far.run("tmux", "ls").stdout, "its session to end"
            )


@pytest.mark.parametrize(
    "shell",
    ["bash", *(pytest.param(s, marks=pytest.mark.long) for s in ("zsh", "fish", "tcsh", "ash"))],
)
def test_login_shells_and_their_noise(tmp_path: Path, shell: str) -> None:
    """Jupyter is on the PATH of people alone, as conda puts it there."""
    with FarAccount(tmp_path, has_jupyter=False, shell=shell) as far, no_leaks():
        server = entry(far)
        with far.client(server) as whole:
            whole.connect()
            logged_in(whole)
            assert "tmux" in facts(whole.manager).launcher
            stop(whole)


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
            do(whole, "start-jupyter", server)
            # Another Jupyter of the machine may have been found before.
            whole.until(
                lambda _: any(j.in_use and j.where[0] == "/" for j in facts(whole.manager).jupyters)
            )
            (info,) = far.runtime_files()
            assert info["root_dir"] == str(far.home / "my thesis")
            path = Path(info["sock"])
            assert path.parent.stat().st_mode & 0o777 == 0o700
            assert path.is_socket()
            stop(whole)


def test_the_user_may_start_what_the_file_leaves_alone(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        server = far.entry(jupyter={"port": free_port()})
        with far.client(server) as whole:
            whole.connect()
            whole.until(lambda s: s.problem is not None)
            assert far.runtime_files() == []
            ready = start_and_wait(whole, server)
            assert ready.level is Level.LOGGED_IN


CONFIGURATIONS = {
    "jupyter_server_config.py": """
c.ServerApp.port = 9999
c.ServerApp.port_retries = 0
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.sock = "/nowhere/own.sock"
c.ServerApp.open_browser = True
c.ServerApp.file_to_run = "x.ipynb"
c.ServerApp.base_url = "/of ada/".replace(" ", "-")
c.ServerApp.allow_remote_access = True
c.ServerApp.root_dir = "/tmp"
""",
    "jupyter_server_config.json": json.dumps(
        {"ServerApp": {"port": 9998, "sock": "/nowhere/own.sock", "password": "argon2:x"}}
    ),
    "jupyter_lab_config.py": "c.ServerApp.port = 9997\nc.LabApp.open_browser = True\n",
    "jupyter_notebook_config.py": (
        "c.NotebookApp.port = 9996\nc.NotebookApp.ip = '*'\nc.NotebookApp.open_browser = True\n"
    ),
}


@pytest.mark.parametrize(
    ("name", "socket"),
    [
        pytest.param(name, socket, marks=() if usual == socket else pytest.mark.long)
        for name, usual in zip(CONFIGURATIONS, ("never", "always", "never", "always"), strict=True)
        for socket in ("never", "always")
    ],
)
def test_it_starts_under_any_configuration_of_the_account(
    tmp_path: Path, name: str, socket: str
) -> None:
    with FarAccount(tmp_path, BROWSER=f"{tmp_path}/browser") as far, no_leaks():
        file = far.home / ".jupyter" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(CONFIGURATIONS[name])
        (far.home / "work").mkdir()
        server = far.entry(start={"folder": "~/work", "socket": socket})
        with far.client(server) as whole:
            ready = start_and_wait(whole, server)
            (info,) = far.runtime_files()
            assert bool(info["sock"]) == (socket == "always")
            assert info["root_dir"] == str(far.home / "work")
            asks = name.endswith("json")  # for its password
            assert ready.level is (Level.READY if asks else Level.LOGGED_IN)
            assert whole.jupyter.commands.running(CancelToken()).losses.unknown == (
                "it asks for a login" if asks else ""
            )
            stop(whole)
            assert not is_alive(info["pid"])


# --- what may go wrong ----------------------------------------------------------------------------


def failed(far: FarAccount, server: Server) -> str:
    """Why it did not start; the tunnel stays."""
    with far.client(server) as whole:
        with pytest.raises(ProblemError) as caught:
            start_and_wait(whole, server)
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


def test_where_no_sockets_are_led_to_a_port_is_used(tmp_path: Path) -> None:
    with FarAccount(tmp_path, options={"AllowStreamLocalForwarding": "no"}) as far, no_leaks():
        shared = far.entry(start={"app": "server", "folder": "~/work"})
        always = shared.model_copy(update={"start": StartOptions(app="server", socket="always")})
        at_a_socket = far.entry(jupyter={"socket": f"{far.home}/lab.sock"}, start={"app": "server"})
        (far.home / "work").mkdir()
        for server in (always, at_a_socket):
            text = failed(far, server)
            assert "does not forward to UNIX sockets" in text
            assert far.runtime_files() == []
        other = subprocess.Popen(["sleep", "600"], user=65533)  # others use this host
        try:
            with far.client(shared) as whole:
                ready = start_and_wait(whole, shared)
                assert ready.level is Level.LOGGED_IN
                (info,) = far.runtime_files()
                assert (info["port"] > 0, info["sock"]) == (True, "")
                stop(whole)
        finally:
            other.terminate()
            other.wait()


@pytest.mark.parametrize(
    "options",
    [
        {"DisableForwarding": "yes"},
        {"AllowTcpForwarding": "no"},
        {"PermitOpen": "localhost:9999"},
    ],
)
def test_where_nothing_is_led_to_none_is_started(tmp_path: Path, options: Options) -> None:
    with FarAccount(tmp_path, options=options) as far, no_leaks():
        for start in ({"app": "server"}, {"app": "server", "socket": "never"}):
            assert "no Jupyter was started" in failed(far, far.entry(start=start))
            assert far.runtime_files() == []


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
            do(whole, "start-jupyter", server)
            taken = whole.until(lambda s: s.problem is not None and "taken" in s.problem.title)
            assert taken.problem is not None
            assert f"Port {port} on 127.0.0.1 is taken" in taken.problem.title


def test_an_option_that_it_does_not_know_is_said(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        text = failed(far, entry(far, app="server", options=["--no-such-flag-as-this"]))
        assert "does not take its options" in text
        assert "--no-such-flag-as-this" in text


# --- stopping it ----------------------------------------------------------------------------------


def post(page: Page, path: str, body: object) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{page.root}{path}",
        data=json.dumps(body).encode(),
        method="POST",
        headers={"Authorization": f"token {page.token}"},
    )
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        decoded: dict[str, Any] = json.loads(answer.read() or b"{}")
    return decoded


def busy_kernel(page: Page) -> websocket.WebSocket:
    """A notebook whose kernel computes, until its channels are closed."""
    session = post(
        page,
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


def test_a_busy_kernel_and_a_terminal_are_asked_about(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        server = entry(far)
        with far.client(server, answers=(None, Answer())) as whole:
            whole.connect()
            page = logged_in(whole).page
            assert page is not None
            (info,) = far.runtime_files()
            channels = busy_kernel(page)
            post(page, "api/terminals", {})
            losses = whole.jupyter.commands.running(CancelToken()).losses
            assert losses.kernels == ("thesis.ipynb (busy)",)
            assert len(losses.terminals) == 1
            do(whole, "stop-jupyter", server)
            wait_for(lambda: whole.questions, "the question")
            (question,) = whole.questions
            assert question.kind is QuestionKind.CONFIRM
            assert "1 kernel: thesis.ipynb (busy)." in question.message
            assert "1 terminal: 1." in question.message
            wait_for(lambda: not [t for t in our_threads() if "stop-jupyter" in t], "the no")
            assert is_alive(info["pid"])  # declined
            do(whole, "stop-jupyter", server)
            wait_for(lambda: "Jupyter on GPU box was stopped" in [n.title for n in whole.notices],
                     "the notice")  # fmt: skip
            assert not is_alive(info["pid"])
            channels.close()
            far.drop_connections()
            wait_for(lambda: whole.manager.snapshot("GPU box"), "a reconnect")
            whole.until(lambda s: s.attempt > 1 and s.problem is not None and s.state is State.UP)
            assert far.runtime_files() == []  # stopped it stays


def test_yes_ends_the_one_that_was_asked_about(tmp_path: Path) -> None:
    """Another one is chosen while the question is open."""
    with FarAccount(tmp_path) as far, no_leaks():
        server = far.entry(start={"folder": "~/work", **TCP})
        for folder in ("work", "data"):
            (far.home / folder).mkdir()
        other = server.model_copy(
            update={
                "name": "Other",
                "local_port": free_port(),
                "start": StartOptions(folder="~/data", socket="never"),
            }
        )
        with far.client(server, other) as whole:
            start_and_wait(whole, other)
            start_and_wait(whole, server)
            two, one = sorted(far.runtime_files(), key=lambda info: str(info["root_dir"]))
            assert one["root_dir"] == str(far.home / "work")
            assert two["root_dir"] == str(far.home / "data")
            asked = whole.jupyter.commands.running(CancelToken())
            do(whole, "choose-jupyter", server, jupyter="~/data", wait=LIMIT)
            stop(whole, asked.identity)
            assert (is_alive(one["pid"]), is_alive(two["pid"])) == (False, True)
            with pytest.raises(ProblemError, match="has ended already"):
                stop(whole, asked.identity)
            assert is_alive(two["pid"])


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.long)])
def test_one_is_started_as_soon_as_the_last_has_ended(tmp_path: Path, times: int) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        server = entry(far)
        with far.client(server) as whole:
            whole.connect()
            logged_in(whole)
            seen = []
            for _ in range(times):
                (info,) = far.runtime_files()
                seen.append(info["pid"])
                stop(whole)
                assert not is_alive(info["pid"])
                ready = start_and_wait(whole, server)
                assert ready.level is Level.LOGGED_IN
            (info,) = far.runtime_files()
            assert len({*seen, info["pid"]}) == times + 1


def test_a_start_waits_for_one_that_is_ending(tmp_path: Path) -> None:
    """File > Shut Down, and at once Start Jupyter: it has kernels to end first."""
    with FarAccount(tmp_path) as far, no_leaks():
        server = entry(far, when="menu")
        with far.client(server) as whole:
            page = start_and_wait(whole, server).page
            assert page is not None
            channels = busy_kernel(page)
            (info,) = far.runtime_files()
            post(page, "api/shutdown", {})
            started = start(far.execute, server)
            assert started.pid is not None
            assert started.pid != info["pid"]
            channels.close()


def test_one_that_was_shut_down_stays_ended_and_one_that_crashed_comes_back(
    tmp_path: Path,
) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        server = entry(far)
        with far.client(server) as whole:
            whole.connect()
            page = logged_in(whole).page
            assert page is not None
            (info,) = far.runtime_files()
            os.kill(info["pid"], signal.SIGKILL)
            whole.manager.check("GPU box")
            whole.until(
                lambda _: (
                    (used := facts(whole.manager).in_use) is not None and used.pid != info["pid"]
                )
            )
            page = logged_in(whole).page
            assert page is not None
            used = facts(whole.manager).in_use
            assert used is not None
            second = used.pid
            post(page, "api/shutdown", {})
            wait_for(lambda: not is_alive(second), "its end")
            whole.manager.check("GPU box")
            whole.until(lambda s: s.problem is not None)
            far.drop_connections()
            whole.until(lambda s: s.attempt > 1 and s.problem is not None and s.state is State.UP)
            assert far.runtime_files() == []
            whole.off()
            whole.connect()
            logged_in(whole)


def test_an_open_server_can_be_stopped_and_its_log_read(tmp_path: Path) -> None:
    with FarAccount(tmp_path) as far, no_leaks():
        server = entry(far, options=["--debug"])
        config = far.home / ".jupyter/jupyter_server_config.py"
        config.parent.mkdir(exist_ok=True)
        config.write_text("c.IdentityProvider.token = ''\nc.ServerApp.password = ''\n")
        with far.client(server) as whole:
            whole.connect()
            whole.until(lambda _: facts(whole.manager).can_stop)
            (info,) = far.runtime_files()
            assert info["token"] == ""
            log = whole.jupyter.commands.log(CancelToken())
            assert log.startswith(str(far.state()))
            assert "Serving notebooks" in log
            assert "\x1b" not in log
            stop(whole)
            assert not is_alive(info["pid"])
            with pytest.raises(ProblemError, match="No Jupyter answers"):
                stop(whole)


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
            for order in ("stop", "restart"):
                refused = app.run(order, "GPU box")
                assert refused.returncode == 1
                assert "1 kernel: thesis.ipynb (busy)." in refused.stderr
                assert refused.stderr.startswith("Jupyter on GPU box was not stopped")
                assert "would be lost" in refused.stderr
                assert "--force" in refused.stderr
            assert is_alive(info["pid"])
            log = app.run("log", "GPU box")
            assert "Serving notebooks" in log.stdout
            assert info["token"] not in log.stdout
            restarted = app.run("restart", "--force", "GPU box")
            assert restarted.returncode == 0, restarted.stderr
            assert not is_alive(info["pid"])
            (again,) = far.runtime_files()
            channels.close()
            stopped = app.run("stop", "GPU box")  # nothing runs: no question
            assert stopped.returncode == 0, stopped.stderr
            assert not is_alive(again["pid"])
            assert info["token"] not in app.output
