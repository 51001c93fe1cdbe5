"""The speed of the forward, beside `ssh -L` and `sshtunnel`: `python -m tests.bench [ROUNDS]`.

Everything is on loopback: a real sshd, a service and a load in C (`load.c`, compiled with the
system's cc). The arms run in turn within each round, so that a machine whose speed drifts slows
them alike; the medians are printed, and their ratios to `ssh -L`, as a Markdown table.

`python -m tests.bench.idle` measures an idle app, `python -m tests.bench.startup` its start.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd

MB = 1_000_000
BULK = 200 * MB
LIMIT = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the load told."""

    seconds: float
    p50: float
    p99: float
    errors: int


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the table."""

    title: str
    load: tuple[str, ...]
    value: Callable[[Outcome], float]
    more_is_better: bool


def bulk(outcome: Outcome) -> float:
    return BULK / MB / outcome.seconds


MEASURES = (
    Measure("download, 1 stream, MB/s", ("down", str(BULK), "1"), bulk, True),
    Measure("download, 4 streams, MB/s", ("down", str(BULK), "4"), bulk, True),
    Measure("upload, 1 stream, MB/s", ("up", str(BULK), "1"), bulk, True),
    Measure("upload, 4 streams, MB/s", ("up", str(BULK), "4"), bulk, True),
    Measure("1 byte there and back, p50 µs", ("ping", "2000"), lambda o: o.p50, False),
    Measure("1 byte there and back, p99 µs", ("ping", "2000"), lambda o: o.p99, False),
    # The median, not their number a second: some of those of `ssh -L` take 45 ms on loopback (its
    # p99; the cause is not known), and would make everything else look fast.
    Measure(
        "connect, 1 byte, close, one by one, p50 µs",
        ("connect", "200", "1", "1"),
        lambda o: o.p50,
        False,
    ),
    Measure(
        "new connections a second, 32 at once",
        ("connect", "400", "32", "1"),
        lambda o: 400 / o.seconds,
        True,
    ),
    Measure(
        "100 requests of 50 KB, 6 at once, ms",
        ("connect", "100", "6", "50000"),
        lambda o: o.seconds * 1000,
        False,
    ),
)


@contextmanager
def process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A child, killed at the end."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def run_load(load: Path, measure: Measure, port: int) -> Outcome:
    kind, *numbers = measure.load
    command = (str(load), kind, str(port), *numbers)
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT)
    seconds, p50, p99, errors = printed.stdout.split()
    return Outcome(float(seconds), float(p50), float(p99), int(errors))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Arms:
    """The forwarders under test, each on its own local port."""

    def __init__(self, stack: ExitStack, folder: Path, load: Path) -> None:
        sshd = stack.enter_context(Sshd())
        # The package asks for RSA where it can; ed25519 is what people have.
        key = make_key(folder)
        sshd.authorize(key)
        known = folder / "known_hosts"
        known.write_text("\n".join(sshd.known_hosts_lines()) + "\n")
        service = stack.enter_context(process((str(load), "serve")))
        assert service.stdout is not None
        remote = int(service.stdout.readline())
        ports = {name: free_port() for name in ("ssh -L", "trayconnect", "sshtunnel")}
        common = (sshd.host, str(sshd.port), sshd.username, str(key), str(known))
        ssh = (
            *("ssh", "-F", "none", "-N", "-i", str(key), "-p", str(sshd.port)),
            *("-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes"),
            *("-o", "ExitOnForwardFailure=yes", "-L"),
            f"127.0.0.1:{ports['ssh -L']}:127.0.0.1:{remote}",
            f"{sshd.username}@{sshd.host}",
        )
        commands: dict[str, tuple[str, ...]] = {"ssh -L": ssh}
        for name, module in (("trayconnect", "ours"), ("sshtunnel", "sshtunnel_arm")):
            local = str(ports[name])
            commands[name] = (
                *(sys.executable, "-m", f"tests.bench.{module}"),
                *(*common, local, str(remote)),
            )
        self.ports: dict[str, int] = {}
        self.pids: dict[str, int] = {}
        self.missing: dict[str, str] = {}
        for name, command in commands.items():
            child = stack.enter_context(process(command))
            if _answers(load, ports[name], child):
                self.ports[name], self.pids[name] = ports[name], child.pid
            else:
                self.missing[name] = "did not start"


def _answers(load: Path, port: int, child: subprocess.Popen[str]) -> bool:
    once = Measure("", ("connect", "1", "1", "1"), lambda o: o.seconds, False)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and child.poll() is None:
        if run_load(load, once, port).errors == 0:
            return True
        time.sleep(0.1)
    return False


def main(rounds: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tc-bench-")))
        load = folder / "load"
        source = Path(__file__).with_name("load.c")
        subprocess.run(("cc", "-O2", "-pthread", "-o", load, source), check=True, timeout=LIMIT)
        arms = Arms(stack, folder, load)
        values: dict[tuple[str, str], list[float]] = {}
        cpu: dict[str, list[float]] = {}
        failed: dict[tuple[str, str], int] = {}
        for name, port in arms.ports.items():  # a warm-up
            run_load(load, MEASURES[0], port)
            run_load(load, MEASURES[2], port)
            cpu[name] = []
        for number in range(rounds):
            names = list(arms.ports)
            names = names[number % len(names) :] + names[: number % len(names)]
            for measure in MEASURES:
                for name in names:
                    before = cpu_seconds(arms.pids[name])
                    outcome = run_load(load, measure, arms.ports[name])
                    spent = cpu_seconds(arms.pids[name]) - before
                    key = (measure.title, name)
                    failed[key] = failed.get(key, 0) + outcome.errors
                    values.setdefault(key, []).append(measure.value(outcome))
                    if measure.load[0] in ("down", "up"):
                        cpu[name].append(spent / (BULK / 1e9))
        _print(arms, values, cpu, failed, rounds)


def _print(
    arms: Arms,
    values: dict[tuple[str, str], list[float]],
    cpu: dict[str, list[float]],
    failed: dict[tuple[str, str], int],
    rounds: int,
) -> None:
    names = list(arms.ports)
    print(f"Medians of {rounds} interleaved rounds on loopback; in brackets the ratio to ssh -L.\n")
    print("| |" + "|".join(f" {name} " for name in names) + "|")
    print("|---|" + "---|" * len(names))
    for measure in MEASURES:
        base = statistics.median(values[measure.title, "ssh -L"])
        cells = []
        for name in names:
            median = statistics.median(values[measure.title, name])
            errors = failed[measure.title, name]
            note = f", {errors} errors" if errors else ""
            ratio = "" if name == "ssh -L" else f" ({median / base:.2f}{note})"
            cells.append(f" {median:,.0f}{ratio} ")
        print(f"| {measure.title} |" + "|".join(cells) + "|")
    seconds = [f" {statistics.median(cpu[name]):.2f} " for name in names]
    print("| client CPU seconds a GB |" + "|".join(seconds) + "|")
    for name, why in arms.missing.items():
        print(f"\n{name} is missing: it {why}.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
