"""From a click to the page of a Jupyter in a job of a real Slurm, and back."""

from __future__ import annotations

import itertools
import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tests.support.batch_cluster import BatchCluster
from tests.support.ports import free_port
from tests.support.proxy import FaultyProxy
from tests.support.running import RunningApp
from tests.support.waiting import wait_for
from tests.support.whole import LIMIT, Whole
from tests.system.test_whole_way import kernel_socket, run_cell, start_kernel
from trayconnect.config.model import Server
from trayconnect.control.status_json import to_json
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.questions import Answer
from trayconnect.services.batch.job import Phase, job_name
from trayconnect.services.batch.service import BatchService
from trayconnect.services.batch.state import BatchState, CheckAgain
from trayconnect.services.jupyter.targets import jupyter_authority
from trayconnect.sessions.snapshot import Snapshot, state_words
from trayconnect.sessions.state import State

VENV = Path(sys.executable).parent.parent
COUNT = """
import time
for number in range(40):
    print(number, flush=True)
    time.sleep(0.05)
"""
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def doors(cluster: BatchCluster) -> tuple[int, int]:
    return cluster.door("login1"), cluster.door("login2")


@pytest.fixture
def lab(cluster: BatchCluster, doors: tuple[int, int]) -> Iterator[Lab]:
    lab = Lab(cluster, doors)
    yield lab
    cluster.run("login1", "scancel", "-u", "alice")
    cluster.run("login1", "scancel", "-u", "bob")


class Lab:
    """The cluster, and an entry of its own for each test."""

    def __init__(self, cluster: BatchCluster, doors: tuple[int, int]) -> None:
        self.cluster, self.doors = cluster, doors
        self.name = f"Cluster {next(NUMBERS)}"

    def entry(self, port: int = 0, *, name: str = "", **batch: object) -> Server:
        """`port`: another way to the login node."""
        return Server.model_validate(
            {
                "name": name or self.name,
                "host": "127.0.0.1",
                "port": port or self.doors[0],
                "username": "alice",
                "auth": {"identity_file": str(self.cluster.key)},
                "local_port": free_port(),
                "keepalive": {"interval": 1, "count_max": 2},
                "batch": {"time": "0:30:00"} | batch,
                "start": {"app": "server", "environment": {"venv": str(VENV)}},
            }
        )

    def user(self, *servers: Server, answers: tuple[Answer, ...] = ()) -> User:
        ports = {*self.doors, *(server.port for server in servers)}
        known = [f"[127.0.0.1]:{port} {self.cluster.host_key}" for port in ports]
        return User(self, *servers, known_hosts=known, answers=answers)

    def slurm(self, *command: str) -> str:
        return self.cluster.run("login1", *command, user="alice")

    def jobs(self) -> list[str]:
        """Those of the entry that wait or run."""
        name = job_name(self.name)
        return self.slurm("squeue", "-h", "-t", "PD,R", "-n", name, "-o", "%i").split()


class User(Whole):
    """One computer with its own trayconnect."""

    def __init__(self, lab: Lab, *servers: Server, **more: Any) -> None:
        super().__init__(*servers, **more)
        self.name = servers[0].name
        self.server = servers[0]

    def click(self) -> None:
        self.connect(self.name)

    @property
    def batch(self) -> BatchService:
        service = self.manager.service(self.name)
        assert isinstance(service, BatchService)
        return service

    def until(self, done: Callable[[Snapshot], bool], name: str = "") -> Snapshot:
        try:
            return super().until(done, name or self.name)
        except AssertionError as error:
            now = self.manager.snapshot(self.name)
            assert now is not None
            raise AssertionError(
                f"{state_words(now)}; {now.problem}; {self.batch.state.job}"
            ) from error

    def until_words(self, part: str) -> Snapshot:
        return self.until(lambda now: part in state_words(now), self.name)

    def until_page(self) -> Snapshot:
        return self.until_ready(self.name)

    def until_known(self, done: Callable[[BatchState], object]) -> BatchState:
        def known() -> BatchState | None:
            state = self.batch.state
            return state if done(state) else None

        state = wait_for(known, "the job", LIMIT)
        assert state is not None
        return state

    def job(self) -> str:
        state = self.until_known(lambda state: state.job)
        assert state.job is not None
        return state.job.id

    def run(self, name: str, **arguments: str | float) -> JSON:
        return self.batch.run(Command(name, self.name, arguments), CancelToken())

    def answers(self) -> bool:
        """Whether a browser's request is carried through."""
        url = f"http://{jupyter_authority(self.server)}/api"
        try:
            urllib.request.urlopen(url, timeout=LIMIT).close()
        except OSError:
            return False
        return True

    def get(self, path: str) -> Any:  # noqa: ANN401
        """Of the Jupyter behind the local port, logged in."""
        page = self.until_page().page
        assert page is not None
        url = f"http://{jupyter_authority(self.server)}/{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"token {page.token}"})
        with urllib.request.urlopen(request, timeout=LIMIT) as response:
            return json.load(response)


def test_one_click_queues_runs_and_opens_the_page(lab: Lab) -> None:
    with lab.user(lab.entry()) as user:
        user.click()
        assert user.until_page().page is not None
        wait_for(lambda: user.pages, "the page")
        assert "kernels" in user.get("api/status")
        told: Any = to_json(user.manager.snapshots())["servers"][0]
        assert told["job"]["state"] == "running"
        assert told["job"]["node"] in ("c1", "c2")
        assert told["job"]["way"] == "ssh"
        assert 0 < told["job"]["time_left"] <= 1800
        assert told["words"].startswith("on c")
        user.off(user.name)
        assert lab.jobs() == [told["job"]["id"]]  # disconnecting leaves it


def test_two_computers_share_one_job(lab: Lab) -> None:
    with lab.user(lab.entry()) as first, lab.user(lab.entry(lab.doors[1])) as second:
        first.click()
        first.until_page()
        second.click()
        second.until_page()
        assert first.job() == second.job()
        assert len(lab.jobs()) == 1
        assert first.get("api/status")["started"] == second.get("api/status")["started"]
        assert len(second.pages) == 1


# --- the queue ------------------------------------------------------------------------------------


def occupied(lab: Lab) -> str:
    """All nodes are bob's: his job."""
    script = "#!/bin/sh\nsleep 600\n"
    command = ("sbatch", "--parsable", "--nodes=2", "--exclusive", "--output=/dev/null")
    job = lab.cluster.run("login1", *command, user="bob", stdin=script).strip()
    state = ("squeue", "-h", "-j", job, "-o", "%T")
    wait_for(lambda: "RUNNING" in lab.cluster.run("login1", *state), "bob's job")
    return job


def test_a_queued_job_says_why_and_its_page_opens_when_it_starts(lab: Lab) -> None:
    others = occupied(lab)
    with lab.user(lab.entry()) as user:
        user.click()
        user.until_words("queued")
        user.until_known(lambda s: s.job and s.job.reason and s.job.reason.word == "Resources")
        assert not user.pages
        lab.cluster.run("login1", "scancel", others)
        user.until_page()
        wait_for(lambda: user.pages, "the page")
        assert len(lab.jobs()) == 1


def test_a_cut_while_queued_and_while_running_keeps_the_job(lab: Lab) -> None:
    others = occupied(lab)
    with (
        FaultyProxy("127.0.0.1", lab.doors[0]) as proxy,
        lab.user(lab.entry(proxy.port)) as user,
    ):
        user.click()
        user.until_words("queued")
        job = user.job()
        proxy.blackhole()
        user.until(lambda now: now.state is not State.UP, user.name)
        lab.cluster.run("login1", "scancel", others)
        proxy.heal()
        proxy.cut()
        user.manager.woke()
        user.until_page()
        started = user.get("api/status")["started"]
        proxy.cut(reset=True)
        user.until(lambda now: now.state is not State.UP, user.name)
        user.manager.woke()
        user.until_page()
        assert user.get("api/status")["started"] == started
        assert user.job() == job
        assert lab.jobs() == [job]
        assert not any("no longer answers" in notice.title for notice in user.notices)


def test_a_job_that_will_not_start_says_so_and_is_ended(lab: Lab) -> None:
    with lab.user(lab.entry(options=["--hold"]), answers=(Answer(),)) as user:
        user.click()
        user.until_words("queued: will not start as asked")
        assert any("will not start as asked" in notice.title for notice in user.notices)
        user.run("end-job")
        user.until_words("ended")
        assert "Its place in the queue" in user.questions[0].message
        assert lab.jobs() == []


def test_a_refused_job_is_told_with_the_option_to_change(lab: Lab) -> None:
    with lab.user(lab.entry(options=["--partition=nope"])) as user:
        user.click()
        problem = user.until(lambda now: now.problem is not None, user.name).problem
        assert problem is not None
        assert "invalid partition" in problem.title.lower()
        assert "--partition=nope" in problem.advice
        assert [notice.title for notice in user.notices] == [problem.title]
        assert lab.jobs() == []


# --- its end --------------------------------------------------------------------------------------


def test_the_end_of_a_job_asks_and_names_its_kernels(lab: Lab) -> None:
    with lab.user(lab.entry(), answers=(Answer(),)) as user:
        user.click()
        page = user.until_page().page
        assert page is not None
        url = f"http://{jupyter_authority(user.server)}/api/kernels"
        headers = {"Authorization": f"token {page.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, data=b"{}", method="POST", headers=headers)
        urllib.request.urlopen(request, timeout=LIMIT).close()
        losses: Any = user.run("jupyter-losses")
        assert losses["identity"] == user.job()
        assert "1 kernel: a kernel without a notebook" in losses["losses"]
        user.run("end-job")
        user.until_words("ended: it was cancelled")
        (question,) = user.questions
        assert question.message.startswith(f"Job {losses['identity']} on c")
        assert "min left" in question.message
        wait_for(lambda: lab.jobs() == [], "the end")
        assert user.manager.snapshot(user.name) is not None


def test_a_job_that_is_cancelled_elsewhere_is_told_and_not_replaced(lab: Lab) -> None:
    with lab.user(lab.entry()) as user:
        user.click()
        user.until_page()
        lab.slurm("scancel", user.job())
        wait_for(lambda: not user.answers(), "the end of Jupyter", LIMIT)
        user.until_words("ended: it was cancelled")
        titles = [notice.title for notice in user.notices]
        assert titles[-1] == f"Your job on {user.name} ended: it was cancelled"
        assert not any("no longer answers" in title for title in titles)
        assert lab.jobs() == []
        user.batch.tell(cast(Any, Command("new-job", user.name)))
        user.until_page()
        assert len(lab.jobs()) == 1


@pytest.mark.long
def test_the_end_of_the_time_is_told_before_and_after(lab: Lab) -> None:
    with lab.user(lab.entry(time="0:01:00")) as user:
        user.click()
        user.until_page()
        wait_for(lambda: any(" ends in " in n.title for n in user.notices), "the notice", LIMIT)
        assert user.until_page().page is not None
        user.until_words("ended: time limit reached")
        assert user.notices[-1].title == f"Your job on {user.name} ended: time limit reached"
        assert lab.jobs() == []


# --- a scheduler that is silent -------------------------------------------------------------------


@pytest.mark.long
def test_a_controller_that_hangs_changes_nothing(lab: Lab) -> None:
    with lab.user(lab.entry()) as user:
        user.click()
        user.until_page()
        (controller,) = lab.cluster.pids("login1", "slurmctld")
        lab.cluster.run("login1", "kill", "-STOP", str(controller))
        try:
            user.batch.tell(CheckAgain())
            user.until_words("Slurm does not answer")
            assert user.get("api/status")["started"]
        finally:
            lab.cluster.run("login1", "kill", "-CONT", str(controller))
        user.batch.tell(CheckAgain())
        user.until(lambda now: "does not answer" not in state_words(now), user.name)
        assert lab.jobs() == [user.job()]


# --- several jobs ---------------------------------------------------------------------------------


def test_a_jupyter_that_was_submitted_by_hand_is_listed_and_opened(lab: Lab) -> None:
    python = VENV / "bin" / "python"
    serve = "-m jupyter_server --ServerApp.ip=127.0.0.1 --ServerApp.open_browser=False"
    script = f"#!/bin/sh\nexec {python} {serve}\n"
    command = ("sbatch", "--parsable", "--job-name=my-jupyter", "--output=/dev/null")
    by_hand = lab.cluster.run("login1", *command, user="alice", stdin=script).strip()
    with lab.user(lab.entry()) as user:
        user.click()
        user.until_page()
        ours = user.job()

        def is_listed() -> bool:
            user.batch.tell(CheckAgain())
            return any(job.id == by_hand for job in user.batch.state.foreign)

        wait_for(is_listed, "the other job", LIMIT)
        lines: Any = cast(Any, user.run("jupyters"))["lines"]
        assert [line.split()[:2] for line in lines] == [["*", ours], [by_hand, "main"]]
        first = user.get("api/status")["started"]
        user.run("choose-jupyter", jupyter=by_hand, wait=LIMIT)
        user.until(lambda now: now.is_ready and user.job() == by_hand, user.name)
        assert user.get("api/status")["started"] != first
        assert user.batch.state.job is not None
        assert user.batch.state.job.phase is Phase.RUNNING


# --- each way to the node -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way",
    [
        "ssh",
        pytest.param("srun", marks=pytest.mark.long),
        pytest.param("direct", marks=pytest.mark.long),
    ],
)
def test_a_kernel_runs_a_cell_over_each_way(lab: Lab, way: str) -> None:
    with lab.user(lab.entry(reach=way)) as user:
        user.click()
        page = user.until_page().page
        assert page is not None
        told: Any = to_json(user.manager.snapshots())["servers"][0]
        assert told["job"]["way"] == way
        port = user.server.local_port
        channels = kernel_socket(port, page.token, start_kernel(port, page.token))
        try:
            assert run_cell(channels, "print(6 * 7)") == "42\n"
            counted = run_cell(channels, COUNT)
            assert counted == "".join(f"{number}\n" for number in range(40))
            assert run_cell(channels, "print('x' * 1_000_000)") == "x" * 1_000_000 + "\n"
        finally:
            channels.close()


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_tells_each_step_and_submits_nothing(lab: Lab) -> None:
    server = lab.entry()
    file = yaml.safe_dump({"servers": [written(server)]})
    known = [f"[127.0.0.1]:{lab.doors[0]} {lab.cluster.host_key}"]
    with RunningApp(file, known_hosts=known) as app:
        without = app.run("doctor", lab.name).stdout
        assert "find the scheduler: Slurm" in without
        assert "ask it for your jobs: no job of this entry" in without
        assert "ask when a job would start: soon" in without
        assert f"PROBLEM  No job of yours runs on {lab.name}" in without
        assert lab.jobs() == []
        assert app.run("start", lab.name).returncode == 0
        told = app.run("doctor", lab.name).stdout
        (job,) = lab.jobs()
        assert f"job {job} on c" in told
        for way in ("ssh", "srun", "direct"):
            assert f"by {way}: works" in told
        assert "the page answers, logged in, by ssh" in told
        assert "A page answers" in told
        assert lab.jobs() == [job]


def written(server: Server) -> dict[str, object]:
    """The entry as the file says it."""
    return json.loads(server.model_dump_json(exclude_unset=True))  # type: ignore[no-any-return]


# --- Grid Engine ----------------------------------------------------------------------------------


@pytest.mark.long
def test_one_click_leads_to_a_job_of_grid_engine_and_ends_it() -> None:
    with BatchCluster("gridengine") as cluster:
        lab = Lab(cluster, (cluster.door("login1"), cluster.door("login2")))
        with lab.user(lab.entry(), answers=(Answer(),)) as user:
            user.click()
            user.until_words("queued")
            assert "kernels" in user.get("api/status")
            user.until(lambda now: state_words(now).startswith("on c"))
            with lab.user(lab.entry(lab.doors[1])) as other:
                other.click()
                other.until_page()
                assert other.job() == user.job()
            user.run("end-job")
            user.until_words("ended: it was cancelled")
            assert user.questions[0].title == f"End the job on {lab.name}?"
