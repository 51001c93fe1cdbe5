"""The service of a Jupyter: carries out the effects of its state machine."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import (
    Cancelled,
    Problem,
    ProblemError,
    Recovery,
    problem_of,
    shortage,
    unforeseen,
)
from trayconnect.core.link import Link
from trayconnect.core.page import Page
from trayconnect.services.base import Poller, PollingService
from trayconnect.services.jupyter.activity import activity, idle_again
from trayconnect.services.jupyter.commands import JupyterCommands
from trayconnect.services.jupyter.health import HealthChecker
from trayconnect.services.jupyter.launch import JupyterLauncher
from trayconnect.services.jupyter.machine import (
    AskHowItEnded,
    CheckAgain,
    CheckHealth,
    Effect,
    EntryChanged,
    Event,
    Examined,
    HowItEnded,
    JupyterState,
    LinkDown,
    LinkUp,
    NotifyIdle,
    OpenBrowser,
    Started,
    StartServer,
    step,
)
from trayconnect.services.jupyter.model import FoundJupyter, Health
from trayconnect.services.jupyter.presentation import JupyterFacts, moved, present
from trayconnect.services.jupyter.selection_store import (
    BriefChoices,
    Choices,
    StoredChoices,
    choices_file,
)
from trayconnect.services.protocol import NO_DEBT, Desktop, Level, Post, ServiceStatus, SetTarget

logger = logging.getLogger(__name__)

CHECKED_LIMIT = 15.0
"""Seconds; a slow login shell may take longer."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the service does over its link, each step bounded in time and cancellable."""

    examine: Callable[[Server, Link, SetTarget, CancelToken, bool], Health]
    """Checks the health once, end to end, through the entry's own local port, after it has set the
    target. The last argument: whether a Jupyter of another folder may replace the one last used
    that is gone, since the user waits for a page."""
    launch: Callable[[Server, Link, CancelToken], str]
    """Starts Jupyter on the server, as the entry says, so that it outlives the link, or finds one
    that an earlier start left running. Returns the launcher, for people. Raises `ProblemError`."""
    how_it_ended: Callable[[Server, Link, FoundJupyter, CancelToken], bool | None]
    """Whether the Jupyter that was in use crashed, or went down with its host. False, too, if
    unknown; None as long as it runs."""
    choices: Choices = field(default_factory=BriefChoices)
    search_soon: Callable[[Link], None] = lambda _link: None
    """The user waits for a Jupyter there: search in the next check. From any thread."""


def over_links(choices: Choices | None = None) -> Work:
    """The real work. `choices`: by default, those that are stored for the next run."""
    choices = choices or StoredChoices(choices_file())
    examine = HealthChecker(choices)
    launcher = JupyterLauncher(examine.search_anew)
    return Work(examine, launcher, launcher.ended, choices, examine.search_soon)


class JupyterService(PollingService):
    """See `protocol.Service`."""

    def __init__(self, server: Server, post: Post, desktop: Desktop, work: Work) -> None:
        super().__init__(server.name, post, desktop)
        self._state = JupyterState(server)
        self._work = work
        self._link: Link | None = None
        self.commands = JupyterCommands(self, work.choices, desktop)
        self._changed = threading.Condition()

    def link_up(self, link: Link, set_target: SetTarget) -> None:
        self._link = link
        number = self._state.link + 1

        def check(cancel: CancelToken) -> bool:
            return self._check(number, link, set_target, cancel)

        self._begin(Poller(self._name, check, prepare=lambda: self._work.search_soon(link)))
        self._feed(LinkUp())

    def link_down(self) -> None:
        super().link_down()
        self._link = None
        self._feed(LinkDown())

    def handle(self, command: Command) -> None:
        self._feed(command)

    def check(self) -> None:
        self._feed(CheckAgain())

    def update(self, server: Server) -> None:
        self._feed(EntryChanged(server))

    def status(self) -> ServiceStatus:
        return status(self._state)

    def run(self, command: Command, cancel: CancelToken) -> JSON:
        return self.commands.run(command, cancel)

    # --- for its commands, from any thread ---

    @property
    def server(self) -> Server:
        return self._state.server

    @property
    def link(self) -> Link | None:
        return self._link

    @property
    def facts(self) -> JupyterFacts:
        return facts(self._state)

    def settled(self, cancel: CancelToken) -> JupyterFacts:
        """What is known after all events so far. Raises `ProblemError` if that takes too long, and
        `Cancelled`."""
        self._settle(cancel)
        return self.facts

    def checked(self, cancel: CancelToken) -> JupyterFacts:
        """What is known after another check, or after `CHECKED_LIMIT`. Raises as `settled` does."""
        before = self.settled(cancel)
        if before.is_linked and not before.starting:
            self.tell(CheckAgain())
            self.wait_until(lambda now: now.checks > before.checks, CHECKED_LIMIT, cancel)
        return self.facts

    def tell(self, event: Event) -> None:
        self._post(lambda: self._feed(event))

    def wait_until(
        self, done: Callable[[JupyterFacts], bool], seconds: float, cancel: CancelToken
    ) -> None:
        """Block until `done` is true, or for so many seconds. Raises `Cancelled`."""
        with cancel.releasing(self._wake), self._changed:
            self._changed.wait_for(lambda: cancel.is_set() or done(self.facts), seconds)
        cancel.check()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # --- on the manager's thread ---

    def _feed(self, event: Event) -> None:
        before = self._state
        self._state, effects = step(before, event, time.time())
        self._wake()
        for effect in effects:
            self._carry_out(effect)
        if self._poller is not None and self._state.starting != before.starting:
            self._poller.pause(paused=self._state.starting)

    def _carry_out(self, effect: Effect) -> None:
        poller, link, number = self._poller, self._link, self._state.link
        match effect:
            case OpenBrowser(page):
                self._open(page)
            case NotifyIdle(runs):
                self._desktop.notifier.notify(idle_again(self._name, runs))
            case CheckHealth() if poller is not None:
                poller.now()
            case StartServer() if poller is not None and link is not None:
                self._begin_start(number, link, poller.cancel)
            case AskHowItEnded() if poller is not None and link is not None:
                cancel = poller.cancel
                poller.put(lambda: self._ask_end(number, effect, link, cancel))

    def _begin_start(self, number: int, link: Link, cancel: CancelToken) -> None:
        try:
            self._spawn("start-jupyter", lambda: self._start(number, link, cancel))
        except RuntimeError as error:
            self._feed(Started(number, problem=unforeseen(error)))

    # --- on threads of the service ---

    def _check(self, number: int, link: Link, set_target: SetTarget, cancel: CancelToken) -> bool:
        state = self._state
        try:
            may_move = state.debt != NO_DEBT
            health = self._work.examine(state.server, link, set_target, cancel, may_move)
            if health.left:
                self._desktop.notifier.notify(moved(self._name, health))
            cancel.check()
        except Cancelled:
            raise
        except Exception as error:
            if not shortage(error):
                logger.exception("%s: a bug in the health check", self._name)
            health = Health(Level.NOTHING, Page(""), unforeseen(error))
        self.tell(Examined(number, state.epoch, health))
        return health.level >= Level.READY

    def _ask_end(self, number: int, asked: AskHowItEnded, link: Link, cancel: CancelToken) -> None:
        crashed = self._work.how_it_ended(self._state.server, link, asked.used, cancel)
        self.tell(HowItEnded(number, asked.epoch, asked.used, crashed, asked.health))

    def _start(self, number: int, link: Link, cancel: CancelToken) -> None:
        launcher, problem = "", None
        try:
            launcher = self._work.launch(self._state.server, link, cancel)
        except Cancelled:
            return
        except Exception as error:
            if not (isinstance(error, ProblemError) or shortage(error)):
                logger.exception("%s: a bug in the start of Jupyter", self._name)
            problem = problem_of(error)
        if not cancel.is_set():
            self.tell(Started(number, launcher, problem))


def status(state: JupyterState) -> ServiceStatus:
    """The state as data of the protocol."""
    return present(state.server, facts(state))


def facts(state: JupyterState) -> JupyterFacts:
    health = state.health
    known = JupyterFacts(
        is_linked=state.is_linked,
        problem=state.problem,
        browser_pending=state.debt.browser_pending,
        checks=state.checks,
        looked=not state.is_linked,
        starting=state.starting,
        launcher=state.launcher,
    )
    if health is None:
        return known
    kernels = health.kernels
    return replace(
        known,
        level=health.level,
        page=health.page if state.is_ready else None,
        looked=health.looked,
        hindered=_is_hindered(health.problem),
        jupyters=health.jupyters,
        kernels=None if kernels is None else activity(kernels, state.runs, state.looked_at),
        unproven=health.unproven,
    )


def _is_hindered(problem: Problem | None) -> bool:
    return problem is not None and problem.recovery is Recovery.FIX_FIRST
