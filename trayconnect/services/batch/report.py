"""Reads the reports of the scripts for a login node. Pure; what is malformed is skipped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from trayconnect.core import sanitize
from trayconnect.services.batch.job import JobFiles, JobId, is_job_id
from trayconnect.services.jupyter.log import clean

_WORD = re.compile(r"[\w:.+-]{1,100}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}")
_HOST_KEY = re.compile(r"[a-z0-9@.-]{1,100} [A-Za-z0-9+/=]{16,4000}(?: .*)?")
_OUTPUT_LENGTH = 2000
_LOG_LENGTH = 20_000
_AGREE = 5.0
"""Seconds: an answer may have taken so long."""
_LATEST = 3e10
"""Seconds since the epoch: Windows has no words for a moment after the year 3000."""


@dataclass(frozen=True, slots=True)
class Section:
    """A line `@@key value` of a report, with the lines of text behind it."""

    key: str
    value: str
    lines: tuple[str, ...] = ()

    @property
    def status(self) -> int | None:
        """Its value as the exit status of a command."""
        return number(self.value)


def sections(output: str, title: str) -> tuple[Section, ...] | None:
    """The sections of a report; None if it does not end with `@@done`: a part is no answer.
    `title` is what the script's first line says behind `@@trayconnect`."""
    _, begins, report = output.replace("\r", "").rpartition(f"\n@@trayconnect {title}\n")
    report, ends, _ = report.partition("\n@@done\n") if begins else ("", "", "")
    if not ends:
        return None
    found: list[tuple[str, str, list[str]]] = []
    for line in report.split("\n"):
        if line.startswith("@@"):
            key, _, value = line[2:].partition(" ")
            found.append((key, value, []))
        elif line.startswith(" ") and found:
            found[-1][2].append(line[1:])
    return tuple(Section(key, value, tuple(lines)) for key, value, lines in found)


def first(report: tuple[Section, ...], key: str) -> Section | None:
    return next((section for section in report if section.key == key), None)


def last(report: tuple[Section, ...], key: str) -> Section | None:
    return first(report[::-1], key)


def number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def plausible(seconds: float) -> float | None:
    """The moment, unless no clock of this computer can show it."""
    return seconds if 0 <= seconds < _LATEST else None


_SPEAKER = re.compile(r"^\w+(?:\[\w+\])?: (?:(?:error|fatal|warning|info): )?")


def words(lines: Iterator[str] | tuple[str, ...]) -> str:
    """What a command said, for people: without its name before each line, and once."""
    said = (sanitize.line(_SPEAKER.sub("", line)) for line in lines)
    return "; ".join(dict.fromkeys(filter(None, said)))[:_OUTPUT_LENGTH]


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of the cluster beside the one of this computer."""

    here: float
    there: float
    wall: datetime | None = None
    """The cluster's local time at that moment, without its zone."""

    @property
    def _offset(self) -> float:
        """In whole seconds, and none where the clocks agree: a time is the same in each answer."""
        offset = self.here - self.there
        return 0.0 if abs(offset) < _AGREE else float(round(offset))

    def time(self, text: str) -> float | None:
        """A moment by this computer's clock, from seconds since the epoch, or from the cluster's
        local time; None for every other word, such as N/A."""
        if (seconds := number(text)) is not None:
            return plausible(seconds + self._offset)
        wall = _wall(text)
        if wall is None or self.wall is None:
            return None
        return plausible(self.there + (wall - self.wall).total_seconds() + self._offset)


def clock(report: tuple[Section, ...], now: float) -> Clock:
    """From the line that every script prints when its answer is there. Without one, both clocks
    agree."""
    section = first(report, "now")
    seconds, _, wall = section.value.partition(" ") if section else ("", "", "")
    there = number(seconds)
    return Clock(now, now if there is None else there, _wall(wall))


def places(report: tuple[Section, ...]) -> Iterator[tuple[JobId, str, str]]:
    """What is told of jobs that wait: the number, `place` or `never`, and the rest of the line."""
    section = first(report, "places")
    for line in section.lines if section is not None else ():
        job, word, rest = (*line.split(" ", 2), "", "")[:3]
        if is_job_id(job) and word in ("place", "never"):
            yield job, word, rest


def _wall(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


# --- the jobs' files ------------------------------------------------------------------------------


def job_files(report: tuple[Section, ...], at: Clock) -> tuple[JobFiles, ...]:
    """What the jobs of the entry have written."""
    found: dict[JobId, dict[str, tuple[str, ...]]] = {}
    job: dict[str, tuple[str, ...]] = {}
    for section in report:
        if section.key == "files" and is_job_id(section.value):
            job = found.setdefault(section.value, {})
        elif section.key == "file":
            job[section.value] = section.lines
        else:
            job = {}
    return tuple(_files(job_id, lines, at) for job_id, lines in found.items())


def _files(job: JobId, lines: dict[str, tuple[str, ...]], at: Clock) -> JobFiles:
    def line(name: str) -> str:
        return "".join(lines.get(name, ())[:1])

    pid, born, *_ = (*line("pid").split(" "), "")
    status, signal, ended, *_ = (*line("status").split(" "), "", "")
    return JobFiles(
        job,
        names=tuple(name for name in lines.get("node", ()) if _WORD.fullmatch(name)),
        socket=_path(line("socket")),
        pid=number(pid),
        born=born if _WORD.fullmatch(born) else "",
        host_keys=tuple(key for key in lines.get("host_keys", ()) if _HOST_KEY.fullmatch(key)),
        status=number(status),
        told=signal if signal.isalnum() else "",
        at=at.time(ended),
        log=log("\n".join(lines.get("log", ()))),
    )


def _path(text: str) -> str:
    path = sanitize.exact(text)
    return path if path.startswith("/") else ""


def log(text: str) -> str:
    """The end of a log, without tokens."""
    lines = clean(text[-_LOG_LENGTH:]).split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip())
