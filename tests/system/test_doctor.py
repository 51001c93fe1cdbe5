"""`trayconnect doctor` on a desktop where all is well, and where nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desktop import Desktop
from tests.support.keys import SshAgent, make_key
from tests.support.running import RunningApp
from tests.support.xvfb import wait_for
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
    assert found["agent"][0].startswith("PROBLEM nothing answers on ~/nobody")
    assert found["keys"][0].startswith("PROBLEM ")
    assert "1 of its lines make no sense" in found["known hosts"][0]


def test_without_a_server_file_and_with_one_that_others_can_write() -> None:
    with RunningApp(SERVERS) as app:
        app.file.chmod(0o666)
        code, found = told(app)
        assert code == 1
        assert "can be written by others" in found["server file"][1]
        assert found["tray"] == ["note the app runs without an icon, as it was told to"]
        app.file.unlink()
        assert told(app)[1]["server file"][0].startswith("note ")
