"""The state machine of a Jupyter behind a link: pure.

`step` is given the time, does no I/O, and returns the new state with the effects to carry out.

          link up                    a start ends
    NO LINK ----> LOOKING <-----------------------+
       ^             |  the user's order, or      |
       |             |  none runs, or it crashed  |
       | link down   +-----------------------> STARTING
       +---- from everywhere -------------------- +

Looks go on while a start is under way, for those who wait for one; only what answers counts then.
What a look found before a start ended, or before the user stopped the Jupyter, is out of date.

A start without an order happens where the entry says so (`start.when: missing`) and no Jupyter of
the account runs there: once after the user has connected (`is_start_allowed`), and again after the
one in use has crashed. One that ended properly, as by File > Shut Down, stays ended. None follows a
start that failed (`start_problem`), until the entry says something else of it.
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
"""Seconds: one that was started after a crash, and crashes again so soon, is not started again."""


@dataclass(frozen=True, slots=True)
class JupyterState:
    """What is known of the Jupyter of an entry. Times are seconds since the epoch."""

    server: Server
    link: int = 0
    """The number of the present link, or of the last one."""
    is_linked: bool = False
    epoch: int = 0
    """Counts what makes the findings of the looks under way out of date."""
    health: Health | None = None
    """What the last look found, while linked."""
    problem: Problem | None = None
    """Why no page answers, while linked."""
    looks: int = 0
    """How often it was looked what answers."""
    debt: PageDebt = NO_DEBT
    start_pending: bool = False
    """The user's order to start Jupyter waits for a link."""
    starting: bool = False
    """Whether Jupyter is being started there."""
    launcher: str = ""
    """What the Jupyter that was started there runs in, in words."""
    looks_at_start: int = 0
    """`looks` when it had been started."""
    is_start_allowed: bool = False
    """Whether the user has connected, and no Jupyter has answered or been started since."""
    start_problem: Problem | None = None
    """Why the last start came to nothing, or is not made."""
    is_stopping: bool = False
    """Whether the user has it stopped just now, so that its end is no reason to start another."""
    used: FoundJupyter | None = None
    """The Jupyter in use, while how it ended is still to be asked."""
    crashed_at: float = float("-inf")
    """When one was last found to have crashed."""
    runs: tuple[Run, ...] = ()
    """The kernels that were busy when they were last looked at; kept over a reconnect, during
    which a cell may end."""
    looked_at: float = 0.0
    """When the kernels were last looked at."""

    @property
    def is_ready(self) -> bool:
        """Whether its page answers, as far as is known."""
        return self.health is not None and self.health.level >= Level.READY


# --- events beside the user's commands ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JupyterStopping:
    """The user has the Jupyter there stopped: it is about to end."""


@dataclass(frozen=True, slots=True)
class JupyterStopped:
    """It has ended; not `done`: it goes on."""

    done: bool = True


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Something that the next look depends on may have changed."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """There is a live link."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """There is none any more."""


@dataclass(frozen=True, slots=True)
class EntryChanged:
    server: Server


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a thread found out over the link of that number."""

    link: int


@dataclass(frozen=True, slots=True)
class Examined(Finding):
    """A look that began in that epoch."""

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
    """A start is over. `launcher`: what the Jupyter runs in, in words; empty if unknown."""

    launcher: str = ""
    problem: Problem | None = None


Event = (
    Command
    | JupyterStopping
    | JupyterStopped
    | LookAgain
    | LinkUp
    | LinkDown
    | EntryChanged
    | Finding
)


# --- effects --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Look now at what answers."""


@dataclass(frozen=True, slots=True)
class StartServer:
    """Start Jupyter there, then report `Started`."""


@dataclass(frozen=True, slots=True)
class AskHowItEnded:
    """Find out how the Jupyter ended that was in use; none was found by this look."""

    epoch: int
    used: FoundJupyter
    health: Health


@dataclass(frozen=True, slots=True)
class OpenBrowser:
    page: Page


@dataclass(frozen=True, slots=True)
class NotifyIdle:
    """Long-running cells have ended: tell the user."""

    runs: tuple[Run, ...]


Effect = CheckHealth | StartServer | AskHowItEnded | OpenBrowser | NotifyIdle
Outcome = tuple[JupyterState, tuple[Effect, ...]]


def step(state: JupyterState, event: Event, now: float) -> Outcome:
    """What becomes of it, and what is to be done. A finding of another link than the present one
    comes too late and changes nothing."""
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
            return _link_down(state), ()
        case Command(name):
            return _command(state, name)
        case EntryChanged(server):
            return _entry_changed(state, server)
        case LookAgain():
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
    """Another link takes the place of the present one."""
    return replace(_forgetting_start(state), runs=())


def _link_up(state: JupyterState) -> Outcome:
    up = replace(state, link=state.link + 1, is_linked=True)
    if not up.start_pending:
        return up, ()
    return replace(up, start_pending=False, starting=True), (StartServer(),)


def _link_down(state: JupyterState) -> JupyterState:
    return replace(state, is_linked=False, health=None, problem=None, starting=False, launcher="")


def _forgotten(state: JupyterState) -> JupyterState:
    """What is left once the user has disconnected."""
    return JupyterState(
        state.server, state.link, state.is_linked, state.epoch + 1, looks=state.looks
    )


def _forgetting_start(state: JupyterState) -> JupyterState:
    return replace(state, start_pending=False, start_problem=None, used=None)


def _wanted(state: JupyterState, *, show: bool) -> Outcome:
    if state.is_ready:
        if not show:
            return state, ()
        # What is known of its page may be a minute old, and the token dead.
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
        start_problem=event.problem,  # the look that follows tells it, if no page answers
        looks_at_start=state.looks,
        epoch=state.epoch + 1,
    )
    return started, (CheckHealth(),)


def _stopped(state: JupyterState, *, done: bool) -> Outcome:
    state = replace(state, is_stopping=False)
    if not state.is_linked:  # it may have ended all the same
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
        changed = _renewed(changed)
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
    if event.epoch != state.epoch or event.used != state.used:
        return state, ()
    if state.starting or state.is_stopping:
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
    """What a look found holds now."""
    if state.start_problem is not None:
        health = replace(health, problem=state.start_problem)
    taken = replace(
        state,
        health=health,
        problem=None if state.starting else health.problem,
        looks=state.looks + 1,
        launcher="" if _is_gone(state, health) else state.launcher,
    )
    effects: list[Effect] = []
    if health.level >= Level.READY:
        taken = replace(taken, debt=NO_DEBT)
        if state.debt.opens(state.server):
            effects.append(OpenBrowser(health.page))
    if health.kernels is not None:  # nothing changes where what they do is not known
        runs, ended = follow(state.runs, health.kernels, now)
        taken = replace(taken, runs=runs, looked_at=now)
        if ended and state.server.notify_idle:
            effects.append(NotifyIdle(ended))
    return taken, tuple(effects)


def _is_gone(state: JupyterState, health: Health) -> bool:
    """Whether the Jupyter that was started ended, or another one took its place."""
    before = state.health
    if health.missing or before is None or state.looks <= state.looks_at_start:
        return health.missing
    was, now = ({(j.pid, j.born) for j in h.jupyters if j.in_use} for h in (before, health))
    return bool(was and now) and was != now
