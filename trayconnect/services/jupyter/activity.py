"""What the kernels of a server do, and which long-running cells have ended, as data and as text.
Pure, but for the time zone.

Kernels are checked once a minute: what begins and ends between two checks is not seen, and a kernel
that is busy in two checks counts as busy in between."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trayconnect.core.notices import Notice, open_page
from trayconnect.services.jupyter.model import Kernel, Kernels, KernelState, Memory

LONG = 59.0
"""Seconds: the end of a cell that ran for so long is announced. A little less than the time between
two checks."""


@dataclass(frozen=True, slots=True)
class Run:
    """A kernel that was busy at the last check. Times are seconds since the epoch."""

    kernel: str
    """The kernel's id."""
    name: str
    """See `Kernel.name`."""
    since: float
    """When it became busy, or the first check that found it busy."""
    seen: float
    """The last check that found it busy."""

    @property
    def is_long(self) -> bool:
        return self.seen - self.since >= LONG


@dataclass(frozen=True, slots=True)
class Activity:
    """What runs on the server. Times are seconds since the epoch."""

    at: float
    """The time of the check."""
    busy: int = 0
    idle: int = 0
    other: int = 0
    """Kernels that are starting or dead."""
    busy_since: float | None = None
    """Since when the kernel that has been busy for the longest is busy."""
    last_activity: float | None = None
    """Of any kernel, by our clock."""
    memory: Memory | None = None
    """Memory of the server and its kernels; None if unknown."""

    @property
    def total(self) -> int:
        return self.busy + self.idle + self.other


def follow(
    runs: tuple[Run, ...], kernels: Kernels, now: float
) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The runs that continue, and the long ones whose kernel is idle now."""
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
    # A cell without output made its kernel busy at its last activity, maybe before we connected.
    since = now if kernel.last_activity is None else min(now, kernel.last_activity)
    return Run(kernel.id, kernel.name, since, now)


def activity(kernels: Kernels, runs: tuple[Run, ...], at: float) -> Activity:
    """The sum of a check at that time, with what earlier ones found."""
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


LINES = 5
"""Notebooks that a notice names."""
_DAY = 86_400.0
_UNITS = ("KB", "MB", "GB", "TB")


def activity_text(activity: Activity) -> str:
    """ "2 kernels, 1 busy since 14:02, 1.2 of 8.0 GB"; empty where no kernel runs."""
    if not activity.total:
        return ""
    now = activity.at
    parts = [f"{activity.total} kernel{'' if activity.total == 1 else 's'}"]
    if activity.busy:
        count = "" if activity.total == 1 else f"{activity.busy} "
        since = activity.busy_since
        parts.append(f"{count}busy" + ("" if since is None else f" since {clock(since, now)}"))
    elif activity.idle:
        last = activity.last_activity
        parts.append("idle" if last is None else f"idle since {clock(last, now)}")
    memory = activity.memory
    if memory is not None:
        limit = "" if memory.limit is None else f" of {size(memory.limit)}"
        parts.append(f"{size(memory.used)}{limit}")
    return ", ".join(parts)


def idle_again(server: str, runs: Sequence[Run]) -> Notice:
    """The notice about long-running cells that have ended, at least one."""
    lines = [f"{run.name}, busy for {duration(run.seen - run.since)}" for run in runs[:LINES]]
    more = len(runs) - len(lines)
    if len(runs) == 1:
        (run,) = runs
        title = f"{run.name} is idle again"
        body = f"On {server}, after {duration(run.seen - run.since)}"
    else:
        title = f"{len(runs)} notebooks of {server} are idle again"
        body = "\n".join([*lines, f"and {more} more"] if more else lines)
    return Notice(
        # An unread notice must not give way to that of another notebook.
        tag=f"idle {server} {' '.join(run.kernel for run in runs)}",
        title=title,
        body=body,
        buttons=(open_page(server),),
    )


def clock(seconds: float, now: float) -> str:
    """The time of day; with the day if it was more than 24 hours ago."""
    form = "%H:%M" if now - seconds < _DAY else "%d %b %H:%M"
    return time.strftime(form, time.localtime(seconds))


def duration(seconds: float) -> str:
    """ "1 min", "2 h 5 min", "3 d 4 h"."""
    minutes = max(1, round(seconds / 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def size(number: int) -> str:
    """A number of bytes, in units of 1024."""
    value = number / 1024
    unit = 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{value:.1f} {_UNITS[unit]}" if value < 100 else f"{value:.0f} {_UNITS[unit]}"
