"""Grid Engine's words, as recorded on 8.1.9."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.batch_reports import NOW, query_report, submit_report
from trayconnect.config.batch_options import Lines
from trayconnect.services.batch.gridengine import GridEngine
from trayconnect.services.batch.job import (
    PREFIX,
    End,
    Ended,
    Job,
    JobFiles,
    JobsSeen,
    Phase,
    Unanswered,
)
from trayconnect.services.batch.scheduler import Refused, Request, Submitted, Trial, Unsure

ENGINE = GridEngine()
UNABLE = "Unable to run job: "
NAME = f"{PREFIX}01234567"
REQUEST = Request(NAME, "abc", 600, ("-q", "gpu.q", "-l", "h_vmem=4G,gpu=1", "-pe", "smp", "2"), "")

RUNNING = f"""\
    <job_list state="running">
      <JB_job_number>1</JB_job_number>
      <JB_name>{NAME}</JB_name>
      <JB_owner>alice</JB_owner>
      <state>r</state>
      <JAT_start_time>2026-11-30T00:53:10</JAT_start_time>
      <queue_name>all.q@c1.cluster</queue_name>
      <slots>1</slots>
      <full_job_name>{NAME}</full_job_name>
      <hard_request name="h_rt" resource_contribution="0.000000">600</hard_request>
      <hard_req_queue>all.q</hard_req_queue>
    </job_list>"""
PENDING = f"""\
    <job_list state="pending">
      <JB_job_number>2</JB_job_number>
      <JB_name>a &amp; b</JB_name>
      <state>qw</state>
      <JB_submission_time>2026-11-30T00:53:00.123</JB_submission_time>
      <queue_name></queue_name>
      <full_job_name>{NAME}</full_job_name>
      <hard_request name="h_rt" resource_contribution="0.000000">1:00:00</hard_request>
    </job_list>"""


def listed(*jobs: str, about: str = "") -> list[str]:
    text = "<?xml version='1.0'?>\n<job_info  xmlns:xsd=\"x\">\n  <queue_info>\n"
    text += (
        "\n".join(jobs) + f"\n  </queue_info>\n  <job_info>\n  </job_info>\n</job_info>\n{about}"
    )
    return text.split("\n")


def seen(*jobs: str, about: str = "", ended: tuple[str, str] | None = None) -> JobsSeen:
    answer = ENGINE.answer(query_report(*listed(*jobs, about=about), ended=ended), NOW)
    assert isinstance(answer, JobsSeen), answer
    return answer


def test_a_running_job_ends_when_its_time_is_over() -> None:
    (job,) = seen(RUNNING).jobs
    assert (job.id, job.name, job.phase, job.nodes) == ("1", NAME, Phase.RUNNING, ("c1.cluster",))
    assert (job.partition, job.limit) == ("all.q", 600)
    assert (job.starts, job.ends) == (NOW - 10, NOW + 590)


def waiting(state: str = "qw", about: str = "") -> Job:
    (job,) = seen(PENDING.replace(">qw<", f">{state}<"), about=about).jobs
    assert (job.phase, job.limit, job.nodes) == (Phase.QUEUED, 3600, ())
    assert job.submitted is not None
    return job


@pytest.mark.parametrize(
    ("state", "info", "text", "starts"),
    [
        ("qw", "", "waits for a free queue", True),
        ("qw", "There are no messages available", "waits for a free queue", True),
        (
            "qw",
            'queue instance "all.q@c1" dropped because it is full',
            "waits for a free queue",
            True,
        ),
        (
            "hqw",
            "job dropped because of job dependencies",
            "it is held, or waits for another job",
            True,
        ),
        ("qw", "(-l gpu=1) cannot run in queue", "(-l gpu=1) cannot run in queue", True),
        ("Eqw", "", "it could not be started, and waits in error", False),
    ],
)
def test_why_a_job_waits(state: str, info: str, text: str, starts: bool) -> None:
    about = f"job_number:                 2\nscheduling info:            {info}\n" if info else ""
    reason = waiting(state, about).reason
    assert reason is not None
    assert (reason.text, reason.starts) == (text, starts)


def test_a_job_in_error_says_why() -> None:
    about = "job_number:  2\nerror reason    1:   can't chdir to /nope: No such file\n"
    reason = waiting("Eqw", about).reason
    assert reason is not None
    assert "can't chdir to /nope" in reason.text
    assert not reason.starts


@pytest.mark.parametrize(
    ("kind", "state", "phase", "note"),
    [
        ("running", "t", Phase.RUNNING, ""),
        ("running", "Rr", Phase.RUNNING, ""),
        ("running", "hr", Phase.RUNNING, ""),
        ("running", "s", Phase.RUNNING, "suspended by the cluster"),
        ("running", "S", Phase.RUNNING, "suspended by the cluster"),
        ("running", "Ts", Phase.RUNNING, "suspended by the cluster"),
        ("running", "T", Phase.RUNNING, "suspended while its node is too busy"),
        ("running", "P", Phase.RUNNING, "suspended while another job runs"),
        ("running", "dr", Phase.ENDING, ""),
        ("running", "dt", Phase.ENDING, ""),
        ("running", "dS", Phase.ENDING, "suspended by the cluster"),
        ("zombie", "z", Phase.ENDED, ""),
    ],
)
def test_states(kind: str, state: str, phase: Phase, note: str) -> None:
    text = RUNNING.replace('"running"', f'"{kind}"').replace(">r<", f">{state}<")
    (job,) = seen(text).jobs
    assert (job.phase, job.note) == (phase, note)


def test_a_job_that_has_ended_is_told_by_its_files() -> None:
    answer = seen(RUNNING.replace('"running"', '"zombie"').replace(">r<", ">z<"))
    told = {
        "TERM": End.CANCELLED,
        "USR2": End.CANCELLED,
        "limit": End.TIME_LIMIT,
        "": End.COMPLETED,
    }
    for word, how in told.items():
        files = JobFiles("1", status=0, told=word, at=5.0, log="x")
        assert ENGINE.ended(answer, "1", files) == Ended(how, 0, None, 5.0, "x")


@pytest.mark.parametrize(
    ("failed", "status", "how"),
    [
        ("0", 0, End.COMPLETED),
        ("0", 3, End.FAILED),
        ("37 : qmaster enforced h_rt, h_cpu, or h_vmem limit", 137, End.TIME_LIMIT),
        ("100 : assumedly after job", 137, End.CANCELLED),
        ("26 : opening input/output file", 0, End.NOT_LAUNCHED),
    ],
)
@pytest.mark.parametrize("at", ["Mon Nov 30 00:53:20 2026", "11/30/2026 00:53:20.000"])
def test_qacct(failed: str, status: int, how: End, at: str) -> None:
    text = (
        f"jobname      {NAME}\n end_time     {at}\n failed       {failed}\n exit_status  {status}"
    )
    answer = seen(ended=("1", text))
    assert ENGINE.ended(answer, "1", None) == Ended(how, status, None, NOW)


@pytest.mark.parametrize(
    ("category", "maxvmem", "slots", "how"),
    [
        ("-l h_rt=600,h_vmem=300M", "386.215MB", 1, End.OUT_OF_MEMORY),
        ("-u alice -l h_vmem=1G,h_rt=600 -pe smp 2", "2.100G", 2, End.OUT_OF_MEMORY),
        ("-l h_vmem=1G,h_rt=600 -pe smp 2", "1.100GB", 2, End.TIME_LIMIT),
        ("-l h_vmem=300M,h_rt=600", "0.000B", 1, End.TIME_LIMIT),
        ("-l h_rt=600", "386.215MB", 1, End.TIME_LIMIT),
        ("-l h_vmem=lots", "?", 1, End.TIME_LIMIT),
    ],
)
def test_a_limit_of_memory_is_told_from_one_of_time(
    category: str, maxvmem: str, slots: int, how: End
) -> None:
    """As qacct has it: the words of both are the same."""
    text = (
        f"slots        {slots}\n failed       37 : qmaster enforced h_rt, h_cpu, or h_vmem limit\n"
        f" exit_status  137\n maxvmem      {maxvmem}\n category     {category}"
    )
    ended = ENGINE.ended(seen(ended=("1", text)), "1", None)
    assert ended.how is how


def test_a_place_in_the_queue_and_what_never_runs() -> None:
    about = "@@places\n 2 place 3\n 9 place 1\n 2 place x\n 2 nonsense\n"
    text = query_report(*listed(PENDING), rest="@@places\n 2 place 3\n 9 place 1\n 2 nonsense\n")
    answer = ENGINE.answer(text, NOW)
    assert isinstance(answer, JobsSeen)
    assert [job.place for job in answer.jobs] == [3]
    never = "@@places\n 2 never (-l gpu=9) cannot run at host\n"
    answer = ENGINE.answer(query_report(*listed(PENDING), rest=never), NOW)
    assert isinstance(answer, JobsSeen)
    (job,) = answer.jobs
    assert job.reason is not None
    assert (job.reason.starts, job.reason.word) == (False, "(-l gpu=9) cannot run at host")
    for text in ("@@places\n 2 place x\n", about.replace("place 3", "place 0")):
        answer = ENGINE.answer(query_report(*listed(PENDING), rest=text), NOW)
        assert isinstance(answer, JobsSeen)
        assert answer.jobs[0].place is None


def test_a_job_that_ended_because_it_was_told_to_did_not_end_by_itself() -> None:
    text = f"jobname      {NAME}\n failed       0\n exit_status  0"
    answer = seen(ended=("1", text))
    for told, how in (("USR2", End.CANCELLED), ("limit", End.TIME_LIMIT), ("", End.COMPLETED)):
        assert ENGINE.ended(answer, "1", JobFiles("1", status=0, told=told)).how is how
    assert ENGINE.ended(answer, "1", JobFiles("1", status=75, told="twin")).how is End.FAILED


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("1", "error: commlib error: got select error (Connection refused)"),
        ("124", ""),
        ("0", ""),
        ("0", "<?xml version='1.0'?>"),
        ("0", "The cluster is in maintenance"),
        ("0", "<job_info></job_info>"),
        ("0", "<job_info> <error/> </job_info>"),
    ],
)
def test_no_list_is_no_answer(status: str, line: str) -> None:
    assert isinstance(ENGINE.answer(query_report(line, status=status), NOW), Unanswered)


@given(st.text())
def test_no_text_of_a_login_node_is_more_than_skipped(text: str) -> None:
    ENGINE.answer(query_report(*listed(text)), NOW)
    ENGINE.submission(text, REQUEST)
    ENGINE.explain(text)


@pytest.mark.parametrize(
    ("said", "title", "advice"),
    [
        (
            f'{UNABLE}Job was rejected because job requests unknown queue "gpu.q"\nExiting.',
            'job requests unknown queue "gpu.q"',
            "Change -q gpu.q in",
        ),
        (
            'Unable to run job: unknown resource "gpu"\nExiting.',
            'unknown resource "gpu"',
            "Change h_vmem=4G,gpu=1 in",
        ),
        (
            f'{UNABLE}job rejected: the requested parallel environment "smp" does not exist',
            'the requested parallel environment "smp"',
            "Change -pe smp in",
        ),
        ('qsub: invalid option argument "-pe"', "invalid option argument", "Change -pe"),
        (
            "Unable to run job: rejected by the site",
            "rejected by the site",
            "Change 'options' or 'time'",
        ),
    ],
)
def test_a_refusal(said: str, title: str, advice: str) -> None:
    outcome = ENGINE.submission(submit_report(1, said), REQUEST)
    assert isinstance(outcome, Refused), outcome
    assert outcome.problem.title.startswith(f"Grid Engine refused the job: {title}")
    assert outcome.problem.advice.startswith(advice)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-p", "2000"), 'qsub: invalid priority "2000".  Must be an integer from -1023 to 1024'),
        (("-js", "abc"), "qsub: invalid jobshare, must be an unsigned integer"),
        (("-jsv", "/x"), 'qsub: JSV "/x" is either not a file or not executable'),
        (("-tc", "x"), 'qsub: invalid task concurrency number "x". Must be an integer'),
        (("-R", "maybe"), 'qsub: invalid option argument "-R maybe"'),
        (("-a", "xx"), f'{UNABLE}Wrong date/time format "xx" specified to -a option'),
        (("-binding", "no"), f"{UNABLE}-binding option contains errors: couldn't parse"),
        (("-ckpt", "x"), f'{UNABLE}the requested checkpointing environment "x" does not exist'),
        (("-ar", "77"), f"{UNABLE}the advance reservation id 77 is invalid"),
        (("-masterq", "x"), f"{UNABLE}specification of master queue is not allowed"),
        (("-l", "slots=1"), f'{UNABLE}"job" denied: use parallel environments instead of slots'),
    ],
)
def test_a_refusal_of_whatever_option_names_it(options: tuple[str, str], said: str) -> None:
    """As recorded, also behind the warnings that our own options bring."""
    lines = Lines(2, 3, (4, 4, 5, 6))
    request = Request(NAME, "abc", 600, ("-q", "all.q", *options), "", lines=lines)
    warning = 'qsub: warning: "-j" option has already been set, overriding previous setting'
    outcome = ENGINE.submission(submit_report(1, f"{warning}\n{said}\nExiting."), request)
    assert isinstance(outcome, Refused), outcome
    assert options[0] in outcome.problem.advice or options[1] in outcome.problem.advice
    assert re.search(r"in line [56] of the server file\.$", outcome.problem.advice)
    assert "already been set" not in outcome.problem.title


@pytest.mark.parametrize(
    "said",
    [
        'qsub: warning: "-j" option has already been set, overriding previous setting',
        "error: commlib error: got select error (Connection refused)",
        "Unable to run job: got no response from JSV script",
        'Unable to run job: unable to send message to qmaster using port 6444 on host "login1"',
        f"{UNABLE}failed receiving gdi request response for mid=1 (receive timeout error)",
        "",
    ],
)
def test_an_error_never_means_not_submitted(said: str) -> None:
    assert isinstance(ENGINE.submission(submit_report(1, said), REQUEST), Unsure)


def test_a_job_that_was_taken() -> None:
    assert ENGINE.submission(submit_report(0, "15"), REQUEST) == Submitted("15")


def test_a_trial_has_no_estimate() -> None:
    report = "\n@@trayconnect trial 1\n@@sent 0\n verification: found suitable queue(s)\n@@done\n"
    assert ENGINE.would_start(report, REQUEST, NOW) == Trial(
        None, "verification: found suitable queue(s)"
    )


def test_a_job_that_is_gone_is_cancelled() -> None:
    report = '\n@@trayconnect cancel 1\n@@cancelled 1\n denied: job "999" does not exist\n@@done\n'
    assert ENGINE.cancelled(report) is None
