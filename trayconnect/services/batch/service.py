"""The service of a batch job: carries out the effects of its state machine."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from trayconnect.config.model import Jupyter, Server
from trayconnect.core.abandonable import abandonable
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import (
    Cancelled,
    Problem,
    ProblemError,
    problem_of,
    shortage,
    unforeseen,
)
from trayconnect.core.link import Link, NoPage, Own
from trayconnect.core.threads import Job, JobThread, Timer
from trayconnect.services.base import JOIN_LIMIT, PollingService
from trayconnect.services.batch.by_hand import find_in_job
from trayconnect.services.batch.cluster import Cluster
from trayconnect.services.batch.commands import BatchCommands
from trayconnect.services.batch.job import JobFiles, JobId
from trayconnect.services.batch.machine import step
from trayconnect.services.batch.notices import tag
from trayconnect.services.batch.pace import next_due
from trayconnect.services.batch.presentation import no_page, present
from trayconnect.services.batch.reach import Destination, NodeLink, Reach
from trayconnect.services.batch.scheduler import Unsure
from trayconnect.services.batch.state import (
    Answered,
    BatchState,
    CheckAgain,
    Dropped,
    Due,
    Effect,
    EntryChanged,
    Event,
    Leave,
    LinkDown,
    LinkUp,
    NodeLost,
    NotAsked,
    NotReached,
    Open,
    Ordered,
    Query,
    Reached,
    Submit,
    Tell,
    ToJupyter,
    Withdraw,
)
from trayconnect.services.jupyter.service import JupyterService
from trayconnect.services.jupyter.service import Work as JupyterWork
from trayconnect.services.protocol import (
    Desktop,
    Level,
    Post,
    Service,
    ServiceStatus,
    SetTarget,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchWork:
    """What the service does over its links: the real work, or that of a test."""

    cluster: Cluster
    reach: Reach
    jupyter: JupyterWork
    """Of the Jupyter in the job, over the link to its node."""


class BatchService(PollingService):
    """See `protocol.Service`."""

    def __init__(
        self,
        server: Server,
        post: Post,
        desktop: Desktop,
        work: BatchWork,
        pages: Service | None = None,
    ) -> None:
        """`pages`: the service of the forwards' pages; over the link to the node, too."""
        super().__init__(server.name, post, desktop)
        self._inside: tuple[Service, ...] = () if pages is None else (pages,)
        self._state = BatchState(server)
        self._work = work
        inside = entry_in(server, None)
        self._jupyter = JupyterService(inside, self._post_inside, desktop, work.jupyter)
        """Of the Jupyter in the job in use."""
        self._answered = False
        """Whether its page answered the last check."""
        self._jupyter_of: JobId = ""
        self._found: Jupyter | None = None
        """Where it listens, in a job that was submitted elsewhere."""
        self._login: Link | None = None
        self._set_target: SetTarget = _nowhere
        self._cancel = CancelToken()
        """Ends what works over the present link."""
        self._reaching = CancelToken()
        """Ends the present attempt to reach a node."""
        self._node: NodeLink | None = None
        self._timer = Timer(self._due)
        self._queries = JobThread("service", server.name)
        self._reaches = JobThread("reach", server.name)
        self._changed = threading.Condition()
        self.commands = BatchCommands(self, work.cluster, desktop)

    def link_up(self, link: Link, set_target: SetTarget) -> None:
        self._login, self._set_target, self._cancel = link, set_target, CancelToken()
        self._timer = Timer(self._due)
        self._feed(LinkUp())

    def link_down(self) -> None:
        self._cancel.set()
        self._timer.stop(0.0)
        self._feed(LinkDown())
        self._login, self._set_target = None, _nowhere

    def handle(self, command: Command) -> None:
        self._feed(command)

    def check(self) -> None:
        self._jupyter.check()
        self._feed(CheckAgain())

    def refused(self) -> None:
        self._jupyter.refused()

    def update(self, server: Server) -> None:
        self._feed(EntryChanged(server))
        self._jupyter.update(entry_in(server, self._state.files, self._found))
        for service in self._inside:
            service.update(server)

    def dropped(self) -> None:
        self._feed(Dropped())

    def status(self) -> ServiceStatus:
        status = present(self._state, self._jupyter.status(), time.time())
        pages = (service.status().pages for service in self._inside)
        return replace(status, pages=next(pages, status.pages))

    def run(self, command: Command, cancel: CancelToken) -> JSON:
        return self.commands.run(command, cancel)

    def close(self) -> bool:
        deadline = time.monotonic() + JOIN_LIMIT
        have_ended = [super().close(), self._jupyter.close()]
        have_ended += [service.close() for service in self._inside]
        threads = (self._queries, self._reaches)
        have_ended += [one.join(max(0.0, deadline - time.monotonic())) for one in threads]
        return all(have_ended)

    # --- for its commands, from any thread ---

    @property
    def state(self) -> BatchState:
        return self._state

    @property
    def jupyter(self) -> ServiceStatus:
        return self._jupyter.status()

    @property
    def login(self) -> Link | None:
        return self._login

    def settled(self, cancel: CancelToken) -> BatchState:
        """What is known after all events so far. Raises `ProblemError` if that takes too long, and
        `Cancelled`."""
        self._settle(cancel)
        return self._state

    def tell(self, event: Event) -> None:
        self._post(lambda: self._feed(event))

    def let_in(self) -> None:
        """The user has chosen the job in use: its page opens, also where the one last used ran in
        another folder."""
        self._work.jupyter.choices.forget(self._name)
        self._post(self._jupyter.check)

    def wait_until(
        self, done: Callable[[BatchState], bool], seconds: float, cancel: CancelToken
    ) -> None:
        """Block until `done` is true, or for so many seconds. Raises `Cancelled`."""
        with cancel.releasing(self._wake), self._changed:
            self._changed.wait_for(lambda: cancel.is_set() or done(self._state), seconds)
        cancel.check()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # --- on the manager's thread ---

    def _feed(self, event: Event) -> None:
        self._state, effects = step(self._state, event, time.time(), secrets.token_hex(8))
        self._wake()
        for effect in effects:
            self._carry_out(effect)
        if self._login is None or not self._state.is_linked:
            return
        if self._node is None:
            problem = no_page(self._state, self._jupyter.status(), time.time())
            if problem is not None:
                self._set_target(NoPage.of(problem, None))
        due = next_due(self._state) - time.time()
        if due < threading.TIMEOUT_MAX:
            self._timer.set(max(0.0, due))

    def _post_inside(self, job: Callable[[], None]) -> None:
        """For the service of the Jupyter. A page that stops answering may mean that the job has
        ended."""

        def do() -> None:
            job()
            answers = self._node is not None and self._jupyter.status().level >= Level.READY
            before, self._answered = self._answered, answers
            if before and not answers:
                self._feed(CheckAgain())

        self._post(do)

    def _due(self) -> None:
        self.tell(Due())

    def _carry_out(self, effect: Effect) -> None:
        login, notifier = self._login, self._desktop.notifier
        match effect:
            case Tell(notice):
                notifier.notify(notice)
            case Withdraw():
                notifier.withdraw(tag(self._name))
            case ToJupyter(command):
                self._jupyter.handle(command)
            case Leave():
                self._leave()
            case Query(ended) if login is not None:
                self._ask(login, ended)
            case Submit(mark, takes_any) if login is not None:
                self._submit(login, mark, takes_any=takes_any)
            case Open() if login is not None:
                self._open_way(login, effect)

    def _ask(self, login: Link, ended: tuple[JobId, ...]) -> None:
        state, cancel, cluster = self._state, self._cancel, self._work.cluster

        def query() -> Event:
            cancel.check()
            scheduler = state.scheduler or cluster.find_scheduler(state.server, login, cancel)
            answer = cluster.query(state.server, scheduler, login, cancel, ended)
            return Answered(state.link, answer, scheduler)

        self._begin_work(self._queries.put, query, lambda problem: NotAsked(state.link, problem))

    def _submit(self, login: Link, mark: str, *, takes_any: bool) -> None:
        state, cancel = self._state, self._cancel
        scheduler = state.scheduler
        assert scheduler is not None  # an answer came before

        def submit() -> Event:
            submission = self._work.cluster.submit(
                state.server, scheduler, mark, login, cancel, takes_any=takes_any
            )
            logger.info("%s: submitted: %s", self._name, submission)
            return Ordered(state.link, submission)

        self._begin_work(
            lambda job: self._spawn("submit", job),
            submit,
            lambda problem: Ordered(state.link, Unsure(problem.title)),
        )

    def _open_way(self, login: Link, effect: Open) -> None:
        state, attempt, to = self._state, effect.attempt, effect.to
        is_chosen = to.job.id == state.chosen and not state.was_reached
        cancel = self._reaching = CancelToken()

        def on_lost(problem: Problem) -> None:
            logger.warning("%s: the node is lost: %s", self._name, problem.logged)
            self.tell(NodeLost(attempt))

        def reach() -> None:
            cancel.check()
            node = self._work.reach(to, login, cancel, on_lost, failed=effect.failed)
            found = None if to.job.is_of(to.server.name) else self._find(node, to, cancel)
            if is_chosen:
                self.let_in()
            self._post(lambda: self._take_node(attempt, node, found))

        def not_reached(problem: Problem) -> Event:
            logger.warning("%s: %s", self._name, problem.logged)
            return NotReached(attempt, problem)

        self._begin_work(self._reaches.put, reach, not_reached)

    def _begin_work(
        self,
        put: Callable[[Job], None],
        work: Callable[[], Event | None],
        failed: Callable[[Problem], Event],
    ) -> None:
        """Do it on another thread, then feed the event that it returns, or the one of its problem;
        nothing after a cancellation."""

        def run() -> None:
            try:
                event = work()
            except Cancelled:
                return
            except Exception as error:
                if not (isinstance(error, ProblemError) or shortage(error)):
                    logger.exception("%s: a bug behind its link", self._name)
                event = failed(problem_of(error))
            if event is not None:
                self.tell(event)

        try:
            put(run)
        except RuntimeError as error:  # no more threads
            self.tell(failed(unforeseen(error)))

    def _take_node(self, attempt: int, node: NodeLink, found: Jupyter | None) -> None:
        state = self._state
        if attempt != state.attempt or not state.is_reaching or state.job is None:
            self._close(node)
            return
        self._node = node
        if self._jupyter_of != state.job.id:  # its kernels are others
            self._jupyter.handle(Command("disconnect", self._name))
        self._jupyter_of, self._found = state.job.id, found
        self._jupyter.update(entry_in(state.server, state.files, found))
        self._feed(Reached(attempt, node.way))

        def set_target(target: Own | Problem) -> None:
            if self._node is node:
                self._set_target(node.seen_from_login(target))

        try:
            for service in (self._jupyter, *self._inside):
                service.link_up(node.link, set_target)
        except RuntimeError as error:  # no more threads
            logger.warning("%s: %s", self._name, unforeseen(error).logged)
            self.tell(NodeLost(attempt))

    def _leave(self) -> None:
        self._reaching.set()
        for service in (self._jupyter, *self._inside):
            service.link_down()
        node, self._node = self._node, None
        if node is not None:
            self._close(node)

    def _close(self, node: NodeLink) -> None:
        self._reaches.put_or_run(node.link.close)

    def _find(self, node: NodeLink, to: Destination, cancel: CancelToken) -> Jupyter:
        """On the thread that has reached the node."""
        path = to.server.jupyter.path
        try:
            return abandonable(
                lambda: find_in_job(node.link, to.job, path), f"tc-find {self._name}", cancel
            )
        except BaseException:
            node.link.close()
            raise


def entry_in(server: Server, files: JobFiles | None, found: Jupyter | None = None) -> Server:
    """The entry as seen from the node of the job: a Jupyter that is there, and is not started."""
    jupyter = Jupyter(path=server.jupyter.path)
    if files is not None and files.socket:
        jupyter = Jupyter(path=server.jupyter.path, socket=files.socket)
    elif found is not None:
        jupyter = found
    return server.model_copy(update={"batch": None, "start": None, "jupyter": jupyter})


def _nowhere(_target: Own | Problem) -> None:
    """Without a link."""
