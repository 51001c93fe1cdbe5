"""The program on a real desktop while the user is away: a job starts, and its notification opens
the page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.batch_cluster import BatchCluster
from tests.support.bubbles import Bubbles, xfce
from tests.support.desktop import Desktop
from tests.support.notifications import NotificationEar
from tests.support.running import LIMIT, RunningApp
from tests.support.waiting import wait_for
from tests.system.test_batch_service import Lab, occupied, written

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PICTURES = os.environ.get("TRAYCONNECT_TEST_PICTURES", "")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with BatchCluster() as cluster:
        cluster.use_plain_jupyter()
        door = cluster.door()
        yield Lab(cluster, (door, door))


@pytest.fixture
def desktop() -> Iterator[Desktop]:
    with Desktop() as running:
        yield running


def test_a_job_that_starts_while_the_user_is_away(lab: Lab, desktop: Desktop) -> None:
    others = occupied(lab)
    file = yaml.safe_dump({"servers": [written(lab.entry())]})
    known = [f"[127.0.0.1]:{lab.doors[0]} {lab.cluster.host_key}"]
    with RunningApp(file, known_hosts=known) as elsewhere:
        elsewhere.run("start", lab.name, "--wait", "2")
        assert len(lab.jobs()) == 1
    bubbles = Bubbles(desktop, xfce())
    with (
        NotificationEar(desktop.env["DBUS_SESSION_BUS_ADDRESS"]) as ear,
        RunningApp(file, env=desktop.env, known_hosts=known) as app,
    ):
        app.run("link", lab.name, "--wait", "2")  # connects, and asks for no page

        def words() -> str:
            return str(app.status(lab.name)["words"])

        assert words().startswith("queued")
        lab.cluster.run("login1", "scancel", others)
        ear.wait_for(f"Your job on {lab.name} has started")
        bubbles.look()
        if PICTURES:
            desktop.screenshot(Path(PICTURES) / "started.png")
        wait_for(lambda: words().startswith("on c"), "the page", LIMIT)
        assert app.opened == []
        bubbles.take_default()
        wait_for(lambda: app.opened, "the page in the browser", LIMIT)
        bubbles.wait_none()
        assert len(lab.jobs()) == 1
        assert ear.titles() == [f"Your job on {lab.name} has started"]
