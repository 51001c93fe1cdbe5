"""Slurm's words: recorded on 22.05, and by hand from the manual pages of 20.02 to 24.11."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.batch_reports import HEAD, NOW, query_report, submit_report
from trayconnect.config.batch_options import Lines
from trayconnect.services.batch import notices
from trayconnect.services.batch.job import (
    PREFIX,
    End,
    Ended,
    JobFiles,
    JobsSeen,
    Phase,
    Unanswered,
)
from trayconnect.services.batch.scheduler import Refused, Request, Submitted, Trial, Unsure
from trayconnect.services.batch.script import text
from trayconnect.services.batch.slurm import Slurm
from trayconnect.services.batch.slurm_states import STATES, Living, Over

SLURM = Slurm()
NAME = f"{PREFIX}01234567"
LOAD = "slurm_load_jobs error"
REQUEST = Request(NAME, "abc", 600, ("--partition=gpu", "-p", "x", "--mem=9T"), "")


def seen(
    *lines: str, now: str = "1796000000 2026-11-30T00:53:20", ended: tuple[str, str] | None = None
) -> JobsSeen:
    answer = SLURM.answer(query_report(HEAD, *lines, now=now, ended=ended), NOW)
    assert isinstance(answer, JobsSeen), answer
    return answer


PENDING = f"15|PENDING||n/a|1796000400|1796001000|10:00|1796000000|gpu|Resources|{NAME}"
RUNNING = f"24|RUNNING|c2|c2|1796000000|1796001800|30:00|1795999990|gpu|None|{NAME}"


def test_a_queued_job_has_a_reason_and_an_estimate() -> None:
    (job,) = seen(PENDING).jobs
    assert (job.id, job.name, job.phase, job.partition) == ("15", NAME, Phase.QUEUED, "gpu")
    assert (job.submitted, job.starts, job.ends, job.limit) == (NOW, NOW + 400, None, 600)
    assert job.reason is not None
    assert (job.reason.word, job.reason.starts) == ("Resources", True)
    assert job.nodes == ()


def test_a_running_job_has_a_node_and_an_end() -> None:
    (job,) = seen(RUNNING).jobs
    assert (job.phase, job.nodes, job.reason) == (Phase.RUNNING, ("c2",), None)
    assert (job.starts, job.ends, job.limit) == (NOW, NOW + 1800, 1800)


def test_times_are_this_computers_whatever_the_clock_of_the_cluster() -> None:
    """It is 100 s late, in another zone, and may know no seconds since the epoch."""
    told = "1795999900 2026-11-29T23:31:40"
    epoch = RUNNING.replace("1796000000", "1795999900").replace("1796001800", "1796001700")
    wall = epoch.replace("1795999900", "2026-11-29T23:31:40").replace(
        "1796001700", "2026-11-30T00:01:40"
    )
    for line in (epoch, wall):
        (job,) = seen(line, now=told).jobs
        assert (job.starts, job.ends) == (NOW, NOW + 1800)


@pytest.mark.parametrize("text", ["N/A", "NONE", "Unknown", "", "INVALID", "tomorrow", "9" * 18])
def test_no_time_is_none(text: str) -> None:
    (job,) = seen(PENDING.replace("1796000400", text)).jobs
    assert job.starts is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("30:00", 1800),
        ("1:00:00", 3600),
        ("2-00:00:00", 172800),
        ("10-01:02:03", 867723),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("NOT_SET", None),
        ("Partition_Limit", None),
    ],
)
def test_limits(text: str, seconds: int | None) -> None:
    (job,) = seen(PENDING.replace("10:00", text)).jobs
    assert job.limit == seconds


STATE_WORDS = [
    ("PENDING", Phase.QUEUED, "waits for free resources"),
    ("CONFIGURING", Phase.QUEUED, "its node is being prepared"),
    ("POWER_UP_NODE", Phase.QUEUED, "its node is being switched on"),
    ("REQUEUED", Phase.QUEUED, "the cluster has put it back into the queue"),
    ("REQUEUE_FED", Phase.QUEUED, "another cluster of the federation may start it"),
    ("REQUEUE_HOLD", Phase.QUEUED, "it was put back into the queue, and is held; release"),
    ("RESV_DEL_HOLD", Phase.QUEUED, "its reservation was deleted; release"),
    ("SPECIAL_EXIT", Phase.QUEUED, "it was put back after an error, and is held; release"),
    ("RUNNING", Phase.RUNNING, ""),
    ("EXPEDITING", Phase.RUNNING, ""),
    ("RESIZING", Phase.RUNNING, "its size is being changed"),
    ("SIGNALING", Phase.RUNNING, "it is being sent a signal"),
    ("STOPPED", Phase.RUNNING, "stopped by the cluster"),
    ("SUSPENDED", Phase.RUNNING, "suspended by the cluster"),
    ("UPDATE_DB", Phase.RUNNING, ""),
    ("COMPLETING", Phase.ENDING, ""),
    ("STAGE_OUT", Phase.ENDING, "its burst buffer is being written back"),
    ("BOOT_FAIL", Phase.ENDED, "its node did not boot"),
    ("CANCELLED", Phase.ENDED, "it was cancelled"),
    ("COMPLETED", Phase.ENDED, "its Jupyter was shut down"),
    ("DEADLINE", Phase.ENDED, "its deadline has come"),
    ("FAILED", Phase.ENDED, "it failed"),
    ("LAUNCH_FAILED", Phase.ENDED, "the node could not start it"),
    ("NODE_FAIL", Phase.ENDED, "its node failed"),
    ("OUT_OF_MEMORY", Phase.ENDED, "out of memory"),
    ("PREEMPTED", Phase.ENDED, "another job took its place (preempted)"),
    ("RECONFIG_FAIL", Phase.ENDED, "its node could not be reconfigured"),
    ("REVOKED", Phase.ENDED, "another cluster of the federation runs it"),
    ("TIMEOUT", Phase.ENDED, "time limit reached"),
    # With flags, cut by sacct, or of a later version.
    ("CANCELLED,COMPLETING", Phase.ENDING, ""),
    ("CANCELLED by 5001", Phase.ENDED, "it was cancelled"),
    ("CANCELLED+", Phase.ENDED, "it was cancelled"),
    ("RUNNING,SUSPENDED", Phase.RUNNING, "suspended by the cluster"),
    ("NODE_FAIL,REQUEUED", Phase.QUEUED, "the cluster has put it back into the queue"),
    ("SOMETHING_NEW", Phase.RUNNING, "something new"),
]


@pytest.mark.parametrize(("state", "phase", "text"), STATE_WORDS)
def test_each_state_has_a_phase_and_words(state: str, phase: Phase, text: str) -> None:
    (job,) = seen(RUNNING.replace("RUNNING", state, 1).replace("|None|", "|Resources|")).jobs
    assert job.phase is phase
    said = job.reason.text if job.reason else notices.how(job.ended) if job.ended else job.note
    assert said.startswith(text) if text else not said
    assert job.reason is None or job.reason.starts is (
        " held; " not in said and "deleted" not in said
    )
    if state in STATES:  # told in the same way when the scheduler is asked for the job alone
        line = record(state, reason="Resources")
        told = SLURM.answer(query_report(HEAD, ended=("24", line)), NOW)
        assert isinstance(told, JobsSeen)
        (alone,) = told.jobs
        assert (alone.phase, alone.reason, alone.note) == (job.phase, job.reason, job.note)
        assert (alone.ended and alone.ended.how) == (job.ended and job.ended.how)


def test_no_state_is_left_out_and_the_script_agrees() -> None:
    assert {state for state, _, _ in STATE_WORDS} >= STATES.keys()
    over = {word for word, state in STATES.items() if state_over(state)}
    told = re.search(r'over = "(.*)" \\\n *"(.*)"', text("slurm.sh"))
    assert told is not None
    assert set(f"{told[1]} {told[2]}".split()) == over


def state_over(state: Living | Over) -> bool:
    return isinstance(state, Over) or state.phase is Phase.ENDING


@pytest.mark.parametrize("state", ["SOMETHING_NEW", ""])
def test_a_job_without_a_node_waits(state: str) -> None:
    (job,) = seen(PENDING.replace("PENDING", state, 1)).jobs
    assert job.phase is Phase.QUEUED
    assert job.reason is not None


@pytest.mark.parametrize(
    ("nodes", "host", "names"),
    [
        ("c[1-2]", "c1", ("c1",)),
        ("c1,d4", "c1", ("c1",)),
        ("c1", "n/a", ("c1",)),
        ("node1", "node1.cluster", ("node1.cluster", "node1")),
        ("", "(null)", ()),
    ],
)
def test_a_job_of_several_nodes_runs_its_script_on_one(
    nodes: str, host: str, names: tuple[str, ...]
) -> None:
    (job,) = seen(RUNNING.replace("|c2|c2|", f"|{nodes}|{host}|")).jobs
    assert job.nodes == names


def test_the_reason_and_the_name_may_hold_the_separator() -> None:
    ours = PENDING.replace("Resources", "ReqNodeNotAvail, a|b")
    other = PENDING.replace("15|", "16|", 1).replace(NAME, "a|b|c")
    first, second = seen(ours, other).jobs
    assert first.reason is not None
    assert (first.name, first.reason.word) == (NAME, "ReqNodeNotAvail, a|b")
    assert second.reason is not None
    assert (second.name, second.reason.word) == ("a|b|c", "Resources")


def test_what_is_no_job_is_skipped_and_the_rest_stays() -> None:
    lines = ("CLUSTER: lab", "", "7_[1-9]|PENDING|", RUNNING, "sbatch: hello", "x" * 10_000)
    assert [job.id for job in seen(*lines).jobs] == ["24"]


def test_jobs_come_in_the_order_of_their_numbers() -> None:
    lines = (RUNNING, PENDING, RUNNING.replace("24|", "9|", 1))
    assert [job.id for job in seen(*lines).jobs] == ["9", "15", "24"]


@pytest.mark.parametrize(
    ("status", "lines", "words"),
    [
        ("1", [f"{LOAD}: Unable to contact slurm controller (connect failure)"], "Unable to"),
        ("1", [f"{LOAD}: Socket timed out on send/recv operation"], "timed out"),
        ("124", [], "Slurm did not answer in time"),
        ("127", ["timeout: failed to run command 'squeue'"], "no sbatch"),
        ("0", ["squeue: error: Invalid user: 5001"], "Invalid user"),
        ("0", [HEAD, "squeue: error: Invalid user: 5001"], "Invalid user"),
        ("0", ["Slurm is in maintenance until 18:00"], "in maintenance"),
        ("0", ["<html>502</html>"], "502"),
        ("0", ["12345"], "12345"),
        ("0", ["7|RUNNING|c1"], "RUNNING"),
        ("0", [], "did not answer"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_not_without_jobs(
    status: str, lines: list[str], words: str
) -> None:
    answer = SLURM.answer(query_report(*lines, status=status), NOW)
    assert isinstance(answer, Unanswered)
    assert words in answer.said


@given(st.data())
def test_a_part_of_an_answer_is_none(data: st.DataObject) -> None:
    whole = query_report(RUNNING)
    part = whole[: data.draw(st.integers(0, len(whole) - 2))]
    assert isinstance(SLURM.answer(part, NOW), Unanswered)


@given(st.text())
def test_no_text_of_a_login_node_is_more_than_skipped(text: str) -> None:
    SLURM.answer(text, NOW)
    SLURM.submission(text, REQUEST)
    SLURM.would_start(text, REQUEST, NOW)
    SLURM.cancelled(text)
    SLURM.explain(text)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n")), max_size=5))
def test_no_line_of_the_list_breaks_the_others(lines: list[str]) -> None:
    answer = SLURM.answer(query_report(*lines, RUNNING), NOW)
    assert isinstance(answer, JobsSeen)
    assert answer.job("24") is not None


# --- ends ----------------------------------------------------------------------------------------

SCONTROL = (
    f"JobId=24 JobName={NAME} UserId=alice(5001) GroupId=alice(5001) MCS_label=N/A Priority=1 "
    "Nice=0 Account=(null) QOS=(null) JobState=STATE Reason=REASON Dependency=(null) Requeue=0 "
    "Restarts=0 BatchFlag=1 Reboot=0 ExitCode=EXIT RunTime=00:00:09 TimeLimit=00:10:00 "
    "TimeMin=N/A SubmitTime=1796000000 EligibleTime=1796000000 AccrueTime=1796000000 "
    "StartTime=1796000001 EndTime=1796000010 Deadline=N/A Partition=main "
    "AllocNode:Sid=login1:741 ReqNodeList=(null) NodeList=c1 BatchHost=c1 NumNodes=1 "
    "ReqTRES=cpu=1,mem=500M,node=1 Comment=trayconnect 1 abc JobState=RUNNING Power= "
)


def record(state: str, code: str = "0:0", reason: str = "None") -> str:
    return SCONTROL.replace("EXIT", code).replace("REASON", reason).replace("STATE", state, 1)


@pytest.mark.parametrize(
    ("line", "end", "status", "signal"),
    [
        (record("COMPLETED"), End.COMPLETED, 0, None),
        (record("FAILED", "3:0", "NonZeroExitCode"), End.FAILED, 3, None),
        (record("FAILED", "0:11", "JobLaunchFailure"), End.NOT_LAUNCHED, 0, 11),
        (record("CANCELLED", "0:9"), End.CANCELLED, None, None),
        (record("TIMEOUT", "0:15", "TimeLimit"), End.TIME_LIMIT, None, None),
        (record("OUT_OF_MEMORY", "0:125", "OutOfMemory"), End.OUT_OF_MEMORY, None, None),
        (record("FAILED", "0:125"), End.OUT_OF_MEMORY, None, None),
        (record("NODE_FAIL", "0:0", "NodeDown"), End.NODE_FAILED, None, None),
        (record("FAILED", "0:1", "BadConstraints"), End.IMPOSSIBLE, None, None),
        (f"sacct|FAILED|3:0|1796000001|1796000010|1796000000|main|{NAME}", End.FAILED, 3, None),
        (
            f"sacct|CANCELLED by 5001|0:0|Unknown|1796000010|1796000000|main|{NAME}",
            End.CANCELLED,
            None,
            None,
        ),
        (
            f"sacct|NODE_FAIL|1:0|1796000001|1796000010|1796000000|main|{NAME}",
            End.NODE_FAILED,
            None,
            None,
        ),
    ],
)
def test_how_a_job_ended(line: str, end: End, status: int | None, signal: int | None) -> None:
    answer = seen(ended=("24", line))
    found = SLURM.ended(answer, "24", None)
    assert replace(found, why="") == Ended(end, status, signal, NOW + 10)
    assert (found.why == "no node has what it asks for") == (end is End.IMPOSSIBLE)
    (job,) = answer.jobs
    assert (job.name, job.partition, job.phase) == (NAME, "main", Phase.ENDED)


RECORDS = {
    "20.02": "JobId=24 JobName={name} UserId=alice(5001) GroupId=alice(5001) MCS_label=N/A "
    "Priority=1 Nice=0 Account=(null) QOS=(null) JobState={state} Reason=None Dependency=(null) "
    "Requeue=0 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=3:0 RunTime=00:00:09 TimeLimit=00:10:00 "
    "TimeMin=N/A SubmitTime=1796000000 EligibleTime=1796000000 AccrueTime=1796000000 "
    "StartTime=1796000001 EndTime=1796000010 Deadline=N/A SuspendTime=None SecsPreSuspend=0 "
    "LastSchedEval=1796000001 Partition=main AllocNode:Sid=login1:741 ReqNodeList=(null) "
    "ExcNodeList=(null) NodeList=c1 BatchHost=c1 NumNodes=1 NumCPUs=1 NumTasks=1 CPUs/Task=1 "
    "ReqB:S:C:T=0:0:*:* TRES=cpu=1,mem=500M,node=1,billing=1 Socks/Node=* Comment=trayconnect 1 a",
    "21.08, a task of an array": "JobId=24 ArrayJobId=20 ArrayTaskId=3 JobName={name} "
    "UserId=alice(5001) JobState={state} Reason=None ExitCode=3:0 TimeLimit=00:10:00 "
    "SubmitTime=1796000000 StartTime=1796000001 EndTime=1796000010 Partition=main "
    "NodeList=c1 BatchHost=c1 Container=(null) Comment=JobState=RUNNING",
    "23.02, a part of a heterogeneous job": "JobId=24 HetJobId=23 HetJobOffset=1 "
    "HetJobIdSet=23-24 JobName={name} UserId=alice(5001) JobState={state} Reason=None "
    "ExitCode=3:0 TimeLimit=00:10:00 SubmitTime=1796000000 StartTime=1796000001 "
    "EndTime=1796000010 Partition=main NodeList=c1 BatchHost=c1 "
    "ReqTRES=cpu=1,mem=500M,node=1,billing=1 AllocTRES=cpu=1,mem=500M,node=1,billing=1",
    "24.11": "JobId=24 JobName={name} UserId=alice(5001) GroupId=alice(5001) MCS_label=N/A "
    "Priority=1 Nice=0 Account=lab QOS=normal JobState={state} Reason=None "
    "FailedNode=c1 Dependency=(null) Requeue=0 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=3:0 "
    "DerivedExitCode=0:0 RunTime=00:00:09 TimeLimit=00:10:00 TimeMin=N/A SubmitTime=1796000000 "
    "EligibleTime=1796000000 AccrueTime=1796000000 StartTime=1796000001 EndTime=1796000010 "
    "Deadline=N/A SuspendTime=None SecsPreSuspend=0 LastSchedEval=1796000001 Scheduler=Main "
    "Partition=main AllocNode:Sid=login1:741 ReqNodeList=(null) ExcNodeList=(null) NodeList=c1 "
    "BatchHost=c1 StepMgrEnabled=Yes NumNodes=1 NumCPUs=1 ReqTRES=cpu=1 AllocTRES=cpu=1 "
    "LicensesAlloc=(null) SubmitLine=sbatch --parsable TresPerNode=gres/gpu:1 OOMKillStep=0",
}


@pytest.mark.parametrize("version", RECORDS)
def test_the_records_of_other_versions(version: str) -> None:
    """By hand, from the manual pages and the source of each."""
    for state, phase in (("FAILED", Phase.ENDED), ("RUNNING", Phase.RUNNING)):
        line = RECORDS[version].format(name=NAME, state=state)
        other = line.replace("JobId=24", "JobId=23", 1)
        report = query_report(HEAD, ended=("24", f"{other}\n {line}"))
        answer = SLURM.answer(report, NOW)
        assert isinstance(answer, JobsSeen)
        (job,) = answer.jobs
        assert (job.id, job.name, job.phase, job.partition) == ("24", NAME, phase, "main")
        assert (job.submitted, job.starts, job.ends, job.limit) == (NOW, NOW + 1, NOW + 10, 600)
        assert job.ended == (Ended(End.FAILED, 3, None, NOW + 10) if state == "FAILED" else None)
        assert job.nodes == (("c1",) if state == "RUNNING" else ())


@pytest.mark.parametrize(
    "line",
    [
        "sacct|RUNNING|0:0|Unknown|Unknown|1796000000|main|x",
        record("COMPLETED").replace("JobId=24", "JobId=25"),
        "slurm_load_jobs error: Invalid job id specified",
        "sacct|Slurm accounting storage is disabled",
        "",
    ],
)
def test_a_job_that_slurm_has_forgotten_is_told_by_its_files(line: str) -> None:
    answer = seen(ended=("24", line))
    assert SLURM.ended(answer, "24", None) == Ended(End.UNKNOWN)
    for files, how in (
        (JobFiles("24", status=0, at=7.0), End.COMPLETED),
        (JobFiles("24", status=1), End.FAILED),
        (JobFiles("24", status=0, told="TERM"), End.CANCELLED),
        (JobFiles("24", status=0, told="limit"), End.TIME_LIMIT),
        (JobFiles("24", status=75, told="twin"), End.FAILED),
        (JobFiles("24", status=137, told="memory"), End.OUT_OF_MEMORY),
        (JobFiles("24", status=1, log="x\nMemoryError\n"), End.OUT_OF_MEMORY),
        (JobFiles("24", status=0, log="MemoryError"), End.COMPLETED),
        (JobFiles("24", log="x"), End.UNKNOWN),
    ):
        ended = SLURM.ended(answer, "24", files)
        assert (ended.how, ended.status, ended.at, ended.log) == (
            how,
            files.status,
            files.at,
            files.log,
        )


def test_a_jupyter_that_went_on_when_memory_ran_out() -> None:
    """Slurm tells the same of a job in which only a kernel was killed."""
    answer = seen(ended=("24", record("OUT_OF_MEMORY", "0:125", "OutOfMemory")))
    for status, words in ((0, "a program in it ran out of memory"), (137, "out of memory")):
        ended = SLURM.ended(answer, "24", JobFiles("24", status=status))
        assert ended.how is End.OUT_OF_MEMORY
        assert notices.how(ended) == words


def test_a_job_that_goes_on_is_not_ended_by_an_old_record() -> None:
    (job,) = seen(RUNNING, ended=("24", record("FAILED"))).jobs
    assert job.phase is Phase.RUNNING


def test_a_job_that_slurm_knows_lives_whatever_a_list_shows() -> None:
    """A site may keep what squeue said for a minute."""
    for state, phase in (("PENDING", Phase.QUEUED), ("RUNNING", Phase.RUNNING)):
        (job,) = seen(ended=("24", record(state))).jobs
        assert (job.id, job.name, job.phase, job.partition) == ("24", NAME, phase, "main")
        assert (job.reason is not None) == (phase is Phase.QUEUED)
        assert bool(job.nodes) == (phase is Phase.RUNNING)
    (job,) = seen(ended=("24", record("COMPLETING"))).jobs
    assert job.phase is Phase.ENDING


@pytest.mark.parametrize("said", ["Unable to contact slurm controller", "Socket timed out on x"])
def test_no_explanation_is_no_end(said: str) -> None:
    answer = SLURM.answer(query_report(HEAD, ended=("24", f"{LOAD}: {said}")), NOW)
    assert isinstance(answer, Unanswered)
    assert said in answer.said


def test_a_job_that_could_not_write_says_so() -> None:
    answer = seen(ended=("24", record("FAILED", "70:0")))
    for files in None, JobFiles("24", names=("c1",)):
        ended = SLURM.ended(answer, "24", files)
        assert "could not write" in ended.log


# --- reasons -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "text", "starts"),
    [
        ("None", "the scheduler has not looked at it yet", True),
        ("Priority", "other jobs come first", True),
        ("PartitionTimeLimit", "it asks for more time than the partition allows", False),
        ("PartitionConfig", "it asks for more than the partition has", False),
        ("PartitionDown", "the partition is down", False),
        ("BadConstraints", "no node has what it asks for", False),
        ("DependencyNeverSatisfied", "the job that it waits for has failed", False),
        ("JobHeldUser", "it is held; release it with scontrol release", False),
        ("ReqNodeNotAvail, UnavailableNodes:c2", "a node that it asks for is not available", True),
        (
            "ReqNodeNotAvail, Reserved for maintenance",
            "its nodes are reserved for maintenance",
            True,
        ),
        ("ReqNodeNotAvail(Unavailable:c2)", "a node that it asks for is not available", True),
        (
            "QOSMaxJobsPerUserLimit",
            "your QOS has reached its limit: jobs that may run at once",
            True,
        ),
        ("QOSMaxGRESPerUser", "your QOS has reached its limit: GPUs and other devices", True),
        (
            "QOSMaxWallDurationPerJobLimit",
            "it asks for more than your QOS allows a job: time",
            False,
        ),
        ("AssocMaxMemPerJob", "it asks for more than your account allows a job: memory", False),
        ("QOSGrpWallLimit", "your QOS has reached its limit: time", True),
        (
            "launch failed requeued held",
            "it was put back into the queue, and is held; release it with scontrol release",
            False,
        ),
        ("AssocGrpCpuLimit", "your account has reached its limit: processors", True),
        ("AssocGrpCPUMinutesLimit", "your account has reached its limit: processors", True),
        (
            "AssocMaxJobsLimit",
            "your account has reached its limit: jobs that may run at once",
            True,
        ),
        (
            "QOSMinGRES",
            "it asks for less than the least of your QOS: GPUs and other devices",
            False,
        ),
        ("SomethingNew", "SomethingNew", True),
        (
            (
                "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority "
                "partitions"
            ),
            "a node that it asks for is down, drained or reserved",
            True,
        ),
    ],
)
def test_reasons(word: str, text: str, starts: bool) -> None:
    reason = SLURM.explain(word)
    assert (reason.word, reason.text, reason.starts) == (word, text, starts)


# --- submit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["15", "15;lab", "Welcome to the cluster!\n ...OK\n15"])
def test_a_job_that_was_taken(line: str) -> None:
    assert SLURM.submission(submit_report(0, line), REQUEST) == Submitted("15")


def test_a_job_that_was_there_already() -> None:
    report = "\n@@trayconnect submit 1\n@@looked 0\n@@found 15\n@@done\n"
    assert SLURM.submission(report, REQUEST) == Submitted("15")


CLIENT = [
    ("--nodes=x", '"x" is not a valid node count'),
    ("--hint=zz", 'unrecognized --hint argument "zz", see --hint=help'),
    ("--profile=zz", "invalid --profile=zz option"),
    ("--uid=0", "--uid only permitted by root user"),
    ("--propagate=zz", "Bad rlimit name: zz\nsbatch: error: --propagate=zz is not valid."),
    ("--switches=x", 'Invalid numeric value "x" for --switches.'),
    ("--time-min=9", "Batch job submission failed: Invalid time-min specification"),
    ("--batch=zz", "Batch job submission failed: Job --batch option is invalid"),
    (
        "--nodefile=/x",
        "error opening file\nsbatch: error: Invalid --nodefile specification",
    ),
]


@pytest.mark.parametrize(("option", "said"), CLIENT)
@pytest.mark.parametrize("status", [1, 255])
def test_what_sbatch_itself_refuses_names_the_option(status: int, option: str, said: str) -> None:
    """As recorded on 22.05."""
    request = Request(NAME, "abc", 600, ("--partition=main", option), "", lines=Lines(2, 3, (4, 5)))
    outcome = SLURM.submission(submit_report(status, f"sbatch: error: {said}"), request)
    assert isinstance(outcome, Refused), outcome
    assert outcome.problem.advice == f"Change {option} in line 5 of the server file."


def test_the_record_of_a_refused_job_is_no_job() -> None:
    """Slurm keeps one, FAILED for BadConstraints, of some that it has refused."""
    said = f"sbatch: error: Memory specification can not be satisfied\n{FAILED}Requested node "
    said += "configuration is not available"
    outcome = SLURM.submission(submit_report(1, said, found="15 over"), REQUEST)
    assert isinstance(outcome, Refused)
    assert "Memory specification can not be satisfied" in outcome.problem.title
    assert SLURM.submission(submit_report(1, said, found="15 live"), REQUEST) == Submitted("15")
    lost = f"{FAILED}Socket timed out on send/recv operation"
    assert SLURM.submission(submit_report(1, lost, found="15 over"), REQUEST) == Submitted("15")


def test_a_job_that_came_of_a_failed_command() -> None:
    said = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    assert SLURM.submission(submit_report(1, said, found="15"), REQUEST) == Submitted("15")


FAILED = "sbatch: error: Batch job submission failed: "


@pytest.mark.parametrize(
    ("status", "said", "title", "advice"),
    [
        (
            1,
            (
                "sbatch: error: invalid partition specified: gpu\n"
                f"{FAILED}Invalid partition name specified"
            ),
            "Invalid partition name specified (invalid partition specified: gpu)",
            "Change --partition=gpu or -p x in",
        ),
        (
            1,
            f"{FAILED}User's group not permitted to use this partition",
            "User's group",
            "Change --partition=gpu",
        ),
        (
            1,
            f"{FAILED}Invalid account or account/partition combination specified",
            "Invalid account",
            "Change --partition",
        ),
        (1, f"{FAILED}Invalid qos specification", "Invalid qos", "Add --qos=… to"),
        (
            1,
            (
                "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
                f"{FAILED}Job violates accounting/QOS policy (job submit limit, user's size and/or "
                "time limits)"
            ),
            "Job violates accounting/QOS policy",
            "You have as many jobs",
        ),
        (
            1,
            f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)",
            "Requested time",
            "Change 'time'",
        ),
        (
            1,
            (
                "sbatch: error: Memory specification can not be satisfied\n"
                f"{FAILED}Requested node configuration is not available"
            ),
            "Requested node configuration",
            "Change --mem=9T in",
        ),
        (
            1,
            f"{FAILED}I/O error writing script/environment to file",
            "I/O error writing",
            "The cluster has a problem of its own",
        ),
        (
            1,
            f"{FAILED}Required partition not available (inactive or drain)",
            "Required partition",
            "Change --partition",
        ),
        (
            1,
            f"sbatch: error: You must give an account\n{FAILED}Unspecified error",
            "You must give an account",
            "Change",
        ),
        (
            255,
            "sbatch: error: Invalid --mem specification",
            "Invalid --mem specification",
            "Change --mem=9T in",
        ),
        (
            1,
            "sbatch: unrecognized option '--partition'\nTry \"sbatch --help\" for more information",
            "unrecognized",
            "Change --partition=gpu in",
        ),
        (
            255,
            "sbatch: error: Invalid --exclusive specification",
            "Invalid --exclusive",
            "No option of yours is --exclusive: look for SBATCH_EXCLUSIVE in what your login sets.",
        ),
        (
            1,
            "sbatch: error: This does not look like a batch script.",
            "This does not look",
            "Change 'options'",
        ),
    ],
)
def test_a_refusal(status: int, said: str, title: str, advice: str) -> None:
    outcome = SLURM.submission(submit_report(status, said), REQUEST)
    assert isinstance(outcome, Refused), outcome
    assert outcome.problem.title.startswith(f"Slurm refused the job: {title}")
    assert outcome.problem.advice.startswith(advice)


@pytest.mark.parametrize(
    "said",
    [
        FAILED + "Socket timed out on send/recv operation",
        FAILED + "Unable to contact slurm controller (connect failure)",
        FAILED + "Zero Bytes were transmitted or received",
        FAILED + "Unexpected message received",
        FAILED + "Message receive failure",
        FAILED + "Connection reset by peer",
        FAILED + "Connection timed out",
        FAILED + "Broken pipe",
        FAILED + "Protocol authentication error",
        FAILED + "Slurm backup controller in standby mode",
        FAILED + "Unspecified error",
        FAILED + "Resource temporarily unavailable",
        "sbatch: error: slurm_receive_msgs: failed: Zero Bytes were transmitted or received",
        "sbatch: error: Munge encode failed: Failed to access /run/munge/munge.socket.2",
        "sbatch: error: If munged is up, restart with --num-threads=10",
        "Killed",
        "",
    ],
)
@pytest.mark.parametrize("status", [1, 124, 137, 255])
def test_an_error_never_means_not_submitted(status: int, said: str) -> None:
    assert isinstance(SLURM.submission(submit_report(status, said), REQUEST), Unsure)


def test_a_refusal_counts_only_where_the_scheduler_has_answered_again() -> None:
    said = FAILED + "Invalid partition name specified"
    assert isinstance(SLURM.submission(submit_report(1, said, again=1), REQUEST), Unsure)


@pytest.mark.parametrize(
    "report",
    [
        "",
        "\n@@trayconnect submit 1\n",
        "\n@@trayconnect submit 1\n@@looked 1\n slurm_load_jobs error: x\n@@done\n",
        "\n@@trayconnect submit 1\n@@looked 124\n@@done\n",
        "\n@@trayconnect submit 1\n@@looked 0\n@@sent\n 15\n",
    ],
)
def test_no_answer_is_unsure(report: str) -> None:
    assert isinstance(SLURM.submission(report, REQUEST), Unsure)


def test_a_trial_tells_when_and_where() -> None:
    said = "sbatch: Job 5 to start at 1796000400 using 1 processors on nodes c1 in partition main"
    report = f"\n@@trayconnect trial 1\n@@sent 0\n {said}\n@@now 1796000000 x\n@@done\n"
    trial = SLURM.would_start(report, REQUEST, NOW)
    assert trial == Trial(NOW + 400, "using 1 processors on nodes c1 in partition main")


@pytest.mark.parametrize(
    ("status", "said", "is_fine"),
    [
        ("0", "", True),
        ("1", "scancel: error: Kill job error on job id 6: Invalid job id specified", True),
        (
            "1",
            "scancel: error: Kill job error on job id 6: Job/step already completing or completed",
            True,
        ),
        ("210", "scancel: error: Kill job error on job id 6: Access/permission denied", False),
        ("8", "scancel: error: Unable to contact slurm controller (connect failure)", False),
        ("124", "", False),
    ],
)
def test_cancel(status: str, said: str, is_fine: bool) -> None:
    problem = SLURM.cancelled(f"\n@@trayconnect cancel 1\n@@cancelled {status}\n {said}\n@@done\n")
    assert (problem is None) == is_fine
    if problem is not None and said:
        assert said.partition(": error: ")[2].split(" ")[0] in problem.title


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "0-00:01:00"), (61, "0-00:02:00"), (14400, "0-04:00:00"), (366 * 86400, "366-00:00:00")],
)
def test_the_time_asked_for_is_in_whole_minutes(seconds: int, text: str) -> None:
    ours = SLURM.ours(Request(NAME, "abc", seconds, (), ""))
    assert ours[-1] == f"--time={text}"
    assert "--export=NONE" in ours
    assert "--no-requeue" in ours
