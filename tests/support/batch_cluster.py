"""A cluster on this machine: two login nodes and compute nodes with a real scheduler, each a set of
namespaces with its own sshd (see `batch_lab/`). Needs root on Linux."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.scoped import Scoped

_LAB = Path(__file__).with_name("batch_lab")
_LIMIT = 60.0
_GRID_ENGINE = ("env", "SGE_ROOT=/var/lib/gridengine", "SGE_CELL=default")


def _skip_without(needed: str) -> None:
    is_root = sys.platform == "linux" and os.geteuid() == 0
    if not is_root or shutil.which("unshare") is None:
        pytest.skip("a cluster in namespaces needs root on Linux")
    if shutil.which(needed) is None:
        pytest.skip(f"there is no {needed}: run .ci/system-packages")


class BatchCluster(Scoped):
    """With Slurm or Grid Engine, the users alice and bob, and one home for all hosts."""

    def __init__(
        self, system: str = "slurm", *, conf: Path | None = None, nodes: str = "c1 c2"
    ) -> None:
        """`conf`: a folder in place of that with slurm.conf."""
        _skip_without({"slurm": "slurmctld", "gridengine": "sge_qmaster"}[system])
        self._system = system
        self._nodes = nodes
        self._conf = conf
        self.folder = Path(tempfile.mkdtemp(prefix="tc-lab-"))
        """Shared by all hosts, which see it as /mnt."""
        self.folder.chmod(0o755)
        self._doors: list[subprocess.Popen[str]] = []

    @property
    def _environment(self) -> dict[str, str]:
        conf = {} if self._conf is None else {"CONF": str(self._conf)}
        own = {"LAB": str(self.folder), "NODES": self._nodes, "PYTHON": sys.base_prefix}
        return {**os.environ, **own, **conf}

    def start(self) -> None:
        script = "up.sh" if self._system == "slurm" else "up-gridengine.sh"
        done = self._run(_LAB / script)
        assert done.returncode == 0, done.stdout + done.stderr

    def close(self) -> None:
        for door in self._doors:
            door.terminate()
            door.wait()
            if door.stdout is not None:
                door.stdout.close()
        self._run(_LAB / "down.sh")
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def key(self) -> Path:
        """alice's private key, which every host accepts."""
        return self.home() / ".ssh" / "id_ed25519"

    @property
    def host_key(self) -> str:
        """The public host key of every host: its type and its base64."""
        text = (self.folder / "etc" / "ssh" / "ssh_host_ed25519_key.pub").read_text()
        return " ".join(text.split()[:2])

    def home(self, user: str = "alice") -> Path:
        """The user's home, as seen from here."""
        return self.folder / "home" / user

    def use_plain_jupyter(self) -> None:
        """alice's Jupyters load no extensions: they start in half of the time."""
        settings = Path(sys.prefix) / "etc" / "jupyter" / "jupyter_server_config.d"
        names = [
            name
            for file in settings.glob("*.json")
            for name in json.loads(file.read_text())["ServerApp"]["jpserver_extensions"]
        ]
        off = {"ServerApp": {"jpserver_extensions": dict.fromkeys(names, False)}}
        folder = self.home() / ".jupyter"
        folder.mkdir()
        (folder / "jupyter_server_config.json").write_text(json.dumps(off))
        self.run("login1", "chown", "-R", "alice:", "/home/alice/.jupyter")

    def door(self, host: str = "login1") -> int:
        """A port of 127.0.0.1 that leads to the host's sshd."""
        door = subprocess.Popen(
            [sys.executable, str(_LAB / "door.py"), host],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._doors.append(door)
        assert door.stdout is not None
        return int(door.stdout.readline())

    def run(self, host: str, *command: str, user: str = "", stdin: str = "") -> str:
        """The output of a command on a host, as root, or as a user; it must succeed."""
        done = self.try_run(host, *command, user=user, stdin=stdin)
        assert done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def try_run(
        self, host: str, *command: str, user: str = "", stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """The same; it may fail."""
        entered = ["--as", user] if user else []
        settings = _GRID_ENGINE if self._system == "gridengine" else ()
        return self._run(_LAB / "on.sh", host, *entered, *settings, *command, stdin=stdin)

    def spawn(self, host: str, *command: str, user: str = "") -> subprocess.Popen[str]:
        """The same, while it runs, with its output as a pipe."""
        entered = ["--as", user] if user else []
        return subprocess.Popen(
            ["sh", str(_LAB / "on.sh"), host, *entered, *command],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def pids(self, host: str, name: str) -> tuple[int, ...]:
        """The processes of that program on a host, by their numbers there."""
        done = self.try_run(host, "pgrep", "-x", name)
        return tuple(map(int, done.stdout.split()))

    def _run(
        self, script: Path, *arguments: str, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        environment: Mapping[str, str] = self._environment
        return subprocess.run(
            ["sh", str(script), *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
