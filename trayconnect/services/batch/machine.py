"""The state machine of an entry's batch job. Pure.

`step` gets the time and a fresh mark, does no I/O, and returns the new state with the effects to
carry out.

    NO LINK -> LOOKING -> SUBMITTING -> QUEUED -> STARTING -> REACHING -> ON NODE -> ENDED
                  |  the account has one ^                        ^  the way    |
                  +----------------------+                        +--is lost----+

What is known of a job comes from answered queries only: a scheduler that does not answer, and a
link that is down, change nothing. So a job is submitted only after an answer of this link without
one. That happens if the user has connected since the last job ended (`Want.ANY`, unless
`batch.when` is menu), or has ordered one (`Want.NEW`). An order whose outcome is unknown, as after
a cut, keeps its mark: the next answer shows the job, or the same order is given again. So does one
that the user gives up, for some minutes: another click is the same order. A job that was submitted
counts before the scheduler lists it.

A job that an answer lists as ended, or no longer lists, is asked for once more, with the reason of
its end; then it is ended here.
"""

from __future__ import annotations

from dataclasses import replace

from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.core.notices import Notice
from trayconnect.services.batch import edits, notices
from trayconnect.services.batch.job import Job, JobsSeen, Phase, Unanswered, job_name
from trayconnect.services.batch.orders import given_up, is_yet_to_show, order, taken_up
from trayconnect.services.batch.pace import can_be_reached, next_query, notice_before, nth
from trayconnect.services.batch.reach import Destination, Way
from trayconnect.services.batch.scheduler import Refused, Submission, Submitted, Unsure
from trayconnect.services.batch.state import (
    Answered,
    BatchState,
    CheckAgain,
    Chosen,
    Dropped,
    Due,
    Effect,
    EntryChanged,
    Event,
    Finding,
    Leave,
    LinkDown,
    LinkUp,
    NodeLost,
    NotAsked,
    NotReached,
    Open,
    Ordered,
    Outcome,
    Query,
    Reached,
    Tell,
    ToJupyter,
    ToldToEnd,
    Want,
    Withdraw,
)

TO_END = 60.0
"""Seconds after which a job that was told to end, and shows no sign of it, lives on."""
FLAPPING = 60.0
"""Seconds: a way that is lost twice within this time is not taken again."""
REACH_AGAIN = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds until the next attempt to reach a node."""


def step(state: BatchState, event: Event, now: float, mark: str) -> Outcome:
    """The next state, and the effects to carry out. `mark` is for a new order. A finding of an
    earlier link or attempt changes nothing."""
    match event:
        case Finding(link) if link != state.link or not state.is_linked:
            return state, ()
        case Reached(attempt) | NotReached(attempt) if attempt != state.attempt:
            return state, ()
        case NodeLost(attempt) if attempt != state.attempt or not _has_node(state):
            return state, ()
    after, effects = _handled(state, event, now, mark)
    after, more = _go_on(after, now)
    return after, (*effects, *more)


def _has_node(state: BatchState) -> bool:
    """Whether the node is reached, or an attempt is under way: a new link may be lost before
    `Reached` comes."""
    return state.way is not None or state.is_reaching


# --- events ---------------------------------------------------------------------------------------


def _handled(state: BatchState, event: Event, now: float, mark: str) -> Outcome:
    match event:
        case Answered(_, answer, scheduler):
            state = replace(_asked(state, now), scheduler=scheduler)
            if isinstance(answer, Unanswered):
                return _unanswered(state, notices.unanswered(scheduler.title, answer.said)), ()
            seen = replace(state, seen=answer, is_current=True, silent=None, silences=0)
            return _seen(seen, answer, now, mark)
        case NotAsked(_, problem):
            return _unanswered(_asked(state, now), problem), ()
        case Ordered(_, submission):
            return _ordered(replace(state, is_submitting=False), submission, now)
        case Reached(_, way):
            return _reached(state, way, now)
        case NotReached(_, problem):
            wait = nth(REACH_AGAIN, state.failures)
            return replace(
                state,
                is_reaching=False,
                unreached=problem,
                failed=frozenset(),
                failures=state.failures + 1,
                reach_at=now + wait,
                asks_again=True,  # the job may have ended
            ), ()
        case NodeLost():
            return _node_lost(state, now)
        case LinkUp():
            up = replace(state, link=state.link + 1, is_linked=True, is_current=False)
            return replace(up, asks_again=True, silent=None, silences=0), ()
        case LinkDown():
            left, effects = _left(state)
            return replace(left, is_linked=False, is_asking=False, is_submitting=False), effects
        case Command(name):
            return _command(state, event, name, now)
        case EntryChanged(server):
            state, is_left = edits.changed(state, server)
            return _left(state) if is_left else (state, ())
        case Dropped():
            return state, edits.dropped(state, now)
        case CheckAgain():
            return replace(state, asks_again=True), ()
        case Chosen(job):
            chosen = replace(state, chosen=job, asks_again=True)
            return _picked(chosen, now) if state.seen is not None else (chosen, ())
        case ToldToEnd(job):
            return replace(state, ending=job, ending_since=now, asks_again=True), ()
        case Due():
            return state, ()
    raise TypeError(event)


def _command(state: BatchState, command: Command, name: str, now: float) -> Outcome:
    match name:
        case "connect" | "open":
            if state.way is not None:
                shown = replace(state, clicked_at=None, refusal=None, asks_again=True)
                return shown, (ToJupyter(command),)
            want = state.want
            batch = state.server.batch
            if batch is not None and batch.when == "connect" and want is Want.NOTHING:
                # A page that is opened while connected is that of the job that has ended.
                want = Want.NOTHING if name == "open" and state.is_linked else Want.ANY
            return _clicked(replace(state, want=want), now, shows=name == "open"), ()
        case "start-jupyter":
            want = Want.ANY if state.want is Want.NOTHING else state.want
            return _clicked(replace(state, want=want), now), ()
        case "new-job":
            return _clicked(replace(state, want=Want.NEW), now), ()
        case "disconnect":
            _, effects = _left(state)
            return given_up(state, now), (*effects, ToJupyter(command), Withdraw())
        case "reconnect":
            return state, ()
    raise ValueError(name)


def _clicked(state: BatchState, now: float, *, shows: bool = False) -> BatchState:
    shows = shows or state.shows
    if not state.is_live:  # it is asked anew
        state = replace(state, silent=None)
    return replace(taken_up(state, now), clicked_at=now, shows=shows, refusal=None, asks_again=True)


# --- the scheduler's answers ----------------------------------------------------------------------


def _asked(state: BatchState, now: float) -> BatchState:
    return replace(state, is_asking=False, asked_at=now, queries=state.queries + 1)


def _unanswered(state: BatchState, problem: Problem) -> BatchState:
    return replace(state, silent=problem, silences=state.silences + 1)


def _seen(state: BatchState, seen: JobsSeen, now: float, mark: str) -> Outcome:
    state, effects = edits.arrived(state, seen, now)
    job, expected = state.job, state.expected
    if expected is not None and not is_yet_to_show(seen, expected, now):
        state = replace(state, expected=None)
    if job is not None and job.phase is not Phase.ENDED and _is_gone(seen, job, now):
        if state.explaining != job.id:
            return replace(state, explaining=job.id, asks_again=True), ()
        state, effects = _ended(state, seen, job)
    state = replace(state, explaining="")
    state, more = _picked(state, now)
    if state.job is None or state.ending != state.job.id:
        told = seen.job(state.ending)
        # Another one is in use already.
        state = replace(state, ending="") if told is None or told.ended else state
    state, orders = order(state, now, mark)
    return state, (*effects, *more, *orders)


def _is_gone(seen: JobsSeen, job: Job, now: float) -> bool:
    listed = seen.job(job.id)
    if listed is None:
        return job.phase is not Phase.QUEUED or not is_yet_to_show(seen, job, now)
    return listed.phase is Phase.ENDED


def _ended(state: BatchState, seen: JobsSeen, job: Job) -> Outcome:
    """The job in use has ended; the answer says how."""
    assert state.scheduler is not None
    files = seen.files_of(job.id) or state.files
    was_ordered = state.ending == job.id
    ended = replace(state.scheduler.ended(seen, job.id, files), by_user=was_ordered)
    over = replace(seen.job(job.id) or job, phase=Phase.ENDED, ended=ended)
    state, effects = _left(state)
    state = replace(
        state,
        job=over,
        files=files,
        ending="",
        want=state.want if state.want is Want.NEW else Want.NOTHING,
        clicked_at=state.clicked_at if state.want is Want.NEW else None,
    )
    if was_ordered:
        return state, (*effects, Withdraw())
    return state, (*effects, Tell(notices.ended(state, over)))


def _picked(state: BatchState, now: float) -> Outcome:
    """Use the chosen job, else one of the entry's that runs, else one that waits."""
    seen = state.seen
    assert seen is not None
    live = state.own_live
    now_listed = seen.job(state.job.id) if state.job is not None else None
    chosen = next((j for j in (*live, *state.foreign) if j.id == state.chosen), None)
    if chosen is not None:
        return _used(state, chosen, now)
    state = replace(state, chosen="")
    for phase in (Phase.RUNNING, Phase.QUEUED):
        there = [job for job in live if job.phase is phase]
        if now_listed in there and now_listed is not None:
            return _used(state, now_listed, now)
        if there:
            return _used(state, there[0], now)
    if now_listed is not None and state.is_live:
        return _used(state, now_listed, now)  # it is ending
    if state.expected is not None and not state.is_live:
        return _used(state, state.expected, now)
    return state, ()


def _used(state: BatchState, job: Job, now: float) -> Outcome:
    effects: tuple[Effect, ...] = ()
    before = state.job
    if before is None or before.id != job.id:
        state, effects = _left(state)
        state = replace(state, running_since=None, was_reached=False, reach_at=0.0, failures=0)
        before = None
    was_ending = before is not None and before.phase is Phase.ENDING
    was_queued = before is not None and before.phase is Phase.QUEUED
    assert state.seen is not None
    files = state.seen.files_of(job.id)
    state = replace(state, job=job, files=files or (state.files if before else None))
    if job.phase is not Phase.ENDING:
        has_long = state.ending == job.id and now - state.ending_since > TO_END
        state = replace(state, ending="") if has_long else state
    if not state.ending and (job.phase is not Phase.ENDING or not was_ending):
        state = replace(state, ending_since=now)
    if before is not None and _is_stuck(before) and not _is_stuck(job):
        effects = (*effects, Withdraw())
    name = state.server.name
    match job.phase:
        case Phase.QUEUED:
            if _has_node(state):  # the site has put it back
                state, effects = _left(state)
            state = replace(state, running_since=None, was_reached=False)
            if job.reason is not None and _is_stuck(job):
                notice = notices.never_starts(state.server, job, job.reason)
                return _told(state, effects, f"never {job.id}", notice)
        case Phase.RUNNING if state.running_since is None:
            state = replace(state, running_since=now)
            if was_queued and state.is_waited_for(now):
                state = replace(state, clicked_at=now)  # the page opens, however long Jupyter takes
            elif was_queued:
                state = replace(state, clicked_at=None)
                return _told(state, effects, f"started {job.id}", notices.started(name, job))
    return state, effects


def _is_stuck(job: Job) -> bool:
    """Whether it waits, and will not start as asked."""
    return job.phase is Phase.QUEUED and job.reason is not None and not job.reason.starts


def _ordered(state: BatchState, submission: Submission, now: float) -> Outcome:
    match submission:
        case Submitted(job):
            new = Job(job, job_name(state.server.name), Phase.QUEUED, submitted=now)
            state = replace(state, order=None, want=Want.NOTHING, refusal=None, asks_again=True)
            if state.seen is None or state.seen.job(job) is None:
                state = replace(state, expected=new)
            if state.is_live:
                return state, (Withdraw(),)
            state, effects = _left(state)
            state = replace(state, job=new, files=None, running_since=None, was_reached=False)
            return state, (*effects, Withdraw())
        case Refused(problem):
            state = replace(state, order=None, want=Want.NOTHING, refusal=problem)
            return state, (Tell(notices.refused(state.server.name, problem)),)
        case Unsure(said):
            title = state.scheduler.title if state.scheduler else "The scheduler"
            return _unanswered(replace(state, asked_at=now), notices.unanswered(title, said)), ()


# --- the node -------------------------------------------------------------------------------------


def _left(state: BatchState) -> Outcome:
    """Give up the node."""
    effects = (Leave(),) if _has_node(state) else ()
    left = replace(state, attempt=state.attempt + 1, is_reaching=False, way=None)
    return replace(left, unreached=None, failed=frozenset()), effects


def _reached(state: BatchState, way: Way, now: float) -> Outcome:
    state = replace(state, is_reaching=False, way=way, was_reached=True, unreached=None, failures=0)
    if not state.is_waited_for(now):
        return replace(state, clicked_at=None, shows=False), ()
    command = Command("open" if state.shows else "connect", state.server.name)
    state = replace(state, clicked_at=None, shows=False)
    return state, (ToJupyter(command),)


def _node_lost(state: BatchState, now: float) -> Outcome:
    failed = state.failed
    if state.way is not None and now - state.lost_at < FLAPPING:
        failed |= {state.way}
    left, effects = _left(state)
    # The job may have ended: the scheduler is asked first.
    left = replace(left, failed=failed, lost_at=now, reach_at=now + 1.0, asks_again=True)
    return left, effects


# --- the clock ------------------------------------------------------------------------------------


def _go_on(state: BatchState, now: float) -> Outcome:
    """What is due now."""
    if not state.is_linked:
        return state, ()
    if state.asked_at > now:  # the computer's clock was set back
        state = replace(state, asked_at=now, reach_at=now)
    effects: list[Effect] = []
    job = state.job
    if job is not None and job.phase is Phase.RUNNING and job.ends is not None:
        at = job.ends - notice_before(job)
        if at <= now < job.ends and state.ending != job.id:
            notice = notices.ends_soon(state.server.name, job, now)
            state, told = _told(state, (), f"soon {job.id}", notice)
            effects += told
    if not state.is_asking and next_query(state) <= now:
        state = replace(state, is_asking=True, asks_again=False)
        effects.append(Query((state.explaining,) if state.explaining else ()))
    scheduler = state.scheduler
    if job is None or scheduler is None:
        return state, tuple(effects)
    if can_be_reached(state) and state.reach_at <= now:
        state = replace(state, attempt=state.attempt + 1, is_reaching=True)
        to = Destination(state.server, scheduler, job, state.files)
        effects.append(Open(state.attempt, to, state.failed))
    return state, tuple(effects)


def _told(state: BatchState, effects: tuple[Effect, ...], key: str, notice: Notice) -> Outcome:
    if key in state.told:
        return state, effects
    return replace(state, told=state.told | {key}), (*effects, Tell(notice))
