"""What a login node may answer to harm: nothing raises, nothing hangs."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.batch_reports import HEAD, NOW, query_report, submit_report
from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.services.batch.job import JobsSeen, job_name
from trayconnect.services.batch.machine import step
from trayconnect.services.batch.pace import next_due
from trayconnect.services.batch.presentation import no_page, present, table
from trayconnect.services.batch.reach import Way
from trayconnect.services.batch.scheduler import Request, Scheduler
from trayconnect.services.batch.schedulers import SCHEDULERS
from trayconnect.services.batch.state import Answered, BatchState, LinkUp, Open, Reached
from trayconnect.services.protocol import ServiceStatus

SERVER = Server.model_validate({"name": "Cluster", "host": "h", "batch": {}, "local_port": 18888})
NAME = job_name("Cluster")
REQUEST = Request(NAME, "mark", 60, ("--partition=x",), "")
SLURM, GRID_ENGINE = SCHEDULERS["slurm"], SCHEDULERS["gridengine"]
LARGE = 1 << 18

words = st.sampled_from(
    [
        *("", "0", "-1", "60", "9" * 18, "9" * 400, "9" * 5000, "99999999999", "1e308", "inf"),
        *("nan", "N/A", "INVALID", "UNLIMITED", "0:0", "9999999999:99", "9" * 4400 + "-00:00:00"),
        *("0001-01-01T00:00:00", "9999-12-31T23:59:59", "2026-11-30T19:11:02+99:00", "٣", "²"),
        *("\x1b[31m", "a|b", "\x00", "\u202e", "<b>", "c[1-3]", "(null)", "x" * 3000),
    ]
)
clocks = words | st.just("1796000000 2026-11-30T00:53:20") | st.tuples(words, words).map(" ".join)
states = st.sampled_from(["PENDING", "RUNNING", "COMPLETING", "FAILED", "TIMEOUT", "NEW", ""])
numbers = st.sampled_from(["5", "6", "9" * 18, "9" * 19])
names = st.sampled_from([NAME, NAME, "jupyter", "\x1b]0;x\x07"])


@st.composite
def of_slurm(draw: st.DrawFn) -> str:
    jobs = [
        "|".join(
            [
                draw(numbers),
                draw(states),
                *draw(st.lists(words, min_size=8, max_size=8)),
                draw(names),
            ]
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    keys = ("Reason", "StartTime", "EndTime", "SubmitTime", "TimeLimit", "Partition", "BatchHost")
    told = [f"{key}={draw(words)}" for key in keys]
    end = f"JobId=5 JobState={draw(states)} ExitCode={draw(words)} {' '.join(told)}"
    files = "".join(
        f"@@file {name}\n {draw(words)} {draw(words)} {draw(words)}\n"
        for name in ("node", "socket", "pid", "status", "host_keys", "log")
    )
    return query_report(HEAD, *jobs, now=draw(clocks), ended=("5", end), rest=f"@@files 5\n{files}")


@st.composite
def of_grid_engine(draw: st.DrawFn) -> str:
    jobs = [
        f'<job_list state="{draw(st.sampled_from(["running", "pending", "zombie"]))}">'
        f"<JB_job_number>{draw(numbers)}</JB_job_number><state>{draw(words)}</state>"
        f"<JAT_start_time>{draw(words)}</JAT_start_time><full_job_name>{draw(names)}"
        f"</full_job_name><JB_submission_time>{draw(words)}</JB_submission_time>"
        f"<queue_name>&a;&#99999999999;&#xD800;{draw(words)}</queue_name>"
        f'<hard_request name="h_rt">{draw(words)}</hard_request></job_list>'
        for _ in range(draw(st.integers(0, 3)))
    ]
    why = ["job_number: 5", f"error reason 1: {draw(words)}", f"scheduling info: {draw(words)}"]
    end = f"failed {draw(words)}\n exit_status {draw(words)}\n end_time {draw(words)}"
    listed = ["<!DOCTYPE x [<!ENTITY a 'aa'>]>", "<queue_info>", *jobs, "</job_info>", *why]
    return query_report(*listed, now=draw(clocks), ended=("5", end))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.just(SLURM), of_slurm()) | st.tuples(st.just(GRID_ENGINE), of_grid_engine()),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_is_answered_can_be_shown(answers: list[tuple[Scheduler, str]]) -> None:
    state, _ = step(BatchState(SERVER), LinkUp(), NOW, "mark")
    state, _ = step(state, Command("connect", "Cluster"), NOW, "mark")
    for scheduler, output in answers:
        answered = Answered(state.link, scheduler.answer(output, NOW), scheduler)
        state, effects = step(state, answered, NOW, "mark")
        if any(isinstance(effect, Open) for effect in effects):
            state, _ = step(state, Reached(state.attempt, Way.SSH), NOW, "mark")
        for now in (NOW, NOW + 1e6):
            shown = present(state, ServiceStatus(), now)
            json.dumps(shown.json, allow_nan=False)
            no_page(state, ServiceStatus(), now)
            table(state, now)
            next_due(state)


@pytest.mark.parametrize(
    ("scheduler", "before", "piece", "behind"),
    [
        (SLURM, "", "error:", ""),
        (SLURM, "", " 1", ""),
        (GRID_ENGINE, "<queue_info>", '<job_list state="running">', "</job_info>"),
        (
            GRID_ENGINE,
            '<queue_info><job_list state="running"><JB_job_number>1</JB_job_number>',
            '<hard_request name="h_rt"',
            "</job_list></job_info>",
        ),
    ],
)
def test_a_long_line_takes_no_long_time(
    scheduler: Scheduler, before: str, piece: str, behind: str
) -> None:
    line = before + piece * (LARGE // len(piece)) + behind
    began = time.process_time()
    scheduler.answer(query_report(HEAD, line, ended=("1", line)), NOW)
    scheduler.submission(submit_report(1, line), REQUEST)
    assert time.process_time() - began < 10.0


def test_many_jobs_of_others_are_cut_and_none_of_ours() -> None:
    others = [f"{n}|RUNNING|c{n}|c{n}|1|2|3|4|p|None|jupyter" for n in range(1, LARGE // 50)]
    ours = f"999999|RUNNING|c1|c1|1|2|3|4|p|None|{NAME}"
    hosts = "@@hosts\n" + "".join(f" c{n}\n" for n in range(1000))
    began = time.process_time()
    seen = SLURM.answer(query_report(HEAD, *others, ours, rest=hosts), NOW)
    assert time.process_time() - began < 5.0
    assert isinstance(seen, JobsSeen)
    assert len(seen.jobs) == 301
    assert seen.jobs[-1].name == NAME
