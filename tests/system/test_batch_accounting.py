"""A real Slurm with accounting: accounts, limits, and jobs that the controller has forgotten."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import batch_cluster
from tests.support.batch_cluster import BatchCluster
from tests.support.batch_desk import HOLD, Desk, link_to, until
from tests.support.tunnel_kit import nothing_left
from trayconnect.services.batch.job import End, Phase
from trayconnect.services.batch.schedulers import SCHEDULERS
from trayconnect.ssh.ssh_link import SshLink

SLURM = SCHEDULERS["slurm"]
SETTINGS = Path(batch_cluster.__file__).with_name("batch_lab") / "slurm"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("slurmdbd") is None or shutil.which("mariadbd") is None,
        reason="there is no slurmdbd or mariadbd: run .ci/system-packages",
    ),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchCluster]:
    """It forgets jobs early; an account runs one job at once, and may submit three."""
    folder = tmp_path_factory.mktemp("conf") / "slurm"
    shutil.copytree(SETTINGS, folder)
    conf = folder / "slurm.conf"
    conf.write_text(conf.read_text().replace("MinJobAge=300", "MinJobAge=2"))
    with BatchCluster(conf=folder) as cluster:
        cluster.run("login1", "sh", str(SETTINGS / "with-accounting.sh"))
        yield cluster


@pytest.fixture(scope="module")
def door(cluster: BatchCluster) -> int:
    return cluster.door()


@pytest.fixture
def login(tmp_path: Path, cluster: BatchCluster, door: int) -> Iterator[SshLink]:
    with nothing_left(), link_to(cluster, door, tmp_path) as link:
        yield link


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--account=nope", "Invalid account or account/partition combination specified"),
        ("--qos=nope", "Invalid qos specification"),
    ],
)
def test_an_account_that_is_not_yours_is_refused(login: SshLink, option: str, words: str) -> None:
    problem = Desk(SLURM, login, option).refused()
    assert words in problem.title
    assert problem.advice.startswith(f"Change {option} in ")


def test_the_limits_of_an_account_are_told(login: SshLink) -> None:
    desks = [Desk(SLURM, login, run=HOLD) for _ in range(3)]
    jobs = [desk.submitted() for desk in desks]
    desks[0].until(jobs[0], Phase.RUNNING)

    def reason() -> str:
        found = desks[1].job(jobs[1]).reason
        return found.word if found is not None else ""

    assert until(lambda: reason() == "QOSMaxJobsPerUserLimit"), desks[1].seen()
    waits = desks[1].job(jobs[1]).reason
    assert waits is not None
    assert waits.text == "your QOS has reached its limit: jobs that may run at once"
    problem = Desk(SLURM, login, run=HOLD).refused()
    assert "accounting/QOS policy" in problem.title
    assert problem.advice.startswith("You have as many jobs as you may submit")
    for desk, job in zip(desks, jobs, strict=True):
        desk.cancel(job)


def test_a_job_that_the_controller_has_forgotten_is_told_by_the_accounting(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login, run=HOLD)
    job = desk.submitted()
    desk.until(job, Phase.RUNNING)
    cluster.run("login2", "scancel", job, user="alice")
    known = ("scontrol", "show", "job", job)
    assert until(lambda: cluster.try_run("login1", *known, user="alice").returncode != 0)
    answer = desk.seen(job)
    ended = SLURM.ended(answer, job, None)
    assert ended.how is End.CANCELLED
    assert ended.at is not None
    assert desk.seen().job(job) is None
