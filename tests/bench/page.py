"""JupyterLab in a real Chromium, through the arms: `python -m tests.bench.page`.

Each visit starts a Chromium with a profile of its own. It loads the page twice: with nothing in its
cache and no connection open, then once more. The time is the page's own, from the navigation to
JupyterLab's launcher on the screen with its kernels."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import lab
from tests.bench.arms import PLAIN, PROVEN, SSH, Arm, FailedError, Route
from tests.bench.table import Cell, markdown, text_of
from tests.support.chromium import Chromium
from tests.support.devtools import Tab
from tests.support.jupyter import JupyterServer

NAMES = (SSH, PROVEN, PLAIN)
COLD, WARM = "first visit, ms", "second visit, ms"
_BLANK = "data:text/html,blank"
_WATCH = """
new MutationObserver((_, observer) => {
  if (document.querySelector('.jp-LauncherCard')) {
    window.tcReady = performance.now();
    observer.disconnect();
  }
}).observe(document, {childList: true, subtree: true});
"""
_REQUESTS = "performance.getEntriesByType('resource').length"


@dataclass(slots=True)
class Visits:
    """Milliseconds by row and arm."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: {COLD: {}, WARM: {}})
    requests: int = 0
    """Of the first visit."""

    def add(self, row: str, arm: str, value: float) -> None:
        self.values[row].setdefault(arm, []).append(value)

    def table(self, names: Sequence[str]) -> str:
        rows = []
        for title, by_arm in self.values.items():
            cells = {name: Cell(by_arm.get(name, ())) for name in names}
            base = cells.get(SSH, Cell())
            rows.append([title, *(text_of(cells[name], base, spread=True) for name in names)])
        return markdown([f"{self.requests} requests", *names], rows)


@contextmanager
def browser() -> Iterator[Tab]:
    """A tab of a Chromium without a window, with a profile of its own."""
    with tempfile.TemporaryDirectory(prefix="tc-page-", ignore_cleanup_errors=True) as folder:
        chromium = Chromium(Path(folder))
        command = (str(chromium.command), "--headless=new", _BLANK)
        environment = {"TMPDIR": folder}
        with lab.process(command, env=environment), Tab(chromium, _BLANK) as tab:
            tab.call("Page.enable")
            tab.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
            yield tab


def visit(arm: Arm, token: str, visits: Visits, *, counts: bool) -> None:
    """Load the page twice."""
    page = f"http://127.0.0.1:{arm.port}/lab?token={token}"
    with browser() as tab:
        for row in (COLD, WARM):
            tab.call("Page.navigate", url=page)
            milliseconds = float(tab.until("window.tcReady", lab.LIMIT))
            if counts:
                visits.add(row, arm.name, milliseconds)
            if row == COLD:
                visits.requests = int(tab.evaluate(_REQUESTS))
            tab.call("Page.navigate", url=_BLANK)
            tab.until("document.body.innerText === 'blank'", lab.LIMIT)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=lab.LIMIT) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def measure(rounds: int, round_trip_ms: float = 0.0) -> None:
    """Measure, and print the table. Raises `BenchError`."""
    if shutil.which("chromium") is None:
        raise lab.BenchError("This needs Chromium: on Debian, apt-get install chromium")
    before = lab.load_average()
    visits = Visits()
    with ExitStack() as stack:
        jupyter = stack.enter_context(JupyterServer())
        route = Route(stack, round_trip_ms)
        arms = []
        for name in NAMES:
            try:
                arms.append(route.start(name, jupyter.port, _answers))
            except FailedError as error:
                print(f"{name} did not start: {error}")
        for number in range(-1, rounds):  # the first one is a warm-up of JupyterLab
            begin = number % len(arms)
            for arm in arms[begin:] + arms[:begin] if number >= 0 else arms[:1]:
                visit(arm, jupyter.token, visits, counts=number >= 0)
    where = f"over a line of {round_trip_ms:g} ms round trip" if round_trip_ms else "on loopback"
    print(
        f"\nJupyterLab in Chromium {where}: medians of {rounds} interleaved rounds, with the ratio "
        f"to {SSH} and the spread. Load average {before} before, {lab.load_average()} after.\n"
    )
    print(visits.table(NAMES))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page")
    parser.add_argument("--rounds", type=lab.positive, default=5)
    parser.add_argument("--delay", type=lab.milliseconds, default=0.0, help="round trip in ms")
    options = parser.parse_args()
    measure(options.rounds, options.delay)


if __name__ == "__main__":
    lab.run(main)
