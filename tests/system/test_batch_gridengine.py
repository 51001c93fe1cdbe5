"""Jobs of a real Grid Engine over a real login."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.batch_desk import HOLD, Desk, link_to, until
from tests.support.tunnel_kit import nothing_left
from trayconnect.config.batch_options import BatchOptions
from trayconnect.core import remote_script
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import UnixEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import Owner
from trayconnect.services.batch import notices, scheduler
from trayconnect.services.batch.job import End, Ended, JobId, JobsSeen, Phase, Unanswered
from trayconnect.services.batch.reach import Destination, Way
from trayconnect.services.batch.scheduler import Refused, Request, Submitted, Trial, Unsure
from trayconnect.services.batch.schedulers import SCHEDULERS
from trayconnect.services.batch.script import job_script
from trayconnect.services.batch.ways import reach
from trayconnect.ssh.ssh_link import SshLink

ENGINE = SCHEDULERS["gridengine"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster("gridengine", nodes="c1") as cluster:
        cluster.use_plain_jupyter()
        yield cluster


@pytest.fixture(scope="module")
def door(cluster: BatchCluster) -> int:
    return cluster.door("login2")


@pytest.fixture
def login(tmp_path: Path, cluster: BatchCluster, door: int) -> Iterator[SshLink]:
    with nothing_left(), link_to(cluster, door, tmp_path) as link:
        yield link


def test_a_job_is_submitted_waits_is_found_again_and_ended(
    cluster: BatchCluster, login: SshLink
) -> None:
    other = ("qsub", "-terse", "-S", "/bin/sh", "-o", "/dev/null", "-j", "y")
    for number in (1, 2):  # the node has two slots
        script = f": >~/runs{number}\n{HOLD}\n"
        cluster.run("login1", *other, user="bob", stdin=script)
    assert until(lambda: len([*cluster.home("bob").glob("runs?")]) == 2)
    desk = Desk(ENGINE, login)
    job = desk.submitted()
    assert desk.submitted() == job, "the same order"
    waits = desk.job(job)
    assert (waits.phase, waits.nodes) == (Phase.QUEUED, ())
    brief = Desk(ENGINE, login, run=HOLD)
    # The file asks for no less than a minute.
    options = (brief.server.batch or BatchOptions()).model_copy(update={"time": "0:00:06"})
    server = brief.server.model_copy(update={"batch": options})
    asked = Request(brief.name, brief.mark, 6, (), job_script(server, brief.mark))
    done = login.execute("sh", remote_script.stdin(ENGINE.submit(asked)), 60)
    taken = ENGINE.submission(done.stdout.decode(), asked)
    assert isinstance(taken, Submitted)
    cluster.run("login1", "qdel", "-u", "bob")
    folder = folder_of(cluster, desk, job)
    assert until((folder / "socket").exists)
    files = desk.ready(job)
    runs = desk.job(job)
    assert (runs.phase, runs.limit, runs.partition) == (Phase.RUNNING, 600, "all.q")
    assert runs.starts is not None
    assert runs.ends == runs.starts + 600
    assert (runs.node, files.node) == ("c1", "c1")
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    node = reach(
        Destination(desk.server, ENGINE, runs, files), login, CancelToken(), lambda _problem: None
    )
    assert node.way is Way.SSH
    assert node.link.execute("uname -n", b"", 20).stdout == b"c1\n"
    node.link.close()
    desk.cancel(job)
    assert desk.job(job).phase in (Phase.ENDING, Phase.ENDED)
    assert until((folder / "status").exists)
    ended = ended_of(desk, job)
    assert ended.how is End.CANCELLED
    assert "token=…" in ended.log
    assert desk.files(job).told == "USR2"
    desk.cancel(job)
    assert until((folder_of(cluster, brief, taken.job) / "status").exists)
    assert ended_of(brief, taken.job).how is End.TIME_LIMIT


def folder_of(cluster: BatchCluster, desk: Desk, job: JobId) -> Path:
    """With the job's files. Each query takes some of the cluster's commands."""
    return cluster.home() / ".local" / "state" / "trayconnect" / "jobs" / desk.name[-8:] / job


def ended_of(desk: Desk, job: JobId) -> Ended:
    answer = desk.seen(job)
    return ENGINE.ended(answer, job, answer.files_of(job))


@pytest.mark.long
def test_its_node_is_reached_by_ssh_and_by_the_port_that_the_job_serves(
    login: SshLink, cluster: BatchCluster
) -> None:
    desk = Desk(ENGINE, login)
    job = desk.submitted()
    files = desk.ready(job)
    to = Destination(desk.server, ENGINE, desk.job(job), files)
    get = b"GET /api HTTP/1.0\r\n\r\n"
    for failed, way in ((frozenset[Way](), Way.SSH), (frozenset({Way.SSH}), Way.DIRECT)):
        node = reach(to, login, CancelToken(), lambda _problem: None, failed=failed)
        try:
            assert node.way is way
            assert node.link.execute("uname -n", b"", 20).stdout == b"c1\n"
            target = UnixEndpoint(files.socket)
            stream, owner = node.link.open_own_channel(target, ("127.0.0.1", 0), named=False)
            assert owner is Owner.OURS
            stream.sendall(get)
            assert stream.recv(8) == b"HTTP/1.1"
            stream.close()
        finally:
            node.link.close()
    desk.cancel(job)
    assert until(lambda: desk.files(job).status is not None)


@pytest.mark.long
def test_a_full_queue_waits_and_other_programs_jobs_are_listed(
    cluster: BatchCluster, login: SshLink
) -> None:
    submit = ("qsub", "-terse", "-S", "/bin/sh", "-o", "/dev/null", "-j", "y", "-N", "a_jupyter")
    others = [
        cluster.run("login1", *submit, user="alice", stdin=f"{HOLD}\n").strip() for _ in range(2)
    ]
    desk = Desk(ENGINE, login, run=HOLD)
    for other in others:
        found = desk.until(other, Phase.RUNNING)
        assert (found.is_ours, found.has_jupyter, found.limit) == (False, True, None)
    job = desk.submitted()
    waits = desk.job(job)
    assert waits.phase is Phase.QUEUED
    assert until(lambda: (r := desk.job(job).reason) is not None and "queue" in r.text)
    assert desk.job(job).submitted is not None
    for other in others:
        desk.cancel(other)
    desk.until(job, Phase.RUNNING)
    desk.cancel(job)
    assert until(lambda: desk.files(job).status is not None)


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "words", "advice"),
    [
        (["-q", "nope"], 'unknown queue "nope"', "Change -q nope in"),
        (["-l", "gpu=1"], 'unknown resource "gpu"', "Change gpu=1 in"),
        (["-l", "h_vmem=lots"], "is not a memory value", "Change h_vmem=lots in"),
        (["-pe", "smp", "2"], 'parallel environment "smp" does not exist', "Change -pe smp in"),
        (["-P", "x"], 'project "x" does not exist', "Change -P x in"),
        (["-zzz"], "invalid option argument", "Change -zzz in"),
    ],
)
def test_a_refusal_is_told_in_its_words(
    login: SshLink, options: list[str], words: str, advice: str
) -> None:
    desk = Desk(ENGINE, login, *options)
    problem = desk.refused()
    assert words in problem.title
    assert problem.title.startswith("Grid Engine refused the job: ")
    assert problem.advice.startswith(advice)
    assert isinstance(desk.trial(), Refused)
    assert isinstance(Desk(ENGINE, login).trial(), Trial)


@pytest.mark.long
@pytest.mark.parametrize(
    ("run", "how", "status"),
    [("echo bye; exit 3", End.FAILED, 3), ("echo bye; exit 0", End.COMPLETED, 0)],
)
def test_a_job_that_ends_tells_its_status(login: SshLink, run: str, how: End, status: int) -> None:
    desk = Desk(ENGINE, login, run=run)
    job = desk.submitted()
    assert until(lambda: desk.files(job).status is not None)
    answer = desk.seen(job)
    ended = ENGINE.ended(answer, job, answer.files_of(job))
    assert (ended.how, ended.status) == (how, status)
    assert "bye" in ended.log


@pytest.mark.long
def test_a_job_that_may_not_start_is_told_as_that(cluster: BatchCluster, login: SshLink) -> None:
    desk = Desk(ENGINE, login, "-h", run=HOLD)
    job = desk.submitted()
    reason = desk.job(job).reason
    assert reason is not None
    assert "held" in reason.text
    desk.cancel(job)
    assert until(lambda: desk.seen().job(job) is None or desk.job(job).phase is Phase.ENDED)


@pytest.mark.long
def test_the_place_in_the_queue_and_what_never_runs_are_told(
    cluster: BatchCluster, login: SshLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = ("qsub", "-terse", "-S", "/bin/sh", "-o", "/dev/null", "-j", "y")
    assert until(lambda: isinstance(Desk(ENGINE, login, "-l", "mem_free=1M").trial(), Trial))
    for options in ((), (), (), ("-h",), ("-q", "other.q")):
        cluster.try_run("login1", *submit, *options, user="bob", stdin=f"{HOLD}\n")
    # The first asks for a load value, which the verification does not know.
    desk = Desk(ENGINE, login, "-l", "mem_free=1M", run=HOLD)
    never = Desk(ENGINE, login, "-l", "mem_total=900T")
    job, lost = desk.submitted(), never.submitted()
    assert desk.job(job).place is None
    monkeypatch.setattr(scheduler, "PATIENCE", 0)
    assert until(
        lambda: len(cluster.run("login1", "qstat", "-s", "r", "-u", "*").split("bob")) == 3
    )
    assert desk.job(job).place == 2
    reason = never.job(lost).reason
    assert reason is not None
    assert (reason.starts, reason.text) == (False, "no queue of the cluster has what it asks for")
    assert "mem_total=900T" in reason.word
    cluster.run("login1", "qdel", "-u", "bob")
    for one in (job, lost):
        desk.cancel(one)
    assert until(lambda: not desk.seen().jobs or desk.job(job).phase is Phase.ENDED)


@pytest.mark.long
def test_the_accounts_own_options_neither_change_the_job_nor_hide_it(
    cluster: BatchCluster, login: SshLink
) -> None:
    request, listing = cluster.home() / ".sge_request", cluster.home() / ".sge_qstat"
    request.write_text("-now y -b y\n# -t 1-2\n-i /nope -e /nope/x -j n -N mine -terse\n")
    listing.write_text("# -l x\n-s r -u bob -ext -urg -ne\n")
    try:
        desk = Desk(ENGINE, login, run="echo once; exec sleep 600")
        job = desk.submitted()
        desk.until(job, Phase.RUNNING)
        assert until(lambda: "once" in desk.files(job).log)
        assert desk.submitted() == job
        for option in ("-l mem_total=9T", "-g c", "-j 1", "-qs d", "-q nope.q", "-U bob"):
            listing.write_text(f"{option}\n")
            answer = desk.query()
            assert isinstance(answer, Unanswered)
            assert f".sge_qstat hides jobs: remove {option} there" in answer.said
            assert isinstance(desk.submit("another"), Unsure)
        listing.unlink()
        for option in ("-t 1-2", "-sync y", "-w v", "-verify"):
            request.write_text(f"-now y {option} -b y\n")
            refused = Desk(ENGINE, login).refused()
            assert f"sge_request makes no single job of it: remove {option} there" in refused.title
    finally:
        request.unlink()
        listing.unlink(missing_ok=True)
    desk.cancel(job)
    assert until(lambda: desk.files(job).status is not None)
    assert desk.files(job).log.count("once") == 1


ONE = "exec python3 -c 'x = bytearray(400 << 20)'"
THREE = (
    "for one in 1 2 3; do python3 -c 'import time; x = bytearray(120 << 20); time.sleep(60)' & "
    "done; wait"
)


@pytest.mark.parametrize("line", [ONE, THREE])
@pytest.mark.long
def test_a_job_that_takes_too_much_memory_is_told_as_that(login: SshLink, line: str) -> None:
    desk = Desk(ENGINE, login, "-l", "h_vmem=300M", run=line)
    job = desk.submitted()
    assert until(lambda: (j := desk.seen().job(job)) is None or j.phase is Phase.ENDED)
    answer = desk.seen(job)
    assert notices.how(ENGINE.ended(answer, job, answer.files_of(job))) == "out of memory"


@pytest.mark.long
def test_a_qmaster_that_is_down_is_no_answer(cluster: BatchCluster, login: SshLink) -> None:
    desk = Desk(ENGINE, login, run=HOLD)
    job = desk.submitted()
    desk.until(job, Phase.RUNNING)
    cluster.run("login1", "pkill", "-KILL", "-x", "sge_qmaster")
    assert until(lambda: not cluster.pids("login1", "sge_qmaster"))
    try:
        answer = desk.query(job)
        assert isinstance(answer, Unanswered)
        assert "qmaster" in answer.said
        assert isinstance(desk.submit("another"), Unsure)
        with pytest.raises(ProblemError):
            desk.cancel(job)
    finally:
        cluster.run("login1", "sge_qmaster")
    assert until(lambda: isinstance(desk.query(), JobsSeen))
    desk.until(job, Phase.RUNNING)
    desk.cancel(job)


@pytest.mark.long
def test_auto_finds_it_and_judges_the_options_again(login: SshLink) -> None:
    assert Desk(ENGINE, login, system="auto").found() is ENGINE
    with pytest.raises(ProblemError) as caught:
        Desk(ENGINE, login, "-N", "x", system="auto").found()
    assert "-N" in caught.value.problem.title
    with pytest.raises(ProblemError) as caught:
        Desk(ENGINE, login, system="slurm").found()
    assert caught.value.problem.title == "127.0.0.1 has no Slurm"
