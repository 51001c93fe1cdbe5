"""Grid Engine, of Sun and its successors. It tells no estimate, and runs no step in a running
job. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from trayconnect.config.batch_options import System
from trayconnect.core import sanitize
from trayconnect.core.errors import Problem
from trayconnect.services.batch.job import End, Ended, Job, JobId, Phase, Reason, is_job_id
from trayconnect.services.batch.options import advice, change, change_any
from trayconnect.services.batch.report import Clock, number, plausible, words
from trayconnect.services.batch.scheduler import Request, Scheduler, Trial
from trayconnect.services.batch.script import finding

_ID = re.compile(r"[0-9]{1,18}")
_VALUE = re.compile(r"<(\w+)>([^<]*)</\1>")
_H_RT = re.compile(r'<hard_request name="h_rt"[^<>]*>([^<]*)<')
_DURATION = re.compile(r"(?:([0-9]{1,9}):)?([0-9]{1,9}):([0-9]{1,9})")
_EXIT = re.compile(r"exit_status +([0-9]{1,3})")
_FAILED = re.compile(r"failed +([0-9]{1,3})(?: *: *(.*))?")
_H_VMEM = re.compile(r"^ *category .*\bh_vmem=([0-9]+(?:\.[0-9]+)?)([KMGTkmgt]?)", re.MULTILINE)
_MAX_VMEM = re.compile(r"^ *maxvmem +([0-9]+(?:\.[0-9]+)?)([KMGT]?)", re.MULTILINE)
_SLOTS = re.compile(r"^ *slots +([0-9]{1,6})", re.MULTILINE)
_UNSURE = re.compile(r"(?i)commlib|qmaster|connect|timed? ?out|communication|try again|no response")
_REFUSED = re.compile(r"Unable to run job: (?:job rejected: |Job was rejected because )?(.*)")
_BEFORE = re.compile(r"^(?:qsub: (?=.)|(?:error: |ERROR! )?(?=.*(?:option|argument)))(.*)")
_WARNING = re.compile(r"^qsub: warning: |.*option has already been set")
_OPTION = re.compile(r"(?<![\w.-])-[A-Za-z]\w*")
_PLAIN = re.compile(r"[\w.@*/:-]+")
_QUOTED = re.compile(r'"([^"]*)"')
_END = re.compile(r"end_time +(.+)")
_TIMES = ("%a %b %d %H:%M:%S %Y", "%m/%d/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S")
"""As different versions write the cluster's local time."""
_ENFORCED = "enforced"


class GridEngine(Scheduler):
    """See `Scheduler`."""

    system: System = "gridengine"
    title = "Grid Engine"
    has_steps = False
    command = "qsub"
    guard = "-terse"
    variables = "SGE_ROOT|SGE_CELL|SGE_CLUSTER_NAME|SGE_[A-Z]*_PORT"

    @property
    def find(self) -> str:
        # Debian's commands know where it is.
        rest = '{ [ -n "${SGE_ROOT-}" ] || [ -e /etc/default/gridengine ]; }'
        return finding("qsub", self.variables, rest)

    def ours(self, request: Request) -> Sequence[str]:
        settings = ("-S", "/bin/sh", "-o", "/dev/null", "-j", "y", "-r", "n", "-notify", "-C", "")
        # What ~/.sge_request may say otherwise.
        reset = ("-b", "n", "-now", "n", "-i", "/dev/null", "-e", "/dev/null")
        # After -soft, a time limit would be a wish.
        limit = ("-hard", "-l", f"h_rt={request.seconds}")
        return ("-N", request.name, "-ac", f"trayconnect={request.mark}", *settings, *reset, *limit)

    def job_of(self, lines: Sequence[str]) -> JobId:
        found = [line.strip() for line in lines if _ID.fullmatch(line.strip())]
        return found[-1] if found else ""

    def refusal(self, lines: Sequence[str], request: Request) -> Problem | None:
        said = [sanitize.line(line) for line in lines if not _WARNING.match(line)]
        match = next((found for line in said if (found := _REFUSED.match(line))), None)
        match = match or next((found for line in said if (found := _BEFORE.match(line))), None)
        if match is None or any(_UNSURE.search(line) for line in said):
            return None
        return Problem(
            f"Grid Engine refused the job: {match[1]}"[:400],
            _advice(match[1], request),
            detail="\n".join(said),
        )

    def forecast(self, lines: Sequence[str], clock: Clock) -> Trial | None:  # noqa: ARG002
        """It has no estimate."""
        found = next((line for line in lines if "found suitable queue" in line), None)
        return None if found is None else Trial(None, sanitize.line(found))

    def has_gone(self, said: str) -> bool:
        return "does not exist" in said

    def explain(self, word: str) -> Reason:
        whole = sanitize.line(word, 200)
        if re.match(r"E\w*(?: |$)", whole):
            _, _, why = whole.partition(" ")
            return Reason(whole, why or "it could not be started, and waits in error", starts=False)
        if re.match(r"h\w*(?: |$)", whole):
            return Reason(whole, "it is held, or waits for another job")
        for part, text in _WAITS:
            if part in whole:
                return Reason(whole, text)
        return Reason(whole, whole if " " in whole else "waits for a free queue")

    # --- the list of jobs ---

    def jobs(self, lines: Sequence[str], clock: Clock) -> tuple[Job, ...] | None:
        listed, ends, about = "\n".join(lines).rpartition("</job_info>")
        # A message that stands in the place of a list may be XML, too.
        if not ends or "<queue_info" not in listed:
            return None
        reasons = dict(_reasons(about))
        found = (self._job(kind, text, reasons, clock) for kind, text in _listed(listed))
        return tuple(job for job in found if job is not None)

    def _job(self, kind: str, text: str, reasons: Mapping[JobId, str], clock: Clock) -> Job | None:
        values = {name: html.unescape(value) for name, value in _VALUE.findall(text)}
        number, state = values.get("JB_job_number", ""), values.get("state", "")
        if not is_job_id(number):
            return None
        phase = _phase(kind, state)
        queue, _, node = sanitize.exact(values.get("queue_name")).partition("@")
        request = _H_RT.search(text)
        limit = _seconds(request[1]) if request else None
        starts = clock.time(values.get("JAT_start_time", ""))
        job = Job(
            number,
            sanitize.line(values.get("full_job_name") or values.get("JB_name", "")),
            phase,
            partition=queue or sanitize.line(values.get("hard_req_queue", "")),
            submitted=clock.time(values.get("JB_submission_time", "")),
            limit=limit,
        )
        if phase is Phase.QUEUED:
            why = reasons.get(number, "")
            word = f"{state} {why}".strip() if state[:1] in ("E", "h") else why or state
            return replace(job, reason=self.explain(word))
        if phase is Phase.ENDED:
            return replace(job, ended=Ended(End.UNKNOWN))
        ends = plausible(starts + limit) if starts is not None and limit is not None else None
        note = next((text for letters, text in _NOTES if set(state) & set(letters)), "")
        return replace(job, starts=starts, ends=ends, nodes=(node,) if node else (), note=note)

    # --- ends ---

    def explained(self, job: JobId, lines: Sequence[str], clock: Clock) -> Job | None:
        text = "\n".join(lines)
        status, failed = _EXIT.search(text), _FAILED.search(text)
        if status is None or failed is None:
            return None
        code, why = int(failed[1]), failed[2] or ""
        how = End.COMPLETED if status[1] == "0" else End.FAILED
        if _ENFORCED in why:
            how = End.OUT_OF_MEMORY if _took_too_much(text) else End.TIME_LIMIT
        elif code == 100:  # "assumedly after job": it was killed
            how = End.CANCELLED
        elif 0 < code < 37:  # before the job, or while it was set up
            how = End.NOT_LAUNCHED
        name, end = re.search(r"jobname +(.+)", text), _END.search(text)
        at = clock.time(_iso(end[1])) if end else None
        return Job(
            job,
            sanitize.line(name[1]) if name else "",
            Phase.ENDED,
            ends=at,
            ended=Ended(how, int(status[1]), at=at),
        )


def _listed(text: str) -> Iterator[tuple[str, str]]:
    """The state and the text of each job of a list. No parser of XML: it would expand entities."""
    for part in text.split('<job_list state="')[1:]:
        about, ends, _ = part.partition("</job_list>")
        kind, begins, values = about.partition('">')
        if ends and begins:
            yield kind, values


_WAITS = (
    ("dropped because it is full", "waits for a free queue"),
    ("no messages available", "waits for a free queue"),
    ("because of job dependencies", "waits for another job"),
    ("exceeds limit", "a quota of the cluster is reached"),
    ("dropped because it is temporarily not available", "a queue is not available at present"),
    ("dropped because it is disabled", "a queue is disabled"),
    ("dropped because it is overloaded", "the nodes are busy"),
)
_NOTES = (
    ("sS", "suspended by the cluster"),
    ("T", "suspended while its node is too busy"),
    ("P", "suspended while another job runs"),
)
"""The letters of a running job's state."""


def _phase(kind: str, state: str) -> Phase:
    if kind == "zombie" or state == "z":
        return Phase.ENDED
    if "d" in state:
        return Phase.ENDING
    return Phase.RUNNING if kind == "running" else Phase.QUEUED


def _iso(text: str) -> str:
    for form in _TIMES:
        with suppress(ValueError):
            return datetime.strptime(text.strip(), form).isoformat()
    return text.strip()


def _seconds(text: str) -> float | None:
    if (whole := number(text)) is not None:
        return float(whole)
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return (hours * 60 + minutes) * 60.0 + seconds


def _took_too_much(text: str) -> bool:
    """Whether the accounting shows more memory than was asked for: the words are the same as of a
    time limit."""
    asked, used = _H_VMEM.search(text), _MAX_VMEM.search(text)
    slots = _SLOTS.search(text)
    if asked is None or used is None:
        return False
    limit = _bytes(asked) * (int(slots[1]) if slots else 1)
    return _bytes(used) >= limit > 0


def _bytes(size: re.Match[str]) -> float:
    unit = " KMGT".index(size[2].upper() or " ")
    return float(float(size[1]) * (1000 if size[2].islower() else 1024) ** unit)


def _reasons(text: str) -> Iterator[tuple[JobId, str]]:
    """Of `qstat -j`, for each job: why it failed to start, else what the scheduler said last."""
    number = ""
    found: list[str] = []
    for line in [*text.split("\n"), "job_number: end"]:
        key, _, value = line.partition(":")
        if key == "job_number":
            if is_job_id(number) and found:
                yield number, words(tuple(found[:1]))
            number, found = value.strip(), []
        elif key.startswith("error reason"):
            found.insert(0, value.strip())
        elif key == "scheduling info" or line.startswith(" "):
            found.append((value if key == "scheduling info" else line).strip())


def _advice(said: str, request: Request) -> str:
    if said.endswith(" there"):  # see gridengine.sh
        return "Then choose New job."
    names = {"master queue": "masterq", "queue": "q", "parallel environment": "pe"}
    names |= {"project": "P", "priority": "p", "jobshare": "js", "concurrency": "tc"}
    told = [[name[1:] for name in _OPTION.findall(said)]]
    told += [[name] for part, name in names.items() if part in said]
    if found := next(filter(None, (advice(request, named, {}) for named in told)), ""):
        return found
    for words_of in (_QUOTED, _PLAIN):
        mentioned = {word for word in words_of.findall(said) if word}
        for index, option in enumerate(request.options):
            if mentioned & {option, *re.split(r"[=,]", option)}:
                return change(request, {index: option})
    return change_any(request).replace("'options'", "'options' or 'time'")
