"""What the kernels of a session do, and which long-running cell has ended. Pure.

Kernels are looked at once a minute: what begins and ends between two looks is not seen, and a
kernel that is busy in two looks counts as busy all the time between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trayconnect.services.model import Kernel, Kernels, KernelState, Memory

LONG = 59.0
"""Seconds: the end of a cell that ran for so long is news. A little less than lies between two
looks."""


@dataclass(frozen=True, slots=True)
class Run:
    """A kernel that was busy when it was last looked at. Times are seconds since the epoch."""

    kernel: str
    """Its id."""
    name: str
    """See `Kernel.name`."""
    since: float
    """When it became busy, or the first look that found it so."""
    seen: float
    """The last look that found it so."""

    @property
    def is_long(self) -> bool:
        return self.seen - self.since >= LONG


@dataclass(frozen=True, slots=True)
class Activity:
    """What runs on the server. Times are seconds since the epoch."""

    at: float
    """When it was so."""
    busy: int = 0
    idle: int = 0
    other: int = 0
    """Kernels that start, or are dead."""
    busy_since: float | None = None
    """When the one that has been busy for the longest became so."""
    last_activity: float | None = None
    """Of any kernel, by our clock."""
    memory: Memory | None = None
    """What the server and its kernels use, where it tells."""

    @property
    def total(self) -> int:
        return self.busy + self.idle + self.other


def follow(
    runs: tuple[Run, ...], kernels: Kernels, now: float
) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The runs that go on, and the long ones that have ended with an idle kernel."""
    before = {run.kernel: run for run in runs}
    going = tuple(
        _going(kernel, before.get(kernel.id), now)
        for kernel in kernels.running
        if kernel.state is KernelState.BUSY
    )
    idle = {kernel.id: kernel for kernel in kernels.running if kernel.state is KernelState.IDLE}
    ended = tuple(
        replace(run, name=idle[run.kernel].name)
        for run in runs
        if run.kernel in idle and run.is_long
    )
    return going, ended


def _going(kernel: Kernel, before: Run | None, now: float) -> Run:
    if before is not None:
        return replace(before, name=kernel.name, seen=now)
    # A cell that prints nothing became busy at its kernel's last activity, even before we came.
    since = now if kernel.last_activity is None else min(now, kernel.last_activity)
    return Run(kernel.id, kernel.name, since, now)


def activity(kernels: Kernels, runs: tuple[Run, ...], at: float) -> Activity:
    """The sum of a look at that time, with what is known from earlier ones."""
    states = [kernel.state for kernel in kernels.running]
    times = [k.last_activity for k in kernels.running if k.last_activity is not None]
    return Activity(
        at=at,
        busy=states.count(KernelState.BUSY),
        idle=states.count(KernelState.IDLE),
        other=states.count(KernelState.OTHER),
        busy_since=min((run.since for run in runs), default=None),
        last_activity=max(times, default=None),
        memory=kernels.memory,
    )
