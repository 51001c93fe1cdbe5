"""The program itself as a process, with a home of its own, and its commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.scoped import Scoped
from tests.support.waiting import wait_for
from trayconnect.control.client import ControlClient, NotRunningError
from trayconnect.core.command import Command

LIMIT = 120.0
PROGRAM = (sys.executable, "-m", "trayconnect")


class RunningApp(Scoped):
    """`trayconnect run` for the time of a `with`; without an icon unless `env` has a session bus.

    `servers` is the text of the server file; `env` lays over a bare environment. What it prints is
    in `output`. A page that would open is noted in `opened` by a browser of the test's own."""

    def __init__(
        self,
        servers: str | None,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        known_hosts: Sequence[str] = (),
        tray: bool = False,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="tc-app-")
        self.home = Path(self._temporary.name)
        self.file = self.home / "servers.yaml"
        if servers is not None:
            self.file.write_text(servers)
        ssh = self.home / ".ssh"
        ssh.mkdir(mode=0o700)
        (ssh / "known_hosts").write_text("".join(f"{line}\n" for line in known_hosts))
        self._opened = self.home / "opened"
        browser = self.home / "browser"
        browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>"{self._opened}"\n')
        browser.chmod(0o755)
        self._log = self.home / "output"
        left_out = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK")
        self.env = {
            name: value
            for name, value in os.environ.items()
            if name not in left_out and not name.startswith(("XDG_", "TRAYCONNECT_"))
        }
        self.env |= {"LC_ALL": "C.UTF-8", "TRAYCONNECT_SSH_CONFIG": "none", **(env or {})}
        self.env |= {
            "HOME": str(self.home),
            "TRAYCONNECT_CONFIG": str(self.file),
            "TRAYCONNECT_RUNTIME_DIR": str(self.home / "run"),
            "BROWSER": str(browser),
        }
        self._command = (*PROGRAM, "run", *(() if tray else ("--no-tray",)), *arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        try:
            self.end()
        finally:
            self._temporary.cleanup()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self._log.read_text(errors="replace")

    @property
    def opened(self) -> list[str]:
        """The addresses that its browser was given."""
        return self._opened.read_text().splitlines() if self._opened.exists() else []

    def start(self) -> None:
        """Start it, and wait until its commands are answered."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for(self._answers, "the app to answer", LIMIT)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it as a logout does; its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        return self._wait(process)

    def wait(self) -> int:
        """Wait for it to end by itself; its exit code."""
        process, self._process = self._process, None
        assert process is not None
        return self._wait(process)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of its commands."""
        return subprocess.run(
            (*PROGRAM, *arguments),
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    def status(self, name: str = "GPU box") -> dict[str, Any]:
        """What `status --json` prints of a server, without a process for each look."""
        servers: list[dict[str, Any]] = self._ask()["servers"]
        return next((server for server in servers if server["name"] == name), {})

    def _ask(self) -> dict[str, Any]:
        data = ControlClient(self.home / "run").call(Command("status"), LIMIT).data
        assert isinstance(data, dict)
        return data

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.output
        try:
            return bool(self._ask())
        except NotRunningError:
            return False

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(LIMIT)
            raise
