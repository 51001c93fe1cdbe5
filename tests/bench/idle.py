"""What the app costs while nothing happens: `python -m tests.bench.idle [SECONDS]`.

CPU seconds, voluntary context switches (wake-ups), threads and memory of the whole process, in a
real panel: with nothing connected; with one server connected and green, first without a heartbeat
to speak of (one in 10 minutes), then with the usual one, each after the first checks of its page,
which are complete ones; and while the icon moves for a server that takes the connection and says
nothing. The wake-ups of threads that have ended are not counted."""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.bench.lab import conditions, cpu_seconds, load_average, run, weight
from tests.bench.table import number
from tests.support.desktop import Desktop
from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.running import LIMIT, RunningApp
from tests.support.sshd import Sshd
from trayconnect.services.base import POLL_READY
from trayconnect.tray.view import IconState

QUIET_SECONDS = 600
SETTLED_SECONDS = 2 * POLL_READY + 10


def wake_ups(pid: int) -> dict[int, int]:
    """Voluntary context switches of each thread."""
    counts = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    counts[int(task.name)] = int(line.split()[1])
    return counts


def measure(title: str, pid: int, seconds: float) -> None:
    cpu, switches = cpu_seconds(pid), wake_ups(pid)
    time.sleep(seconds)
    spent = cpu_seconds(pid) - cpu
    woken = sum(count - switches.get(thread, 0) for thread, count in wake_ups(pid).items())
    held = weight(pid)
    cells = (
        f"{spent:.2f}", f"{woken / seconds:.2f}", str(held.threads), number(held.resident),
        number(held.proportional),
    )  # fmt: skip
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


def _entry(name: str, sshd: Sshd, key: Path) -> str:
    return (
        f"  - name: {name}\n    host: {sshd.host}\n    port: {sshd.port}\n"
        f"    username: {sshd.username}\n    auth: {{identity_file: {key}}}\n"
        "    open_browser: false\n"
    )


def main(seconds: float) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        jupyter = stack.enter_context(JupyterServer())
        options = {"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}
        sshd = stack.enter_context(Sshd(options=options))
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        key = make_key(folder)
        sshd.authorize(key)
        desktop = stack.enter_context(Desktop())
        desktop.start_panel()
        servers = (
            "servers:\n"
            f"{_entry('Quiet box', sshd, key)}    keepalive: {{interval: {QUIET_SECONDS}}}\n"
            f"{_entry('GPU box', sshd, key)}"
            f"  - name: Silent box\n    host: 127.0.0.1\n    port: {silent.getsockname()[1]}\n"
            "    connect_timeout: 120\n"
        )
        known = sshd.known_hosts_lines()
        app = stack.enter_context(
            RunningApp(servers, env=desktop.env, known_hosts=known, tray=True)
        )
        desktop.wait_icon(IconState.OFF)
        print(f"{conditions()}; load average {load_average()}.\n")
        head = "CPU seconds | wake-ups a second | threads | resident MB | PSS MB"
        print(f"| over {seconds:g} s | {head} |")
        print("|---|---|---|---|---|---|")
        measure("nothing connected", app.pid, seconds)
        app.run("connect", "Quiet box", "--wait", str(LIMIT))
        time.sleep(SETTLED_SECONDS)
        measure("one server connected, without a heartbeat", app.pid, seconds)
        app.run("disconnect", "Quiet box")
        app.run("connect", "GPU box", "--wait", str(LIMIT))
        time.sleep(SETTLED_SECONDS)
        measure("one server connected", app.pid, seconds)
        app.run("connect", "Silent box")
        desktop.wait_icon(IconState.CONNECTING)
        measure("and one being connected", app.pid, min(seconds, 50))


if __name__ == "__main__":
    run(lambda: main(float(sys.argv[1]) if len(sys.argv) > 1 else 60))
