"""The scripts of a scheduler over a link: one at a time, cancellable, with an answer for each
end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest

from tests.support.batch_reports import HEAD, query_report, submit_report
from trayconnect.config.batch_options import BatchOptions as Batch
from trayconnect.config.model import Server
from trayconnect.config.yaml_file import parse
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError
from trayconnect.core.link import Completed, Link, NotEndedError
from trayconnect.services.batch.cluster import Cluster
from trayconnect.services.batch.job import Job, JobsSeen, Phase, Unanswered
from trayconnect.services.batch.notices import cannot_start
from trayconnect.services.batch.scheduler import Refused, Unsure
from trayconnect.services.batch.schedulers import SCHEDULERS

SLURM = SCHEDULERS["slurm"]
SERVER = Server.model_validate(
    {"name": "a", "host": "h", "local_port": 18888, "batch": {"options": ["-N", "1"]}}
)
LATE = NotEndedError(Problem("late", ""), Completed(-1, b"\n@@trayconnect submit 1\n", b""))


class FakeLink:
    """Answers each command with the next output, or raises it."""

    def __init__(self, *outcomes: str | ProblemError) -> None:
        self._outcomes = list(outcomes)
        self.running = 0
        self.most = 0
        self.go = threading.Event()
        self.go.set()

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        assert command == "sh"
        assert b"main" in stdin
        assert 30 <= timeout <= 60
        self.running += 1
        self.most = max(self.most, self.running)
        self.go.wait(10)
        self.running -= 1
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, ProblemError):
            raise outcome
        return Completed(0, outcome.encode(), b"sh: 1: not found")


def link(*outcomes: str | ProblemError) -> tuple[Link, FakeLink]:
    fake = FakeLink(*outcomes)
    return cast("Link", fake), fake


def test_a_query_that_takes_too_long_is_no_answer() -> None:
    login, _ = link(LATE)
    answer = Cluster().query(SERVER, SLURM, login, CancelToken())
    assert isinstance(answer, Unanswered)
    assert "within 40 s" in answer.said


def test_a_submission_that_takes_too_long_may_have_submitted() -> None:
    login, _ = link(LATE)
    assert isinstance(Cluster().submit(SERVER, SLURM, "abc", login, CancelToken()), Unsure)


def test_a_login_node_that_runs_no_commands_is_a_problem() -> None:
    login, _ = link(*["This account is only for tunnels.\n"] * 4)
    cluster, never = Cluster(), CancelToken()
    with pytest.raises(ProblemError):
        cluster.find_scheduler(SERVER, login, never)
    with pytest.raises(ProblemError):
        cluster.query(SERVER, SLURM, login, never)
    with pytest.raises(ProblemError):
        cluster.submit(SERVER, SLURM, "abc", login, never)
    with pytest.raises(ProblemError):
        cluster.would_start(SERVER, SLURM, login, never)


def test_auto_judges_the_options_when_the_scheduler_is_known() -> None:
    found = "\n@@trayconnect which 1\n@@has {}\n@@done\n"
    login, _ = link(found.format("slurm"), found.format("gridengine"), found.format("pbs"))
    cluster, never = Cluster(), CancelToken()
    assert cluster.find_scheduler(SERVER, login, never) is SLURM
    with pytest.raises(ProblemError) as caught:
        cluster.find_scheduler(SERVER, login, never)
    assert caught.value.problem.title == "An option of “a” cannot be used: -N"
    with pytest.raises(ProblemError) as caught:
        cluster.find_scheduler(SERVER, login, never)
    assert "PBS" in caught.value.problem.title


def test_options_of_a_later_entry_are_judged_before_they_are_used() -> None:
    login, _ = link()  # nothing is run
    changed = SERVER.model_copy(update={"batch": Batch(options=("--array=1-2",))})
    outcome = Cluster().submit(changed, SLURM, "abc", login, CancelToken())
    assert isinstance(outcome, Refused)
    assert outcome.problem.title == "An option of “a” cannot be used: --array=1-2"


WRITTEN = """\
servers:
- name: a
  host: h
  batch:
    time: 4:00:00
    options:
    - --partition=nope
    - -n
    - "2"
"""
UNKNOWN = "Batch job submission failed: Invalid partition name specified"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (UNKNOWN, "Change --partition=nope in line 7 of the server file."),
        ("sbatch: error: Invalid --ntasks specification", "Change -n 2 in line 8 of"),
        ("Batch job submission failed: Requested time limit is invalid", "Change 'time' in line 5"),
        ("Batch job submission failed: Invalid account", "Change --partition=nope in line 7 of"),
        ("Batch job submission failed: Invalid qos specification", "Add --qos=… to 'options' in"),
        ("Batch job submission failed: Job size specification needed", "Change 'options' in line"),
        (
            "Batch job submission failed: Job violates accounting/QOS policy",
            "You have as many jobs as you may submit",
        ),
    ],
)
def test_a_refusal_names_the_line_to_change(said: str, advice: str) -> None:
    (server,) = parse(WRITTEN, Path("servers.yaml")).servers
    trial = f"\n@@trayconnect trial 1\n@@sent 1\n {said}\n@@done\n"
    login, _ = link(submit_report(1, said), trial)
    for outcome in (
        Cluster().submit(server, SLURM, "abc", login, CancelToken()),
        Cluster().would_start(server, SLURM, login, CancelToken()),
    ):
        assert isinstance(outcome, Refused), outcome
        assert outcome.problem.advice.startswith(advice)


def test_an_option_that_cannot_be_used_names_its_line() -> None:
    text = WRITTEN.replace("--partition=nope", '"-N"').replace("    - -n\n", "")
    (server,) = parse(text, Path("servers.yaml")).servers
    login, _ = link("\n@@trayconnect which 1\n@@has gridengine\n@@done\n")
    with pytest.raises(ProblemError) as caught:
        Cluster().find_scheduler(server, login, CancelToken())
    assert caught.value.problem.advice.endswith("Change it in line 7 of the server file.")


def test_a_job_that_will_not_start_names_the_entrys_line() -> None:
    (server,) = parse(WRITTEN, Path("servers.yaml")).servers
    reason = SLURM.explain("PartitionTimeLimit")
    problem = cannot_start(server, Job("7", "x", Phase.QUEUED, reason=reason), reason)
    assert problem.advice.startswith("Change 'batch' in line 4 of the server file, end job 7")


def test_one_command_at_a_time_and_each_can_be_cancelled() -> None:
    login, fake = link(query_report(HEAD), query_report(HEAD), query_report(HEAD))
    cluster, first, second = Cluster(), CancelToken(), CancelToken()
    fake.go.clear()
    raised: list[type[BaseException]] = []

    def ask(cancel: CancelToken) -> None:
        try:
            cluster.query(SERVER, SLURM, login, cancel)
        except Cancelled:
            raised.append(Cancelled)

    threads = [threading.Thread(target=ask, args=(token,)) for token in (first, second)]
    for thread in threads:
        thread.start()
    for token in (first, second):
        token.set()
    for thread in threads:
        thread.join(10)
    assert raised == [Cancelled, Cancelled]
    fake.go.set()
    answer = cluster.query(SERVER, SLURM, login, CancelToken())
    assert isinstance(answer, JobsSeen)
    assert fake.most == 1
