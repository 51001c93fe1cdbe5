"""The entry's `batch`: how Jupyter is submitted as a job of the cluster's scheduler."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from trayconnect.config import values
from trayconnect.config.secret_keys import names_secret
from trayconnect.config.values import Frozen

System = Literal["slurm", "gridengine"]

_TIME = re.compile(r"(?:([0-9]{1,3})-)?([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])")
_TIME_PATTERN = r"^([0-9]{1,3}-)?[0-9]{1,4}:[0-5][0-9]:[0-5][0-9]$"
_LONGEST = 366 * 86_400

_TIME_KEY = "use 'time' under 'batch' instead"
_FOUND_BY = "trayconnect finds its jobs again by it"
_OWN_FILES = "the job keeps its log in your home folder there"
_NOTHING_ELSE = "the job is a Jupyter, and nothing else"
_HOME = "use 'folder' under 'start' instead"
_ENVIRONMENT = "your login's secrets would come with it; use 'environment' under 'start' instead"

_OURS: dict[System, dict[str, str]] = {
    "slurm": {
        "time": _TIME_KEY,
        "t": _TIME_KEY,
        "job-name": _FOUND_BY,
        "J": _FOUND_BY,
        "comment": _FOUND_BY,
        "clusters": "jobs of other clusters cannot be found again",
        "cluster": "jobs of other clusters cannot be found again",
        "M": "jobs of other clusters cannot be found again",
        "output": _OWN_FILES,
        "o": _OWN_FILES,
        "error": _OWN_FILES,
        "e": _OWN_FILES,
        "chdir": _HOME,
        "D": _HOME,
        "export": _ENVIRONMENT,
        "export-file": _ENVIRONMENT,
        "get-user-env": _ENVIRONMENT,
        "requeue": "a job that starts again would be a second Jupyter",
        "array": _NOTHING_ELSE,
        "a": _NOTHING_ELSE,
        "wrap": _NOTHING_ELSE,
        "parsable": _NOTHING_ELSE,
        "test-only": _NOTHING_ELSE,
        "wait": _NOTHING_ELSE,
        "W": _NOTHING_ELSE,
        "quiet": _NOTHING_ELSE,
        "Q": _NOTHING_ELSE,
        "verbose": _NOTHING_ELSE,
        "v": _NOTHING_ELSE,
        "help": _NOTHING_ELSE,
        "h": _NOTHING_ELSE,
        "usage": _NOTHING_ELSE,
        "version": _NOTHING_ELSE,
        "V": _NOTHING_ELSE,
    },
    "gridengine": {
        "N": _FOUND_BY,
        "ac": _FOUND_BY,
        "sc": _FOUND_BY,
        "dc": _FOUND_BY,
        "o": _OWN_FILES,
        "e": _OWN_FILES,
        "j": _OWN_FILES,
        "cwd": _HOME,
        "wd": _HOME,
        "V": _ENVIRONMENT,
        "v": _ENVIRONMENT,
        "r": "a job that starts again would be a second Jupyter",
        "S": "the script is for sh",
        "t": _NOTHING_ELSE,
        "b": _NOTHING_ELSE,
        "sync": _NOTHING_ELSE,
        "terse": _NOTHING_ELSE,
        "verify": _NOTHING_ELSE,
        "help": _NOTHING_ELSE,
        "now": _NOTHING_ELSE,
        "@": _NOTHING_ELSE,
    },
}
"""Options that trayconnect sets itself, or that make something else of the job."""
_TIME_REQUEST = re.compile(r"(?:^|,)(?:h_rt|s_rt)=")
_SPLIT_UP = re.compile(r"(-[A-Za-z]|--[A-Za-z-]+)\s+(\S.*)")


def _time(value: str) -> str:
    match = _TIME.fullmatch(value)
    if match is None:
        raise ValueError(
            "must be hours:minutes:seconds, such as 4:00:00, or days-hours:minutes:seconds"
        )
    if not 60 <= _seconds(match) <= _LONGEST:
        raise ValueError("must be at least 0:01:00 and at most 366-00:00:00")
    return value


def _seconds(match: re.Match[str]) -> int:
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _option(value: str) -> str:
    values.printable(value)
    if split := _SPLIT_UP.fullmatch(value):
        key, rest = split.groups()
        joined = f"{key}={rest}" if key.startswith("--") else f"[{key}, {rest}]"
        raise ValueError(f"must be one word each: write {joined}")
    return value


Time = Annotated[
    str,
    AfterValidator(_time),
    # Some readers of YAML take 4:00:00 for a number in base 60.
    WithJsonSchema({"type": ["string", "integer"], "pattern": _TIME_PATTERN}),
]
Option = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_option)]


class BatchOptions(Frozen):
    """How Jupyter is submitted as a job of the cluster's scheduler."""

    system: Literal["auto", "slurm", "gridengine"] = Field(
        "auto",
        description="The cluster's scheduler. auto: the one whose commands the login node has.",
    )
    time: Time = Field(
        "4:00:00",
        description="The time limit to ask for: hours:minutes:seconds, or days-hours:minutes:"
        "seconds. The scheduler ends the job then.",
    )
    options: tuple[Option, ...] = Field(
        (),
        description="More options of sbatch or qsub, in the scheduler's own words, such as "
        "--partition=gpu; each word is an entry of its own.",
    )
    when: Literal["connect", "menu"] = Field(
        "connect",
        description="connect: submit a job on connecting, if you have none; menu: only by New job.",
    )
    reach: Literal["auto", "ssh", "srun", "direct"] = Field(
        "auto",
        description="How the job's node is reached through the login node. ssh: a login to the "
        "node; srun: a step in the job (Slurm); direct: the node's port. auto: the first that "
        "works, in this order.",
    )

    @property
    def seconds(self) -> int:
        """The time limit to ask for."""
        match = _TIME.fullmatch(self.time)
        assert match is not None
        return _seconds(match)


def option_faults(options: Sequence[str], system: System | None) -> Iterator[tuple[int, str]]:
    """The index and the fault of each option that trayconnect sets itself, that holds a secret, or
    that is none. `system` None: not known yet; then only long options are Slurm's for certain, and
    the others are checked when the login node has told."""
    option, values_left = "", 0
    for index, word in enumerate(options):
        if not word.startswith("-"):
            if not values_left:
                yield index, "must begin with '-': it is an option of sbatch or qsub, word by word"
            elif system != "slurm" and option == "-l" and _TIME_REQUEST.search(word):
                yield index, f"must not contain h_rt or s_rt: {_TIME_KEY}"
            values_left -= 1 if values_left else 0
            continue
        option, values_left = word, _values(word, system)
        known = system or ("slurm" if word.startswith("--") else None)
        key = _key(word, known)
        if names_secret(key):
            yield index, f"must not contain a secret, as {key} seems to be: other users see it"
        elif known is not None and (reason := _OURS[known].get(key)):
            dashes = "--" if word.startswith("--") else "-"
            yield index, f"must not contain {dashes}{key}: {reason}"


def _values(option: str, system: System | None) -> int:
    """How many words may follow an option as its values: Grid Engine has -pe NAME SLOTS."""
    if "=" in option:
        return 0
    return 1 if system == "slurm" or option.startswith("--") else 2


def _key(option: str, system: System | None) -> str:
    """The name of an option. Slurm lets the value follow a letter (-t60)."""
    if option.startswith("--"):
        return option[2:].partition("=")[0]
    return option[1:2] if system == "slurm" else option[1:].partition("=")[0]


def batch_value(value: object) -> object:
    """`true` stands for an empty mapping, and `false` for no mapping."""
    if value is True:
        return {}
    return None if value is False else value
