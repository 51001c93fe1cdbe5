"""What happens around a job: its entry is edited, the program is killed, the laptop sleeps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.running import LIMIT
from tests.support.waiting import wait_for
from tests.system.test_batch_service import Lab, User
from trayconnect.config.model import Config, Server


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster() as cluster:
        cluster.use_plain_jupyter()
        yield cluster


@pytest.fixture(scope="module")
def doors(cluster: BatchCluster) -> tuple[int, int]:
    return cluster.door("login1"), cluster.door("login2")


@pytest.fixture
def lab(cluster: BatchCluster, doors: tuple[int, int]) -> Iterator[Lab]:
    yield Lab(cluster, doors)
    for user in ("alice", "bob"):
        cluster.run("login1", "scancel", "-u", user)


def edited(user: User, *servers: Server) -> None:
    user.manager.apply(Config(servers=servers))
    assert user.manager.settle(LIMIT)


def left(user: User) -> list[str]:
    return [notice.title for notice in user.notices if notice.title.endswith("goes on")]


def test_an_entry_is_edited_while_its_job_runs(lab: Lab) -> None:
    """Each edit in turn: nothing is submitted, nothing ends."""
    entry = lab.entry()
    with lab.user(entry, lab.entry(lab.doors[1], name="There")) as user:
        user.click()
        user.until_page()
        job = user.job()
        started = user.get("api/status")["started"]
        assert entry.batch is not None
        more = entry.batch.model_copy(update={"options": ("--mem=200M",), "reach": "srun"})
        for change in ({"batch": more}, {"port": lab.doors[1]}):
            entry = entry.model_copy(update=change)
            edited(user, entry)
            wait_for(lambda: user.answers() and user.batch.state.way, "the page", LIMIT)
            user.until_page()
            assert user.get("api/status")["started"] == started
        assert user.job() == job
        assert not user.notices
        # Without `batch`, and with it again.
        edited(user, entry.model_copy(update={"batch": None}))
        assert left(user) == [f"Job {job} of {lab.name} goes on"]
        edited(user, entry)
        user.click()
        user.until_page()
        assert user.job() == job
        # Another name, and the job is there to be chosen.
        renamed = entry.model_copy(update={"name": "New name", "batch": more})
        edited(user, renamed)
        assert len(left(user)) == 2
        wait_for(lambda: user.manager.snapshot(lab.name) is None, "the end of the old", LIMIT)
        user.name, user.server = "New name", renamed
        user.connect("New name")
        user.until_known(lambda state: any(one.id == job for one in state.foreign))
        user.run("choose-jupyter", jupyter=job, wait=LIMIT)
        user.until(lambda now: now.is_ready and user.job() == job)
        assert user.get("api/status")["started"] == started
        # No entry at all.
        edited(user)
        assert lab.jobs() == [job]
