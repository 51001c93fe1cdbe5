"""The commands on the batch jobs of an entry, on their senders' threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command, name_on_command_line
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link
from trayconnect.core.notices import Notice
from trayconnect.core.questions import Question, QuestionKind
from trayconnect.services.batch.cluster import Cluster
from trayconnect.services.batch.job import Job, JobId, Phase
from trayconnect.services.batch.notices import tag
from trayconnect.services.batch.presentation import job_label, listed, table
from trayconnect.services.batch.scheduler import QUERY_LIMIT, Scheduler
from trayconnect.services.batch.state import BatchState, CheckAgain, Chosen, ToldToEnd
from trayconnect.services.batch.times import duration
from trayconnect.services.jupyter import stop
from trayconnect.services.protocol import Desktop

if TYPE_CHECKING:
    from trayconnect.services.batch.service import BatchService

END_LIMIT = 15.0
"""Seconds to wait for a job that was told to end."""


@dataclass(frozen=True, slots=True)
class BatchCommands:
    batch: BatchService
    cluster: Cluster
    desktop: Desktop

    def run(self, command: Command, cancel: CancelToken) -> JSON:
        """See `Service.run`."""
        return RUNS[command.name](self, command, cancel)

    # --- which one ---

    def list_all(self, _command: Command, cancel: CancelToken) -> JSON:
        """The lines of a table; the job in use is marked."""
        state = self._asked_again(cancel)
        if lines := table(state, time.time()):
            return {"lines": lines}
        raise self._no_job()

    def choose(self, command: Command, cancel: CancelToken) -> JSON:
        """Use another job: by its number or its node. With a `wait`, block until it is used."""
        words, state = command.text("jupyter"), self.batch.settled(cancel)
        job = _matching(listed(state), words)
        if job is None:
            state = self._asked_again(cancel)
            job = _matching(listed(state), words)
        if job is None:
            raise self._no_single(state, words)
        if state.job is not None and state.job.id == job.id:
            self.batch.let_in()
        self.batch.tell(Chosen(job.id))

        def moved(state: BatchState) -> bool:
            is_used = state.job is not None and state.job.id == job.id
            is_running = is_used and state.job is not None and state.job.phase is Phase.RUNNING
            return is_used and (not is_running or state.way is not None)

        self.batch.wait_until(moved, command.wait or 0.0, cancel)
        return {"lines": table(self.batch.settled(cancel), time.time())}

    def _no_single(self, state: BatchState, words: str) -> ProblemError:
        now = time.time()
        there = "\n".join(job_label(state, job, now) for job in listed(state))
        title = f"No single job on {self._name} is known by “{words}”"
        advice = f"Choose one of these by its number:\n{there}" if there else "None is known."
        return ProblemError(Problem(title, advice))

    # --- submitting and ending ---

    def order(self, command: Command, _cancel: CancelToken) -> None:
        """Submit a job once there is a link; `start-jupyter` only if there is none."""
        self.batch.tell(Command(command.name, self._name))

    def tell_losses(self, _command: Command, cancel: CancelToken) -> JSON:
        """What ending the job in use now would lose."""
        job, label, losses = self._losses(cancel)
        return {"identity": job, "job": job, "label": label, "losses": losses}

    def end_or_ask(self, command: Command, cancel: CancelToken) -> JSON:
        """End the job of that identity, without a question; without an identity, ask first."""
        job = command.text("identity") or self._in_use(cancel).id
        if "identity" not in command.arguments:
            # A question may stay open for hours, and the menu must go on.
            if not self.batch.spawn_once(f"end-job {job}", self._ask):
                self.desktop.prompter.bring_to_front()
            return None
        return {"lines": [f"{self._end(job, cancel)}."]}

    def _ask(self, cancel: CancelToken) -> None:
        job, label, losses = self._losses(cancel)
        question = Question(
            kind=QuestionKind.CONFIRM,
            server=self._name,
            title=f"End the job on {self._name}?",
            message=f"{label[0].upper()}{label[1:]}.\n{losses}",
            confirm="End job",
        )
        if self.desktop.prompter.ask(question, cancel) is None:
            return
        title = self._end(job, cancel)
        self.desktop.notifier.notify(Notice(tag(self._name), title, passing=True, asked=True))

    def _end(self, job: JobId, cancel: CancelToken) -> str:
        """Tell the job to end, and wait a while for its end. Returns what happened."""
        state = self.batch.settled(cancel)
        used = [state.job] if state.job is not None and state.is_live else []
        if job not in {one.id for one in (*listed(state), *used)}:
            raise ProblemError(Problem(f"Job {job} on {self._name} has ended already", ""))
        self.cluster.cancel(self._scheduler(state), job, self._link(), cancel)
        enough = self.batch.settled(cancel).next_query
        self.batch.tell(ToldToEnd(job))

        def is_over(now: BatchState) -> bool:
            if now.job is not None and now.job.id == job:
                return not now.is_live
            # What is known of another one may be older than the order.
            seen = now.seen.job(job) if now.seen is not None else None
            is_new = now.queries >= enough and now.is_current
            return is_new and (seen is None or seen.phase is Phase.ENDED)

        self.batch.wait_until(is_over, END_LIMIT, cancel)
        if is_over(self.batch.state):
            return f"Job {job} on {self._name} was ended"
        return f"Job {job} on {self._name} was told to end"

    def _losses(self, cancel: CancelToken) -> tuple[JobId, str, str]:
        """The job in use, its label, and what ending it would lose, in lines for people."""
        job = self._in_use(cancel)
        state, now = self.batch.state, time.time()
        label = job_label(state, job, now)
        if job.phase is Phase.QUEUED:
            waits = duration(now - job.submitted) if job.submitted is not None else ""
            waited = f" It has waited for {waits}." if waits else ""
            return job.id, label, f"It loses its place in the queue.{waited}"
        page = self.batch.jupyter.page if state.way is not None else None
        silent = stop.Losses(unknown="its Jupyter does not answer")
        losses = silent if page is None else stop.losses(page, cancel)
        return job.id, label, losses.text

    # --- its log ---

    def tell_log(self, _command: Command, cancel: CancelToken) -> JSON:
        return {"log": self._log(cancel)}

    def show_log(self, _command: Command, _cancel: CancelToken) -> None:
        title = f"{self._name}: the job's log"
        self.batch.spawn_once(
            "job-log", lambda cancel: self.desktop.show_text(title, self._log(cancel))
        )

    def _log(self, cancel: CancelToken) -> str:
        """The end of the log of the Jupyter in the job in use."""
        state = self._asked_again(cancel)
        job = state.job
        if state.log:
            return f"{state.log}\n"
        if job is None:
            raise self._no_job()
        advice = "Jupyter has not begun yet." if job.phase is Phase.QUEUED else ""
        if not job.is_of(self._name):
            advice = "This entry did not submit it, so its log is elsewhere."
        raise ProblemError(Problem(f"Job {job.id} on {self._name} has no log", advice))

    # --- common ---

    @property
    def _name(self) -> str:
        return self.batch.state.server.name

    def _asked_again(self, cancel: CancelToken) -> BatchState:
        """The state after another query. Raises `ProblemError` without a link, or an answer."""
        before = self.batch.settled(cancel)
        self._link()
        self.batch.tell(CheckAgain())
        enough = before.next_query

        def is_over(now: BatchState) -> bool:
            return now.queries >= enough or not now.is_linked

        self.batch.wait_until(is_over, QUERY_LIMIT, cancel)
        state = self.batch.settled(cancel)
        self._link()
        if state.silent is not None:
            raise ProblemError(state.silent)
        return state

    def _in_use(self, cancel: CancelToken) -> Job:
        """Raises `ProblemError` without a link, or a job that has not ended."""
        state = self.batch.settled(cancel)
        self._link()
        if state.job is None or not state.is_live:
            raise self._no_job()
        return state.job

    def _no_job(self) -> ProblemError:
        advice = f"Submit one with: trayconnect start {name_on_command_line(self._name)}"
        return ProblemError(Problem(f"No job of yours runs on {self._name}", advice))

    def _link(self) -> Link:
        link = self.batch.login
        if link is None:
            advice = f"Connect it first: trayconnect connect {name_on_command_line(self._name)}"
            raise ProblemError(Problem(f"{self._name} is not connected", advice, Recovery.RETRY))
        return link

    def _scheduler(self, state: BatchState) -> Scheduler:
        if state.scheduler is None:
            title = f"The scheduler of {self._name} is not known yet"
            raise ProblemError(state.silent or Problem(title, "Try again in a moment"))
        return state.scheduler


RUNS: Mapping[str, Callable[[BatchCommands, Command, CancelToken], JSON]] = {
    "start-jupyter": BatchCommands.order,
    "new-job": BatchCommands.order,
    "jupyters": BatchCommands.list_all,
    "choose-jupyter": BatchCommands.choose,
    "jupyter-losses": BatchCommands.tell_losses,
    "stop-jupyter": BatchCommands.end_or_ask,
    "end-job": BatchCommands.end_or_ask,
    "jupyter-log": BatchCommands.tell_log,
    "show-jupyter-log": BatchCommands.show_log,
}


def _matching(jobs: Sequence[Job], words: str) -> Job | None:
    """The only one of that number, or else on that node."""
    by_number = [job for job in jobs if job.id == words]
    found = by_number or [job for job in jobs if words in job.nodes]
    return found[0] if len(found) == 1 else None
