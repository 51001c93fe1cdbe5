"""The command line on a batch job that waits, runs, or has ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from tests.support.batch_cluster import BatchCluster
from tests.support.running import LIMIT, RunningApp
from tests.support.waiting import wait_for
from tests.system.test_batch_service import Lab, occupied, written
from trayconnect.config.model import Server

LONG = "900"
"""Seconds that no test waits: what cannot lead to a page ends the wait."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster() as cluster:
        cluster.use_plain_jupyter()
        yield cluster


@pytest.fixture
def lab(cluster: BatchCluster) -> Iterator[Lab]:
    door = cluster.door()
    yield Lab(cluster, (door, door))
    for user in ("alice", "bob"):
        cluster.run("login1", "scancel", "-u", user)


class Terminal(RunningApp):
    """A running app, and what its commands print."""

    def __init__(self, lab: Lab, *servers: Server) -> None:
        file = yaml.safe_dump({"servers": [written(server) for server in servers]})
        door = f"[127.0.0.1]:{lab.doors[0]} {lab.cluster.host_key}"
        super().__init__(file, known_hosts=[door])

    def says(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, (command, done.stderr)
        assert not done.stderr
        return done.stdout

    def refuses(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 1, (command, done.stdout)
        assert not done.stdout
        return done.stderr

    def waits(self, command: str, name: str) -> None:
        """A command that gives up waiting for the page of a job in the queue. On a busy machine
        the first one gives up before there is a job."""

        def is_queued() -> bool:
            said = self.refuses(command, name, "--wait", "3")
            assert said.startswith(f"{name} has no page yet: ")
            return said.startswith(f"{name} has no page yet: queued")

        wait_for(is_queued, "the queue", LIMIT)


def test_without_an_app_or_a_link_nothing_is_said_of_jobs(lab: Lab) -> None:
    with Terminal(lab, lab.entry()) as terminal:
        for command in (("servers",), ("stop",), ("stop", "--force"), ("choose", "7")):
            said = terminal.refuses(command[0], lab.name, *command[1:])
            assert said.startswith(f"{lab.name} is not connected\n")
            assert f'trayconnect connect "{lab.name}"' in said
        terminal.end()
        for name in ("start", "stop"):
            assert terminal.refuses(name, lab.name).startswith("trayconnect is not running\n")


def test_a_job_in_the_queue(lab: Lab) -> None:
    occupied(lab)
    with Terminal(lab, lab.entry()) as terminal:
        name = lab.name
        for command in ("connect", "start"):
            terminal.waits(command, name)
        (job,) = lab.jobs()
        assert terminal.says("start", name).startswith(f"{name}  queued")
        assert terminal.refuses("link", name).startswith(f"{name} has no page yet: queued")
        assert terminal.says("status").startswith(f"{name}  queued")
        assert terminal.says("servers", name).startswith(f"* {job}  main  queued")
        assert "Jupyter has not begun yet" in terminal.refuses("log", name)
        assert "cannot be restarted" in terminal.refuses("restart", name)
        said = terminal.refuses("stop", name)
        assert said.startswith(f"Job {job} on {name} was not stopped\n")
        assert "It loses its place in the queue" in said
        assert terminal.says("disconnect", name).endswith("is disconnected. Its batch jobs stay.\n")
        assert lab.jobs() == [job]
        said = terminal.refuses("start", name, "--new", "--wait", "3")
        assert said.startswith(f"{name} has no page yet: ")
        wait_for(lambda: len(lab.jobs()) == 2, "the other job", LIMIT)
        assert terminal.says("stop", name, "--force") == f"Job {job} on {name} was ended.\n"
        assert len(lab.jobs()) == 1


def test_a_job_that_leads_to_no_page_ends_the_wait(lab: Lab) -> None:
    held = lab.entry(name="Held", options=["--hold"])
    refused = lab.entry(name="Refused", options=["--partition=nope"])
    none = lab.entry(name="By order", when="menu")
    with Terminal(lab, held, refused, none) as terminal:
        for command in ("connect", "start"):
            said = terminal.refuses(command, "Held", "--wait", LONG)
            assert said.startswith("The job on Held will not start as asked: it is held")
            said = terminal.refuses(command, "Refused", "--wait", LONG)
            assert said.startswith("Slurm refused the job: Invalid partition")
            assert "Change --partition=nope" in said
        assert terminal.refuses("connect", "By order", "--wait", LONG).startswith("No job of yours")
        assert terminal.refuses("link", "Refused", "--wait", LONG).startswith("Slurm refused")
        assert lab.slurm("squeue", "-h", "-o", "%T").split() == ["PENDING"]


@pytest.mark.long
def test_a_job_that_runs_and_ends(lab: Lab) -> None:
    with Terminal(lab, lab.entry()) as terminal:
        name = lab.name
        assert terminal.says("start", name).startswith(f"{name}  on c")
        (job,) = lab.jobs()
        assert terminal.says("connect", name, "--wait", LONG).startswith(f"{name}  on c")
        assert terminal.says("servers", name).startswith(f"* {job}  main  on c")
        assert terminal.says("link", name).startswith("http://127.")
        assert "Jupyter Server" in terminal.says("log", name)
        assert terminal.says("stop", name) == f"Job {job} on {name} was ended.\n"
        assert lab.jobs() == []
        assert terminal.says("status").startswith(f"{name}  ended: you ended it")
        assert terminal.refuses("stop", name, "--force").startswith("No job of yours runs")
        assert terminal.refuses("servers", name).startswith("No job of yours runs")
        assert terminal.refuses("link", name, "--wait", LONG).startswith(f"The job on {name} ended")
        assert "received signal 15" in terminal.says("log", name)
        assert terminal.says("connect", name, "--wait", LONG).startswith(f"{name}  on c")
        assert lab.jobs() not in ([], [job])


@pytest.mark.long
def test_a_scheduler_that_hangs_is_not_waited_for(lab: Lab) -> None:
    with Terminal(lab, lab.entry()) as terminal:
        name = lab.name
        terminal.says("start", name)
        (job,) = lab.jobs()
        controller = str(lab.cluster.pids("login1", "slurmctld")[0])
        lab.cluster.run("login1", "kill", "-STOP", controller)
        try:
            assert terminal.refuses("servers", name).startswith("Slurm does not answer\n")
            assert "Slurm does not answer" in terminal.says("status")
            terminal.says("disconnect", name)
            said = terminal.refuses("connect", name, "--wait", LONG)
            assert said.startswith("Slurm does not answer\n")
        finally:
            lab.cluster.run("login1", "kill", "-CONT", controller)
        assert terminal.says("connect", name, "--wait", LONG).startswith(f"{name}  on c")
        assert lab.jobs() == [job]
