"""Makes a picture of the README of the program at work: `python -m tests.pictures FILE`, where FILE
is screenshot.png or cluster.png, in any folder.

A real panel, a real sshd, a real JupyterLab, a real Chromium and a real Slurm, as in the tests."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from PIL import Image

from tests.support.batch_cluster import BatchCluster
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


CLUSTER = """\
servers:
  - name: Cluster
    host: 127.0.0.1
    port: {door}
    username: alice
    auth: {{identity_file: {key}}}
    batch: {{time: 4:00:00, options: [--partition=main, --mem=900M]}}
    start: {{environment: {{venv: {venv}}}}}
    open_browser: false
  - {{name: GPU box, host: gpu.example.org}}
"""
MENU = (0, 0, 300, 352)
"""Where the menu is, for a picture of it alone."""


def take_cluster(file: Path) -> None:
    """Take the picture of the menu of a job that is queued, and beside it of the job that runs."""
    with ExitStack() as stack:
        cluster = stack.enter_context(BatchCluster())
        others = ("sbatch", "--parsable", "--nodes=2", "--exclusive", "--time=40")
        script = "#!/bin/sh\nsleep 2400\n"
        other = cluster.run("login1", *others, "-o", "/dev/null", user="bob", stdin=script).strip()
        state = ("squeue", "-h", "-j", other, "-o", "%T")
        wait_for(lambda: "RUNNING" in cluster.run("login1", *state), "bob's job", LIMIT)
        desktop = stack.enter_context(Desktop())
        desktop.start_panel()
        door, venv = cluster.door(), Path(sys.executable).parent.parent
        app = RunningApp(
            CLUSTER.format(door=door, key=cluster.key, venv=venv),
            *("--connect", "Cluster"),
            env=desktop.env,
            known_hosts=[f"[127.0.0.1]:{door} {cluster.host_key}"],
            tray=True,
        )
        stack.enter_context(app)
        wait_for(lambda: "starts" in app.status("Cluster")["words"], "the estimate", LIMIT)
        menus = [_menu(desktop, IconState.CONNECTING)]
        cluster.run("login1", "scancel", other)
        desktop.wait_icon(IconState.UP)
        menus.append(_menu(desktop, IconState.UP))
        width, height = menus[0].size
        both = Image.new("RGB", (2 * width, height))
        for number, menu in enumerate(menus):
            both.paste(menu, (number * width, 0))
        both.quantize(64).save(file, optimize=True)


def _menu(desktop: Desktop, state: IconState) -> Image.Image:
    desktop.open_menu(state)
    picture = desktop.screenshot().crop(MENU)
    desktop.close_menu()
    return picture


TAKES = {"screenshot.png": take, "cluster.png": take_cluster}

if __name__ == "__main__":
    path = Path(sys.argv[1])
    TAKES[path.name](path)
