"""The forwarders that are measured, each a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import lab
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
    """Why an arm does not work, for people."""


@dataclass(slots=True)
class Arm:
    """A forwarder that leads from `port` to the service."""

    name: str
    port: int
    child: subprocess.Popen[str] | None = None
    """None: there is no forwarder."""
    log: Path = Path("/dev/null")

    def cpu(self) -> float:
        """Seconds of CPU time so far."""
        return lab.cpu_seconds(self.child.pid) if self.child else 0.0

    @property
    def has_ended(self) -> bool:
        return self.child is not None and self.child.poll() is not None

    def why(self) -> str:
        """Why it does not forward, with its last words."""
        lines = self.log.read_text(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ("it ended" if self.has_ended else "it does not answer") + (last and f": {last}")


class Route:
    """A real sshd, as near or as far as the line to it is long."""

    def __init__(
        self, stack: ExitStack, round_trip_ms: float, options: Mapping[str, str] | None = None
    ) -> None:
        """`options`: keywords of sshd_config."""
        self._stack = stack
        self._round_trip_ms = round_trip_ms
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tc-bench-")))
        self._delay = lab.compiled(self.folder, "delay")
        sshd = stack.enter_context(Sshd(options=options))
        # The package asks for RSA where it can; ed25519 is what people have.
        self.key = make_key(self.folder)
        sshd.authorize(self.key)
        self.user = sshd.username
        self.port = self.line_to(sshd.port)
        self.known = [
            line.replace(sshd.known_host_name, f"[127.0.0.1]:{self.port}")
            for line in sshd.known_hosts_lines()
        ]
        self.known_file = self.folder / "known_hosts"
        self.known_file.write_text("".join(f"{line}\n" for line in self.known))

    def line_to(self, port: int) -> int:
        """The port at the near end of such a line to `port`."""
        return self._stack.enter_context(lab.line_to(port, self._delay, self._round_trip_ms))

    def start(self, name: str, remote: int, answers: Callable[[int], bool]) -> Arm:
        """Start a forwarder to a port of the server, and wait until it forwards; `answers` looks
        at the local port. Raises `FailedError`."""
        if name == PLAIN:
            return Arm(name, self.line_to(remote))
        port = free_port()
        log = self.folder / f"arm-{port}.log"
        child = self._stack.enter_context(lab.process(self.command(name, port, remote), log))
        arm = Arm(name, port, child, log)
        deadline = time.monotonic() + START_SECONDS
        while not answers(port):
            if time.monotonic() > deadline or arm.has_ended:
                raise FailedError(arm.why())
            time.sleep(0.1)
        return arm

    def command(self, name: str, local: int, remote: int) -> tuple[str, ...]:
        """What runs a forwarder from the port `local` of this machine to `remote`."""
        if name in (SSH, SSH_GCM):
            cipher = ("-c", "aes128-gcm@openssh.com") if name == SSH_GCM else ()
            return (
                *("ssh", "-F", "none", "-N", "-i", str(self.key), "-p", str(self.port)),
                *("-o", f"UserKnownHostsFile={self.known_file}", "-o", "BatchMode=yes"),
                *("-o", "ExitOnForwardFailure=yes", *cipher),
                *("-L", f"127.0.0.1:{local}:127.0.0.1:{remote}", f"{self.user}@127.0.0.1"),
            )
        module = "ours" if name in (OURS, PROVEN) else f"{name}_arm"
        return (
            *(sys.executable, "-m", f"tests.bench.{module}"),
            *("127.0.0.1", str(self.port), self.user, str(self.key), str(self.known_file)),
            *(str(local), str(remote)),
            *(("proven",) if name == PROVEN else ()),
        )
