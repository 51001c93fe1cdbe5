"""`trayconnect doctor` on a desktop where all is well and where nothing is, and on the way to a
server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desktop import Desktop
from tests.support.jupyter import JupyterServer
from tests.support.keys import SshAgent, make_key
from tests.support.ports import free_port
from tests.support.running import LIMIT, RunningApp
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from trayconnect.config.places import SSH_VARIABLE
from trayconnect.tray.view import IconState

SERVERS = "servers:\n  - {name: GPU box, host: gpu.example.org}\n"


@pytest.fixture
def desktop() -> Iterator[Desktop]:
    with Desktop() as running:
        running.start_panel()
        yield running


def told(app: RunningApp) -> tuple[int, dict[str, list[str]]]:
    """The exit code, and the findings by their subject, each "mark text"."""
    done = app.run("doctor")
    assert "Traceback" not in done.stderr
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines()[2:]:
        mark, subject, text = line[:8].strip(), line[9:21].strip(), line[22:]
        if subject:
            found.setdefault(subject, []).append(f"{mark} {text}")
    return done.returncode, found


def test_where_all_is_well(desktop: Desktop, tmp_path: Path) -> None:
    with SshAgent() as agent, RunningApp(SERVERS, tray=True, env=desktop.env) as app:
        agent.add(make_key(tmp_path, name="the-key"))
        app.env["SSH_AUTH_SOCK"] = str(agent.socket)
        make_key(app.home / ".ssh", passphrase="open sesame")
        desktop.wait_icon(IconState.OFF)
        wait_for(lambda: "shows the icon" in told(app)[1]["tray"][0], "the icon to be taken")
        code, found = told(app)
    assert code == 0, found
    assert found["server file"][0].endswith("servers.yaml: 1 server")
    assert found["app"] == ["ok is running; 0 of 1 up"]
    assert found["tray"][0].startswith("ok StatusNotifierItem: ")
    assert found["questions"][0].startswith("ok are asked by tkinter")
    assert found["agent"] == ["ok ssh-ed25519 the-key"]
    assert found["ssh"][0].startswith("ok /")
    assert found["keys"] == ["ok ~/.ssh/id_ed25519: ssh-ed25519, encrypted"]
    assert found["log"][0].startswith("ok ")


def test_where_nothing_is() -> None:
    with RunningApp(None) as app:
        app.end()
        app.file.write_text("servers: [{name: a, hots: b}]\n")
        app.file.chmod(0o666)
        key = make_key(app.home / ".ssh")
        key.chmod(0o644)
        (app.home / ".ssh/known_hosts").write_text("nonsense\n")
        app.env["SSH_AUTH_SOCK"] = str(app.home / "nobody")
        code, found = told(app)
    assert code == 1
    assert found["server file"][0].startswith("PROBLEM ")
    assert found["app"] == ["note is not running"]
    assert found["tray"][0].startswith("note none: ")
    assert found["questions"][0].startswith("PROBLEM ")
    assert found["keyring"] == ["note There is no system keyring"]
    assert found["agent"][0].startswith("PROBLEM no agent answers on ~/nobody")
    assert found["keys"][0].startswith("PROBLEM ")
    assert "1 of its lines cannot be read" in found["known hosts"][0]


def test_without_a_server_file_and_with_one_that_others_can_write() -> None:
    with RunningApp(SERVERS) as app:
        app.file.chmod(0o666)
        code, found = told(app)
        assert code == 1
        assert "other users can write to" in found["server file"][1]
        assert found["tray"] == ["note the app runs without an icon (--no-tray)"]
        app.file.unlink()
        assert told(app)[1]["server file"][0].startswith("note ")


def way_to(app: RunningApp, name: str) -> tuple[int, list[str]]:
    """The exit code, and the lines about the route to a server."""
    done = app.run("doctor", name)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.partition("The route to ")[2].splitlines()


def test_the_way_to_a_page_through_a_jump_host(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    with (
        JupyterServer() as jupyter,
        Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as sshd,
        Sshd() as gate,
    ):
        for each in (sshd, gate):
            each.authorize(key)
        servers = (
            f"servers:\n  - name: GPU box\n    host: {sshd.host}\n    port: {sshd.port}\n"
            f"    username: {sshd.username}\n    auth: {{identity_file: {key}}}\n"
            f"    jump_hosts: ['{gate.username}@{gate.host}:{gate.port}']\n"
        )
        hosts = [*sshd.known_hosts_lines(), *gate.known_hosts_lines()]
        (fingerprint,) = sshd.fingerprints()
        with RunningApp(servers, "--connect", "GPU box", known_hosts=hosts) as app:
            wait_for(lambda: app.status()["state"] == "up", "the app's own tunnel", LIMIT)
            code, lines = way_to(app, "gpu box")
            assert code in (0, 1)  # of the machine, something may be wrong
            assert app.status()["state"] == "up", "the trial harms nobody"
    steps = [line[22:].partition(":")[0] for line in lines if line.startswith("ok ")]
    assert [step.partition(" 127.")[0] for step in steps] == [
        "read the SSH configuration",
        "check the keys",
        "reach",
        "exchange keys with",
        "check the host key of",
        f"log in to {gate.username}@127.0.0.1",
        "reach",
        "exchange keys with",
        "check the host key of",
        f"log in to {sshd.username}@127.0.0.1",
        "run a command",
        "find Jupyter",
        "look at its page through the tunnel",
    ]
    assert lines[-1] == "A page answers"
    text = "\n".join(lines)
    assert fingerprint in text
    assert f"the key {key}" in text.replace("~", str(Path.home()))
    assert jupyter.token not in text


def test_the_way_ends_where_it_ends(tmp_path: Path) -> None:
    """At a question that nobody can answer, at a login that is refused, at a silent Jupyter."""
    good, bad = make_key(tmp_path, name="good"), make_key(tmp_path, name="bad")
    with Sshd() as sshd:
        sshd.authorize(good)
        where = f"host: {sshd.host}, port: {sshd.port}, username: {sshd.username}"
        servers = (
            "servers:\n"
            f"  - {{name: GPU box, {where}, auth: {{identity_file: {good}}},"
            f" jupyter: {{port: {free_port()}}}}}\n"
            f"  - {{name: refused, {where}, auth: {{identity_file: {bad}}}}}\n"
        )
        with RunningApp(servers) as app:
            code, lines = way_to(app, "GPU box")
            assert code == 1
            assert lines[-3].startswith("FAILED ")
            assert lines[-2].startswith("PROBLEM  This login asks a question: Is this really ")
            known = "".join(f"{line}\n" for line in sshd.known_hosts_lines())
            (app.home / ".ssh/known_hosts").write_text(known)
            code, lines = way_to(app, "refused")
            assert code == 1
            failed = next(line for line in lines if line.startswith("FAILED "))
            assert "log in to" in failed
            code, lines = way_to(app, "GPU box")
            assert code == 1
            assert any(line.startswith("ok ") and "run a command" in line for line in lines)
            assert any("nothing listens on localhost" in line for line in lines)
            assert app.run("doctor", "nobody").returncode == 1


def test_what_a_proxy_command_says_meanwhile() -> None:
    servers = "servers: [{name: GPU box, host: gpu, connect_timeout: 5, auth: {agent: none}}]\n"
    with RunningApp(servers) as app:
        config = app.home / "ssh_config"
        config.write_text(
            "Host gpu\n  ProxyCommand sh -c 'echo Starting it >&2; exec sleep 1000'\n"
        )
        config.chmod(0o600)
        app.env[SSH_VARIABLE] = str(config)
        code, lines = way_to(app, "GPU box")
    assert code == 1
    assert "waits    sh: Starting it" in lines
    assert any("(sh) gave no SSH answer within 5 s" in line for line in lines)
