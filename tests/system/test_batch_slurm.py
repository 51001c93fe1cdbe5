"""Jobs of a real Slurm over a real login: submit, find again, query, cancel, and all the ways in
which a job ends or a controller falls silent."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.batch_desk import HOLD, Desk, link_to, until
from tests.support.tunnel_kit import nothing_left
from trayconnect.core import remote_script
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import ByteStream
from trayconnect.services.batch import notices, scheduler
from trayconnect.services.batch.job import (
    End,
    Job,
    JobId,
    JobsSeen,
    Phase,
    Reason,
    Unanswered,
)
from trayconnect.services.batch.scheduler import (
    Refused,
    Request,
    Submitted,
    Trial,
    Unsure,
)
from trayconnect.services.batch.schedulers import SCHEDULERS
from trayconnect.services.batch.script import job_script
from trayconnect.services.jupyter.start import quoted
from trayconnect.ssh.ssh_link import SshLink

SLURM = SCHEDULERS["slurm"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster() as cluster:
        cluster.use_plain_jupyter()
        yield cluster


@pytest.fixture(scope="module")
def door(cluster: BatchCluster) -> int:
    return cluster.door()


@pytest.fixture(scope="module")
def second_door(cluster: BatchCluster) -> int:
    return cluster.door("login2")


@pytest.fixture
def login(tmp_path: Path, cluster: BatchCluster, door: int, second_door: int) -> Iterator[SshLink]:
    with nothing_left(), link_to(cluster, door, tmp_path) as link:
        yield link


def test_a_job_is_submitted_found_again_and_ended(cluster: BatchCluster, login: SshLink) -> None:
    desk = Desk(SLURM, login)
    assert desk.seen().files == ()
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
    assert not (folder / "relay").exists(), "no port is open"
    cluster.run("login1", "touch", f"/home/alice/{folder.relative_to(cluster.home())}/wanted")
    assert until((folder / "relay").exists), "the node's port is served"
    desk.cancel(job)
    ended = desk.end(job)
    assert ended.how is End.CANCELLED
    assert "Jupyter Server" in ended.log
    assert "token=…" in ended.log
    assert desk.seen(job).job(job) == desk.seen(job).job(job)
    desk.cancel(job)


def test_every_login_node_and_every_computer_finds_the_same_job(
    cluster: BatchCluster, login: SshLink, second_door: int, tmp_path: Path
) -> None:
    desk = Desk(SLURM, login, run=HOLD)
    job = desk.submitted()
    (tmp_path / "other").mkdir()
    with link_to(cluster, second_door, tmp_path / "other") as other:
        laptop = Desk(SLURM, other, name=desk.server.name.upper())
        laptop.until(job, Phase.RUNNING)
        assert laptop.job(job).is_of(laptop.server.name)
        assert until(lambda: laptop.files(job).node != "")
        laptop.cancel(job)
    assert desk.end(job).how is End.CANCELLED
    assert desk.files(job).told == "TERM"


def test_other_users_see_neither_the_entry_nor_the_script(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login, run=f"export SECRET_NAME=1; {HOLD}", name="Divorce papers")
    job = desk.submitted()
    desk.until(job, Phase.RUNNING)
    told = cluster.run("login2", "scontrol", "show", "job", job, user="bob")
    assert desk.name in told
    assert "ivorce" not in told
    assert "SECRET" not in told
    assert (
        cluster.try_run("login2", "scontrol", "write", "batch_script", job, "-", user="bob").stdout
        == ""
    )
    node = desk.job(job).node
    sleeping = ("pgrep", "-x", "-f", "sleep 600")
    assert until(lambda: cluster.try_run(node, *sleeping).stdout != "")
    (pid,) = cluster.run(node, *sleeping).split()
    environment = cluster.run(node, "cat", f"/proc/{pid}/environ")
    assert "SSH_" not in environment
    assert "SLURM_JOB_ID" in environment
    assert "SLURM_EXPORT_ENV" not in environment
    desk.cancel(job)
    desk.end(job)


@pytest.mark.parametrize(
    ("options", "words", "advice"),
    [
        (["--partition=nope"], "Invalid partition name specified", "Change --partition=nope in"),
        (["-p", "staff"], "not permitted to use this partition", "Change -p staff in"),
        (["-pstaff"], "not permitted to use this partition", "Change -pstaff in"),
        (["--gres=gpu:1"], "Invalid generic resource (gres)", "Change --gres=gpu:1 in"),
        (["--constraint=avx"], "Invalid feature specification", "Change --constraint=avx in"),
        (["-w", "c9"], "Invalid node name specified", "Change -w c9 in"),
        (["--mem=lots"], "Invalid --mem specification", "Change --mem=lots in"),
        (["--mem=1T"], "Requested node configuration is not available", "Change --mem=1T in"),
        (["--hint=zz"], "unrecognized --hint argument", "Change --hint=zz in"),
        (["--nonsense=1"], "unrecognized option", "Change --nonsense=1 in"),
        (["-y", "x"], "invalid option", "Change -y x in"),
        (["--reservation=x"], "eservation", "Change --reservation=x in"),
    ],
)
def test_a_refusal_is_told_in_slurms_words_with_what_to_change(
    login: SshLink, options: list[str], words: str, advice: str
) -> None:
    desk = Desk(SLURM, login, *options)
    problem = desk.refused()
    assert problem.title.startswith("Slurm refused the job: ")
    assert words in problem.title
    assert problem.advice.startswith(advice)
    own = [job for job in desk.seen().jobs if job.is_of(desk.server.name)]
    assert all(job.phase is Phase.ENDED for job in own), "Slurm may keep a record of it"
    trial = desk.trial()
    assert isinstance(trial, Refused)
    assert words in trial.problem.title


def test_what_will_never_start_is_told_and_a_full_queue_waits(
    cluster: BatchCluster, login: SshLink
) -> None:
    never = Desk(SLURM, login, "--partition=short", run=HOLD)
    lost = never.submitted()
    first = Desk(SLURM, login, "--nodes=2", "--exclusive", run=HOLD)
    held = first.submitted()
    first.until(held, Phase.RUNNING)
    second = Desk(SLURM, login, "--nodes=2", "--exclusive", run=HOLD)
    waits = second.submitted()

    def reason(job: JobId) -> Reason | None:
        return second.job(job).reason

    assert until(lambda: (r := reason(lost)) is not None and r.word == "PartitionTimeLimit")
    assert reason(lost) == SLURM.explain("PartitionTimeLimit")
    assert not SLURM.explain("PartitionTimeLimit").starts
    assert until(lambda: (r := reason(waits)) is not None and r.word in ("Resources", "Priority"))
    assert until(lambda: second.job(waits).starts is not None), second.seen()
    runs, queued = second.job(held), second.job(waits)
    assert queued.phase is Phase.QUEUED
    assert queued.nodes == ()
    assert runs.ends is not None
    assert queued.starts == pytest.approx(runs.ends, abs=60)
    trial = second.trial()
    assert isinstance(trial, Trial)
    assert trial.at == pytest.approx(runs.ends + 600, abs=120)
    assert "main" in trial.where
    cluster.run("login2", "scancel", held, user="alice")
    second.until(waits, Phase.RUNNING)
    for job in (waits, lost):
        second.cancel(job)
        assert second.end(job).how is End.CANCELLED
    assert first.end(held).how is End.CANCELLED


def test_the_place_in_the_queue_is_told_where_others_jobs_are_seen(
    cluster: BatchCluster, login: SshLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ("--nodes=2", "--exclusive")
    first = Desk(SLURM, login, *whole, run=HOLD)
    held = first.submitted()
    first.until(held, Phase.RUNNING)
    submit = ("sbatch", "--parsable", *whole, "-t5", "-o", "/dev/null")
    for options in ((), ("--array=1-9",), ("--hold",)):  # one that is held is not before it
        cluster.run("login1", *submit, *options, user="bob", stdin="#!/bin/sh\nsleep 99\n")
    second = Desk(SLURM, login, *whole, run=HOLD)
    waits = second.submitted()
    assert until(lambda: (r := second.job(waits).reason) is not None and r.word == "Priority")
    assert second.job(waits).place is None, "it has just come"
    monkeypatch.setattr(scheduler, "PATIENCE", 0)
    assert second.job(waits).place == 3
    conf = cluster.folder / "etc/slurm/slurm.conf"
    before = conf.read_text()
    conf.write_text(f"{before}PrivateData=jobs\n")
    cluster.run("login1", "scontrol", "reconfigure")
    alone = ("squeue", "-h", "-o", "%u")
    assert until(lambda: "bob" not in cluster.run("login2", *alone, user="alice"))
    assert second.job(waits).place is None
    conf.write_text(before)
    cluster.run("login1", "scontrol", "reconfigure")
    cluster.run("login1", "scancel", "-u", "bob")
    assert until(lambda: second.job(waits).place == 1)
    for desk, job in ((second, waits), (first, held)):
        desk.cancel(job)
        desk.end(job)


def test_a_job_that_the_cluster_suspends_says_so(cluster: BatchCluster, login: SshLink) -> None:
    desk = Desk(SLURM, login, run=HOLD)
    job = desk.submitted()
    desk.until(job, Phase.RUNNING)
    cluster.run("login1", "scontrol", "suspend", job)
    stands = desk.job(job)
    assert (stands.phase, stands.note) == (Phase.RUNNING, "suspended by the cluster")
    cluster.run("login1", "scontrol", "resume", job)
    assert desk.job(job).note == ""
    desk.cancel(job)
    desk.end(job)


@pytest.mark.long
def test_jobs_that_others_programs_submit_in_parts_are_listed_each(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login)
    submit = ("sbatch", "--parsable", "-t5", "-o", "/dev/null", "-J", "my_jupyter", "--requeue")
    script = "#!/bin/sh\nsleep 99\n"

    def living() -> list[Job]:
        jobs = [job for job in desk.seen().jobs if job.name == "my_jupyter"]
        return [job for job in jobs if job.phase is Phase.RUNNING and job.has_jupyter and job.nodes]

    for parts in (("--array=1-2",), ("-n1", ":", "-n1")):
        cluster.run("login1", *submit, *parts, user="alice", stdin=script)
        assert until(lambda: len(living()) == 2), desk.seen()
        assert len({job.id for job in living()}) == 2
        if parts[0] == "--array=1-2":
            desk.cancel(living()[0].id)
            assert until(lambda: len(living()) == 1), "only that task ended"
        cluster.run("login1", "scancel", "-u", "alice")
        assert until(lambda: not living())
    put_back = cluster.run("login1", *submit, user="alice", stdin=script).strip()
    desk.until(put_back, Phase.RUNNING)
    cluster.run("login1", "scontrol", "requeue", put_back)
    waits = desk.until(put_back, Phase.QUEUED)
    assert (waits.nodes, waits.ended) == ((), None)
    assert waits.reason is not None
    assert waits.reason.starts
    cluster.run("login1", "scontrol", "hold", put_back)
    assert until(lambda: (r := desk.job(put_back).reason) is not None and not r.starts)
    cluster.run("login1", "scancel", "-u", "alice")


@pytest.mark.parametrize(
    ("run", "how", "status", "words"),
    [
        ("echo bye; exit 3", End.FAILED, 3, "bye"),
        ("echo bye; exit 0", End.COMPLETED, 0, "bye"),
        ("kill -9 $$", End.FAILED, 137, ""),
        ("true", End.FAILED, 127, "jupyter-server was not found"),
    ],
)
def test_a_job_that_ends_tells_its_status_and_the_end_of_its_log(
    login: SshLink, run: str, how: End, status: int, words: str
) -> None:
    desk = Desk(SLURM, login, run=f"PATH=/usr/bin:/bin; {run}")
    before = time.time()
    ended = desk.end(desk.submitted())
    assert (ended.how, ended.status) == (how, status)
    assert words in ended.log
    assert ended.at is not None
    assert before - 10 < ended.at < time.time() + 10


def test_an_order_that_was_submitted_twice_starts_one_jupyter(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login, run=HOLD)
    first = desk.submitted()
    desk.until(first, Phase.RUNNING)
    script = SLURM.submit(
        Request(desk.name, "another", 600, (), job_script(desk.server, desk.mark))
    )
    done = login.execute("sh", remote_script.stdin(script), 60)
    second = SLURM.submission(done.stdout.decode(), Request(desk.name, "another", 600, (), ""))
    assert isinstance(second, Submitted)
    ended = desk.end(second.job)
    assert (ended.how, ended.status) == (End.FAILED, 75)
    assert desk.job(first).phase is Phase.RUNNING
    desk.cancel(first)
    desk.end(first)


@contextmanager
def squeue_says(cluster: BatchCluster, line: str) -> Iterator[None]:
    """A site's own command stands before squeue."""
    cluster.run(
        "login1",
        "sh",
        "-c",
        f"printf '#!/bin/sh\\n%s\\n' {quoted(line)} >/tmp/squeue; chmod 755 /tmp/squeue; "
        "cp /usr/bin/squeue /tmp/real; mount --bind /tmp/squeue /usr/bin/squeue",
    )
    try:
        yield
    finally:
        cluster.run("login1", "umount", "/usr/bin/squeue")


def test_a_message_in_place_of_the_list_ends_nothing_and_submits_nothing(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login, run=HOLD)
    job = desk.submitted()
    desk.until(job, Phase.RUNNING)
    with squeue_says(cluster, "echo Slurm is in maintenance, try later"):
        answer = desk.query()
        assert isinstance(answer, Unanswered)
        assert answer.said == "Slurm is in maintenance, try later"
        for takes_any in (True, False):
            assert isinstance(desk.submit("another", takes_any=takes_any), Unsure)
    assert [one.id for one in desk.seen().jobs if one.is_of(desk.server.name)] == [job]
    desk.cancel(job)
    desk.end(job)


def test_a_list_that_is_late_hides_no_job(cluster: BatchCluster, login: SshLink) -> None:
    """Some sites keep what squeue said for a minute."""
    desk = Desk(SLURM, login, run=HOLD)
    job = desk.submitted()
    running = desk.until(job, Phase.RUNNING)
    with squeue_says(cluster, 'exec /tmp/real "$@" -n none'):
        assert desk.seen().job(job) is None
        shown = desk.seen(job).job(job)
        assert shown is not None
        # Further names of its node are in its files, which come a moment later.
        assert replace(shown, nodes=shown.nodes[:1]) == replace(running, nodes=running.nodes[:1])
        desk.cancel(job)
        assert until(lambda: desk.seen(job).jobs[0].phase is Phase.ENDED)
    assert desk.end(job).how is End.CANCELLED


def test_two_computers_that_connect_at_once_share_one_job(login: SshLink) -> None:
    one = Desk(SLURM, login, run=HOLD)
    other = Desk(SLURM, login, run=HOLD, name=one.server.name)
    job = one.submitted()
    assert other.submit(takes_any=True) == Submitted(job)
    new = other.submitted()
    assert new != job
    for each in (job, new):
        one.cancel(each)
        one.end(each)
    again = one.submit("again", takes_any=True)
    assert isinstance(again, Submitted)
    assert again.job not in (job, new)
    one.cancel(again.job)
    one.end(again.job)


def test_a_last_option_that_takes_the_next_word_hides_no_job(login: SshLink) -> None:
    """The check does not know all that each version of Slurm takes."""
    desk = Desk(SLURM, login, "--mail-us", run=HOLD)
    job = desk.submitted()
    assert desk.job(job).is_of(desk.server.name)
    assert desk.submitted() == job
    desk.cancel(job)
    desk.end(job)


def test_a_step_runs_in_the_job_with_clean_streams(cluster: BatchCluster, login: SshLink) -> None:
    """In the first of its nodes, whatever the login sets for srun."""
    start_up = cluster.home() / ".bashrc"
    start_up.write_text("export SLURM_LABELIO=1 SLURM_NTASKS=2 SLURM_EXPORT_ENV=ALL\n")
    desk = Desk(SLURM, login, "--nodes=2", run=HOLD)
    job = desk.submitted()
    desk.until(job, Phase.RUNNING)
    program = "uname -n; echo $SLURM_JOB_ID-$HOME; env | grep -c ^SSH_; exec cat"
    running = login.start_program(SLURM.step(desk.job(job), program), 20)
    wanted = f"{desk.job(job).node}\n{job}-/home/alice\n0\n".encode()
    assert read(running, len(wanted)) == wanted
    data = bytes(range(256)) * 4
    running.sendall(data)
    assert read(running, len(data)) == data
    running.shutdown_write()
    assert running.recv(1) == b""
    running.close()
    start_up.unlink()
    desk.cancel(job)
    desk.end(job)


def read(stream: ByteStream, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := stream.recv(size - len(data))):
        data += more
    return data


def test_a_job_of_another_program_is_listed_and_opened_where_a_runtime_file_names_its_node(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login)
    submit = ("sbatch", "--parsable", "--output=/dev/null", "--time=5", "--job-name=a|b")
    job = cluster.run("login1", *submit, user="alice", stdin=f"#!/bin/sh\n{HOLD}\n").strip()
    found = desk.until(job, Phase.RUNNING)
    assert (found.name, found.is_ours, found.has_jupyter) == ("a|b", False, False)
    runtime = cluster.home() / ".local/share/jupyter/runtime"
    cluster.run("login1", "mkdir", "-p", "/home/alice/.local/share/jupyter/runtime", user="alice")
    (runtime / "jpserver-77.json").write_text(
        json.dumps({"hostname": f"{found.node}.cluster.example", "port": 8888}, indent=2)
    )
    assert desk.job(job).has_jupyter
    (runtime / "jpserver-77.json").unlink()
    desk.cancel(job)
    assert desk.end(job).how is End.CANCELLED


def test_start_up_files_neither_hide_a_job_nor_hold_the_submission(
    cluster: BatchCluster, login: SshLink
) -> None:
    start_up = cluster.home() / ".bashrc"
    start_up.write_text(
        "echo Welcome; echo @@done\nexport SQUEUE_PARTITION=short SQUEUE_NAMES=x SBATCH_WAIT=1\n"
        "export SBATCH_ARRAY_INX=0-3 SQUEUE_FORMAT=%T SQUEUE_STATES=CANCELLED SLURM_CLUSTERS=a,b\n"
        "export SLURM_TIME_FORMAT=relative SBATCH_JOB_NAME=mine TZ=Asia/Tokyo\n"
        "export SBATCH_ERROR=/nope/x SBATCH_INPUT=/nope SBATCH_TIMELIMIT=1 SQUEUE_FORMAT2=name\n"
        "export QUOTING_STYLE=c GREP_OPTIONS=--color=always LC_ALL=de_DE.UTF-8\n"
        "export SLURM_DEBUG=5 SBATCH_EXPORT=ALL SBATCH_REQUEUE=1 SCONTROL_FEDERATION=1\n"
        "squeue() { echo JOBID STATE; }; sbatch() { echo 99; }; timeout() { :; }\n"
        "export -f squeue sbatch timeout\n"
    )
    try:
        desk = Desk(SLURM, login, run=HOLD)
        job = desk.submitted()
        running = desk.until(job, Phase.RUNNING)
        assert running.starts is not None
        assert abs(running.starts - time.time()) < 60
        assert until(lambda: bool(desk.files(job).node))
        assert [one.id for one in desk.seen().jobs if one.is_of(desk.server.name)] == [job]
    finally:
        start_up.unlink()
    desk.cancel(job)
    desk.end(job)


# --- the controller ------------------------------------------------------------------------------


@contextmanager
def impatient(cluster: BatchCluster, *lines: str) -> Iterator[None]:
    """Slurm's commands give up a controller within a few seconds, not after 10 to 20. `lines`: more
    of what the login runs first."""
    text = (cluster.folder / "etc" / "slurm" / "slurm.conf").read_text()
    (cluster.folder / "impatient.conf").write_text(f"{text}MessageTimeout=1\n")
    start_up = cluster.home() / ".bashrc"
    start_up.write_text("\n".join(("export SLURM_CONF=/mnt/impatient.conf", *lines, "")))
    try:
        yield
    finally:
        start_up.unlink()


@contextmanager
def hung(cluster: BatchCluster) -> Iterator[None]:
    cluster.run("login1", "pkill", "-STOP", "-x", "slurmctld")
    try:
        yield
    finally:
        cluster.run("login1", "pkill", "-CONT", "-x", "slurmctld")


def test_a_hung_controller_is_no_answer_and_submits_nothing(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login, run=HOLD)
    job = desk.submitted()
    desk.until(job, Phase.RUNNING)
    with hung(cluster), impatient(cluster):
        answer = desk.query(job)
        assert isinstance(answer, Unanswered)
        assert "timed out" in answer.said or "did not answer" in answer.said
        assert isinstance(desk.submit("another"), Unsure)
    assert desk.until(job, Phase.RUNNING).id == job
    assert [one.id for one in desk.seen().jobs if one.is_of(desk.server.name)] == [job]
    assert desk.submitted() == job
    desk.cancel(job)
    desk.end(job)


def test_a_job_whose_answer_got_lost_is_found_and_not_submitted_again(
    cluster: BatchCluster, login: SshLink
) -> None:
    """The controller hangs as sbatch asks it, and takes the job when it goes on."""
    folder = cluster.home() / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(
        '#!/bin/sh\n: >~/asks\nuntil [ -e ~/go ]; do sleep 0.1; done\nexec /usr/bin/sbatch "$@"\n'
    )
    (folder / "sbatch").chmod(0o755)
    desk = Desk(SLURM, login, run=HOLD)
    try:
        with impatient(cluster, "PATH=$HOME/bin:$PATH"), ThreadPoolExecutor(1) as pool:
            first = pool.submit(desk.submit)
            assert until((cluster.home() / "asks").exists)
            with hung(cluster):
                (cluster.home() / "go").touch()
                assert isinstance(first.result(), Unsure)
        job = desk.submitted()
        desk.until(job, Phase.RUNNING)
        assert [one.id for one in desk.seen().jobs if one.is_of(desk.server.name)] == [job]
    finally:
        shutil.rmtree(folder)
    desk.cancel(job)
    desk.end(job)


def test_a_controller_that_is_down_is_no_answer(cluster: BatchCluster, login: SshLink) -> None:
    desk = Desk(SLURM, login, run=HOLD)
    job = desk.submitted()
    desk.until(job, Phase.RUNNING)
    cluster.run("login1", "pkill", "-x", "slurmctld")
    assert until(lambda: not cluster.pids("login1", "slurmctld"))
    try:
        with impatient(cluster):
            answer = desk.query(job)
            assert isinstance(answer, Unanswered)
            assert "Unable to contact slurm controller" in answer.said
            assert isinstance(desk.submit("another"), Unsure)
            with pytest.raises(ProblemError) as caught:
                desk.cancel(job)
            assert caught.value.problem.title.startswith("Slurm did not end the job: ")
            trial = desk.trial()
            assert isinstance(trial, Unsure), trial
    finally:
        cluster.run("login1", "slurmctld")
    assert until(lambda: isinstance(desk.query(), JobsSeen))
    desk.until(job, Phase.RUNNING)
    desk.cancel(job)
    desk.end(job)


# --- ends that others make -----------------------------------------------------------------------


def test_a_node_that_is_set_down_ends_the_job_which_does_not_start_again(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login, run=HOLD)
    job = desk.submitted()
    node = desk.until(job, Phase.RUNNING).node
    cluster.run("login1", "scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        assert desk.end(job).how is End.NODE_FAILED
    finally:
        cluster.run("login1", "scontrol", "update", f"nodename={node}", "state=idle")
    assert [one.id for one in desk.seen().jobs if one.is_of(desk.server.name)] == [job]


@pytest.mark.long
def test_a_node_that_fails_ends_the_job_which_does_not_start_again(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login, run=HOLD)
    job = desk.submitted()
    node = desk.until(job, Phase.RUNNING).node
    cluster.run(node, "pkill", "-KILL", "-x", "slurmd")
    try:
        ended = desk.end(job)
        assert ended.how is End.NODE_FAILED
        assert ended.status is None
    finally:
        cluster.run(node, "slurmd")
    assert [one.id for one in desk.seen().jobs if one.is_of(desk.server.name)] == [job]
    state = ("sinfo", "-h", "-n", node, "-o", "%t")
    assert until(lambda: "down" not in cluster.run("login1", *state))


@pytest.mark.long
def test_the_time_limit_is_told_and_jupyter_is_told_to_end(
    cluster: BatchCluster, login: SshLink
) -> None:
    desk = Desk(SLURM, login, run=HOLD, limit="0:01:00")
    job = desk.submitted()
    running = desk.until(job, Phase.RUNNING)
    assert running.ends is not None
    ended = desk.end(job)
    assert ended.how is End.TIME_LIMIT
    assert ended.at is not None
    assert ended.at >= running.ends
    assert desk.files(job).told == "limit"


def test_a_job_that_takes_too_much_memory_is_told_as_that(
    cluster: BatchCluster, login: SshLink
) -> None:
    if not Path("/sys/fs/cgroup/memory").is_dir():
        pytest.skip("the kernel has no memory cgroup of version 1")
    line = "python3 -c 'x = bytearray(300 << 20); x[::4096] = x[::4096]'; echo went on; exit 0"
    desk = Desk(SLURM, login, "--mem=100", run=line)
    ended = desk.end(desk.submitted())
    assert ended.how is End.OUT_OF_MEMORY
    assert notices.how(ended) == "a program in it ran out of memory"
    killed = Desk(SLURM, login, "--mem=100", run=line.replace("python3", "exec python3"))
    job = killed.submitted()
    ended = killed.end(job)
    assert notices.how(ended) == "out of memory"
    assert killed.files(job).told == "memory"


def test_auto_finds_it_and_judges_the_options_again(login: SshLink) -> None:
    assert Desk(SLURM, login, system="auto").found() is SLURM
    assert Desk(SLURM, login).found() is SLURM
    with pytest.raises(ProblemError) as caught:
        Desk(SLURM, login, "-t60", system="auto").found()
    assert "-t60" in caught.value.problem.title
    with pytest.raises(ProblemError) as caught:
        Desk(SLURM, login, system="gridengine").found()
    assert "Grid Engine" in caught.value.problem.title
