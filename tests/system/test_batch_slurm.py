"""Jobs of a real Slurm over a real login: submit, find again, query, cancel, and all the ways in
which a job ends or a controller falls silent."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.tunnel_kit import Kit, entry, nothing_left
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem
from trayconnect.services.batch.cluster import RemoteCluster
from trayconnect.services.batch.job import (
    Answer,
    End,
    Ended,
    Job,
    JobFiles,
    JobId,
    JobsSeen,
    Phase,
    job_name,
)
from trayconnect.services.batch.scheduler import (
    Refused,
    Submission,
    Submitted,
)
from trayconnect.services.batch.schedulers import SCHEDULERS
from trayconnect.ssh.ssh_link import SshLink

SLURM = SCHEDULERS["slurm"]
VENV = Path(sys.executable).parent.parent
NEVER = CancelToken()
LIMIT = 240.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def door(cluster: BatchCluster) -> int:
    return cluster.door()


@pytest.fixture
def login(tmp_path: Path, cluster: BatchCluster, door: int) -> Iterator[SshLink]:
    yield from link_to(cluster, door, tmp_path)


def link_to(cluster: BatchCluster, door: int, folder: Path) -> Iterator[SshLink]:
    kit = Kit(folder)
    kit.trust([f"[127.0.0.1]:{door} {cluster.host_key}"])
    server = entry(door, identity_file=cluster.key, username="alice")
    with nothing_left(), kit.tunnel(server) as link:
        yield link


def until(condition: Callable[[], bool]) -> bool:
    """Poll for what has no event to wait for, as gently as the program does."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


class Desk:
    """An entry, and what its user does with its jobs from one computer."""

    _orders = itertools.count()

    def __init__(self, login: SshLink, *options: str, name: str = "", **more: object) -> None:
        number = next(self._orders)
        batch = {"time": "0:10:00", "options": options} | more
        self.server = Server.model_validate(
            {
                "name": name or f"Cluster {number}",
                "host": "127.0.0.1",
                "local_port": 18888,
                "batch": batch,
                "start": {"app": "server", "environment": {"venv": str(VENV)}},
            }
        )
        self.name = job_name(self.server.name)
        self.mark = f"mark{number}"
        self._login = login
        self._cluster = RemoteCluster()

    def submit(self, mark: str = "") -> Submission:
        return self._cluster.submit(self.server, SLURM, mark or self.mark, self._login, NEVER)

    def submitted(self, mark: str = "") -> JobId:
        outcome = self.submit(mark)
        assert isinstance(outcome, Submitted), outcome
        return outcome.job

    def refused(self) -> Problem:
        outcome = self.submit()
        assert isinstance(outcome, Refused), outcome
        return outcome.problem

    def query(self, *ended: JobId) -> Answer:
        return self._cluster.query(self.server, SLURM, self._login, NEVER, ended)

    def seen(self, *ended: JobId) -> JobsSeen:
        answer = self.query(*ended)
        assert isinstance(answer, JobsSeen), answer
        return answer

    def job(self, job: JobId) -> Job:
        found = self.seen().job(job)
        assert found is not None
        return found

    def files(self, job: JobId) -> JobFiles:
        return self.seen().files_of(job) or JobFiles(job)

    def cancel(self, job: JobId) -> None:
        self._cluster.cancel(SLURM, job, self._login, NEVER)

    def until(self, job: JobId, phase: Phase) -> Job:
        assert until(lambda: self.job(job).phase is phase), self.query(job)
        return self.job(job)

    def ready(self, job: JobId) -> JobFiles:
        """The files of a job whose Jupyter is ready."""
        assert until(lambda: bool(self.files(job).socket)), self.seen(job)
        return self.files(job)

    def end(self, job: JobId) -> Ended:
        assert until(lambda: self.job(job).phase is Phase.ENDED), self.query(job)
        answer = self.seen(job)
        return SLURM.ended(answer, job, answer.files_of(job))


def test_a_job_is_submitted_found_again_and_ended(cluster: BatchCluster, login: SshLink) -> None:
    desk = Desk(login)
    assert desk.seen().jobs == ()
    job = desk.submitted()
    assert desk.submitted() == job, "the same order"
    files = desk.ready(job)
    running = desk.job(job)
    assert (running.phase, running.limit) == (Phase.RUNNING, 600)
    assert running.starts is not None
    assert running.ends == running.starts + 600
    assert running.nodes[0] == files.node
    assert running.nodes[1].startswith("10.77.0.")
    assert files.host_keys[0].startswith(cluster.host_key)
    folder = cluster.home() / f".local/state/trayconnect/jobs/{desk.name[-8:]}/{job}"
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}, modes
    assert cluster.run(files.node, "stat", "-c%a %U", files.socket).strip() == "600 alice"
    assert str(files.pid) in cluster.run(files.node, "pgrep", "-f", files.socket).split()
    desk.cancel(job)
    ended = desk.end(job)
    assert ended.how is End.CANCELLED
    assert "Jupyter Server" in ended.log
    assert "token=…" in ended.log
    assert desk.seen(job).job(job) == desk.seen(job).job(job)
    desk.cancel(job)
