"""The service of a batch job over a cluster as data: its threads, links and commands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from tests.support.batch_fakes import (
    DOWN,
    FakeCluster,
    FakeLink,
    a_job,
    batch_server,
    ended,
    running,
)
from tests.support.nulls import NoPrompter
from tests.support.threads import wait_for_threads
from tests.support.waiting import wait_for
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.endpoints import UnixEndpoint
from trayconnect.core.errors import Cancelled, Problem, ProblemError
from trayconnect.core.link import Link, Own
from trayconnect.core.notices import Notice
from trayconnect.core.page import NoBrowser, Page
from trayconnect.core.questions import Answer, Question
from trayconnect.services.batch import commands
from trayconnect.services.batch.reach import Destination, NodeLink, Way
from trayconnect.services.batch.service import BatchService, BatchWork, entry_in
from trayconnect.services.jupyter.model import Health
from trayconnect.services.jupyter.selection_store import LastUsed
from trayconnect.services.jupyter.service import Work
from trayconnect.services.protocol import Desktop, Level, ServiceStatus, SetTarget

PAGE = Page("http://127.0.0.1:18888/lab")
CONNECT = Command("connect", "gpu")


class Notices:
    def __init__(self) -> None:
        self.shown: list[str] = []

    def notify(self, notice: Notice) -> None:
        self.shown.append(notice.title)

    def withdraw(self, tag: str) -> None:
        pass


class Agreeing(NoPrompter):
    def __init__(self) -> None:
        self.asked: list[Question] = []

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        self.asked.append(question)
        return Answer()


class Desk:
    """A service with a login link, on a thread-safe stand-in for the manager's thread."""

    def __init__(self) -> None:
        self.cluster, self.notices, self.prompter = FakeCluster(), Notices(), Agreeing()
        self.texts: list[tuple[str, str]] = []
        self.nodes: list[FakeLink] = []
        self.lost: Callable[[Problem], None] = lambda _problem: None
        self.unreachable: Problem | None = None
        self.hangs = False
        self.level = Level.LOGGED_IN
        self.targets: list[Own | Problem] = []
        self.login = FakeLink()
        self._turn = threading.RLock()
        desktop = Desktop(
            NoBrowser(), self.notices, self.prompter, lambda t, text: self.texts.append((t, text))
        )
        jupyter = Work(self.examine, _no_launch, lambda *_: None)
        self.choices = jupyter.choices
        work = BatchWork(self.cluster, self.reach, jupyter)
        self.service = BatchService(batch_server(), self.post, desktop, work)

    def post(self, job: Callable[[], None]) -> None:
        with self._turn:
            job()

    def examine(
        self,
        server: Any,  # noqa: ANN401
        _link: Link,
        set_target: SetTarget,
        _: CancelToken,
        _may_move: bool,
    ) -> Health:
        set_target(Own(UnixEndpoint(server.jupyter.socket)))
        return Health(self.level, PAGE)

    def reach(
        self,
        to: Destination,
        login: Link,
        cancel: CancelToken,
        on_lost: Callable[[Problem], None],
        *,
        failed: frozenset[Way] = frozenset(),
    ) -> NodeLink:
        if self.hangs:
            cancel.wait(60)
            raise Cancelled
        if self.unreachable is not None:
            raise ProblemError(self.unreachable)
        assert to.files is not None
        self.lost = on_lost
        self.nodes.append(FakeLink())
        return NodeLink(Way.SRUN, cast(Link, self.nodes[-1]))

    def connect(self) -> None:
        self.post(lambda: self.service.handle(CONNECT))
        self.link_up()

    def link_up(self) -> None:
        link = cast(Link, self.login)
        self.post(lambda: self.service.link_up(link, self.targets.append))

    def link_down(self) -> None:
        self.post(self.service.link_down)

    def until(self, words: str) -> ServiceStatus:
        def there() -> ServiceStatus | None:
            self.post(self.service.check)
            status = self.service.status()
            return status if words in status.state_text else None

        found = wait_for(there, f"“{words}”")
        assert found is not None
        return found

    def until_ready(self) -> None:
        wait_for(lambda: self.service.status().level is Level.LOGGED_IN, "the page")

    def run(self, name: str, **arguments: str) -> JSON:
        return self.service.run(Command(name, "gpu", arguments), CancelToken())

    def close(self) -> None:
        self.link_down()
        assert self.service.close()


def _no_launch(*_: object) -> str:
    raise AssertionError("Jupyter is started by the job only")


@pytest.fixture
def desk() -> Iterator[Desk]:
    before = set(threading.enumerate())
    with_desk = Desk()
    yield with_desk
    with_desk.close()
    wait_for_threads(before)


def test_one_click_leads_to_the_page_of_a_new_job(desk: Desk) -> None:
    desk.connect()
    desk.until("queued")
    refusal = desk.targets[-1]
    assert isinstance(refusal, Problem)
    assert refusal.title == "gpu is queued"
    desk.cluster.begin("1")
    status = desk.until("on c1, ")
    assert status.page == PAGE
    target = desk.targets[-1]
    assert isinstance(target, Own)
    assert target.endpoint == UnixEndpoint("/tmp/tc-1/1.sock")
    assert target.through is cast(Any, desk.nodes[0])
    assert len(desk.cluster.jobs) == 1


def test_the_node_is_left_with_the_login_link_and_found_again(desk: Desk) -> None:
    desk.cluster.jobs = [running(1)]
    desk.connect()
    desk.until("on c1, ")
    desk.link_down()
    wait_for(lambda: desk.nodes[0].closed, "the end of the first link")
    desk.link_up()
    desk.until("on c1, ")
    wait_for(lambda: len(desk.nodes) == 2, "the second link")
    assert [job.id for job in desk.cluster.jobs] == ["1"]


def test_a_lost_node_is_reached_again(desk: Desk) -> None:
    desk.cluster.jobs = [running(1)]
    desk.connect()
    desk.until_ready()
    desk.lost(DOWN)
    wait_for(lambda: len(desk.nodes) == 2, "another link")
    desk.until_ready()
    assert desk.nodes[0].closed == 1


def test_a_cut_ends_the_attempt_to_reach_a_node(desk: Desk) -> None:
    desk.hangs = True
    desk.cluster.jobs = [running(1)]
    desk.connect()
    desk.until("reaching c1")


def test_the_end_of_the_service_waits_for_its_query() -> None:
    desk = Desk()
    desk.cluster.hangs = True
    desk.connect()
    wait_for(lambda: desk.cluster.queries == 1, "the query")
    desk.close()
    names = [thread.name for thread in threading.enumerate()]
    assert "tc-service gpu" not in names


def test_why_a_node_is_not_reached_is_shown(desk: Desk) -> None:
    desk.unreachable = DOWN
    desk.cluster.jobs = [running(1)]
    desk.connect()
    wait_for(lambda: desk.service.status().problem == DOWN, "the problem")


def test_the_end_of_a_job_asks_first_and_names_what_is_lost(desk: Desk) -> None:
    desk.cluster.jobs = [a_job(1)]
    desk.connect()
    desk.until("queued")
    assert cast(Any, desk.run("jupyter-losses"))["identity"] == "1"
    desk.run("end-job")
    desk.until("ended: you ended it")
    (question,) = desk.prompter.asked
    assert question.title == "End the job on gpu?"
    assert question.message.startswith("Job 1 queued.\nIt loses its place in the queue")
    wait_for(lambda: "Job 1 on gpu was ended" in desk.notices.shown, "the notice")
    assert not any("Your job on" in title for title in desk.notices.shown)


def test_a_job_is_ended_by_its_number_without_a_question(desk: Desk) -> None:
    desk.cluster.jobs = [running(1), running(2)]
    desk.connect()
    desk.until("on c1, ")
    assert desk.run("stop-jupyter", identity="2") == {"lines": ["Job 2 on gpu was ended."]}
    assert not desk.prompter.asked
    with pytest.raises(ProblemError, match="Job 9 on gpu has ended already"):
        desk.run("stop-jupyter", identity="9")
    assert desk.until("on c1, ").page == PAGE


def test_jobs_are_listed_and_chosen(desk: Desk) -> None:
    desk.cluster.jobs = [running(1), running(2)]
    desk.connect()
    desk.until_ready()
    lines = cast(Any, desk.run("jupyters"))["lines"]
    assert [line[:3] for line in lines] == ["* 1", "  2"]
    desk.run("choose-jupyter", jupyter="2")
    wait_for(lambda: len(desk.nodes) == 2, "the other node")
    wait_for(lambda: desk.service.state.job == running(2), "the other job")
    with pytest.raises(ProblemError, match="No single job on gpu is known by “c1”"):
        desk.run("choose-jupyter", jupyter="c1")


def test_a_chosen_job_may_show_another_folder_than_the_last_one(desk: Desk) -> None:
    last = LastUsed("/home/alice", "/tmp/1.sock")
    desk.cluster.jobs = [running(1), running(2)]
    desk.choices.note("gpu", last)
    desk.connect()
    desk.until_ready()
    assert desk.choices.last("gpu") == last  # the job in use was not chosen
    desk.run("choose-jupyter", jupyter="2")
    wait_for(lambda: len(desk.nodes) == 2, "the other node")
    wait_for(lambda: desk.choices.last("gpu") is None, "the choice")
    desk.until_ready()
    desk.choices.note("gpu", last)
    desk.lost(DOWN)
    wait_for(lambda: len(desk.nodes) == 3, "the same node")
    desk.until_ready()
    assert desk.choices.last("gpu") == last
    desk.run("choose-jupyter", jupyter="2")  # it is in use: its page may be withheld
    assert desk.choices.last("gpu") is None


@pytest.mark.parametrize(
    "batch",
    [
        {"reach": "srun"},
        {"time": "5:00:00"},
        {"system": "slurm"},
        {"system": "slurm", "reach": "ssh"},
    ],
)
@pytest.mark.parametrize("is_reached", [True, False])
def test_an_entry_is_edited_while_its_job_runs(
    desk: Desk, batch: dict[str, str], is_reached: bool
) -> None:
    desk.cluster.jobs = [running(1)]
    desk.unreachable = None if is_reached else DOWN
    desk.connect()
    if is_reached:
        desk.until_ready()
    else:
        wait_for(lambda: desk.service.status().problem == DOWN, "the problem")
    desk.unreachable = None
    changed = batch_server(batch=batch)
    desk.post(lambda: desk.service.update(changed))
    is_left = "reach" in batch
    wait_for(lambda: len(desk.nodes) == 1 + (is_left and is_reached), "the node")
    assert desk.until("on c1, ").page == PAGE
    desk.until_ready()
    assert [job.id for job in desk.cluster.jobs] == ["1"]


def test_an_order_is_carried_out_as_the_entry_was_then(desk: Desk) -> None:
    desk.hangs = True
    desk.connect()
    changed = batch_server(batch={"system": "slurm", "options": ["--mem=1G"]})
    desk.post(lambda: desk.service.update(changed))
    desk.until("queued")
    assert len(desk.cluster.jobs) == 1


def test_a_job_that_no_list_shows_yet_was_told_to_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "END_LIMIT", 0.2)
    desk.cluster.hidden.add("1")
    desk.connect()
    desk.until("queued")
    assert desk.run("stop-jupyter", identity="1") == {"lines": ["Job 1 on gpu was told to end."]}


def test_a_refused_order_is_told(desk: Desk) -> None:
    desk.cluster.refusal = Problem("Slurm refused the job", "Change --partition=x")
    desk.connect()
    wait_for(lambda: "Slurm refused the job" in desk.notices.shown, "the notice")
    assert desk.service.status().problem == desk.cluster.refusal


def test_commands_without_a_link_say_so(desk: Desk) -> None:
    for name in ("jupyters", "jupyter-log"):
        with pytest.raises(ProblemError, match="gpu is not connected"):
            desk.run(name)


def test_a_list_is_not_waited_for_without_a_link(desk: Desk) -> None:
    desk.connect()
    desk.until("queued")
    wait_for(lambda: not desk.service.state.is_asking, "the end of the query")
    desk.cluster.hangs = True
    before = desk.cluster.queries
    with ThreadPoolExecutor() as threads:
        listing = threads.submit(desk.run, "jupyters")
        wait_for(lambda: desk.cluster.queries > before, "the query")
        desk.link_down()
        with pytest.raises(ProblemError, match="gpu is not connected"):
            listing.result(30)


def test_the_entry_on_the_node_starts_nothing() -> None:
    inside = entry_in(batch_server(start={"folder": "~/a"}, jupyter={"path": "/tree"}), None)
    assert (inside.kind, inside.start, inside.jupyter.path) == ("jupyter", None, "/tree")


def test_a_page_that_stops_answering_has_the_scheduler_asked(desk: Desk) -> None:
    desk.cluster.jobs = [running(1)]
    desk.connect()
    desk.until_ready()
    wait_for(lambda: not desk.service.state.is_asking, "the end of the query")
    desk.cluster.jobs = [ended(running(1))]
    desk.level = Level.NOTHING
    desk.service.refused()  # a browser's request was
    wait_for(lambda: not desk.service.state.is_live, "the end of the job")
    assert desk.service.status().state_text == "ended: time limit reached"
