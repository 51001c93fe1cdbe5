"""An account on a server, as one finds it: a home, a login shell, programs, and what was left
running."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.keys import make_key
from tests.support.scoped import Scoped
from tests.support.sshd import Options, Sshd
from tests.support.whole import Whole, entry
from trayconnect.config.model import Server
from trayconnect.core.link import Completed

LIMIT = 120.0
JUPYTER = Path(sys.executable).parent
"""The folder in which the test's own Jupyter is installed."""
WAYS = ("tmux", "screen", "systemd-run", "setsid", "nohup")
NODE = ("node", "nodejs", "npm")
"""What JupyterLab runs at each start where it is, for extensions and language servers."""


class FarAccount(Scoped):
    """Reached over a real sshd; leaving ends what trayconnect started there.

    `ways` are the programs that can keep one running; `has_jupyter`: it is on the PATH of every
    command. `shell` runs the commands, with a start-up file that makes noise and, for people alone,
    puts Jupyter on the PATH if `rc` says so."""

    def __init__(
        self,
        folder: Path,
        *,
        ways: tuple[str, ...] = WAYS,
        has_jupyter: bool = True,
        shell: str = "",
        options: Options | None = None,
        **environment: str,
    ) -> None:
        self._sshd = Sshd(options=options)
        self.home = self._sshd.home
        self.key = make_key(folder)
        self._sshd.authorize(self.key)
        self._programs = _programs(ways)
        screens = self._sshd.folder / "screens"
        screens.mkdir(mode=0o700)
        self.runtime = self.home / "runtime"
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{JUPYTER}:{self._programs}" if has_jupyter else str(self._programs),
            "SHELL": "/bin/sh",
            "TMUX_TMPDIR": str(self._sshd.folder),
            "SCREENDIR": str(screens),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            **environment,
        }
        if shell:
            self._use_shell(shell)
        set_env = " ".join(f"{name}={value}" for name, value in self.environment.items())
        self._sshd.set_option("SetEnv", set_env)

    def start(self) -> None:
        self._sshd.start()

    def close(self) -> None:
        self.end()
        self._sshd.close()

    # --- what a client needs ---

    def entry(self, **changes: Any) -> Server:
        return entry(self._sshd, self.key, **changes)

    def known_hosts_lines(self) -> list[str]:
        return self._sshd.known_hosts_lines()

    def client(self, *servers: Server, **options: Any) -> Whole:
        """A computer of the user's."""
        return Whole(*servers, known_hosts=self.known_hosts_lines(), **options)

    def drop_connections(self) -> None:
        self._sshd.kill_sessions()

    # --- what runs there ---

    def runtime_files(self) -> list[dict[str, Any]]:
        """Of the Jupyters that live."""
        files = self.runtime.glob("jpserver-*.json") if self.runtime.exists() else ()
        infos = []
        for file in files:
            with contextlib.suppress(OSError, ValueError):
                info = json.loads(file.read_text())
                if is_alive(info["pid"]):
                    infos.append(info)
        return infos

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        """As a tunnel does."""
        done = subprocess.run(
            ["sh", "-c", command],
            input=stdin,
            env=self.environment,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    def state(self) -> Path:
        """The folder of the one start that there was."""
        (folder,) = (self.home / ".local/state/trayconnect").iterdir()
        return folder

    def end(self) -> None:
        """End what was started there."""
        folder = self.home / ".local/state/trayconnect"
        pids = [int(text[0]) for f in folder.glob("*/pid") if (text := f.read_text().split())]
        pids += [info["pid"] for info in self.runtime_files()]
        for pid in set(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + LIMIT
        while any(map(is_alive, pids)):
            if time.monotonic() > deadline:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        if (self._programs / "tmux").exists():
            self.run("tmux", "kill-server")

    # --- details ---

    def _use_shell(self, shell: str) -> None:
        program = self.home / shell
        program.symlink_to(shutil.which("busybox" if shell == "ash" else shell) or "")
        self.environment["SHELL"] = str(program)
        path = f"{JUPYTER}:$PATH"
        noise = "echo Welcome to the cluster '@@ready 1'"
        texts = {
            ".bashrc": f"{noise}\ncase $- in *i*) ;; *) return ;; esac\nexport PATH={path}\n",
            ".bash_profile": '. "$HOME/.bashrc"\n',
            ".zshenv": f"{noise}\n",
            ".zshrc": f"export PATH={path}\n",
            ".config/fish/config.fish": f"{noise}\n"
            f"status is-interactive; and set -gx PATH {JUPYTER} $PATH\n",
            ".cshrc": f"{noise}\nif ($?prompt) setenv PATH {JUPYTER}:${{PATH}}\n",
            ".profile": f"{noise}\nexport PATH={path}\n",
        }
        for name, text in texts.items():
            file = self.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self._sshd.set_option("ForceCommand", f'exec {program} -c "$SSH_ORIGINAL_COMMAND"')


@functools.cache
def _programs(ways: tuple[str, ...]) -> Path:
    """A folder for PATH with the system's programs, without the other ways and without Node."""
    folder = Path(tempfile.mkdtemp(prefix="tc-programs-"))
    atexit.register(shutil.rmtree, folder)
    hidden = set(WAYS) - set(ways) | set(NODE)
    found = {file.name: file for place in ("/bin", "/usr/bin") for file in Path(place).iterdir()}
    for name in found.keys() - hidden:
        (folder / name).symlink_to(found[name])
    return folder


def is_alive(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in ("Z", "X")
