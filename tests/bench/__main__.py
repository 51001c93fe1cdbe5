"""The speed of the forward, beside `ssh -L` and its peers: `python -m tests.bench`.

A real sshd, a service and a load in C (`load.c`); the far rows go through a line with a delay in C
(`delay.c`), which lies between the forwarder and sshd. The arms run in turn within each round, so
that a machine whose speed drifts slows them alike. It prints Markdown tables and stores nothing.

Beside it: `python -m tests.bench.click` (from the click to the page), `…page` (JupyterLab in
Chromium), `…idle` (an idle app, threads, memory), `…startup` (the icon)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.bench import lab, page
from tests.bench.arms import NAMES, PLAIN, PROVEN, SSH, Arm, FailedError
from tests.bench.load import Place
from tests.bench.measures import BULK, CPU, FAIR, NEAR, Run, far
from tests.bench.table import Cell, markdown, text_of

GB = 1e9
PARTS = ("near", "fair", "far")
NOTES = {
    PROVEN: "a forward to Jupyter, where each connection first proves who owns the listener; "
    "the other columns are plain forwards",
    "asyncssh": "its default cipher",
    "sshtunnel": "its default cipher",
    PLAIN: "the same load over the same line without a forwarder",
}


@dataclass(slots=True)
class Results:
    """The values by row and arm, in the order of their arrival."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    errors: dict[tuple[str, str], int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Arms that did not start, or ended, and why."""

    def add(self, row: str, arm: str, value: float) -> None:
        self.values.setdefault(row, {}).setdefault(arm, []).append(value)

    def fail(self, row: str, arm: str) -> None:
        self.values.setdefault(row, {})
        self.errors[row, arm] = self.errors.get((row, arm), 0) + 1

    def table(self, names: Sequence[str], *, spread: bool) -> str:
        rows = []
        for title, by_arm in self.values.items():
            cells = {
                name: Cell(by_arm.get(name, ()), self.errors.get((title, name), 0))
                for name in names
            }
            base = cells.get(SSH, Cell())
            rows.append([title, *(text_of(cells[n], base, spread=spread) for n in names)])
        return markdown(["", *names], rows)


class Bench:
    """The rounds of one place."""

    def __init__(self, place: Place, names: Sequence[str], title: str) -> None:
        self._place = place
        self._title = title
        self.results = Results()
        self._arms: dict[str, Arm] = {}
        for name in names:
            self._say(f"starting {name}")
            try:
                self._arms[name] = place.start(name)
            except FailedError as error:
                self.results.missing[name] = f"did not start: {error}"

    def rounds(self, runs: Sequence[Run], rounds: int) -> None:
        self._warm_up()
        for number in range(rounds):
            names = list(self._arms)
            begin = number % max(1, len(names))
            spent = {name: [0.0, 0.0] for name in names}  # CPU seconds, for so many GB
            for run in runs:
                for name in names[begin:] + names[:begin]:
                    self._say(f"round {number + 1} of {rounds}: {run.rows[0].title}: {name}")
                    if name in self._arms:
                        cpu = self._run(self._arms[name], run)
                        if cpu is not None and run.moved:
                            spent[name][0] += cpu
                            spent[name][1] += run.moved / GB
            for name, (cpu, moved) in spent.items():
                if moved and name != PLAIN:
                    self.results.add(CPU, name, cpu / moved)
        self._say("")

    def _warm_up(self) -> None:
        for arm in list(self._arms.values()):
            try:
                for way in ("down", "up"):
                    self._place.run(arm.port, (way, str(BULK // 10), "1"))
            except FailedError as error:
                self._lose(arm, str(error))

    def _run(self, arm: Arm, run: Run) -> float | None:
        """Returns the CPU seconds that it took; None if it failed."""
        before = arm.cpu()
        try:
            outcome = self._place.run(arm.port, run.load)
        except FailedError:
            outcome = None
        if outcome is not None and not outcome.errors:
            for row in run.rows:
                self.results.add(row.title, arm.name, row.value(outcome))
            return arm.cpu() - before
        for row in run.rows:
            self.results.fail(row.title, arm.name)
        if not self._place.answers(arm.port):
            self._lose(arm, arm.why())
        return None

    def _lose(self, arm: Arm, why: str) -> None:
        del self._arms[arm.name]
        self.results.missing[arm.name] = f"was lost on the way: {why}"

    def _say(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{f'{self._title}, ' if text else ''}{text}", end="", file=sys.stderr)


def measure(title: str, delay: float, runs: Sequence[Run], options: argparse.Namespace) -> None:
    """Measure in one place, and print the table."""
    before = lab.load_average()
    with ExitStack() as stack:
        bench = Bench(Place(stack, delay), options.arms, title)
        bench.rounds(runs, options.rounds)
    print(f"\n{title}. Load average {before} before, {lab.load_average()} after.\n")
    print(bench.results.table(options.arms, spread=options.spread))
    for name, why in bench.results.missing.items():
        print(f"\n{name} {why}")
    sys.stdout.flush()


def _names(text: str) -> list[str]:
    """Arms by the beginnings of their names."""
    chosen = [name for name in NAMES if name.startswith(tuple(text.split(",")))]
    if not chosen:
        raise argparse.ArgumentTypeError(f"{text} begins none of: {', '.join(NAMES)}")
    return chosen


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if wrong := [part for part in parts if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"{wrong[0]} is none of: {', '.join(PARTS)}")
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    add = parser.add_argument
    add("--rounds", type=lab.positive, default=5)
    add("--only", type=_parts, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    add("--arms", type=_names, default=list(NAMES), help="the beginnings of some names: ssh,tray")
    add("--delay", type=lab.milliseconds, action="append", help="round trip of the far rows, in ms")
    add("--spread", action="store_true", help="show the smallest and the largest value, too")
    add(
        "--page", action="store_true", help="load JupyterLab in Chromium, too: see tests.bench.page"
    )
    options = parser.parse_args()
    print(
        f"Medians of {options.rounds} interleaved rounds; in brackets the ratio to {SSH} with its "
        f"default cipher. {lab.conditions()}."
    )
    for name in options.arms:
        if name in NOTES:
            print(f"- {name}: {NOTES[name]}.")
    near = [*(NEAR if "near" in options.only else ()), *(FAIR if "fair" in options.only else ())]
    if near:
        measure("On loopback", 0.0, near, options)
    if "far" in options.only:
        for delay in options.delay or [40.0]:
            measure(f"Over a line of {delay:g} ms round trip", delay, far(delay), options)
    if options.page:
        page.measure(options.rounds)


if __name__ == "__main__":
    lab.run(main)
