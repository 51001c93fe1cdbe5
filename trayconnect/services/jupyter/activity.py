"""What the kernels of a session do, and which long-running cell has ended. Pure.

Kernels are looked at once a minute: what begins and ends between two looks is not seen, and a
kernel that is busy in two looks counts as busy all the time between.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trayconnect.core.notices import Notice, open_page
from trayconnect.services.jupyter.model import Kernel, Kernels, KernelState, Memory

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


LINES = 5
"""Notebooks that a notice names; notices are short."""
_DAY = 86_400.0
_UNITS = ("KB", "MB", "GB", "TB")


def activity_words(activity: Activity) -> str:
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
        # One that was not read yet must not give way to that of another notebook.
        tag=f"idle {server} {' '.join(run.kernel for run in runs)}",
        title=title,
        body=body,
        buttons=(open_page(server),),
    )


def clock(seconds: float, now: float) -> str:
    """The time of day; with the day, where it was not within the last 24 hours."""
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
