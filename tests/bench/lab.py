"""What the benchmarks share: programs in C, child processes, and a line with a delay."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest

LIMIT = 120.0
"""Seconds for any one thing; a busy machine takes its time."""
MOST_DELAY_MS = 2000.0
INTERRUPTED = 130


class BenchError(Exception):
    """Why nothing can be measured, for people."""


def compiled(folder: Path, name: str) -> Path:
    """The program of `NAME.c` beside this file, compiled into `folder`. Raises `BenchError`."""
    program = folder / name
    source = Path(__file__).with_name(f"{name}.c")
    try:
        subprocess.run(
            ("cc", "-O2", "-pthread", "-o", program, source),
            check=True, capture_output=True, text=True, timeout=LIMIT,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise BenchError(
            "The benchmarks need a C compiler: on Debian and Ubuntu, apt-get install gcc libc6-dev"
        ) from error
    except subprocess.CalledProcessError as error:
        raise BenchError(f"{source.name} does not compile:\n{error.stderr}") from error
    return program


@contextmanager
def process(
    command: Sequence[str], log: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A child in a session of its own, so that Ctrl+C does not reach it; killed at the end, with
    its own children. `log` gets its messages; `env` lays over the environment."""
    with (log or Path(os.devnull)).open("a") as messages:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            env={**os.environ, **(env or {})},
            text=True,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


@contextmanager
def listening(*command: str) -> Iterator[int]:
    """A program in C that prints the port it listens on."""
    with process(command) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line.strip().isdecimal():
            raise BenchError(f"{command[0]} did not start")
        yield int(line)


@contextmanager
def line_to(port: int, delay: Path, round_trip_ms: float) -> Iterator[int]:
    """The port at the near end of a line to `port`; the same one where the line has no delay."""
    if round_trip_ms:
        with listening(str(delay), str(port), f"{round_trip_ms / 2}") as near:
            yield near
    else:
        yield port


def positive(text: str) -> int:
    """A number of rounds, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return int(text)


def milliseconds(text: str) -> float:
    """A round trip, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_DELAY_MS:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to {MOST_DELAY_MS:g}")
    return value


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Weight:
    """What a process holds."""

    threads: int
    resident: float
    """Megabytes of memory, those that it shares with other processes included."""
    proportional: float
    """The same, but of those only its share (PSS)."""


def weight(pid: int) -> Weight:
    """What a process holds now."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])

    def megabytes(name: str) -> float:
        return int(fields[name].split()[0]) * 1024 / 1e6

    return Weight(threads(pid), megabytes("Rss"), megabytes("Pss"))


def threads(pid: int) -> int:
    """How many threads a process has now."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def load_average() -> str:
    """The load of the last minute, for people."""
    return f"{os.getloadavg()[0]:.2f}"


def conditions() -> str:
    """What the numbers depend on, beside the machine."""
    ssh = subprocess.run(("ssh", "-V"), capture_output=True, text=True, timeout=LIMIT, check=False)
    python = ".".join(str(part) for part in sys.version_info[:3])
    return f"{ssh.stderr.strip()}; Python {python}; {os.cpu_count()} processors"


def run(main: Callable[[], None]) -> None:
    """Run a benchmark to its end, or until Ctrl+C or SIGTERM, after which it cleans up."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the next one would interrupt the cleaning up
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        main()
    except (BenchError, AssertionError, pytest.skip.Exception) as error:
        sys.exit(str(error))  # also what the helpers of the tests say where a peer is missing
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is not there: install what make bench names, and try again")
    except KeyboardInterrupt:
        print("\nStopped: nothing is left behind.", file=sys.stderr)
        sys.exit(INTERRUPTED)
