"""A real JupyterLab on loopback, with folders of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.scoped import Scoped

START_SECONDS = 120
STOP_SECONDS = 15


class JupyterServer(Scoped):
    """JupyterLab of the running virtual environment, on 127.0.0.1 and a free port.

    Entering starts it and waits until it answers; leaving stops it and removes its folders.
    It makes its own token, which is read from its runtime file. Folders: `home`, `runtime_dir`,
    `notebooks` (its root). `options` are added to its command line; say `scheme` if they make
    it speak https.

        with JupyterServer() as jupyter:
            urlopen(f"{jupyter.url}api")
    """

    def __init__(self, *options: str, scheme: str = "http") -> None:
        self._options = options
        self._scheme = scheme
        self._folder = Path(tempfile.mkdtemp(prefix="tc-jupyter-"))
        self.home = self._folder / "home"
        self.runtime_dir = self._folder / "runtime"
        self.notebooks = self._folder / "notebooks"
        for folder in (self.home, self.runtime_dir, self.notebooks):
            folder.mkdir(mode=0o700)
        self.log = self._folder / "log"
        self.port = 0
        """The port it listens on; kept over `stop` and `start`. Set to 0, it gets another."""
        self.token = ""
        """The token of the latest start."""
        self.base_url = "/"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The root of the server, with a slash at the end."""
        return f"{self._scheme}://127.0.0.1:{self.port}{self.base_url}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runtime_file(self) -> Path:
        return self.runtime_dir / f"jpserver-{self.pid}.json"

    def start(self) -> None:
        """Start it, on the same port as before if there was one, and wait until it answers."""
        assert self._process is None
        self.port = self.port or free_port()
        command = [*self._command(), *self._options]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.notebooks,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def _command(self) -> list[str]:
        return [
            sys.executable,
            *("-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={self.port}"),
            *("--ServerApp.port_retries=0", "--LabApp.extension_manager=readonly"),
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            f"--ServerApp.root_dir={self.notebooks}",
        ]

    def stop(self) -> None:
        """End it and its kernels; the folders stay, so that it can be started again."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def request(self, path: str, method: str = "GET", body: object = None) -> dict[str, Any]:
        """A call of the REST API, logged in; the decoded answer (empty for none)."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
        )
        # A certificate of its own is nobody's to judge.
        anything = ssl._create_unverified_context()
        with urllib.request.urlopen(request, timeout=START_SECONDS, context=anything) as answer:
            text = answer.read()
        decoded: dict[str, Any] = json.loads(text) if text else {}
        return decoded

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        ours = ("JUPYTER", "JPY_", "XDG_", "IPYTHON")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        return environment | {
            "HOME": str(self.home),
            "PATH": f"{self._without_node()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "JUPYTER_RUNTIME_DIR": str(self.runtime_dir),
            "JUPYTER_DATA_DIR": str(self._folder / "data"),
            "JUPYTER_CONFIG_DIR": str(self._folder / "config"),
            "IPYTHONDIR": str(self._folder / "ipython"),
        }

    def _without_node(self) -> Path:
        """A folder for PATH in which Node fails at once. JupyterLab asks it at each start about
        extensions and language servers, which takes a second that no test is about."""
        folder = self._folder / "bin"
        folder.mkdir(exist_ok=True)
        for name in ("node", "npm"):
            program = folder / name
            program.write_text("#!/bin/sh\nexit 1\n")
            program.chmod(0o755)
        return folder

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"JupyterLab did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            info = json.loads(self.runtime_file.read_text())
        except (OSError, ValueError):
            return False
        self.port, self.token, self.base_url = info["port"], info["token"], info["base_url"]
        try:
            return "version" in self.request("api")
        except (urllib.error.URLError, OSError):
            return False


class JupyterOnSocket(JupyterServer):
    """The same on a UNIX socket, and on no port."""

    def __init__(self, path: Path, *options: str) -> None:
        super().__init__(f"--ServerApp.sock={path}", *options)
        self.port = 8888  # what is never said; any other, beside a socket, is refused
        self._path = path

    def _is_ready(self) -> bool:
        assert sys.platform != "win32"
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self._path))
            sock.sendall(b"GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b"200 OK" in sock.recv(4096)
        return False
