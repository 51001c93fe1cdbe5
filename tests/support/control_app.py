"""A start of the program, less all but the lock and the socket, in a process of its own.

    python -m tests.support.control_app FOLDER

prints "ready", waits for a line on its standard input, and starts: it prints "owner" and serves
until its standard input ends, or "handed over to PID".
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from trayconnect.control.client import ControlClient, claim
from trayconnect.control.lock import InstanceLock
from trayconnect.control.server import ControlServer
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command


def handle(command: Command, cancel: CancelToken) -> JSON:
    if command.name == "connect" and command.wait:
        print("waiting", flush=True)
        print("cancelled" if cancel.wait(command.wait) else "waited", flush=True)
    return os.getpid()


def main(folder: Path) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    lock = InstanceLock(folder)
    reply = claim(lock, ControlClient(folder), timeout=60)
    if reply is not None:
        print(f"handed over to {reply.data}", flush=True)
        return
    server = ControlServer(lock, handle)
    server.start()
    print("owner", flush=True)
    sys.stdin.read()
    server.stop()
    lock.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
