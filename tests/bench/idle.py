"""What the app costs while nothing happens: `python -m tests.bench.idle [SECONDS]`.

CPU seconds and voluntary context switches (wake-ups) of the whole process, in a real panel: with
nothing connected, with one server connected and green, and while the icon moves for a server that
takes the connection and says nothing."""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench.lab import cpu_seconds
from tests.support.desktop import Desktop
from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.running import LIMIT, RunningApp
from tests.support.sshd import Sshd
from trayconnect.tray.view import IconState


def wake_ups(pid: int) -> int:
    """Voluntary context switches of all threads that live."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def measure(title: str, pid: int, seconds: float) -> None:
    cpu, switches = cpu_seconds(pid), wake_ups(pid)
    time.sleep(seconds)
    spent, woken = cpu_seconds(pid) - cpu, wake_ups(pid) - switches
    print(f"| {title} | {spent:.2f} | {woken / seconds:.2f} | {resident_mb(pid):.0f} |", flush=True)


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
            f"servers:\n  - name: GPU box\n    host: {sshd.host}\n    port: {sshd.port}\n"
            f"    username: {sshd.username}\n    auth: {{identity_file: {key}}}\n"
            "    open_browser: false\n"
            f"  - name: Silent box\n    host: 127.0.0.1\n    port: {silent.getsockname()[1]}\n"
            "    connect_timeout: 120\n"
        )
        known = sshd.known_hosts_lines()
        app = stack.enter_context(
            RunningApp(servers, env=desktop.env, known_hosts=known, tray=True)
        )
        desktop.wait_icon(IconState.OFF)
        print(f"| over {seconds:g} s | CPU seconds | wake-ups a second | resident MB |")
        print("|---|---|---|---|")
        measure("nothing connected", app.pid, seconds)
        app.run("connect", "GPU box", "--wait", str(LIMIT))
        measure("one server connected", app.pid, seconds)
        app.run("connect", "Silent box")
        desktop.wait_icon(IconState.CONNECTING)
        measure("and one being connected", app.pid, min(seconds, 50))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
