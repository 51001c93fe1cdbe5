"""The program's notices on a real desktop, from the loss of a tunnel to a button in a bubble."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.bubbles import Bubbles, xfce
from tests.support.desktop import Desktop
from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.notifications import NotificationEar
from tests.support.ports import free_port
from tests.support.running import LIMIT, RunningApp
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for

CONNECTED, LOST, BACK = "GPU box is connected", "GPU box no longer answers", "GPU box is back"


def test_lost_then_back_then_disconnected_by_its_button(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    with (
        Desktop() as desktop,
        JupyterServer() as jupyter,
        Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as sshd,
    ):
        sshd.authorize(key)
        servers = (
            f"servers:\n  - name: GPU box\n    host: {sshd.host}\n    port: {sshd.port}\n"
            f"    username: {sshd.username}\n    local_port: {free_port()}\n"
            f"    auth: {{identity_file: {key}}}\n"
        )
        bubbles = Bubbles(desktop, xfce())
        with (
            NotificationEar(desktop.env["DBUS_SESSION_BUS_ADDRESS"]) as ear,
            RunningApp(servers, env=desktop.env, known_hosts=sshd.known_hosts_lines()) as app,
        ):
            assert app.run("connect", "GPU box", "--wait", f"{LIMIT:g}").returncode == 0
            assert jupyter.token not in ear.wait_for(CONNECTED).body
            connected = bubbles.look()

            sshd.stop()
            assert "Trying again automatically" in ear.wait_for(LOST).body
            lost = bubbles.wait_other(connected)

            sshd.start()
            ear.wait_for(BACK)
            bubbles.wait_other(lost)
            wait_for(lambda: app.status()["reached"] == "logged_in", "logged in", LIMIT)

            bubbles.press(1)
            wait_for(lambda: app.status()["state"] == "off", "off", LIMIT)
            bubbles.wait_none()
            assert ear.titles() == [CONNECTED, LOST, BACK]
            assert len(app.opened) == 1


def test_a_broken_file_is_told_once_edited_by_its_button_and_taken_back_when_mended(
    tmp_path: Path,
) -> None:
    edited = tmp_path / "edited"
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\necho "$@" >>"{edited}"\n')
    opener.chmod(0o755)
    with Desktop() as desktop:
        path = f"{tmp_path}{os.pathsep}{desktop.env['PATH']}"
        bubbles = Bubbles(desktop, xfce())
        with (
            RunningApp("servers: []\n", env=desktop.env | {"PATH": path}) as app,
            NotificationEar(desktop.env["DBUS_SESSION_BUS_ADDRESS"]) as ear,
        ):
            title = "servers.yaml has a problem"
            app.file.write_text("servers:\n  - {name: x, host: x, prt: 1}\n")
            for _ in range(2):
                app.run("reload")
            assert ear.wait_for(title).body == "line 2: unknown key 'prt': did you mean 'port'?"
            bubbles.look()
            assert ear.titles() == [title]

            bubbles.press(0)
            wait_for(edited.exists, "the editor", LIMIT)
            wait_for(lambda: edited.read_text() == f"{app.file}\n", "the file in it", LIMIT)
            bubbles.wait_none()

            app.file.write_text("servers:\n  - {name: x, host: x, porp: 1}\n")
            app.run("reload")
            bubbles.look()
            app.file.write_text("servers: []\n")
            app.run("reload")
            bubbles.wait_none()
