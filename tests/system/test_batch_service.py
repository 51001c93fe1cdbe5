"""From a click to the page of a Jupyter in a job of a real Slurm, and back."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tests.support.batch_cluster import BatchCluster
from tests.support.chromium import Chromium
from tests.support.devtools import Tab
from tests.support.ports import free_port
from tests.support.proxy import FaultyProxy
from tests.support.running import RunningApp
from tests.support.waiting import wait_for
from tests.support.whole import LIMIT, Whole
from tests.support.xvfb import XServer
from tests.system.test_whole_way import kernel_socket, run_cell, start_kernel
from trayconnect.config.forward_model import Forward
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
COUNTED = "".join(f"{number}\n" for number in range(40))
NUMBERS = itertools.count(1)


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
    """An entry of the test's own."""
    lab = Lab(cluster, doors)
    yield lab
    lab.end()
    cluster.run("login1", "scancel", "-u", "bob")


@pytest.fixture(scope="module")
def shared(cluster: BatchCluster, doors: tuple[int, int]) -> Iterator[Lab]:
    """An entry with a job that runs, and that several tests find."""
    lab = Lab(cluster, doors, "Shared", node="c1")
    with lab.user(lab.entry()) as user:
        user.click()
        user.until_page()
    yield lab
    lab.end()


class Lab:
    """The cluster, and an entry whose jobs run on one node."""

    def __init__(
        self, cluster: BatchCluster, doors: tuple[int, int], name: str = "", node: str = "c2"
    ) -> None:
        self.cluster, self.doors, self.node = cluster, doors, node
        self.name = name or f"Cluster {next(NUMBERS)}"

    def entry(self, port: int = 0, *, name: str = "", **batch: object) -> Server:
        """`port`: another way to the login node."""
        options = cast(list[str], batch.pop("options", []))
        if self.node:
            options = [f"--nodelist={self.node}", *options]
        return Server.model_validate(
            {
                "name": name or self.name,
                "host": "127.0.0.1",
                "port": port or self.doors[0],
                "username": "alice",
                "auth": {"identity_file": str(self.cluster.key)},
                "local_port": free_port(),
                "keepalive": {"interval": 1, "count_max": 2},
                "batch": {"time": "0:30:00", "options": options} | batch,
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

    def end(self) -> None:
        self.slurm("scancel", "-n", job_name(self.name))


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


def test_two_computers_share_one_job(shared: Lab) -> None:
    with (
        shared.user(shared.entry()) as first,
        shared.user(shared.entry(shared.doors[1])) as second,
    ):
        first.click()
        second.click()
        first.until_page()
        second.until_page()
        assert [first.job()] == [second.job()] == shared.jobs()
        assert first.get("api/status")["started"] == second.get("api/status")["started"]
        assert len(first.pages) == len(second.pages) == 1


WHERE = """
import http.server, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(socket.gethostname().encode())
http.server.HTTPServer(("127.0.0.1", 8055), Handler).serve_forever()
"""


def test_forwards_lead_to_the_node_of_the_job(shared: Lab) -> None:
    ports = {"Board": free_port(), "Plain": free_port()}
    forwards = [{"name": n, "port": 8055, "local_port": port} for n, port in ports.items()]
    forwards[0] |= {"ready": "/", "open": True}
    entry = shared.entry().model_copy(
        update={"forwards": tuple(map(Forward.model_validate, forwards))}
    )
    tools = [
        shared.cluster.spawn(host, "python3", "-c", WHERE, user="alice")
        for host in ("login1", shared.node)
    ]
    try:
        with shared.user(entry) as user:
            user.click()
            user.until_page()
            user.until(lambda now: now.forwards[0].answers is True)
            for port in ports.values():
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT) as answer:
                    assert answer.read().decode() == shared.node
    finally:
        for host, tool in zip(("login1", shared.node), tools, strict=True):
            shared.cluster.try_run(host, "pkill", "-f", "serve_forever", user="alice")
            tool.communicate(timeout=LIMIT)


# --- the queue ------------------------------------------------------------------------------------


def occupied(lab: Lab) -> str:
    """The node is bob's: his job."""
    script = "#!/bin/sh\nsleep 600\n"
    command = ("sbatch", "--parsable", "-w", lab.node, "--exclusive", "--output=/dev/null")
    job = lab.cluster.run("login1", *command, user="bob", stdin=script).strip()
    state = ("squeue", "-h", "-j", job, "-o", "%T")
    wait_for(lambda: "RUNNING" in lab.cluster.run("login1", *state), "bob's job")
    return job


def test_one_click_waits_in_the_queue_and_opens_the_page(lab: Lab) -> None:
    others = occupied(lab)
    with lab.user(lab.entry()) as user:
        user.click()
        user.until_words("queued")
        user.until_known(lambda s: s.job and s.job.reason and s.job.reason.word == "Resources")
        assert not user.pages
        lab.cluster.run("login1", "scancel", others)
        assert user.until_page().page is not None
        wait_for(lambda: user.pages, "the page")
        assert "kernels" in user.get("api/status")
        told: Any = to_json(user.manager.snapshots())["servers"][0]
        assert told["job"]["state"] == "running"
        assert told["job"]["node"] == lab.node
        assert told["job"]["way"] == "ssh"
        assert 0 < told["job"]["time_left"] <= 1800
        assert told["words"].startswith(f"on {lab.node}")
        user.off(user.name)
        assert lab.jobs() == [told["job"]["id"]]  # disconnecting leaves it


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
        # No page was expected while the job waited, however long the cut was.
        assert not any("no longer answers" in notice.title for notice in user.notices)
        started = user.get("api/status")["started"]
        proxy.cut(reset=True)
        user.until(lambda now: now.state is not State.UP, user.name)
        user.manager.woke()
        user.until_page()
        assert user.get("api/status")["started"] == started
        assert user.job() == job
        assert lab.jobs() == [job]


def test_a_job_that_will_not_start_says_so_and_is_ended(lab: Lab) -> None:
    with lab.user(lab.entry(options=["--hold"]), answers=(Answer(),)) as user:
        user.click()
        user.until_words("queued: will not start as asked")
        assert any("will not start as asked" in notice.title for notice in user.notices)
        user.run("end-job")
        user.until_words("ended")
        assert "It loses its place in the queue" in user.questions[0].message
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


def test_the_end_of_a_job_asks_and_a_cancel_elsewhere_is_told(lab: Lab) -> None:
    with lab.user(lab.entry(), answers=(Answer(),)) as user:
        user.click()
        page = user.until_page().page
        assert page is not None
        assert user.server.local_port
        start_kernel(user.server.local_port, page.token)
        losses: Any = user.run("jupyter-losses")
        first = user.job()
        assert losses["identity"] == first
        assert "1 kernel: a kernel without a notebook" in losses["losses"]
        user.run("end-job")
        user.until_words("ended: you ended it")
        (question,) = user.questions
        assert question.message.startswith(f"Job {first} on c")
        assert "min left" in question.message
        wait_for(lambda: lab.jobs() == [], "the end")
        assert not any("ended: " in notice.title for notice in user.notices)
        user.batch.tell(cast(Any, Command("new-job", user.name)))
        user.until_page()
        (second,) = lab.jobs()
        assert user.job() == second != first
        lab.slurm("scancel", second)
        wait_for(lambda: not user.answers(), "the end of Jupyter", LIMIT)
        user.until_words("ended: it was cancelled")
        titles = [notice.title for notice in user.notices]
        assert titles[-1] == f"Your job on {user.name} ended"
        assert user.notices[-1].body.startswith("It was cancelled. ")
        assert not any("no longer answers" in title for title in titles)
        assert lab.jobs() == []  # and it is not replaced


@pytest.mark.long
def test_the_end_of_the_time_is_told_before_and_after(lab: Lab) -> None:
    with lab.user(lab.entry(time="0:01:00")) as user:
        user.click()
        user.until_page()
        wait_for(lambda: any(" ends in " in n.title for n in user.notices), "the notice", LIMIT)
        assert user.until_page().page is not None
        user.until_words("ended: time limit reached")
        assert user.notices[-1].title == f"Your job on {user.name} ended"
        assert user.notices[-1].body.startswith("Time limit reached. ")
        assert lab.jobs() == []


# --- a scheduler that is silent -------------------------------------------------------------------


@pytest.mark.long
def test_a_controller_that_hangs_changes_nothing(shared: Lab) -> None:
    with shared.user(shared.entry()) as user:
        user.click()
        user.until_page()
        (controller,) = shared.cluster.pids("login1", "slurmctld")
        shared.cluster.run("login1", "kill", "-STOP", str(controller))
        try:
            user.batch.tell(CheckAgain())
            user.until_words("Slurm does not answer")
            assert user.get("api/status")["started"]
        finally:
            shared.cluster.run("login1", "kill", "-CONT", str(controller))
        user.batch.tell(CheckAgain())
        user.until(lambda now: "does not answer" not in state_words(now), user.name)
        assert shared.jobs() == [user.job()]


# --- several jobs ---------------------------------------------------------------------------------


def test_a_jupyter_that_was_submitted_by_hand_is_listed_and_opened(shared: Lab) -> None:
    python = VENV / "bin" / "python"
    serve = "-m jupyter_server --ServerApp.ip=127.0.0.1 --ServerApp.open_browser=False"
    script = f"#!/bin/sh\nexec {python} {serve}\n"
    command = ("sbatch", "--parsable", "--job-name=my-jupyter", "--output=/dev/null", "-wc2")
    by_hand = shared.cluster.run("login1", *command, user="alice", stdin=script).strip()
    with shared.user(shared.entry()) as user:
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
    shared.slurm("scancel", by_hand)


# --- each way to the node -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way",
    [
        "ssh",
        pytest.param("srun", marks=pytest.mark.long),
        pytest.param("direct", marks=pytest.mark.long),
    ],
)
def test_a_kernel_runs_a_cell_over_each_way(shared: Lab, way: str) -> None:
    with shared.user(shared.entry(reach=way)) as user:
        user.click()
        page = user.until_page().page
        assert page is not None
        told: Any = to_json(user.manager.snapshots())["servers"][0]
        assert told["job"]["way"] == way
        port = user.server.local_port
        channels = kernel_socket(port, page.token, start_kernel(port, page.token))
        try:
            assert run_cell(channels, "print(6 * 7)") == "42\n"
            assert run_cell(channels, COUNT) == COUNTED
            assert run_cell(channels, "print('x' * 1_000_000)") == "x" * 1_000_000 + "\n"
        finally:
            channels.close()


KERNEL_IN_A_PAGE = """
(async () => {
  const headers = {Authorization: "token TOKEN", "Content-Type": "application/json"};
  const made = await (await fetch("/api/kernels", {method: "POST", headers, body: "{}"})).json();
  const socket = new WebSocket(`ws://${location.host}/api/kernels/${made.id}/channels?token=TOKEN`);
  window.tcShown = "";
  socket.onopen = () => socket.send(JSON.stringify({
    channel: "shell", content: {code: CODE, silent: false}, metadata: {}, parent_header: {},
    header: {msg_id: "1", msg_type: "execute_request", session: "1", username: "", version: "5.3"},
  }));
  socket.onmessage = message => {
    const {channel, content, header} = JSON.parse(message.data);
    if (channel === "iopub" && header.msg_type === "stream") window.tcShown += content.text;
  };
})()
"""


def test_a_kernel_runs_a_cell_in_chromium(
    shared: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page's own WebSocket through the node; `test_app_batch` has JupyterLab's."""
    chromium = Chromium(tmp_path)
    with XServer() as screen, shared.user(shared.entry()) as user:
        user.click()
        page = user.until_page().page
        assert page is not None
        monkeypatch.setenv("DISPLAY", screen.display)
        # Jupyter lets the answers of its API send nothing.
        address = f"http://{jupyter_authority(user.server)}/login"
        browser = subprocess.Popen([chromium.command, address])
        try:
            with Tab(chromium, address) as tab:
                code = KERNEL_IN_A_PAGE.replace("TOKEN", page.token).replace("CODE", repr(COUNT))
                tab.until("document.cookie.includes('_xsrf')")
                tab.evaluate(code)
                tab.until("window.tcShown.includes('39')")
                assert tab.evaluate("window.tcShown") == COUNTED
        finally:
            chromium.close()
            browser.wait(LIMIT)


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_tells_each_step_and_submits_nothing(lab: Lab, shared: Lab) -> None:
    file = yaml.safe_dump({"servers": [written(lab.entry()), written(shared.entry())]})
    known = [f"[127.0.0.1]:{lab.doors[0]} {lab.cluster.host_key}"]
    with RunningApp(file, known_hosts=known) as app:
        without = app.run("doctor", lab.name).stdout
        assert "find the scheduler: Slurm" in without
        assert "ask it for your jobs: no job of this entry" in without
        assert "ask when a job would start: soon" in without
        assert f"PROBLEM  No job of yours runs on {lab.name}" in without
        assert lab.jobs() == []
        before = shared.jobs()
        assert app.run("start", shared.name).returncode == 0
        told = app.run("doctor", shared.name).stdout
        (job,) = shared.jobs()
        assert [job] == before
        assert f"job {job} on c" in told
        for way in ("ssh", "srun", "direct"):
            assert f"by {way}: works" in told
        assert "the page answers, logged in, by ssh" in told
        assert "A page answers" in told
        assert shared.jobs() == before


def written(server: Server) -> dict[str, object]:
    """The entry as the file says it."""
    return json.loads(server.model_dump_json(exclude_unset=True))  # type: ignore[no-any-return]


# --- Grid Engine ----------------------------------------------------------------------------------


@pytest.mark.long
def test_one_click_leads_to_a_job_of_grid_engine_and_ends_it() -> None:
    with BatchCluster("gridengine") as cluster:
        lab = Lab(cluster, (cluster.door("login1"), cluster.door("login2")), node="")
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
            user.until_words("ended: you ended it")
            assert user.questions[0].title == f"End the job on {lab.name}?"
