"""The activity of kernels in words. Pure, but for the time zone."""

from __future__ import annotations

import time
from collections.abc import Sequence

from trayconnect.core.notices import Notice, open_page
from trayconnect.services.jupyter.activity import Activity, Run

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
