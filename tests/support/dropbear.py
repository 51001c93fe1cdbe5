"""Dropbear, the SSH server of small machines, on a loopback port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 30.0


class Dropbear:
    """One dropbear, for the time of a `with`; accounts are those of the system."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="tc-dropbear-")
        self._folder = Path(self._temporary.name)
        self._key = self._folder / "host_key"
        self._log = self._folder / "log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        made = subprocess.run(
            ["dropbearkey", "-t", "ed25519", "-f", str(self._key)],
            capture_output=True,
            text=True,
            check=True,
        )
        self._public = next(
            line for line in made.stdout.splitlines() if line.startswith("ssh-ed25519")
        )
        with socket.socket() as sock:
            sock.bind((self.host, 0))
            self.port = sock.getsockname()[1]
        program = shutil.which("dropbear", path="/usr/sbin:/usr/bin:/sbin:/bin")
        assert program is not None, "dropbear-bin is not installed"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-F", "-E", "-p", f"{self.host}:{self.port}", "-r", str(self._key),
                 "-P", str(self._folder / "pid")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        self._temporary.cleanup()

    @property
    def known_hosts_line(self) -> str:
        kind, blob = self._public.split()[:2]
        return f"[{self.host}]:{self.port} {kind} {blob}"

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), 5) as sock:
                return sock.recv(4) == b"SSH-"
        except OSError:
            return False
