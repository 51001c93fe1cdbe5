"""The entry's `batch`: how Jupyter is submitted as a job of the cluster's scheduler."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, PrivateAttr, WithJsonSchema

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
_ALONE = "hHOQsuvVW"
"""Slurm's letters that take no value."""
_MAY_HAVE = "k"
"""That may have one, without a space."""
_VALUED = frozenset(
    re.findall(
        r"\S+",
        "account acctg-freq bb bbf begin cluster-constraint constraint container core-spec "
        "cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency "
        "distribution exclude extra extra-node-info gid gpu-bind gpu-freq gpus gpus-per-node "
        "gpus-per-socket gpus-per-task gres gres-flags hint input licenses mail-type mail-user "
        "mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus network nodefile nodelist nodes "
        "ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket open-mode "
        "partition power prefer priority profile qos reservation signal sockets-per-node switches "
        "thread-spec threads-per-core time-min tmp tres-bind tres-per-task uid wckey",
    )
)
"""Slurm's long options that need a value."""
_GE_ALONE = frozenset(("clear", "h", "hard", "noshell", "nostdin", "notify", "soft"))
_GE_ONE = "a A ar c ckpt dl hold_jid hold_jid_ad i js jsv l m M masterq p P q R shell tc w"
_GE_VALUES = dict.fromkeys(_GE_ONE.split(), (1, 1)) | {"binding": (1, 2), "pe": (2, 2)}
"""How many words must, and how many may follow the others of Grid Engine."""
_TIME_REQUEST = re.compile(r"(?:^|,)\s*(?:h_rt|s_rt)\s*=")
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
        raise ValueError(f"must be one word: write {joined}")
    return value


Time = Annotated[
    str,
    AfterValidator(_time),
    # Some readers of YAML take 4:00:00 for a number in base 60.
    WithJsonSchema({"type": ["string", "integer"], "pattern": _TIME_PATTERN}),
]
Option = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_option)]


class Lines(NamedTuple):
    """Where values stand in the file, from 1; 0: nowhere."""

    batch: int = 0
    time: int = 0
    options: tuple[int, ...] = ()


NO_LINES = Lines()


class BatchOptions(Frozen):
    """How Jupyter is submitted as a job of the cluster's scheduler."""

    _lines: Lines = PrivateAttr(NO_LINES)

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
    def lines(self) -> Lines:
        """Where it stands in the file that it was read from."""
        return self._lines

    def read_from(self, lines: Lines) -> None:
        """Note where it stands, once it is read."""
        self._lines = lines

    def __eq__(self, other: object) -> bool:
        """Whether all values are equal, wherever they stand."""
        return isinstance(other, BatchOptions) and self.__dict__ == other.__dict__

    @property
    def seconds(self) -> int:
        """The time limit to ask for."""
        match = _TIME.fullmatch(self.time)
        assert match is not None
        return _seconds(match)


def option_faults(options: Sequence[str], system: System | None) -> Iterator[tuple[int, str]]:
    """The index and the fault of each option that trayconnect sets itself, that holds a secret,
    that is none, or that would take the next option for its value. `system` None: not known yet;
    then only long options are Slurm's for certain, and the others are checked when the login node
    has told."""
    index = 0
    while index < len(options):
        word = options[index]
        known = system or ("slurm" if word.startswith("--") else None)
        least, most = _values(word, known)
        values = _words(options[index + 1 : index + 1 + most], known)
        if not word.startswith("-"):
            yield index, _not_an_option(options[index - 1] if index else "", system)
        elif not word.strip("-"):
            yield (
                index,
                f"must be an option, not {word}: sbatch and qsub would read no more of them",
            )
        elif fault := next(_key_faults(word, known), None):
            yield index, fault
        elif len(values) < least and word.startswith("--"):
            yield index, f"must have a value: write {word}=VALUE"
        elif len(values) < least:
            yield index, f"must have a value, as the next entry: write [{word}, VALUE]"
        for offset, value in enumerate(values, 1):
            if known != "slurm" and word == "-l" and _TIME_REQUEST.search(value):
                yield index + offset, f"must not contain h_rt or s_rt: {_TIME_KEY}"
            if known == "gridengine" and word == "-w" and value in ("v", "p"):
                yield index + offset, f"must not be {value} after -w: qsub would submit nothing"
        index += 1 + len(values)


def _not_an_option(before: str, system: System | None) -> str:
    if system != "gridengine" and before.startswith("--") and "=" not in before:
        return f"must begin with '-', or be joined to the option before it: write {before}=VALUE"
    return "must begin with '-': it is an option of sbatch or qsub, word by word"


def _key_faults(option: str, system: System | None) -> Iterator[str]:
    for key in _keys(option, system):
        dashes = "--" if option.startswith("--") else "-"
        if names_secret(key):
            yield f"must not contain a secret, as {key} seems to be: other users see it"
        if system is None:
            continue
        ours = _OURS[system]
        # sbatch takes the beginning of a long name for the whole.
        whole = key
        if system == "slurm" and dashes == "--" and key not in ours:
            whole = next((name for name in ours if len(name) > 1 and name.startswith(key)), key)
        if reason := ours.get(whole):
            short = "" if whole == key else f", short for {dashes}{whole}"
            yield f"must not contain {dashes}{key}{short}: {reason}"


def _values(option: str, system: System | None) -> tuple[int, int]:
    """How many words must, and how many may follow an option as its values."""
    if system is None or not option.startswith("-"):
        return 0, 2 if option.startswith("-") else 0
    if option.startswith("--"):
        return int(system == "slurm" and option[2:] in _VALUED), 0
    if system == "slurm":
        last = option[-1:]
        takes = len(_keys(option, system)) == len(option) - 1 and last not in _ALONE + _MAY_HAVE
        return int(takes), int(takes)
    if "=" in option or option[1:] in _GE_ALONE:
        return 0, 0
    return _GE_VALUES.get(option[1:], (0, 1))


def _words(behind: Sequence[str], system: System | None) -> list[str]:
    """The values that an option begins with. Grid Engine has negative priorities."""
    begins = r"-[^0-9].*|-" if system != "slurm" else r"-.*"
    is_value = re.compile(f"(?!{begins}$)").match
    return list(itertools.takewhile(is_value, behind))


def _keys(option: str, system: System | None) -> list[str]:
    """The names in an option. Slurm lets further letters follow one that takes no value (-Hn1), and
    the value follow its letter."""
    if option.startswith("--"):
        return [option[2:].partition("=")[0]]
    if system != "slurm":
        return [option[1:].partition("=")[0]]
    alone = len(option[1:]) - len(option[1:].lstrip(_ALONE))
    return list(option[1 : 2 + alone])


def batch_value(value: object) -> object:
    """`true` stands for an empty mapping, and `false` for no mapping."""
    if value is True:
        return {}
    return None if value is False else value
