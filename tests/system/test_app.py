"""The program as its users run it: without an icon, through its commands, over a real sshd."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from operator import le
from pathlib import Path

import pytest

from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.running import LIMIT, RunningApp
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from trayconnect.config.local_addresses import own_address

SETTLED = 20
"""Looks that must be alike."""


@pytest.fixture(scope="module")
def jupyter() -> Iterator[JupyterServer]:
    with JupyterServer() as server:
        yield server


@pytest.fixture(scope="module")
def sshd(
    jupyter: JupyterServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Sshd, Path]]:
    key = make_key(tmp_path_factory.mktemp("keys"))
    with Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as server:
        server.authorize(key)
        yield server, key


@pytest.fixture
def entry(sshd: tuple[Sshd, Path]) -> str:
    """The text of an entry named GPU box."""
    server, key = sshd
    return (
        "  - name: GPU box\n"
        f"    host: {server.host}\n"
        f"    port: {server.port}\n"
        f"    username: {server.username}\n"
        f"    local_port: {free_port()}\n"
        f"    auth: {{identity_file: {key}}}\n"
    )


@pytest.fixture
def app(sshd: tuple[Sshd, Path], entry: str) -> Iterator[RunningApp]:
    known = sshd[0].known_hosts_lines()
    with RunningApp(f"servers:\n{entry}", known_hosts=known) as running:
        yield running


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def held(pid: int) -> tuple[int, int]:
    """Its descriptors and threads, once two looks are alike: a thread may still be ending."""

    def look() -> tuple[int, int]:
        kinds = ("fd", "task")
        files, threads = (len(list(Path(f"/proc/{pid}/{kind}").iterdir())) for kind in kinds)
        return files, threads

    seen: list[tuple[int, int]] = []

    def is_settled() -> bool:
        seen.append(look())
        return len(seen) > SETTLED and len(set(seen[-SETTLED:])) == 1

    wait_for(is_settled, "descriptors and threads that stay", LIMIT)
    return seen[-1]


def test_connect_waits_for_the_page_and_disconnect_leaves_nothing(
    app: RunningApp, jupyter: JupyterServer, entry: str
) -> None:
    # The browser's file with the token lives a little longer than a tunnel.
    app.file.write_text(f"servers:\n{entry}    open_browser: false\n")
    assert app.run("reload").returncode == 0
    app.run("connect", "GPU box", "--wait", str(LIMIT))
    app.run("disconnect", "GPU box")
    wait_for(lambda: app.status()["state"] == "off", "off", LIMIT)
    before = held(app.pid)

    done = app.run("connect", "gpu BOX", "--wait", str(LIMIT))
    assert done.returncode == 0, done.stderr
    status = app.status()
    port = status["local_port"]
    assert (status["state"], status["reached"], status["problem"]) == ("up", "logged_in", None)
    assert status["url"] == f"http://{own_address(port)}:{port}/lab"
    assert status["url"] in done.stdout
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=LIMIT) as answer:
        assert "version" in json.load(answer)
    assert app.opened == []
    assert jupyter.token not in app.run("status", "--json").stdout + app.output
    log = app.home / ".local/state/trayconnect/log/trayconnect.log"
    assert jupyter.token not in log.read_text()

    assert app.run("disconnect", "GPU box").returncode == 0
    wait_for(lambda: app.status()["state"] == "off", "off", LIMIT)
    wait_for(
        # Fewer, where a thread of before had not ended yet.
        lambda: all(map(le, held(app.pid), before)) and not children(app.pid),
        f"{before} descriptors and threads again",
        LIMIT,
    )


def test_commands_and_the_running_app_mean_one_file(
    app: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = app.home / "other.yaml"
    other.write_text("servers:\n  - {name: Nowhere, host: nowhere.invalid}\n")
    monkeypatch.delitem(app.env, "TRAYCONNECT_CONFIG")
    assert app.run("check").stdout.startswith(f"{app.file}: 1 server")
    assert "There are: GPU box" in app.run("terminal", "Nowhere").stderr
    assert app.run("--config", str(app.file), "status").returncode == 0
    for arguments in (["status"], ["connect", "Nowhere"], ["run", "--no-tray"]):
        done = app.run("--config", str(other), *arguments)
        assert done.returncode == 1
        assert f"The running trayconnect uses {app.file}, not {other}" in done.stderr
    assert app.run("--config", str(other), "check").stdout.startswith(f"{other}: 1 server")


@pytest.mark.parametrize("command", ["connect", "link"])
def test_a_wait_for_a_host_that_does_not_exist_ends_early(app: RunningApp, command: str) -> None:
    app.file.write_text("servers:\n  - {name: Nowhere, host: nowhere.invalid}\n")
    assert app.run("reload").returncode == 0
    done = app.run(command, "Nowhere", "--wait", "3600")  # more than a test may take
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Cannot find host nowhere.invalid\n")
    assert "trayconnect is retrying at" in done.stderr


def test_a_token_reaches_the_browser_by_a_private_file(
    app: RunningApp, jupyter: JupyterServer
) -> None:
    app.run("connect", "GPU box", "--wait", str(LIMIT))
    (address,) = wait_for(lambda: app.opened, "the browser", LIMIT)
    assert jupyter.token not in address
    file = Path(address.removeprefix("file://"))
    assert jupyter.token in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    app.end()
    assert not file.exists()


def test_a_saved_file_is_noticed_and_a_broken_one_changes_nothing(
    app: RunningApp, entry: str
) -> None:
    app.run("connect", "GPU box", "--wait", str(LIMIT))
    before = app.status()
    app.file.write_text(f"servers:\n{entry}  - {{name: Lab, host: lab.example.org}}\n")
    wait_for(lambda: app.status("Lab"), "the new server", LIMIT)
    app.file.write_text("servers:\n  - nam: GPU box\n")
    wait_for(lambda: "servers.yaml:2:5" in app.output, "the problem", LIMIT)
    assert app.status() == before
    reload = app.run("reload")
    assert reload.returncode == 1
    assert "servers.yaml:2:5" in reload.stderr
    assert app.file.read_text() == "servers:\n  - nam: GPU box\n"
    app.file.write_text("servers: []\n")
    wait_for(lambda: not app.status(), "the server to go", LIMIT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_closes_everything(app: RunningApp, number: int) -> None:
    app.run("connect", "GPU box", "--wait", str(LIMIT))
    port = app.status()["local_port"]
    assert app.end(number) == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=LIMIT)
    assert app.run("status").returncode == 1
    assert "Traceback" not in app.output


def test_quit_ends_it(app: RunningApp) -> None:
    assert app.run("quit").returncode == 0
    assert app.wait() == 0


def test_a_second_start_hands_over(app: RunningApp) -> None:
    second = app.run("run", "--no-tray", "--connect", "GPU box")
    assert second.returncode == 0
    assert "running already" in second.stdout
    wait_for(lambda: app.status()["state"] == "up", "up", LIMIT)


def test_it_can_connect_at_once(sshd: tuple[Sshd, Path], entry: str) -> None:
    known = sshd[0].known_hosts_lines()
    two = entry.replace("GPU box", "Other") + "    connect_on_start: true\n"
    port = entry.split("local_port: ")[1].split()[0]
    two = two.replace(port, str(free_port()))
    with RunningApp(
        f"servers:\n{entry}{two}", "--connect", "GPU box", known_hosts=known
    ) as running:
        for name in ("GPU box", "Other"):
            done = running.run("connect", name, "--wait", str(LIMIT))
            assert done.returncode == 0, done.stderr


def test_without_a_terminal_an_unknown_host_key_is_a_problem_that_says_what_to_do(
    entry: str,
) -> None:
    with RunningApp(f"servers:\n{entry}") as running:
        done = running.run("connect", "GPU box", "--wait", str(LIMIT))
        assert done.returncode == 1
        assert done.stderr.strip()
        assert "Traceback" not in done.stderr


def test_a_first_start_writes_a_private_sample() -> None:
    with RunningApp(None) as running:
        assert running.file.stat().st_mode & 0o777 == 0o600
        assert "# " in running.file.read_text()
        assert running.run("check").returncode == 0
        assert str(running.file) in running.output
        assert "No servers yet" in running.run("status").stdout


def test_a_broken_file_at_the_start_is_said_and_ends_it(tmp_path: Path) -> None:
    app = RunningApp("servers:\n  - nam: GPU box\n")
    done = app.run("run", "--no-tray")
    assert done.returncode == 1
    assert f"{app.file}:2:5" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_session_bus_the_tray_app_says_so_and_goes_on(entry: str) -> None:
    with RunningApp(f"servers:\n{entry}", tray=True, env={"XDG_RUNTIME_DIR": "/nowhere"}) as app:
        wait_for(lambda: "icon" in app.output, "word of the missing icon", LIMIT)
        assert app.status()["state"] == "off"


def test_the_log_is_private(app: RunningApp) -> None:
    log = app.home / ".local/state/trayconnect/log/trayconnect.log"
    assert log.stat().st_mode & 0o077 == 0
    assert log.parent.stat().st_mode & 0o077 == 0
