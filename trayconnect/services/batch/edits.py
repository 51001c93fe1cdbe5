"""What becomes of the jobs of an entry that is edited, or that goes. Pure."""

from __future__ import annotations

from dataclasses import replace

from trayconnect.config.model import Server
from trayconnect.services.batch import notices
from trayconnect.services.batch.job import JobsSeen
from trayconnect.services.batch.state import BatchState, Effect, Outcome, Tell, Want


def changed(state: BatchState, server: Server) -> tuple[BatchState, bool]:
    """The state with the new entry, and whether the node is to be reached anew. A job goes on as it
    was submitted."""
    before, after = state.server.batch, server.batch
    if _leads_elsewhere(state.server, server):
        # The link is made anew.
        state = replace(state, scheduler=None, has_moved=state.is_live)
    state = replace(state, server=server)
    if before is None or after is None or before == after:
        return state, False
    if state.refusal is not None and after.when == "connect":
        state = replace(state, want=Want.ANY)
    state = replace(state, refusal=None, asks_again=True)
    if before.system != after.system:
        # Answers of the former scheduler no longer count.
        state = replace(state, link=state.link + 1, scheduler=None, is_current=False)
        state = replace(state, is_asking=False, is_submitting=False)
    return state, before.reach != after.reach


def _leads_elsewhere(before: Server, after: Server) -> bool:
    """Whether it may be another cluster; a cluster has several login nodes, too."""
    return (before.host, before.port, before.username) != (after.host, after.port, after.username)


def arrived(state: BatchState, seen: JobsSeen, now: float) -> Outcome:
    """The first answer from another host. A job that it does not know goes on elsewhere."""
    if not state.has_moved:
        return state, ()
    state, job = replace(state, has_moved=False), state.job
    listed = seen.job(job.id) if job is not None else None
    if job is None or (listed is not None and listed.name == job.name):
        return state, ()
    told = Tell(notices.goes_on(state.server.name, job, now))
    return replace(state, job=None, files=None, expected=None, chosen=""), (told,)


def dropped(state: BatchState, now: float) -> tuple[Effect, ...]:
    """The entry is gone, or has become one of another kind."""
    expected = () if state.expected is None else (state.expected,)
    jobs = (*state.own_live, *expected)
    return tuple(Tell(notices.goes_on(state.server.name, job, now)) for job in jobs[:1])
