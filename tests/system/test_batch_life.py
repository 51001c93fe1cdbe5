"""What happens around a job: its entry is edited, the program is killed, the laptop sleeps."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import pytest
import yaml

from tests.support.batch_cluster import BatchCluster
from tests.support.proxy import FaultyProxy
from tests.support.running import LIMIT, RunningApp
from tests.support.waiting import wait_for
from tests.system.test_batch_service import Lab, User, occupied, written
from trayconnect.config.model import Config, Server
from trayconnect.core.command import Command
from trayconnect.core.questions import Answer
from trayconnect.services.batch import state
from trayconnect.sessions.state import State


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


@pytest.mark.long
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
        user.until_known(lambda known: any(one.id == job for one in known.foreign))
        user.run("choose-jupyter", jupyter=job, wait=LIMIT)
        user.until(lambda now: now.is_ready and user.job() == job)
        assert user.get("api/status")["started"] == started
        # No entry at all.
        edited(user)
        assert lab.jobs() == [job]


@pytest.mark.long
def test_several_jobs_of_an_entry(lab: Lab) -> None:
    with lab.user(lab.entry(options=["--mem=100M"]), answers=(Answer(), Answer())) as user:
        user.click()
        user.until_page()
        first, started = user.job(), user.get("api/status")["started"]
        user.batch.tell(Command("new-job", user.name))
        wait_for(lambda: len(lab.jobs()) == 2, "another job", LIMIT)
        (second,) = {*lab.jobs()} - {first}
        user.until_known(lambda known: len([one for one in known.own_live if one.nodes]) == 2)
        user.run("choose-jupyter", jupyter=second, wait=LIMIT)
        user.until(lambda now: now.is_ready and user.job() == second)
        assert user.get("api/status")["started"] != started
        user.run("end-job")
        wait_for(lambda: lab.jobs() == [first], "the end of the second", LIMIT)
        user.until(lambda now: now.is_ready and user.job() == first)
        assert user.get("api/status")["started"] == started
        user.run("end-job")
        user.until_words("ended")
        assert [question.message.split()[1] for question in user.questions] == [second, first]
        assert lab.jobs() == []


@pytest.mark.long
def test_the_program_is_killed_and_finds_the_job_again(lab: Lab) -> None:
    others = occupied(lab)
    file = yaml.safe_dump({"servers": [written(lab.entry())]})
    known = [f"[127.0.0.1]:{lab.doors[0]} {lab.cluster.host_key}"]
    with RunningApp(file, known_hosts=known) as app:

        def killed() -> None:
            app.end(signal.SIGKILL)
            app.start()

        assert app.run("connect", lab.name, "--wait", "3").returncode == 1
        (job,) = lab.jobs()
        killed()
        assert "queued" in app.run("connect", lab.name, "--wait", "3").stderr
        lab.cluster.run("login1", "scancel", others)
        assert app.run("connect", lab.name, "--wait", str(LIMIT)).returncode == 0
        killed()
        assert app.run("start", lab.name, "--wait", str(LIMIT)).returncode == 0
        assert app.status(lab.name)["job"]["id"] == job
        assert lab.jobs() == [job]


@contextlib.contextmanager
def asleep(user: User, proxy: FaultyProxy) -> Iterator[None]:
    """The laptop of the user, meanwhile; it wakes up at the end."""
    proxy.blackhole()
    user.until(lambda now: now.state is not State.UP)
    yield
    proxy.heal()
    proxy.cut()
    user.manager.woke()


@pytest.mark.long
@pytest.mark.parametrize("is_recent", [True, False])
def test_a_job_starts_while_the_laptop_sleeps(
    lab: Lab, is_recent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = occupied(lab)
    with (
        FaultyProxy("127.0.0.1", lab.doors[0]) as proxy,
        lab.user(lab.entry(proxy.port)) as user,
    ):
        user.click()
        user.until_words("queued")
        job = user.job()
        with asleep(user, proxy):
            if not is_recent:
                monkeypatch.setattr(state, "RECENT", 0.0)
            lab.cluster.run("login1", "scancel", others)
            shown = ("squeue", "-h", "-j", job, "-o", "%T")
            wait_for(lambda: lab.slurm(*shown) == "RUNNING\n", "the job", LIMIT)
        user.until_page()
        if is_recent:
            wait_for(lambda: user.pages, "the page", LIMIT)
        titles = [notice.title for notice in user.notices]
        assert (f"Your job on {user.name} has started" in titles) is not is_recent
        assert bool(user.pages) is is_recent
        assert lab.jobs() == [job]


def test_a_job_starts_and_ends_while_the_laptop_sleeps(lab: Lab) -> None:
    others = occupied(lab)
    with (
        FaultyProxy("127.0.0.1", lab.doors[0]) as proxy,
        lab.user(lab.entry(proxy.port)) as user,
    ):
        user.click()
        user.until_words("queued")
        job = user.job()
        with asleep(user, proxy):
            lab.cluster.run("login1", "scancel", others)
            shown = ("squeue", "-h", "-j", job, "-o", "%T")
            wait_for(lambda: lab.slurm(*shown) == "RUNNING\n", "the job", LIMIT)
            lab.slurm("scancel", job)
        user.until_words("ended")
        titles = [one.title for one in user.notices if one.title.startswith("Your job")]
        assert titles == [f"Your job on {user.name} ended"]
        assert not user.pages
        assert lab.jobs() == []
