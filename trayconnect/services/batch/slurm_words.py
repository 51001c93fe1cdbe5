"""Slurm's words: why a job waits, and why one was refused. Pure; sources: squeue(1) and
slurm_errno.c of 20.02 to 24.11."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trayconnect.core import sanitize
from trayconnect.core.errors import Problem
from trayconnect.services.batch.job import Reason
from trayconnect.services.batch.options import BATCH, advice, change_any, change_time, place
from trayconnect.services.batch.scheduler import Request

# --- why it waits ---------------------------------------------------------------------------------

_WAITS = {
    "": "the scheduler has not looked at it yet",
    "None": "the scheduler has not looked at it yet",
    "Resources": "waits for free resources",
    "Priority": "other jobs come first",
    "BeginTime": "its begin time has not come",
    "Cleaning": "the earlier run is being cleaned up",
    "Dependency": "waits for another job",
    "Licenses": "waits for a license",
    "Prolog": "its node is being prepared",
    "NodeDown": "its node is down",
    "ReqNodeNotAvail": "a node that it asks for is not available",
    "Reservation": "waits for its reservation",
    "BurstBufferResources": "waits for a burst buffer",
    "BurstBufferStageIn": "its burst buffer is being filled",
    "FedJobLock": "another cluster of the federation may start it",
    "FrontEndDown": "no front end is available",
    "PartitionInactive": "the partition starts no jobs at present",
    "QOSUsageThreshold": "the usage of your QOS is too high at present",
    "RaisedSignal": "a signal was raised",
    "SchedDefer": "the scheduler looks at it later",
    "JobArrayTaskLimit": "as many tasks of the array run as may",
    "Reboot": "its node is being booted",
    "DeadLine": "it cannot end before its deadline",
}
_STUCK = {
    "AccountNotAllowed": "your account may not use this partition",
    "BadConstraints": "no node has what it asks for",
    "DependencyNeverSatisfied": "the job that it waits for has failed",
    "InvalidAccount": "the account is not valid",
    "InvalidQOS": "the QOS is not valid",
    "JobHeldAdmin": "an administrator holds it",
    "JobHeldUser": "it is held; release it with scontrol release",
    "PartitionConfig": "it asks for more than the partition has",
    "PartitionDown": "the partition is down",
    "PartitionNodeLimit": "it asks for more nodes than the partition allows",
    "PartitionTimeLimit": "it asks for more time than the partition allows",
    "QOSNotAllowed": "you may not use this QOS in this partition",
    "QOSTimeLimit": "it asks for more time than its QOS allows",
    "ReservationDeleted": "its reservation was deleted",
    "JobHoldMaxRequeue": "it was started too often, and is held",
    "SystemFailure": "a failure of the system or of its files holds it",
}
"""As asked, it will not start."""

_LIMIT = re.compile(r"(QOS|Assoc|User)(Max|Grp|Min)([A-Za-z]+)")
_OF_ONE_JOB = re.compile(r"Per(?:Job|Node)(?!s)|WallDuration")
_THINGS = (
    ("SubmitJobs", "jobs that may be submitted"),
    ("JobsPer", "jobs that may run at once"),
    ("Jobs", "jobs that may run at once"),
    ("Wall", "time"),
    ("GRES", "GPUs and other devices"),
    ("Gres", "GPUs and other devices"),
    ("Mem", "memory"),
    ("Cpu", "processors"),
    ("CPU", "processors"),
    ("Node", "nodes"),
    ("License", "licenses"),
    ("Energy", "energy"),
    ("BB", "burst buffers"),
)


def reason(word: str) -> Reason:
    """Of squeue's `%r`, whose first word may be followed by more."""
    whole = sanitize.line(word, 200)
    first = re.split(r"[ ,(]", whole, maxsplit=1)[0]
    if text := _STUCK.get(first):
        return Reason(whole, text, starts=False)
    if first == "ReqNodeNotAvail" and "maintenance" in whole.lower():
        return Reason(whole, "its nodes are reserved for maintenance")
    if whole.startswith("Nodes required for job are"):
        return Reason(whole, "a node that it asks for is down, drained or reserved")
    if first == "MaxMemPerLimit":
        return Reason(whole, "it asks for more memory than may be asked", starts=False)
    if "requeued" in whole and "held" in whole:
        text = "it was put back into the queue, and is held; release it with scontrol release"
        return Reason(whole, text, starts=False)
    return _limit(whole) or Reason(whole, _WAITS.get(first) or whole)


def _limit(whole: str) -> Reason | None:
    """Of the hundred limits of a QOS or an account, such as QOSMaxJobsPerUserLimit. One of a single
    job is never kept by waiting."""
    match = _LIMIT.match(whole)
    if match is None:
        return None
    who = "your QOS" if match[1] == "QOS" else "your account"
    thing = next((text for part, text in _THINGS if part in match[3]), "what it may use")
    if match[2] == "Min":
        return Reason(whole, f"it asks for less than the least of {who}: {thing}", starts=False)
    if _OF_ONE_JOB.search(match[3]):
        return Reason(whole, f"it asks for more than {who} allows a job: {thing}", starts=False)
    return Reason(whole, f"{who} has reached its limit: {thing}")


# --- why it was refused ---------------------------------------------------------------------------

_FAILED = re.compile(r"Batch job submission failed: (.*)|allocation failure: (.*)")
_SPEAKER = re.compile(r"^(?:sbatch|srun|slurm\w*): (?:(?:error|fatal|warning|info): )?")
_TOLD = re.compile(r"sbatch: (?:error|fatal): ")
_BEFORE = re.compile(
    r"Invalid --|unrecognized option|invalid option|option '.*' is ambiguous|requires an argument"
    r"|doesn't allow an argument|does not look like a batch script|Batch script is empty"
    r"|contains DOS line breaks|Unable to open file|Invalid .* specification|mutually exclusive"
    r"|^Invalid [a-z-]+ ?(?:argument|value|option)"
)
"""sbatch itself has refused it, before it asked the controller."""
_UNSURE = re.compile(
    r"(?i)timed out|time.?out|unable to contact|connect|communication|message (?:send|receive)"
    r"|unexpected (?:message|rpc)|zero bytes|protocol|authentication|credential|standby|broken pipe"
    r"|no route|network|unreachable|temporarily|interrupted|insane|try again|controller|address"
    r"|no error|success|munge|slurm_|socket|rpc"
)
"""The message, or its answer, may have got lost."""

_CAUSES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (r"partition configuration not available", ("partition",), ""),
    (r"permitted to use this partition", ("partition", "account"), ""),
    (r"ccount", ("account", "partition"), ""),
    (r"artition", ("partition",), ""),
    (r"(?i)qos specification|qos ", ("qos",), ""),
    (r"ime limit", (), "time"),
    (r"Invalid --time", (), "time"),
    (r"emory", ("mem", "mem-per-cpu", "mem-per-gpu"), ""),
    (r"gres|GRES|Generic|generic resource|TRES", ("gres", "gpus", "gpus-per-node"), ""),
    (r"eature", ("constraint",), ""),
    (r"node name|Invalid node", ("nodelist", "exclude"), ""),
    (r"eservation", ("reservation",), ""),
    (r"icense", ("licenses",), ""),
    (r"ependency", ("dependency",), ""),
    (r"wckey", ("wckey",), ""),
    (r"(?i)cpu|processor|tasks", ("cpus-per-task", "ntasks", "ntasks-per-node"), ""),
    (r"ode count|nodes", ("nodes", "ntasks"), ""),
    (r"ode configuration", ("gres", "gpus", "mem", "cpus-per-task", "constraint", "nodes"), ""),
)
_POLICY = re.compile(r"accounting/QOS policy|SubmitJob|Limit$|too many", re.IGNORECASE)
_SITE = re.compile(r"I/O error|[Dd]isk|quota|database|accounting storage")
_OPTION = re.compile(r"(?:option|--) ?-?-? ?'?(-{0,2}[A-Za-z][\w-]*)")
_SHORT = {
    "partition": "-p",
    "account": "-A",
    "qos": "-q",
    "constraint": "-C",
    "nodelist": "-w",
    "exclude": "-x",
    "licenses": "-L",
    "dependency": "-d",
    "gpus": "-G",
    "cpus-per-task": "-c",
    "ntasks": "-n",
    "nodes": "-N",
}


def refusal(lines: Sequence[str], request: Request) -> Problem | None:
    """Why a job was refused, in Slurm's words, with what to change. None if the words do not prove
    that there is no job."""
    is_told = any(_TOLD.match(line) for line in lines)
    said = [sanitize.line(_SPEAKER.sub("", line)) for line in lines]
    said = [line for line in dict.fromkeys(said) if line and not line.startswith('Try "sbatch')]
    failed = next((m for line in said if (m := _FAILED.search(line))), None)
    word = (failed[1] or failed[2] or "") if failed else ""
    others = [line for line in said if not _FAILED.search(line)]
    if failed is not None:
        if _UNSURE.search(word) or (not others and word == "Unspecified error"):
            return None
    elif not any(_BEFORE.search(line) for line in said) and (
        not is_told or any(_UNSURE.search(line) for line in said)
    ):
        return None
    if not word or word == "Unspecified error":
        word, others = (others or [word])[0], others[1:]
    text = f"{word} ({'; '.join(others)})" if others else word
    return Problem(
        f"Slurm refused the job: {text}"[:400], _advice(text, request), detail="\n".join(said)
    )


def _advice(text: str, request: Request) -> str:
    if _POLICY.search(text):
        return (
            "You have as many jobs as you may submit, or ask for more than your account may use: "
            f"end a job, or ask for less {place([request.lines.batch], BATCH)}."
        )
    if _SITE.search(text):
        return "The cluster has a problem of its own: try again later, or ask its administrators."
    named = [name.lstrip("-") for name in _OPTION.findall(text)]
    if found := advice(request, named, {}):
        return found
    for pattern, names, key in _CAUSES:
        if not re.search(pattern, text):
            continue
        if key:
            return change_time(request)
        where = place(request.lines.options[:1] or [request.lines.batch], BATCH)
        return advice(request, names, _SHORT) or (
            f"Add --{names[0]}=… to 'options' {where}, as the cluster's documentation says."
        )
    known = (option[2:].partition("=")[0] for option in request.options if option[:2] == "--")
    named = [name for name in known if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]
    if found := advice(request, named, {}):
        return found
    if match := re.search(r"--([a-z][a-z-]+)", text):
        variable = f"SBATCH_{match[1].upper().replace('-', '_')}"
        return f"No option of yours is --{match[1]}: look for {variable} in what your login sets."
    return change_any(request)
