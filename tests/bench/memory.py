"""Threads and memory of many connections and many tunnels: `python -m tests.bench.memory`.

Connections: a tunnel in a process of its own (`ours`), to a service in C. Tunnels: the real app
without an icon, with so many entries of one sshd and one JupyterLab behind it."""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.bench import lab, ours
from tests.bench.arms import OURS, SSH, Arm, Route
from tests.bench.load import Place
from tests.bench.table import markdown, number
from tests.support.jupyter import JupyterServer
from tests.support.ports import free_port
from tests.support.running import RunningApp
from tests.support.waiting import wait_for
from trayconnect.control.client import ControlClient
from trayconnect.core.command import Command

AT_ONCE = 200
IDLE = 100
ECHO = f"{'e0':<16}".encode()
"""A request to the service: see `load.c`."""


class Peak(threading.Thread):
    """The most threads that a process has had."""

    def __init__(self, pid: int) -> None:
        super().__init__(name="peak", daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.most = 0

    def run(self) -> None:
        while not self._over.is_set():
            self.most = max(self.most, lab.threads(self._pid))
            time.sleep(0.001)

    def stop(self) -> int:
        self._over.set()
        self.join(lab.LIMIT)
        return self.most


@contextmanager
def connections(port: int, count: int) -> Iterator[None]:
    """So many at once, each of which has carried a byte there and back."""
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), lab.LIMIT))
            sock.sendall(ECHO + b"x")
            opened.append(sock)
        for sock in opened:
            if sock.recv(1) != b"x":
                raise lab.BenchError("A connection was closed")
        yield


def of_connections(place: Place, arm: Arm) -> list[str]:
    """A row of the first table."""
    assert arm.child is not None
    pid = arm.child.pid
    before = lab.weight(pid)
    peak = Peak(pid)
    peak.start()
    with connections(arm.port, AT_ONCE):
        pass
    most = peak.stop()
    wait_for(lambda: place.answers(arm.port), "the forwarder", lab.LIMIT)
    with connections(arm.port, IDLE):
        held = lab.weight(pid)
    return [
        arm.name,
        str(before.threads),
        str(most),
        str(held.threads),
        number(before.resident),
        number(held.resident - before.resident),
        number(held.proportional - before.proportional),
    ]


def switch_intervals(route: Route) -> str:
    """How long a thread of this process may compute before another one runs."""
    before = sys.getswitchinterval()
    arguments = ("127.0.0.1", str(route.port), route.user, str(route.key), str(route.known_file))
    link, forwarding = ours.forward(*arguments, str(free_port()), "1")
    during = sys.getswitchinterval()
    link.close()
    forwarding.close()
    after = sys.getswitchinterval()
    texts = [f"{seconds * 1e3:g} ms" for seconds in (before, during, after)]
    return f"Switch interval: {texts[0]} before, {texts[1]} with a tunnel, {texts[2]} after it."


def interpreter() -> lab.Weight:
    """What Python alone holds."""
    program = "import time; print('ready', flush=True); time.sleep(600)"
    with lab.process((sys.executable, "-c", program)) as child:
        assert child.stdout is not None
        child.stdout.readline()
        return lab.weight(child.pid)


class App:
    """The real app with so many servers, each the same sshd and the same JupyterLab."""

    def __init__(self, stack: ExitStack, count: int) -> None:
        jupyter = stack.enter_context(JupyterServer())
        environment = f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"
        route = Route(stack, 0.0, {"SetEnv": environment, "MaxStartups": str(2 * count)})
        self.names = [f"server {number}" for number in range(count)]
        entries = "".join(
            f"  - {{name: {name}, host: 127.0.0.1, port: {route.port}, username: {route.user},"
            f" local_port: {free_port()}, open_browser: false,"
            f" auth: {{identity_file: {route.key}}}}}\n"
            for name in self.names
        )
        self._app = stack.enter_context(RunningApp(f"servers:\n{entries}", known_hosts=route.known))
        self._control = ControlClient(self._app.home / "run")

    def connect(self, names: Sequence[str]) -> None:
        """Connect these, and wait until the page of each answers."""
        for name in names:
            self._control.call(Command("connect", name), lab.LIMIT)
        wait_for(lambda: self._are_ready(names), "the pages", 5 * lab.LIMIT)

    def row(self, title: str) -> list[str]:
        return _row(title, lab.weight(self._app.pid))

    def _are_ready(self, names: Sequence[str]) -> bool:
        data: Any = self._control.call(Command("status"), lab.LIMIT).data
        ready = {
            one["name"] for one in data["servers"] if one["reached"] in ("jupyter", "logged_in")
        }
        return ready.issuperset(names)


def _row(title: str, held: lab.Weight) -> list[str]:
    return [title, str(held.threads), number(held.resident), number(held.proportional)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory")
    parser.add_argument("--tunnels", type=lab.positive, default=50)
    options = parser.parse_args()
    print(f"{lab.conditions()}. Load average {lab.load_average()} before.\n")
    with ExitStack() as stack:
        place = Place(stack, 0.0)
        rows = [of_connections(place, place.start(name)) for name in (OURS, SSH)]
        intervals = switch_intervals(place.route)
    head = (
        "one tunnel", "threads", f"most at {AT_ONCE} connections", f"at {IDLE} idle ones",
        "resident MB", f"more at {IDLE} idle ones", "the same, PSS",
    )  # fmt: skip
    print(f"{markdown(head, rows)}\n\n{intervals}")
    with ExitStack() as stack:
        rows = [_row("Python alone", interpreter())]
        app = App(stack, options.tunnels)
        rows.append(app.row("the app, nothing connected"))
        app.connect(app.names[:1])
        rows.append(app.row("1 tunnel"))
        app.connect(app.names)
        rows.append(app.row(f"{options.tunnels} tunnels"))
    print(f"\n{markdown(('the app', 'threads', 'resident MB', 'PSS MB'), rows)}")
    print(f"\nLoad average {lab.load_average()} after.")


if __name__ == "__main__":
    lab.run(main)
