"""Slurm's states of a job, in words. Pure; source: squeue(1) and slurm_protocol_defs.c of 20.02 to
24.11."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from trayconnect.core import sanitize
from trayconnect.services.batch.job import End, Phase


@dataclass(frozen=True, slots=True)
class Living:
    """A state of a job that has not ended."""

    phase: Phase
    text: str = ""
    """What is unusual in it, for people."""
    starts: bool = True
    """Whether a queued job will start without a change."""


@dataclass(frozen=True, slots=True)
class Over:
    """A state of a job that has ended."""

    how: End
    why: str = ""
    """See `Ended.why`."""


_RELEASE = "release it with scontrol release"

STATES: Mapping[str, Living | Over] = MappingProxyType(
    {
        "PENDING": Living(Phase.QUEUED),
        "CONFIGURING": Living(Phase.QUEUED, "its node is being prepared"),
        "POWER_UP_NODE": Living(Phase.QUEUED, "its node is being switched on"),
        "REQUEUED": Living(Phase.QUEUED, "the cluster has put it back into the queue"),
        "REQUEUE_FED": Living(Phase.QUEUED, "another cluster of the federation may start it"),
        "REQUEUE_HOLD": Living(
            Phase.QUEUED, f"it was put back into the queue, and is held; {_RELEASE}", starts=False
        ),
        "RESV_DEL_HOLD": Living(
            Phase.QUEUED, f"its reservation was deleted; {_RELEASE}", starts=False
        ),
        "SPECIAL_EXIT": Living(
            Phase.QUEUED, f"it was put back after an error, and is held; {_RELEASE}", starts=False
        ),
        "RUNNING": Living(Phase.RUNNING),
        "EXPEDITING": Living(Phase.RUNNING),
        "RESIZING": Living(Phase.RUNNING, "its size is being changed"),
        "SIGNALING": Living(Phase.RUNNING, "it is being sent a signal"),
        "STOPPED": Living(Phase.RUNNING, "stopped by the cluster"),
        "SUSPENDED": Living(Phase.RUNNING, "suspended by the cluster"),
        "UPDATE_DB": Living(Phase.RUNNING),
        "COMPLETING": Living(Phase.ENDING),
        "STAGE_OUT": Living(Phase.ENDING, "its burst buffer is being written back"),
        "BOOT_FAIL": Over(End.NOT_LAUNCHED, "its node did not boot"),
        "CANCELLED": Over(End.CANCELLED),
        "COMPLETED": Over(End.COMPLETED),
        "DEADLINE": Over(End.TIME_LIMIT, "its deadline has come"),
        "FAILED": Over(End.FAILED),
        "LAUNCH_FAILED": Over(End.NOT_LAUNCHED),
        "NODE_FAIL": Over(End.NODE_FAILED),
        "OUT_OF_MEMORY": Over(End.OUT_OF_MEMORY),
        "PREEMPTED": Over(End.CANCELLED, "another job took its place (preempted)"),
        "RECONFIG_FAIL": Over(End.NOT_LAUNCHED, "its node could not be reconfigured"),
        "REVOKED": Over(End.CANCELLED, "another cluster of the federation runs it"),
        "TIMEOUT": Over(End.TIME_LIMIT),
    }
)


def state_of(text: str, *, has_node: bool) -> Living | Over:
    """Of a state with its flags, which some versions show beside it (CANCELLED,COMPLETING); sacct
    adds who cancelled it, and a plus where it cut a word. A word of a later version is never the
    end of a job, and stands for itself."""
    words = re.split(r"[ ,+]", text)
    known = [STATES[word] for word in words if word in STATES]
    living = [one for one in known if isinstance(one, Living)]
    # One that has ended, and is put back, is queued.
    for phase in (Phase.ENDING, Phase.QUEUED):
        there = [one for one in living if one.phase is phase]
        if there:
            return there[-1]
    over = [one for one in known if isinstance(one, Over)]
    if over or living:
        return (over or living)[-1]
    unknown = sanitize.line(text.lower().replace("_", " "))
    return Living(Phase.RUNNING if has_node else Phase.QUEUED, unknown)
