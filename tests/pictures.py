"""Makes the README's picture of the program at work: `python -m tests.pictures FILE`.

A real panel, a real sshd, a real JupyterLab and a real Chromium, as in the tests."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.support.chromium import Chromium
from tests.support.desktop import Desktop
from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.running import LIMIT, RunningApp
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from trayconnect.tray.view import IconState

SERVERS = """\
servers:
  - name: GPU box
    host: {sshd.host}
    port: {sshd.port}
    username: {sshd.username}
    auth: {{identity_file: {key}}}
    local_port: 18888
  - name: Cluster
    host: {sshd.host}
    port: {sshd.port}
    username: {sshd.username}
    auth: {{identity_file: {key}}}
    jupyter: {{port: {silent}}}
    open_browser: false
  - name: Lab desktop
    url: http://192.168.1.20:8888/
  - {{name: Microscope, group: Lab, host: microscope.example.org}}
  - {{name: Sequencer, group: Lab, host: sequencer.example.org}}
"""


def take(file: Path) -> None:
    """Take the picture into `file`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        jupyter = stack.enter_context(JupyterServer())
        options = {"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}
        sshd = stack.enter_context(Sshd(options=options))
        key = make_key(folder)
        sshd.authorize(key)
        desktop = stack.enter_context(Desktop())
        desktop.start_panel()
        chromium = Chromium(folder)
        stack.callback(chromium.close)
        servers = SERVERS.format(sshd=sshd, key=key, silent=free_port())
        app = RunningApp(
            servers,
            *("--connect", "GPU box", "--connect", "Cluster"),
            env=desktop.env,
            known_hosts=sshd.known_hosts_lines(),
            tray=True,
        )
        app.env["BROWSER"] = str(chromium.command)
        stack.enter_context(app)
        desktop.wait_icon(IconState.SILENT)
        wait_for(
            lambda: (
                len(desktop.screenshot().crop((400, 200, 1024, 600)).getcolors(1 << 20) or ()) > 800
            ),
            "JupyterLab to be drawn",
            LIMIT,
        )
        desktop.open_menu(IconState.SILENT)
        desktop.screenshot(file)
        desktop.close_menu()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
