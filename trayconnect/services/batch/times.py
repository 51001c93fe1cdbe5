"""Moments, durations and places of batch jobs in words. Pure."""

from __future__ import annotations

import time

_MINUTE, _DAY = 60, 86_400


def duration(seconds: float) -> str:
    """In the two largest units: "3 h 40 min"."""
    minutes = int(seconds // _MINUTE)
    if minutes < 1:
        return "less than a minute"
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    first = next(number for number, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def moment(at: float, now: float) -> str:
    """A time of today, of a day of this week, or the number of days until it."""
    here, today = time.localtime(at), time.localtime(now)
    if here[:3] == today[:3]:
        return time.strftime("%H:%M", here)
    if 0 <= at - now < 6 * _DAY:
        return time.strftime("%a %H:%M", here)
    if at > now:
        return f"in {round((at - now) / _DAY)} days"
    return time.strftime("%Y-%m-%d %H:%M", here)


def start_words(at: float, now: float) -> str:
    """When a job starts, after "starts"."""
    if at - now < _MINUTE:
        return "soon"
    words = moment(at, now)
    return words if words.startswith("in ") else f"about {words}"


def ordinal(number: int) -> str:
    """As in "3rd"."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
