"""A login node whose home folder shows a job's files late, or never."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.waiting import wait_for
from tests.system.test_batch_service import Lab
from trayconnect.core.command import Command
from trayconnect.services.batch import pace
from trayconnect.sessions.snapshot import state_words

STATE = Path(".local", "state", "trayconnect", "jobs")
LAG = 2.5


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster() as cluster:
        cluster.use_plain_jupyter()
        yield cluster


@pytest.fixture
def lab(cluster: BatchCluster) -> Iterator[Lab]:
    door = cluster.door("login1")
    yield Lab(cluster, (door, door))
    cluster.run("login1", "scancel", "-u", "alice")


@pytest.fixture
def home(cluster: BatchCluster) -> Iterator[Path]:
    """alice's home on login1, which the other hosts do not have."""
    copied = "mkdir -p /mnt/own && cp -a /home/. /mnt/own && mount --bind /mnt/own /home"
    cluster.run("login1", "sh", "-c", copied)
    yield cluster.folder / "own" / "alice"
    cluster.run("login1", "umount", "-l", "/home")
    shutil.rmtree(cluster.folder / "own")


@contextlib.contextmanager
def copied_late(cluster: BatchCluster, home: Path) -> Iterator[None]:
    """Each file of the jobs shows on login1 after `LAG` seconds: the small ones, by luck, last."""
    is_over = threading.Event()
    first_seen: dict[Path, float] = {}

    def copy() -> None:
        while not is_over.wait(0.1):
            there = cluster.home() / STATE
            for file in sorted(there.rglob("*"), key=lambda one: -len(one.name)):
                age = time.monotonic() - first_seen.setdefault(file, time.monotonic())
                if age > LAG and file.suffix != ".new":
                    with contextlib.suppress(FileNotFoundError):
                        show(file, home / STATE / file.relative_to(there))

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def show(file: Path, shown: Path) -> None:
    status = file.stat()
    if file.is_dir():
        shown.mkdir(parents=True, exist_ok=True)
        there = shown
    else:
        there = shown.with_name(f".{shown.name}")
        shutil.copy2(file, there)
    os.chown(there, status.st_uid, status.st_gid)
    there.chmod(status.st_mode)
    if there != shown:
        there.rename(shown)


def test_files_that_show_late_are_waited_for(
    lab: Lab, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "HOME_SHOWS", 1.0)
    with copied_late(lab.cluster, home), lab.user(lab.entry()) as user:
        user.click()
        user.until_words("waiting for the files of the job on c")
        user.until_page()
        wait_for(lambda: user.pages, "the page")
        assert not user.notices
        assert len(lab.jobs()) == 1


@pytest.mark.long
def test_a_home_that_is_not_shared_is_told_with_what_helps(
    lab: Lab, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "HOME_LAG", 3.0)
    with lab.user(lab.entry()) as user:
        user.click()
        problem = user.until(lambda now: now.problem is not None).problem
        assert problem is not None
        assert problem.title.endswith("but the login node does not show its files")
        assert not user.pages
        assert len(lab.jobs()) == 1
        # As it says: a folder that both share, for the next job.
        lab.cluster.run("login1", "install", "-d", "-o", "alice", "/mnt/scratch")
        (home / ".bashrc").write_text("export XDG_STATE_HOME=/mnt/scratch\n")
        lab.slurm("scancel", user.job())
        user.until_words("ended")
        user.batch.tell(Command("new-job", user.name))
        user.until_page()
        assert state_words(user.until_page()).startswith("on c")
