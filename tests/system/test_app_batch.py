"""The program in a real panel and a real cluster: one click, a job in the queue, its page in
Chromium with a kernel on the node, and another computer on the same job."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.chromium import Chromium
from tests.support.desktop import Desktop
from tests.support.devtools import Tab
from tests.support.ports import free_port
from tests.support.running import LIMIT, RunningApp
from tests.support.servers import make_server
from tests.support.snapshots import snap
from tests.support.waiting import wait_for
from tests.system.test_browser_jupyter import CELL, COUNT, DONE, OUTPUT, notebook
from trayconnect.services.jupyter.targets import jupyter_authority
from trayconnect.sessions.state import State
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.view import IconState

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

VENV = Path(sys.executable).parent.parent
NAME = "Cluster"
PICTURES = os.environ.get("TRAYCONNECT_TEST_PICTURES", "")
"""A folder for pictures of what the test sees, for people."""


@pytest.fixture
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster() as cluster:
        yield cluster


@pytest.fixture
def desktop() -> Iterator[Desktop]:
    with Desktop() as running:
        running.start_panel()
        yield running


def servers(cluster: BatchCluster, host: str, reach: str = "auto") -> tuple[str, list[str], int]:
    """The text of a server file, lines of known_hosts, and the local port."""
    door, port = cluster.door(host), free_port()
    text = (
        f"servers:\n  - name: {NAME}\n    host: 127.0.0.1\n    port: {door}\n"
        f"    username: alice\n    local_port: {port}\n"
        f"    auth: {{identity_file: {cluster.key}}}\n"
        f"    jupyter: {{path: /lab/tree/count.ipynb}}\n"
        f"    batch: {{time: 0:30:00, reach: {reach}}}\n"
        f"    start: {{app: lab, environment: {{venv: {VENV}}}}}\n"
    )
    return text, [f"[127.0.0.1]:{door} {cluster.host_key}"], port


def occupied(cluster: BatchCluster) -> str:
    """Both nodes are bob's: his job."""
    script = "#!/bin/sh\nsleep 900\n"
    command = ("sbatch", "--parsable", "--nodes=2", "--exclusive", "--output=/dev/null")
    job = cluster.run("login1", *command, user="bob", stdin=script).strip()
    state = ("squeue", "-h", "-j", job, "-o", "%T")
    wait_for(lambda: "RUNNING" in cluster.run("login1", *state), "bob's job", LIMIT)
    return job


def picture(desktop: Desktop, name: str) -> None:
    if PICTURES:
        desktop.screenshot(Path(PICTURES) / f"{name}.png")


def menu_picture(desktop: Desktop, name: str, *states: IconState) -> None:
    """A picture of the menu, if somebody wants one."""
    if not PICTURES:
        return
    state = wait_for(
        lambda: next((s for s in states if desktop.find_icon(s)), None), "the icon", LIMIT
    )
    assert state is not None
    desktop.open_menu(state)
    picture(desktop, name)
    desktop.close_menu()


def words(app: RunningApp) -> str:
    return str(app.status(NAME)["words"])


def test_one_click_leads_through_the_queue_to_a_kernel_on_the_node(
    cluster: BatchCluster, desktop: Desktop, tmp_path: Path
) -> None:
    notebook(cluster.home(), "count.ipynb")
    cluster.run("login1", "chown", "alice:", "/home/alice/count.ipynb")
    others = occupied(cluster)
    text, known, port = servers(cluster, "login1")
    chromium = Chromium(tmp_path)
    app = RunningApp(text, tray=True, env=desktop.env, known_hosts=known)
    app.env["BROWSER"] = str(chromium.command)
    with contextlib.ExitStack() as stack:
        stack.callback(chromium.close)
        stack.enter_context(app)
        desktop.open_menu(IconState.OFF)
        off = build_view([snap(server=make_server(NAME), state=State.OFF)], MenuFacts()).items
        desktop.choose(off, f"server {NAME}")
        wait_for(lambda: words(app).startswith("queued"), "the queue", LIMIT)
        menu_picture(desktop, "queued", IconState.SILENT, IconState.CONNECTING, IconState.UP)
        assert not chromium.pages()
        cluster.run("login1", "scancel", others)
        desktop.wait_icon(IconState.UP)
        menu_picture(desktop, "running", IconState.UP)
        address = f"http://{jupyter_authority(make_server(NAME, local_port=port))}"
        tab = stack.enter_context(Tab(chromium, address))
        try:
            run_cell(tab)
        except AssertionError:
            print(app.run("log", NAME).stdout)
            raise
        assert tab.evaluate(OUTPUT).startswith("0")
        picture(desktop, "kernel")
        job: Any = app.status(NAME)["job"]
        assert (job["state"], job["way"]) == ("running", "ssh")
        other_text, other_known, _ = servers(cluster, "login2")
        other = stack.enter_context(RunningApp(other_text, known_hosts=other_known))
        assert other.run("start", NAME).returncode == 0
        assert other.status(NAME)["job"]["id"] == job["id"]
        assert len(other.opened) == 1
        listed = other.run("servers", NAME).stdout
        assert listed.startswith(f"* {job['id']}  main  on c")
        refused = other.run("stop", NAME)
        assert "1 kernel: count.ipynb" in refused.stderr
        assert other.run("stop", NAME, "--force").returncode == 0
        wait_for(lambda: words(app).startswith("ended"), "the end on the first", LIMIT)
        menu_picture(desktop, "ended", IconState.SILENT, IconState.FAILED, IconState.NEEDS_YOU)
        assert app.status(NAME)["job"]["ended"]["how"] == "cancelled"


@pytest.mark.parametrize("reach", ["srun", "direct"])
def test_a_notebook_runs_over_each_other_way(
    reach: str, cluster: BatchCluster, desktop: Desktop, tmp_path: Path
) -> None:
    notebook(cluster.home(), "count.ipynb")
    cluster.run("login1", "chown", "alice:", "/home/alice/count.ipynb")
    text, known, port = servers(cluster, "login1", reach)
    chromium = Chromium(tmp_path)
    app = RunningApp(text, tray=True, env=desktop.env, known_hosts=known)
    app.env["BROWSER"] = str(chromium.command)
    with contextlib.ExitStack() as stack:
        stack.callback(chromium.close)
        stack.enter_context(app)
        assert app.run("connect", NAME, "--wait", str(LIMIT)).returncode == 0
        address = f"http://{jupyter_authority(make_server(NAME, local_port=port))}"
        tab = stack.enter_context(Tab(chromium, address))
        run_cell(tab)
        # Each line came, and in its order.
        assert tab.evaluate(OUTPUT).split() == [str(number) for number in range(COUNT)]
        picture(desktop, f"kernel-{reach}")
        job: Any = app.status(NAME)["job"]
        assert (job["state"], job["way"]) == ("running", reach)


HAS_KERNEL = """
window.tcAsking ||= fetch("/api/sessions").then(answer => answer.json()).then(sessions => {
  window.tcReady = sessions.some(
    one => one.kernel.connections && one.kernel.execution_state === "idle");
}).finally(() => { window.tcAsking = null }), window.tcReady
"""
"""One question at a time: more would take the browser's connections from the page."""


def run_cell(tab: Tab) -> None:
    tab.show()
    tab.until(HAS_KERNEL)
    tab.until(f"{CELL} !== null")
    tab.evaluate(f"{CELL}.focus()")
    tab.shift_enter()
    tab.until(f"({OUTPUT}).includes('99') && {DONE}")
