"""When a job is submitted, and what becomes of an order that the user gives up. Pure."""

from __future__ import annotations

import math
from dataclasses import replace

from trayconnect.services.batch import notices
from trayconnect.services.batch.job import Job, JobsSeen
from trayconnect.services.batch.state import BatchState, Order, Outcome, Submit, Tell, Want

TRIES = 3
"""How often an order without a clear answer is given."""
SHOWN_AFTER = 10.0
"""Seconds for a scheduler to list a job that it has taken."""
LEFT = 600.0
"""Seconds after which an order that the user gave up leads to no job."""


def order(state: BatchState, now: float, mark: str) -> Outcome:
    """After an answer: whether the wanted job is there, or is to be submitted."""
    live = state.own_live
    if state.is_submitting:
        return state, ()
    if state.order is not None and any(job.id not in state.order.before for job in live):
        return replace(state, order=None, want=Want.NOTHING), ()
    if state.want is Want.ANY and state.has_any:
        state = replace(state, want=Want.NOTHING, order=None)
    if state.want is Want.NOTHING:
        return state, ()
    known = (*(state.seen.jobs if state.seen else ()), state.expected)
    this = state.order or Order(mark, frozenset(job.id for job in known if job is not None))
    if this.tries >= TRIES:
        problem = notices.unclear(state.server.name)
        state = replace(state, order=_again(this), want=Want.NOTHING, refusal=problem)
        state = replace(state, left_at=now)
        return state, (Tell(notices.refused(state.server.name, problem)),)
    this = replace(this, tries=this.tries + 1)
    submit = Submit(this.mark, takes_any=state.want is Want.ANY)
    return replace(state, order=this, is_submitting=True), (submit,)


def given_up(state: BatchState, now: float) -> BatchState:
    """What is kept when the user disconnects. An order may have led to a job that is yet to show:
    another click must not lead to a second one."""
    return BatchState(
        state.server,
        state.link,
        state.is_linked,
        asked_at=now,
        attempt=state.attempt + 1,
        queries=state.queries,
        order=_again(state.order),
        expected=state.expected,
        job=state.expected,
        left_at=now,
    )


def taken_up(state: BatchState, now: float) -> BatchState:
    """At the next click."""
    if now - state.left_at > LEFT:
        job = state.job if state.seen is not None else None
        state = replace(state, order=None, expected=None, job=job)
    return replace(state, left_at=math.inf)


def is_yet_to_show(seen: JobsSeen, job: Job, now: float) -> bool:
    """Whether a job that was submitted a moment ago is not listed yet."""
    return seen.job(job.id) is None and now - (job.submitted or 0.0) <= SHOWN_AFTER


def _again(order: Order | None) -> Order | None:
    """The order, to be given once more by the user."""
    return None if order is None else replace(order, tries=0)
