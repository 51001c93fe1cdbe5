"""What the user reads of a batch job, in each of its states."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.support.batch_fakes import (
    DOWN,
    NEVER,
    NOW,
    WAITS,
    FakeScheduler,
    a_job,
    batch_server,
    ended,
    files_of,
    running,
    seen,
)
from tests.support.snapshots import snap
from trayconnect.alerts.policy import Alert, AlertState, follow
from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.services.batch import notices
from trayconnect.services.batch.job import End, Ended, Job, JobFiles, Phase, job_name
from trayconnect.services.batch.notices import ends_soon, how
from trayconnect.services.batch.pace import HOME_LAG, HOME_SHOWS
from trayconnect.services.batch.presentation import no_page, present, table
from trayconnect.services.batch.reach import Way
from trayconnect.services.batch.state import BatchState, Want
from trayconnect.services.batch.times import duration, moment, start_words
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.jupyter.presentation import JupyterFacts
from trayconnect.services.jupyter.presentation import present as status_of
from trayconnect.services.jupyter.problems import last_is_gone
from trayconnect.services.protocol import Level, ServiceStatus
from trayconnect.sessions.snapshot import Cause
from trayconnect.sessions.state import State
from trayconnect.tray.summary import attempt_since

READY = ServiceStatus(level=Level.LOGGED_IN, page=Page("http://127.0.0.1:18888/lab"))
NO_JUPYTER = ServiceStatus()


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone of a process cannot be set here")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def linked(*jobs: Job, **more: Any) -> BatchState:
    used = jobs[0] if jobs else None
    files = [files_of(job) for job in jobs if job.phase is Phase.RUNNING]
    state = BatchState(
        batch_server(),
        1,
        is_linked=True,
        is_current=True,
        scheduler=FakeScheduler(),
        seen=seen(*jobs, files=files),
        job=used,
        files=files[0] if files else None,
    )
    return replace(state, **more)


HALT = "suspended by the cluster"
ON_NODE = {"way": Way.SSH, "running_since": NOW - 3600}


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (linked(is_current=False), "logged in, looking for your job…"),
        (linked(want=Want.ANY), "logged in, looking for your job…"),
        (linked(is_submitting=True), "submitting a job…"),
        (linked(), "connected, no job"),
        (linked(a_job()), "queued"),
        (linked(a_job(reason=WAITS)), "queued: waits for free resources"),
        (linked(a_job(reason=WAITS, starts=NOW + 3600)), "queued, starts about 09:00"),
        (linked(a_job(place=3, starts=NOW + 3600)), "queued, 3rd in line, starts about 09:00"),
        (linked(a_job(place=1, reason=WAITS)), "queued, 1st in line: waits for free resources"),
        (linked(a_job(place=1012)), "queued, 1012th in line"),
        (linked(a_job(starts=NOW + 86_400)), "queued, starts about Sat 08:00"),
        (linked(a_job(starts=NOW + 12 * 86_400)), "queued, starts in 12 days"),
        (linked(a_job(starts=NOW - 5)), "queued, starts soon"),
        (linked(a_job(starts=NOW - 7200)), "queued"),
        (linked(a_job(reason=WAITS, starts=NOW - 7200)), "queued: waits for free resources"),
        (
            linked(a_job(reason=NEVER)),
            "queued: will not start as asked: the partition's time limit is shorter",
        ),
        (linked(running(), running_since=NOW), "starting Jupyter on c1"),
        (linked(running(), is_reaching=True), "reaching c1…"),
        (linked(running(ends=NOW + 13_245), **ON_NODE), "on c1, 3 h 40 min left"),
        (linked(running(ends=NOW + 500), **ON_NODE), "on c1, ends in 8 min"),
        (linked(running(ends=NOW - 5), **ON_NODE), "on c1, its time is over"),
        (linked(running(ends=None), **ON_NODE), "on c1"),
        (linked(running(note=HALT), **ON_NODE), "on c1, suspended by the cluster, 4 h left"),
        (linked(running(), ending="7", **ON_NODE), "job 7 is ending"),
        (linked(a_job(phase=Phase.ENDING)), "job 7 is ending"),
        (linked(ended(running())), "ended: time limit reached"),
        (linked(ended(running(), End.OUT_OF_MEMORY)), "ended: out of memory"),
        (
            linked(running(ends=NOW + 13_245), silent=DOWN, **ON_NODE),
            "on c1, 3 h 40 min left; Slurm does not answer",
        ),
        (linked(a_job(), silent=DOWN), "queued; Slurm does not answer"),
        (linked(silent=DOWN), "connected"),
    ],
)
def test_the_state_in_words(state: BatchState, text: str) -> None:
    assert present(state, READY, NOW).state_text == text


def test_a_job_that_stands_still_says_why_its_jupyter_is_silent() -> None:
    state = linked(running(note=HALT), **ON_NODE)
    assert present(state, READY, NOW).problem is None
    problem = present(state, NO_JUPYTER, NOW).problem
    assert problem is not None
    assert problem.title == "The job on gpu does not go on: suspended by the cluster"
    told: Any = present(state, READY, NOW).json
    assert told["job"]["note"] == HALT


def test_the_state_of_a_silent_jupyter() -> None:
    state = linked(running(), **ON_NODE)
    assert present(state, NO_JUPYTER, NOW).state_text == "on c1, 4 h left, Jupyter does not answer"


@pytest.mark.parametrize("since", [NOW - 1, NOW - 3600])
@pytest.mark.parametrize("in_use", [False, True])
def test_a_page_that_is_kept_from_the_tabs_of_another_folder(since: float, in_use: bool) -> None:
    """Whatever else keeps the page away is told in the words of a job."""
    found = FoundJupyter("8888", "/data", "/data", "2.21", None, in_use, False, True)
    gone = last_is_gone("~", "/data")
    there = status_of(batch_server(), JupyterFacts(problem=gone, jupyters=(found,)))
    told = present(linked(running(), way=Way.SSH, running_since=since), there, NOW)
    assert (told.problem == gone) is not in_use
    assert (told.state_text == "on c1, 4 h left, in another folder") is not in_use


@pytest.mark.parametrize(
    ("state", "expects"),
    [
        (linked(), False),
        (linked(a_job()), False),
        (linked(ended(running())), False),
        (linked(running(), running_since=NOW), False),
        (linked(running(), running_since=NOW, unreached=Problem("no way", "")), True),
        (linked(running(), running_since=NOW, was_reached=True), True),
        (linked(running(), **ON_NODE), True),
    ],
)
def test_whether_a_page_is_expected(state: BatchState, expects: bool) -> None:
    assert present(state, READY, NOW).expects_page is expects


def test_the_problems() -> None:
    def title(state: BatchState) -> str:
        problem = present(state, NO_JUPYTER, NOW).problem
        return problem.title if problem is not None else ""

    late = NOW - HOME_LAG - 1
    missing = linked(running(), files=None, running_since=late)
    begun = linked(running(), files=JobFiles("7", names=("c1",)), running_since=late)
    assert title(linked(a_job())) == ""
    assert title(linked(a_job(reason=NEVER))).startswith("The job on gpu will not start as asked")
    assert title(linked()) == "No job of yours runs on gpu"
    assert title(linked(silent=DOWN)) == DOWN.title
    assert title(linked(a_job(), silent=DOWN)) == ""
    assert title(linked(refusal=DOWN)) == DOWN.title
    assert title(linked(running(), unreached=DOWN)) == DOWN.title
    assert title(missing).endswith("the login node does not show its files")
    assert title(begun) == "The job runs on c1, but Jupyter has not started there"
    assert not present(missing, NO_JUPYTER, NOW).in_progress
    assert title(linked(ended(running()))) == "The job on gpu ended: time limit reached"
    assert title(linked(refusal=DOWN, is_linked=False)) == ""


@pytest.mark.parametrize(
    ("status", "log", "said"),
    [
        (71, "", "The folder ~/thesis on c1 cannot be entered. Make it there, or correct"),
        (72, "trayconnect: there is no command module", "The module python cannot be used on c1."),
        (127, "", "jupyter-lab was not found in the module python. Install it there, or"),
        (1, "ModuleNotFoundError: No module named 'x'", "Jupyter is broken on c1: No module named"),
        (3, "one\ntwo", "Jupyter ended on c1 with exit status 3. The end of its log:\none\ntwo"),
        (137, "", "The job on gpu ended: it failed (exit status 137). Look at its log."),
    ],
)
def test_a_jupyter_that_did_not_start_says_why(status: int, log: str, said: str) -> None:
    start = {"folder": "~/thesis", "environment": {"module": ["python"]}}
    job = replace(running(), phase=Phase.ENDED, ended=Ended(End.FAILED, status, log=log))
    state = linked(job, server=batch_server(start=start), files=files_of(job, status=status))
    assert said in str(present(state, NO_JUPYTER, NOW).problem)
    notice = notices.ended(state, job)
    assert notice.title == "Your job on gpu ended"
    assert status == 137 or said in notice.body
    failed = "it failed (exit status 137)" if status == 137 else "Jupyter failed"
    assert present(state, NO_JUPYTER, NOW).state_text == f"ended: {failed}"
    ran = str(present(replace(state, was_reached=True), NO_JUPYTER, NOW).problem)
    assert ran.startswith(f"The job on gpu ended: it failed (exit status {status})")


def test_a_job_that_follows_one_that_ends_is_waited_for() -> None:
    """So 'start' does not return with the words of the one that ends."""
    ends = linked(a_job(phase=Phase.ENDING))
    assert not present(ends, NO_JUPYTER, NOW).in_progress
    assert present(replace(ends, want=Want.ANY), NO_JUPYTER, NOW).in_progress
    assert present(replace(ends, expected=a_job(8)), NO_JUPYTER, NOW).in_progress


def test_a_job_may_start_at_once() -> None:
    def moves(**more: Any) -> bool:
        return present(linked(a_job(**more)), NO_JUPYTER, NOW).in_progress

    assert moves(submitted=NOW - 3)
    assert moves(submitted=NOW - 3, starts=NOW + 5)
    assert not moves(submitted=NOW - 3, starts=NOW + 900)
    assert not moves(submitted=NOW - 3, reason=NEVER)
    assert not moves(submitted=NOW - 60)


def test_a_job_that_the_user_ended_says_so() -> None:
    job = replace(running(), phase=Phase.ENDED, ended=Ended(End.CANCELLED, by_user=True))
    status = present(linked(job), NO_JUPYTER, NOW)
    assert status.state_text == "ended: you ended it"


def test_a_home_that_lags_is_waited_for_in_words() -> None:
    def text(files: JobFiles | None, age: float) -> str:
        state = linked(running(), files=files, running_since=NOW - age)
        return present(state, NO_JUPYTER, NOW).state_text

    assert text(None, 1) == "starting Jupyter on c1"
    assert text(None, HOME_SHOWS + 1) == "waiting for the files of the job on c1…"
    assert text(JobFiles("7", names=("c1",)), HOME_SHOWS + 1) == "starting Jupyter on c1"


def test_a_browser_reads_why_there_is_no_page() -> None:
    queued = no_page(linked(a_job(starts=NOW + 3600)), NO_JUPYTER, NOW)
    assert queued is not None
    assert queued.title == "gpu is queued, starts about 09:00"
    cut = linked(running(), was_reached=True)
    assert no_page(cut, NO_JUPYTER, NOW) is None  # held until the node is reached again


def test_the_lines() -> None:
    by_hand = replace(running(9), name="mine", has_jupyter=True)
    of_another = replace(running(10), name=job_name("another"), has_jupyter=True)
    state = linked(running(), a_job(8, reason=WAITS), by_hand, of_another, **ON_NODE)
    assert [line.text for line in present(state, READY, NOW).lines] == [
        "Job 7 in main, reached by ssh",
        "Its time ends at 12:00",
        "Also job 8 queued: waits for free resources",
        "Also job 9 on c1, 4 h left, submitted by hand",
    ]
    told = present(linked(a_job(reason=WAITS, starts=NOW + 60)), READY, NOW).lines
    assert [line.text for line in told] == [
        "Job 7 in main",
        "It waits for free resources",
        "Queued since 07:59",
    ]


def test_the_offers() -> None:
    def keys(state: BatchState) -> list[str]:
        offers = present(state, READY, NOW).commands
        return [offer.key if offer.enabled else f"({offer.key})" for offer in offers]

    assert keys(linked()) == ["new-job"]
    assert keys(linked(a_job())) == ["end-job", "new-job", "job-log"]
    assert keys(linked(a_job(), want=Want.NEW)) == ["end-job", "(new-job)", "job-log"]
    assert keys(linked(expected=a_job(), job=a_job())) == ["end-job", "(new-job)", "job-log"]
    assert keys(linked(a_job(phase=Phase.ENDING))) == ["(end-job)", "new-job", "job-log"]
    assert keys(linked(ended(running()))) == ["new-job", "job-log"]
    assert keys(linked(a_job(), is_linked=False)) == ["end-job", "(new-job)"]
    by_hand = replace(running(9), name="mine", has_jupyter=True)
    state = linked(running(), a_job(8), by_hand, **ON_NODE)
    jobs = present(state, READY, NOW).commands[0]
    assert [(child.text, child.checked) for child in jobs.children] == [
        ("Job 7 on c1, 4 h left", True),
        ("Job 8 queued", False),
        ("Job 9 on c1, 4 h left, submitted by hand", False),
    ]
    assert table(state, NOW) == [
        "* 7  main  on c1, 4 h left",
        "  8  main  queued",
        "  9  main  on c1, 4 h left, submitted by hand",
    ]


def test_the_json() -> None:
    state = linked(running(ends=NOW + 13_245), **ON_NODE)
    told: Any = present(state, READY, NOW).json
    json.dumps(told)
    job = told["job"]
    assert (job["id"], job["state"], job["node"], job["way"]) == ("7", "running", "c1", "ssh")
    assert (job["time_left"], job["ends"], job["started"]) == (13_245, NOW + 13_245, NOW)
    assert [one["id"] for one in told["jobs"]] == ["7"]
    queued: Any = present(linked(a_job(reason=WAITS, starts=NOW + 60)), READY, NOW).json["job"]
    assert (queued["state"], queued["reason"], queued["starts"]) == (
        "queued",
        "Resources",
        NOW + 60,
    )
    over: Any = present(linked(ended(running(), End.NODE_FAILED)), READY, NOW).json["job"]
    assert (over["state"], over["ended"]["how"]) == ("ended", "node_failed")
    assert present(linked(), READY, NOW).json["job"] is None


@pytest.mark.parametrize("end", End)
def test_each_end_has_words(end: End) -> None:
    job = ended(running(), end)
    assert how(job.ended)


def test_the_words_of_times() -> None:
    words = [duration(s) for s in (5, 60, 3599, 3600, 13_245, 86_400, 90_000, 1e6)]
    assert words == [
        "less than a minute", "1 min", "59 min", "1 h", "3 h 40 min", "1 d", "1 d 1 h", "11 d 13 h",
    ]  # fmt: skip
    assert moment(NOW - 3 * 86_400, NOW) == "2027-01-12 08:00"
    assert start_words(NOW + 59, NOW) == "soon"
    assert ends_soon("gpu", running(ends=NOW + 600), NOW).title.endswith("in 10 min")


# --- alerts ---------------------------------------------------------------------------------------


def test_a_job_that_ended_is_not_said_to_answer_no_longer() -> None:
    up = snap(state=State.UP)
    ready = replace(up, service=present(linked(running(), **ON_NODE), READY, NOW))
    assert ready.is_ready
    over = replace(up, service=present(linked(ended(running())), READY, NOW))
    lost = replace(up, service=present(linked(running(), **ON_NODE), NO_JUPYTER, NOW))
    state = follow(AlertState(up), ready, Cause.OTHER, 0.0)
    assert follow(state, lost, Cause.OTHER, 1.0).alert is Alert.LOST
    state = follow(state, over, Cause.OTHER, 1.0)
    assert state.alert is None
    state = follow(state, replace(over, state=State.WAITING), Cause.OTHER, 2.0)
    assert state.alert is None
    assert follow(state, ready, Cause.OTHER, 3.0).alert is None  # and not “is back”


def test_a_queued_job_is_no_silent_page() -> None:
    state = linked(a_job(reason=NEVER), clicked_at=NOW)
    queued = replace(snap(state=State.UP), service=present(state, NO_JUPYTER, NOW))
    assert queued.service.browser_pending
    assert follow(AlertState(queued), queued, Cause.OTHER, 0.0).alert is None


def test_the_icon_moves_while_a_job_starts_and_not_while_it_waits() -> None:
    def since(state: BatchState) -> float | None:
        status = present(state, NO_JUPYTER, NOW)
        return attempt_since([replace(snap(state=State.UP), service=status)])

    assert since(linked(a_job())) is None
    assert since(linked(is_submitting=True)) is not None
    assert since(linked(running(), running_since=NOW)) is not None
