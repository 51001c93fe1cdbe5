"""Which way to a node is taken, and which one next."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.link import Link, NotOpenedError, Owner, Refusal
from trayconnect.services.batch import direct_way, ssh_way, told, ways
from trayconnect.services.batch.job import Job, JobFiles, Phase, job_name
from trayconnect.services.batch.reach import Destination, OpenWay, Way
from trayconnect.services.batch.relay import frames, program
from trayconnect.services.batch.scheduler import Scheduler
from trayconnect.services.batch.schedulers import SCHEDULERS

SSH, SRUN, DIRECT = Way.SSH, Way.SRUN, Way.DIRECT
LOGIN = cast(Link, object())
OnLost = Callable[[Problem], None]


@pytest.mark.parametrize(
    ("asked", "failed", "expected"),
    [
        ("auto", (), (SSH, SRUN, DIRECT)),
        ("auto", (SSH,), (SRUN, DIRECT, SSH)),
        ("auto", (SRUN,), (DIRECT, SSH, SRUN)),
        ("auto", (SSH, SRUN), (DIRECT, SSH, SRUN)),
        ("auto", (SSH, SRUN, DIRECT), (SSH, SRUN, DIRECT)),
        ("srun", (), (SRUN,)),
        ("srun", (SRUN,), (SRUN,)),
        ("direct", (SSH,), (DIRECT,)),
    ],
)
def test_the_order(asked: str, failed: tuple[Way, ...], expected: tuple[Way, ...]) -> None:
    assert ways.order(asked, frozenset(failed)) == expected


class FakeLink:
    def __init__(self) -> None:
        self.is_closed = False
        self.leads_there = True

    def open_own_channel(
        self, target: Endpoint, *_: object, **__: object
    ) -> tuple[FakeLink, Owner]:
        if not self.leads_there:
            raise NotOpenedError(Problem(f"nothing at {target}", ""), Refusal.REFUSED)
        return FakeLink(), Owner.OURS

    def close(self) -> None:
        self.is_closed = True


class Openers:
    """Ways that work, or do not."""

    def __init__(self, *working: Way) -> None:
        self.working = working
        self.tried: list[Way] = []
        self.link = FakeLink()
        self.report: OnLost | None = None
        self.is_lost_at_once = False
        self.blind = 0
        self.files: JobFiles | None = None

    def of(self, way: Way) -> OpenWay:
        def open_way(to: Destination, login: Link, cancel: CancelToken, on_lost: OnLost) -> Link:
            self.tried.append(way)
            if way not in self.working:
                raise ProblemError(Problem(f"no {way.value}", "", Recovery.USER_ACTION))
            if self.is_lost_at_once:
                self.is_lost_at_once = False
                on_lost(Problem("lost", ""))
            self.report = on_lost
            self.link.leads_there, self.blind = not self.blind, max(0, self.blind - 1)
            return cast(Link, self.link)

        return open_way

    def reach(self, asked: str = "auto", on_lost: OnLost = lambda _: None) -> Way:
        server = Server.model_validate(
            {"name": "C", "host": "h", "local_port": 18888, "batch": {"reach": asked}}
        )
        to = Destination(
            server,
            cast(Scheduler, object()),
            Job("1", "n", Phase.RUNNING, nodes=("c1",)),
            self.files,
        )
        openers = {way: self.of(way) for way in Way}
        return ways.reach(to, LOGIN, CancelToken(), on_lost, openers=openers).way


def test_the_first_that_works_is_taken() -> None:
    openers = Openers(SRUN, DIRECT)
    assert openers.reach() is SRUN
    assert openers.tried == [SSH, SRUN]


def test_if_none_works_each_says_why_and_nobody_is_asked() -> None:
    with pytest.raises(ProblemError) as caught:
        Openers().reach()
    problem = caught.value.problem
    assert problem.title == "c1 cannot be reached"
    assert problem.detail == "ssh: no ssh; srun: no srun; direct: no direct"
    assert problem.recovery is Recovery.RETRY


def test_the_files_way_is_the_only_one() -> None:
    openers = Openers(SSH)
    with pytest.raises(ProblemError) as caught:
        openers.reach("srun")
    assert openers.tried == [SRUN]
    assert "no srun" in caught.value.problem.advice


def test_a_link_that_is_lost_at_once_is_closed_and_the_next_taken() -> None:
    openers = Openers(SSH, SRUN)
    openers.is_lost_at_once = True
    losses: list[Problem] = []
    assert openers.reach(on_lost=losses.append) is SRUN
    assert openers.link.is_closed
    assert not losses
    assert openers.report is not None
    openers.report(Problem("later", ""))
    assert [loss.title for loss in losses] == ["later"]


def test_a_cancelled_attempt_tries_no_other() -> None:
    cancel = CancelToken()

    def open_way(to: Destination, login: Link, cancel: CancelToken, on_lost: OnLost) -> Link:
        cancel.set()
        raise ProblemError(Problem("", ""))

    server = Server.model_validate({"name": "C", "host": "h", "local_port": 18888, "batch": True})
    to = Destination(server, cast(Scheduler, object()), Job("1", "n", Phase.RUNNING))
    with pytest.raises(Cancelled):
        ways.reach(to, LOGIN, cancel, lambda _: None, openers=dict.fromkeys(Way, open_way))


def test_a_way_that_does_not_lead_to_the_jobs_socket_is_closed_and_the_next_taken() -> None:
    openers = Openers(SSH, SRUN)
    openers.blind = 1
    openers.files = JobFiles("1", socket="/tmp/tc-1/sock")
    assert openers.reach() is SRUN
    assert openers.link.is_closed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("10.0.0.1", "10.0.0.1", "c1", "::ffff:10.0.0.2"), ("10.0.0.1", "10.0.0.2")),
        (("127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"), ()),
        (("fe80::1%eth0", "169.254.1.1", "224.0.0.1", "ff02::1"), ()),
        (("2001:DB8:0::1",), ("2001:db8::1",)),
    ],
)
def test_the_addresses_of_another_host(words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert direct_way.numbers(words) == expected


SH = shutil.which("sh")


@pytest.mark.skipif(sys.platform == "win32" or SH is None, reason="the login node's sh")
@pytest.mark.parametrize("home", ["plain", "with a blank", "100% of $HOME", "it's"])
def test_the_login_nodes_ssh_knows_the_node_in_any_home(home: str, tmp_path: Path) -> None:
    """OpenSSH splits the option at blanks and expands percent signs."""
    server = Server.model_validate(
        {"name": "C", "host": "h", "local_port": 18888, "batch": {"reach": "ssh"}}
    )
    folder = tmp_path / home / ".local/state/trayconnect/jobs" / job_name("C")[-8:] / "1"
    folder.mkdir(parents=True, mode=0o700)
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        '#!/bin/sh\ncase "$*" in *UserKnownHostsFile=./known_hosts*) cat known_hosts; esac\n'
    )
    ssh.chmod(0o755)
    to = Destination(
        server,
        cast(Scheduler, object()),
        Job("1", "n", Phase.RUNNING, nodes=("c1",)),
        JobFiles("1", host_keys=("ssh-ed25519 AAAA root@c1",)),
    )

    def said() -> subprocess.CompletedProcess[str]:
        path = f"{ssh.parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", ssh_way._line(to)],
            env={"HOME": str(tmp_path / home), "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    assert said().stdout == "c1 ssh-ed25519 AAAA\n"
    folder.chmod(0o770)  # others may write there
    assert said().stdout == ""
    assert told.NOT_OURS in said().stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the relay runs on Linux")
@pytest.mark.parametrize("way", ["ssh", "srun"])
@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish", "tcsh"])
def test_any_login_shell_starts_the_relay(shell: str, way: str, tmp_path: Path) -> None:
    """That of the login node, and that of the node. csh allows no line break in quotes; fish sees a
    backslash there."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    home = tmp_path / "it's 100% of $HOME"
    folder = home / ".local/state/trayconnect/jobs" / job_name("C")[-8:] / "1"
    folder.mkdir(parents=True, mode=0o700)
    last = "for last; do :; done; exec"
    for name, text in ("ssh", f'{last} {shell} -c "$last"'), ("srun", f'{last} sh -c "$last"'):
        (tmp_path / name).write_text(f'#!/bin/sh\n[ "$*" != --help ] || exit\n{text}\n')
        (tmp_path / name).chmod(0o755)
    keys = ("ssh-ed25519 AAAA root@c1", "ssh-rsa AAAAB root@c1")
    job, files = Job("1", "n", Phase.RUNNING, nodes=("c1",)), JobFiles("1", pid=1, host_keys=keys)
    server = Server.model_validate({"name": "C", "host": "h", "local_port": 18888, "batch": {}})
    if way == "ssh":
        line = ssh_way._line(Destination(server, SCHEDULERS["slurm"], job, files))
    else:
        line = SCHEDULERS["slurm"].step(job, program.command(1))
    done = subprocess.run(
        [shell, "-c", line],
        input=program.stdin(),
        env={"HOME": str(home), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        check=False,
    )
    assert frames.GREETING in done.stdout, done.stderr
    if way == "ssh":
        known = "c1 ssh-ed25519 AAAA\nc1 ssh-rsa AAAAB\n"
        assert (folder / "known_hosts").read_text() == known
