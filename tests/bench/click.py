"""From the click to the page: `python -m tests.bench.click [--rounds N] [--delay MS]`.

A real JupyterLab behind a real sshd, which `--delay` puts behind a line of that round trip. The
browser is a program in C (`browser.c`) that notes when it starts and when the page's first byte
comes. In turn, in each round:

- `ssh -L`, and the browser at once with the port known: what a person could do at best;
- `trayconnect connect NAME`, the real command to a running app;
- the same without the command's own process: a click in the menu;
- the same in this process, with the moment of each step."""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import lab
from tests.bench.arms import SSH, Route
from tests.bench.table import Cell, markdown, number, text_of
from tests.support.jupyter import JupyterServer
from tests.support.nulls import NoPrompter, NoSecrets
from tests.support.ports import free_port
from tests.support.running import PROGRAM, RunningApp
from tests.support.waiting import wait_for
from trayconnect.alerts.scheduler import AlertScheduler
from trayconnect.config.model import Config, Server
from trayconnect.control.client import ControlClient
from trayconnect.core.command import Command
from trayconnect.core.link import Owner
from trayconnect.core.notices import Notice
from trayconnect.core.progress import Progress, Step
from trayconnect.desktop.default_programs import SystemBrowser
from trayconnect.forwarding.forwarding import listen
from trayconnect.services.jupyter.selection_store import BriefChoices
from trayconnect.services.jupyter.service import over_links
from trayconnect.services.kinds import Services
from trayconnect.services.protocol import Desktop
from trayconnect.sessions.dependencies import Dependencies
from trayconnect.sessions.manager import Manager
from trayconnect.sessions.state import State
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.connector import SshConnector
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts

NAME = "GPU box"
COMMAND, MENU, HERE = "trayconnect connect", "click in the menu", "in one process"
ARMS = (SSH, COMMAND, MENU, HERE)
ADDRESS = re.compile(r"( (with|of|to))? \S*127\.0\.0\.1\S*$")
"""At the end of a step's name; the port is another in each run."""


@dataclass(slots=True)
class Visit:
    """What one click led to, in milliseconds from the click."""

    started: float
    first_byte: float


@dataclass(slots=True)
class Span:
    """A step that took so long, in seconds since the click."""

    name: str
    begin: float
    end: float


class Browser:
    """The browser's program, and what it noted."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._log = folder / "visits"
        self._log.touch()
        self._seen = 0
        self.variable = f"{program} {self._log} %s"
        """For $BROWSER."""

    def command(self, address: str) -> tuple[str, ...]:
        return (str(self._program), str(self._log), address)

    def visit(self, clicked: float) -> Visit:
        """Wait for the next one."""
        line = wait_for(self._next, "the browser", lab.LIMIT)
        begin, first, status = line.split()
        if status not in ("200", "302"):
            raise lab.BenchError(f"The page answered with status {status}")
        return Visit((float(begin) - clicked) * 1e3, (float(first) - clicked) * 1e3)

    def _next(self) -> str:
        lines = self._log.read_text().splitlines(keepends=True)
        if len(lines) <= self._seen or not lines[self._seen].endswith("\n"):
            return ""
        self._seen += 1
        return lines[self._seen - 1]


class Places:
    """A Jupyter, and the way to it."""

    def __init__(self, stack: ExitStack, delay_ms: float) -> None:
        self.jupyter = stack.enter_context(JupyterServer())
        options = {"SetEnv": f"JUPYTER_RUNTIME_DIR={self.jupyter.runtime_dir}"}
        self.route = Route(stack, delay_ms, options)
        folder = self.route.folder
        self.browser = Browser(lab.compiled(folder, "browser"), folder)

    def entry(self) -> dict[str, Any]:
        return {
            "name": NAME,
            "host": "127.0.0.1",
            "port": self.route.port,
            "username": self.route.user,
            "auth": {"identity_file": str(self.route.key)},
        }


def over_ssh(places: Places) -> Visit:
    port = free_port()
    command = places.route.command(SSH, port, places.jupyter.port)
    page = f"http://127.0.0.1:{port}/lab?token={places.jupyter.token}"
    clicked = time.monotonic()
    with lab.process(command), lab.process(places.browser.command(page)):
        return places.browser.visit(clicked)


class Apps:
    """A running app, and what is clicked there."""

    def __init__(self, stack: ExitStack, places: Places) -> None:
        self._places = places
        server = places.entry() | {"local_port": free_port()}
        app = RunningApp(f"servers: [{_flow(server)}]\n", known_hosts=places.route.known)
        app.env["BROWSER"] = places.browser.variable
        self._app = stack.enter_context(app)
        self._control = ControlClient(app.home / "run")

    def by_command(self) -> Visit:
        command = (*PROGRAM, "connect", NAME)

        def click() -> None:
            subprocess.run(
                command, env=self._app.env, check=True, capture_output=True, timeout=lab.LIMIT
            )

        return self._clicked(click)

    def in_menu(self) -> Visit:
        return self._clicked(lambda: self._control.call(Command("connect", NAME), lab.LIMIT))

    def _clicked(self, click: Callable[[], object]) -> Visit:
        clicked = time.monotonic()
        click()
        visit = self._places.browser.visit(clicked)
        self._control.call(Command("disconnect", NAME), lab.LIMIT)
        wait_for(lambda: self._app.status(NAME)["state"] == "off", "the end", lab.LIMIT)
        return visit


def _flow(server: dict[str, Any]) -> str:
    """An entry of the server file as a flow mapping of YAML."""
    parts = (f"{k}: {_flow(v) if isinstance(v, dict) else v}" for k, v in server.items())
    return f"{{{', '.join(parts)}}}"


# --- step by step ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Steps:
    """Notes the steps of one click."""

    clicked: float = field(default_factory=time.monotonic)
    spans: list[Span] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def finished(self, step: Step) -> None:
        """Of the program's own progress."""
        now = time.monotonic()
        self._add(ADDRESS.sub("", step.name), now - step.seconds, now)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.took(name, begin)

    def took(self, name: str, begin: float) -> None:
        """A step that has just ended."""
        self._add(name, begin, time.monotonic())

    def _add(self, name: str, begin: float, end: float) -> None:
        with self._lock:
            count = sum(span.name.partition(", no. ")[0] == name for span in self.spans)
            name = f"{name}, no. {count + 1}" if count else name
            self.spans.append(Span(name, begin - self.clicked, end - self.clicked))


class TimedLink:
    """A link that notes what goes over it."""

    def __init__(self, link: Any, steps: Steps) -> None:  # noqa: ANN401 - passes everything on
        self._link = link
        self._steps = steps

    def execute(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        with self._steps.step("run a command on the server"):
            return self._link.execute(*arguments, **named)

    def carry_own(self, *arguments: Any, **named: Any) -> None:
        begin, on_opened = time.monotonic(), named["on_opened"]

        def opened(owner: Owner) -> None:
            self._steps.took("carry a request to a proven listener", begin)
            on_opened(owner)

        self._link.carry_own(*arguments, **{**named, "on_opened": opened})

    def open_channel(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        with self._steps.step("open a channel"):
            return self._link.open_channel(*arguments, **named)

    def open_own_channel(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        with self._steps.step("open a channel to a proven listener"):
            return self._link.open_own_channel(*arguments, **named)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._link, name)


class TimedConnector:
    """A connector whose links and steps are noted."""

    def __init__(self, ssh: SshConnector, steps: Steps) -> None:
        self._ssh = ssh
        self._steps = steps

    def resolve(self, *arguments: Any) -> Any:  # noqa: ANN401
        with self._steps.step("resolve: ask ssh -G"):
            return self._ssh.resolve(*arguments)

    def connect(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        named["steps"] = Progress(self._steps.finished)
        with self._steps.step("connect, all in all"):
            return TimedLink(self._ssh.connect(*arguments, **named), self._steps)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._ssh, name)


class Quiet:
    """No notices, no windows."""

    def notify(self, notice: Notice) -> None:
        pass

    def withdraw(self, tag: str) -> None:
        pass


def step_by_step(places: Places) -> tuple[Visit, list[Span]]:
    """The manager and all that it needs, in this process; what each step took."""
    server = Server.model_validate(places.entry() | {"local_port": free_port()})
    ssh = SshConnector(
        NoSecrets(),
        known_hosts=KnownHosts((), places.route.known_file),
        agent_socket="",
        identity_files=(),
        ssh_config=lambda: SshConfig(Path("none")),
    )
    steps = Steps()
    browser = SystemBrowser(
        {"BROWSER": places.browser.variable, "XDG_RUNTIME_DIR": str(places.route.folder)}
    )
    work = over_links(BriefChoices())
    examine = work.examine

    def timed_examine(*arguments: Any) -> Any:  # noqa: ANN401
        with steps.step("look at Jupyter, all in all"):
            return examine(*arguments)

    def timed_open(page: Any) -> None:  # noqa: ANN401
        begin = time.monotonic()
        browser.open(page)
        opened.append(begin)

    opened: list[float] = []
    timed_browser = type("TimedBrowser", (), {"open": staticmethod(timed_open)})()
    desktop = Desktop(timed_browser, Quiet(), NoPrompter(), lambda _title, _text: None)
    object.__setattr__(work, "examine", timed_examine)
    connector = TimedConnector(ssh, steps)
    dependencies = Dependencies(
        connector=lambda _server: connector,
        listen=listen,
        prompter=NoPrompter(),
        browser=timed_browser,
        services=Services(desktop, work),
    )
    manager = Manager(dependencies, AlertScheduler(Quiet()))
    with closing(browser):
        manager.start()
        try:
            manager.apply(Config(servers=(server,)))
            manager.settle(lab.LIMIT)
            steps.clicked = time.monotonic()
            manager.do(Command("connect", NAME))
            visit = places.browser.visit(steps.clicked)
            wait_for(lambda: opened, "the browser to be opened", lab.LIMIT)
        finally:
            manager.do(Command("disconnect", NAME))
            manager.wait_until(lambda all_: all_[NAME].state is State.OFF, lab.LIMIT)
            manager.close(lab.LIMIT)
    began = opened[0] - steps.clicked
    started, first = visit.started / 1e3, visit.first_byte / 1e3
    spans = [span for span in steps.spans if span.begin <= began]
    spans.append(Span("start the browser", began, started))
    spans.append(Span("the browser: to the page's first byte", started, first))
    return visit, sorted(spans, key=lambda span: (span.begin, -span.end))


# --- tables ---------------------------------------------------------------------------------------


def visits_table(visits: dict[str, list[Visit]]) -> str:
    rows = []
    for title, attribute in (
        ("to the browser's start, ms", "started"),
        ("to the page's first byte, ms", "first_byte"),
    ):
        cells = {arm: Cell([getattr(visit, attribute) for visit in visits[arm]]) for arm in ARMS}
        if attribute == "started":  # that of `ssh -L` is started with it
            cells[SSH] = Cell()
        rows.append([title, *(text_of(cells[arm], cells[SSH], spread=True) for arm in ARMS)])
    return markdown(["from the click", *ARMS], rows)


def steps_table(runs: list[list[Span]]) -> str:
    names = list(dict.fromkeys(span.name for spans in runs for span in spans))
    found = {
        name: [span for spans in runs for span in spans if span.name == name] for name in names
    }
    common = [name for name in names if len(found[name]) * 2 > len(runs)]
    begins = {name: statistics.median(span.begin for span in found[name]) for name in common}
    rows = []
    for name in sorted(common, key=begins.__getitem__):
        took = statistics.median(span.end - span.begin for span in found[name])
        rows.append([name, number(begins[name] * 1e3), number(took * 1e3)])
    return markdown(["step", "begins at ms", "takes ms"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.click")
    parser.add_argument("--rounds", type=lab.positive, default=7)
    parser.add_argument(
        "--delay", type=lab.milliseconds, default=0.0, help="round trip of the line, in ms"
    )
    options = parser.parse_args()
    visits: dict[str, list[Visit]] = {arm: [] for arm in ARMS}
    runs: list[list[Span]] = []
    before = lab.load_average()
    with ExitStack() as stack:
        places = Places(stack, options.delay)
        apps = Apps(stack, places)

        def here() -> Visit:
            visit, spans = step_by_step(places)
            runs.append(spans)
            return visit

        arms = {
            SSH: lambda: over_ssh(places),
            COMMAND: apps.by_command,
            MENU: apps.in_menu,
            HERE: here,
        }
        for number_of in range(-1, options.rounds):  # the first one is a warm-up
            for arm, click in arms.items():
                visit = click()
                if number_of >= 0:
                    visits[arm].append(visit)
    where = f"over a line of {options.delay:g} ms round trip" if options.delay else "on loopback"
    print(
        f"Medians of {options.rounds} interleaved rounds {where}; in brackets the ratio to ssh -L "
        f"with the port known, and the spread. {lab.conditions()}; load average {before} before, "
        f"{lab.load_average()} after.\n"
    )
    print(visits_table(visits))
    print("\nThe steps of the last arm; some overlap.\n")
    print(steps_table(runs[1:]))


if __name__ == "__main__":
    lab.run(main)
