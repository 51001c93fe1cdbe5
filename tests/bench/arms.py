"""The forwarders that are measured, each a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import lab
from tests.bench.measures import Outcome
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd

SSH, SSH_GCM, OURS, PROVEN, PLAIN = (
    "ssh -L",
    "ssh -L, GCM",
    "trayconnect",
    "trayconnect, owner proven",
    "no tunnel",
)
NAMES = (SSH, SSH_GCM, OURS, PROVEN, "asyncssh", "sshtunnel", PLAIN)
START_SECONDS = 30.0


class FailedError(Exception):
    """Why a run has no result."""


@dataclass(slots=True)
class Arm:
    """A forwarder that leads from `port` to the service."""

    name: str
    port: int
    child: subprocess.Popen[str] | None
    """None: there is no forwarder."""
    log: Path

    def cpu(self) -> float:
        """Seconds of CPU time so far."""
        return lab.cpu_seconds(self.child.pid) if self.child else 0.0

    def why(self) -> str:
        """The last words of the forwarder, for people."""
        words = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        last = next((line.strip() for line in reversed(words) if line.strip()), "")
        ended = self.child is not None and self.child.poll() is not None
        return ("it ended" if ended else "it does not answer") + (f": {last}" if last else "")


class Place:
    """A service and the sshd before it, as near or as far as the line to them is long."""

    def __init__(self, stack: ExitStack, round_trip_ms: float) -> None:
        self._stack = stack
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tc-bench-")))
        self._load = str(lab.compiled(self.folder, "load"))
        delay = lab.compiled(self.folder, "delay")
        sshd = stack.enter_context(Sshd())
        # The package asks for RSA where it can; ed25519 is what people have.
        self._key = make_key(self.folder)
        sshd.authorize(self._key)
        self._user = sshd.username
        self._port = stack.enter_context(lab.line_to(sshd.port, delay, round_trip_ms))
        self._known = self.folder / "known_hosts"
        self._known.write_text(
            "".join(
                line.replace(sshd.known_host_name, f"[127.0.0.1]:{self._port}") + "\n"
                for line in sshd.known_hosts_lines()
            )
        )
        self._service = stack.enter_context(lab.listening(self._load, "serve"))
        self._without = stack.enter_context(lab.line_to(self._service, delay, round_trip_ms))

    def start(self, name: str) -> Arm:
        """Start a forwarder, and wait until it forwards. Raises `FailedError`."""
        log = self.folder / f"{NAMES.index(name)}.log"
        if name == PLAIN:
            return Arm(name, self._without, None, log)
        port = free_port()
        child = self._stack.enter_context(lab.process(self._command(name, port), log))
        arm = Arm(name, port, child, log)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers(arm):
            if time.monotonic() > deadline or child.poll() is not None:
                raise FailedError(arm.why())
            time.sleep(0.1)
        return arm

    def answers(self, arm: Arm) -> bool:
        """Whether it forwards."""
        try:
            return self.run(arm, ("connect", "1", "1", "1")).errors == 0
        except FailedError:
            return False

    def run(self, arm: Arm, load: Sequence[str]) -> Outcome:
        """Raises `FailedError`."""
        command = (self._load, load[0], str(arm.port), *load[1:])
        try:
            printed = subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=lab.LIMIT
            )
        except subprocess.TimeoutExpired as error:
            raise FailedError(f"it took longer than {lab.LIMIT:g} s") from error
        except subprocess.CalledProcessError as error:
            raise FailedError(f"the load ended with status {error.returncode}") from error
        return Outcome.parse(printed.stdout)

    def _command(self, name: str, local: int) -> tuple[str, ...]:
        if name in (SSH, SSH_GCM):
            cipher = ("-c", "aes128-gcm@openssh.com") if name == SSH_GCM else ()
            return (
                *("ssh", "-F", "none", "-N", "-i", str(self._key), "-p", str(self._port)),
                *("-o", f"UserKnownHostsFile={self._known}", "-o", "BatchMode=yes"),
                *("-o", "ExitOnForwardFailure=yes", *cipher),
                *("-L", f"127.0.0.1:{local}:127.0.0.1:{self._service}"),
                f"{self._user}@127.0.0.1",
            )
        module = {OURS: "ours", PROVEN: "ours"}.get(name, f"{name}_arm")
        return (
            *(sys.executable, "-m", f"tests.bench.{module}"),
            *("127.0.0.1", str(self._port), self._user, str(self._key), str(self._known)),
            *(str(local), str(self._service)),
            *(("proven",) if name == PROVEN else ()),
        )
