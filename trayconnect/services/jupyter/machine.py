"""The state machine of a Jupyter behind a link. Pure.

`step` gets the time, does no I/O, and returns the new state with the effects to carry out.

          link up                    the start is over
    NO LINK ----> CHECKING <----------------------+
       ^             |  the user's command, or    |
       |             |  none runs, or it crashed  |
       | link down   +-----------------------> STARTING
       +---- from everywhere -------------------- +

Health checks continue during a start, for a user who waits; only a page that answers counts then.
The result of a check that began before a start ended, or before the user stopped the Jupyter, is
outdated.

Without a command, a start happens if the entry says so (`start.when: missing`) and no Jupyter of
the account runs there: once after the user has connected (`is_start_allowed`), and again after the
one in use has crashed. One that ended regularly, as by File > Shut Down, stays ended. After a
failed start (`start_problem`) there is none until the entry's `start` changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.services.jupyter.activity import Run, follow
from trayconnect.services.jupyter.model import FoundJupyter, Health
from trayconnect.services.protocol import NO_DEBT, Level, PageDebt

SOON = 60.0
"""Seconds: after two crashes within this time, Jupyter is not started again."""


@dataclass(frozen=True, slots=True)
class JupyterState:
    """What is known of the Jupyter of an entry. Times are seconds since the epoch."""

    server: Server
    link: int = 0
    """The number of the present link, or of the last one."""
    is_linked: bool = False
    epoch: int = 0
    """Grows when the results of the checks under way become outdated."""
    health: Health | None = None
    """Of the last check, while linked."""
    problem: Problem | None = None
    """Why no page answers, while linked."""
    checks: int = 0
    """How many checks have ended."""
    debt: PageDebt = NO_DEBT
    start_pending: bool = False
    """The user's command to start Jupyter waits for a link."""
    starting: bool = False
    """Whether a start is under way."""
    launcher: str = ""
    """The launcher of the Jupyter that was started, for people."""
    checks_at_start: int = 0
    """`checks` at the end of the start."""
    is_start_allowed: bool = False
    """Whether the user has connected, and no Jupyter has answered or been started since."""
    start_problem: Problem | None = None
    """Why the last start failed, or why there is none."""
    is_stopping: bool = False
    """Whether the user is stopping it, so that its end triggers no start."""
    used: FoundJupyter | None = None
    """The Jupyter in use, until its end is explained."""
    crashed_at: float = float("-inf")
    """When the last crash was found."""
    runs: tuple[Run, ...] = ()
    """The kernels that were busy at the last check; kept over a reconnect, during which a cell may
    end."""
    looked_at: float = 0.0
    """When the kernels were last checked."""

    @property
    def is_ready(self) -> bool:
        """Whether its page answered the last check."""
        return self.health is not None and self.health.level >= Level.READY


@dataclass(frozen=True, slots=True)
class JupyterStopping:
    """The user stops the Jupyter: it is about to end."""


@dataclass(frozen=True, slots=True)
class JupyterStopped:
    """The stop is over; unless `done`, it failed."""

    done: bool = True


@dataclass(frozen=True, slots=True)
class CheckAgain:
    """Something that the next check depends on may have changed."""


@dataclass(frozen=True, slots=True)
class LinkUp: ...


@dataclass(frozen=True, slots=True)
class LinkDown: ...


@dataclass(frozen=True, slots=True)
class EntryChanged:
    server: Server


@dataclass(frozen=True, slots=True)
class Finding:
    """A result of a thread that worked over the link of that number."""

    link: int


@dataclass(frozen=True, slots=True)
class Examined(Finding):
    """The result of a check that began in that epoch."""

    epoch: int
    health: Health


@dataclass(frozen=True, slots=True)
class HowItEnded(Finding):
    """The answer to `AskHowItEnded`. None: it has not ended."""

    epoch: int
    used: FoundJupyter
    crashed: bool | None
    health: Health


@dataclass(frozen=True, slots=True)
class Started(Finding):
    """A start is over. `launcher`: for people; empty if unknown."""

    launcher: str = ""
    problem: Problem | None = None


Event = (
    Command
    | JupyterStopping
    | JupyterStopped
    | CheckAgain
    | LinkUp
    | LinkDown
    | EntryChanged
    | Finding
)


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Check now."""


@dataclass(frozen=True, slots=True)
class StartServer:
    """Start Jupyter, then report `Started`."""


@dataclass(frozen=True, slots=True)
class AskHowItEnded:
    """Find out how the Jupyter in use ended; this check found none."""

    epoch: int
    used: FoundJupyter
    health: Health


@dataclass(frozen=True, slots=True)
class OpenBrowser:
    page: Page


@dataclass(frozen=True, slots=True)
class NotifyIdle:
    """Long-running cells have ended: notify the user."""

    runs: tuple[Run, ...]


Effect = CheckHealth | StartServer | AskHowItEnded | OpenBrowser | NotifyIdle
Outcome = tuple[JupyterState, tuple[Effect, ...]]


def step(state: JupyterState, event: Event, now: float) -> Outcome:
    """The next state, and the effects to carry out. A finding of an earlier link changes
    nothing."""
    match event:
        case Finding(link) if link != state.link or not state.is_linked:
            return state, ()
        case Examined(_, epoch, health):
            return _examined(state, epoch, health, now)
        case HowItEnded():
            return _ended(state, event, now)
        case Started():
            return _started(state, event)
        case LinkUp():
            return _link_up(state)
        case LinkDown():
            down = replace(state, is_linked=False, health=None, problem=None)
            return replace(down, starting=False, launcher=""), ()
        case Command(name):
            return _command(state, name)
        case EntryChanged(server):
            return _entry_changed(state, server)
        case CheckAgain():
            return state, (CheckHealth(),) if state.is_linked else ()
        case JupyterStopping():
            return replace(_forgetting_start(state), is_start_allowed=False, is_stopping=True), ()
        case JupyterStopped(done):
            return _stopped(state, done=done)
    raise TypeError(event)


def _command(state: JupyterState, name: str) -> Outcome:
    match name:
        case "connect" | "open":
            return _wanted(state, show=name == "open")
        case "disconnect":
            return _forgotten(state), ()
        case "reconnect":
            return replace(_renewed(state), is_start_allowed=True), ()
        case "start-jupyter":
            return _start(state)
    raise ValueError(name)


def _renewed(state: JupyterState) -> JupyterState:
    """Another link replaces the present one."""
    return replace(_forgetting_start(state), runs=())


def _link_up(state: JupyterState) -> Outcome:
    up = replace(state, link=state.link + 1, is_linked=True)
    if not up.start_pending:
        return up, ()
    return replace(up, start_pending=False, starting=True), (StartServer(),)


def _forgotten(state: JupyterState) -> JupyterState:
    """The state after the user's disconnect."""
    return JupyterState(
        state.server, state.link, state.is_linked, state.epoch + 1, checks=state.checks
    )


def _forgetting_start(state: JupyterState) -> JupyterState:
    return replace(state, start_pending=False, start_problem=None, used=None)


def _wanted(state: JupyterState, *, show: bool) -> Outcome:
    if state.is_ready:
        if not show:
            return state, ()
        # The last check may be a minute old, and the token invalid.
        return replace(state, debt=replace(state.debt, force_open=True)), (CheckHealth(),)
    wanted = replace(state, debt=state.debt.owe(show=show), is_start_allowed=True)
    return wanted, (CheckHealth(),) if state.is_linked else ()


def _start(state: JupyterState) -> Outcome:
    if not state.is_linked:
        wanted, effects = _wanted(state, show=False)
        return replace(wanted, start_pending=True), effects
    health = state.health
    runs = state.is_ready and health is not None and not health.missing
    if health is not None and any(one.in_use and not one.is_own for one in health.jupyters):
        runs = False  # the user chose another one than the entry would start
    if runs or state.starting:
        return state, ()
    debt = replace(state.debt, browser_pending=True)
    return _begin_start(replace(state, debt=debt))


def _begin_start(state: JupyterState) -> Outcome:
    begun = replace(state, starting=True, problem=None, start_problem=None)
    return begun, (StartServer(),)


def _started(state: JupyterState, event: Started) -> Outcome:
    started = replace(
        state,
        starting=False,
        launcher=event.launcher,
        is_start_allowed=False,
        start_problem=event.problem,  # the next check shows it, if no page answers
        checks_at_start=state.checks,
        epoch=state.epoch + 1,
    )
    return started, (CheckHealth(),)


def _stopped(state: JupyterState, *, done: bool) -> Outcome:
    state = replace(state, is_stopping=False)
    if not state.is_linked:  # it may have ended nevertheless
        return replace(state, used=None), ()
    if not done:
        return state, ()
    stopped = replace(
        _forgetting_start(state),
        is_start_allowed=False,
        health=None,
        launcher="",
        debt=NO_DEBT,
        epoch=state.epoch + 1,
    )
    return stopped, (CheckHealth(),)


def _entry_changed(state: JupyterState, server: Server) -> Outcome:
    changed = replace(state, server=server)
    if not server.same_link(state.server):
        changed = replace(_renewed(changed), start_pending=state.start_pending)
    if server.start != state.server.start:
        allowed = state.is_start_allowed or state.start_problem is not None
        changed = replace(changed, is_start_allowed=allowed, start_problem=None)
    return changed, (CheckHealth(),) if state.is_linked else ()


def _examined(state: JupyterState, epoch: int, health: Health, now: float) -> Outcome:
    answers = health.level >= Level.READY
    if epoch != state.epoch or (state.starting and not answers):
        return state, ()
    if answers:
        state = replace(state, start_problem=None)
        if not health.missing:
            used = next((one for one in health.jupyters if one.in_use), state.used)
            state = replace(state, is_start_allowed=False, used=used)
    start = state.server.start
    starts = start is not None and start.when == "missing" and not state.starting
    if health.missing and starts and state.start_problem is None:
        if state.is_start_allowed:
            return _begin_start(state)
        if state.used is not None and not state.is_stopping:
            return state, (AskHowItEnded(epoch, state.used, health),)
    return _take_in(state, health, now)


def _ended(state: JupyterState, event: HowItEnded, now: float) -> Outcome:
    is_outdated = event.epoch != state.epoch or event.used != state.used
    if is_outdated or state.starting or state.is_stopping:
        return state, ()
    if event.crashed is None:
        return _take_in(state, event.health, now)
    state = replace(state, used=None)
    if not event.crashed:
        return _take_in(state, event.health, now)
    is_again = now - state.crashed_at < SOON
    state = replace(state, crashed_at=now)
    if not is_again:
        return _begin_start(state)
    problem = Problem(
        f"Jupyter crashed on {state.server.host} twice within {SOON:g} s",
        "Look at its log, then choose Start Jupyter.",
    )
    return _take_in(replace(state, start_problem=problem), event.health, now)


def _take_in(state: JupyterState, health: Health, now: float) -> Outcome:
    """Accept the result of a check."""
    if state.start_problem is not None:
        health = replace(health, problem=state.start_problem)
    taken = replace(
        state,
        health=health,
        problem=None if state.starting else health.problem,
        checks=state.checks + 1,
        launcher="" if _is_gone(state, health) else state.launcher,
    )
    effects: list[Effect] = []
    if health.level >= Level.READY:
        taken = replace(taken, debt=NO_DEBT)
        if state.debt.opens(state.server):
            effects.append(OpenBrowser(health.page))
    if health.kernels is not None:  # without kernels in the result, nothing changes
        runs, ended = follow(state.runs, health.kernels, now)
        taken = replace(taken, runs=runs, looked_at=now)
        if ended and state.server.notify_idle:
            effects.append(NotifyIdle(ended))
    return taken, tuple(effects)


def _is_gone(state: JupyterState, health: Health) -> bool:
    """Whether the Jupyter that was started ended, or another one took its place."""
    before = state.health
    if health.missing or before is None or state.checks <= state.checks_at_start:
        return health.missing
    was, now = ({(j.pid, j.born) for j in h.jupyters if j.in_use} for h in (before, health))
    return bool(was and now) and was != now
