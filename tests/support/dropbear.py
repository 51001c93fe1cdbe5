"""Dropbear, the SSH server of small devices, on a loopback port."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.keys import public_line
from tests.support.ports import free_port
from tests.support.scoped import Scoped
from tests.support.sshd import speaks_ssh, system_user


class Dropbear(Scoped):
    """One dropbear, for the time of a `with`."""

    host = "127.0.0.1"

    def __init__(self, host_key_type: str = "ed25519") -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="tc-dropbear-")
        self.folder = Path(self._temporary.name)
        self.port = 0
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.replace_host_key(host_key_type)

    @property
    def known_hosts_line(self) -> str:
        done = subprocess.run(
            [_program("dropbearkey"), "-y", "-f", str(self._key)],
            check=True,
            capture_output=True,
            text=True,
        )
        line = next(row for row in done.stdout.splitlines() if row.startswith(("ssh-", "ecdsa-")))
        return f"[{self.host}]:{self.port} {' '.join(line.split()[:2])}"

    def replace_host_key(self, kind: str) -> None:
        """As after a reinstallation; for the next `start`."""
        self._key = self.folder / f"host_{kind}"
        self._key.unlink(missing_ok=True)
        command = [_program("dropbearkey"), "-t", kind, "-f", str(self._key)]
        subprocess.run(command, check=True, capture_output=True)

    def start(self) -> None:
        """Listen, and return once a banner comes."""
        for _ in range(5):
            self.port = self.port or free_port()
            command = [_program("dropbear"), "-F", "-E", "-m", "-r", str(self._key)]
            command += ["-p", f"{self.host}:{self.port}", "-P", str(self.folder / "pid")]
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            if speaks_ssh(self._process, self.host, self.port):
                return
            self.stop()
            self.port = 0
        raise AssertionError(f"dropbear does not start:\n{self._log.read_text()}")

    def stop(self) -> None:
        """End it and its sessions."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None

    def close(self) -> None:
        self.stop()
        self._temporary.cleanup()


@dataclass(frozen=True, slots=True)
class Account:
    """A throw-away user of this system, whom dropbear lets in by password or by key."""

    username: str
    password: str

    def authorize(self, key: Path) -> None:
        folder = Path(pwd.getpwnam(self.username).pw_dir) / ".ssh"
        folder.mkdir(mode=0o755, exist_ok=True)
        file = folder / "authorized_keys"
        file.write_text(f"{public_line(key)}\n")
        file.chmod(0o644)


@contextlib.contextmanager
def account() -> Iterator[Account]:
    """Needs root: dropbear reads the authorized keys of the system's users only."""
    with system_user() as (username, password):
        yield Account(username, password)


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert found is not None, "dropbear-bin is not installed"
    return found
