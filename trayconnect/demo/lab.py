"""The demo's JupyterLab, on loopback, with separate folders."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future, wait
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

from trayconnect.core.errors import Problem, ProblemError

START_SECONDS = 90.0
STOP_SECONDS = 10.0

_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "fetchNews": "false",
    }
}
"""No question opens before the notebook."""


class Lab:
    """JupyterLab and its kernels in `folder`, from `start` to `stop`.

    Its token is in its runtime file and its log, both in `folder`, which must be private."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.runtime_dir = folder / "runtime"
        self.port = 0
        self.token = ""
        self._log = folder / "jupyter.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._starter: Future[None] | None = None

    def start(self) -> None:
        """Start the process; see `wait_until_ready`."""
        notebooks = self._folder / "notebooks"
        labconfig = self._folder / "config" / "labconfig"
        for folder in (self.runtime_dir, notebooks, labconfig):
            folder.mkdir(parents=True, exist_ok=True)
        welcome = files("trayconnect.demo").joinpath("welcome.ipynb").read_bytes()
        (notebooks / "welcome.ipynb").write_bytes(welcome)
        (labconfig / "default_setting_overrides.json").write_text(json.dumps(_SETTINGS), "utf-8")
        # On the main thread, a signal's handler may raise between the start of the process and the
        # assignment to its variable.
        self._starter = Future()
        threading.Thread(
            target=self._spawn, args=(notebooks, self._starter), name="tc-demo-lab", daemon=True
        ).start()
        self._starter.result(STOP_SECONDS)

    def _spawn(self, notebooks: Path, done: Future[None]) -> None:
        try:
            self._open(notebooks)
        except OSError as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def _open(self, notebooks: Path) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                _command(notebooks),
                cwd=notebooks,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl+C in the terminal is ours to handle.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )

    def wait_until_ready(self, timeout: float = START_SECONDS) -> None:
        """Wait until it answers. Otherwise, raises `ProblemError` with the end of its log."""
        deadline = time.monotonic() + timeout
        while not self._is_ready():
            if self._process is None or self._process.poll() is not None:
                raise self._failed("ended")
            if time.monotonic() > deadline:
                raise self._failed(f"did not answer within {timeout:g} s")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, in bounded time. May be called twice, and before `start`."""
        if self._starter is not None:
            wait([self._starter], STOP_SECONDS)
        process, self._process = self._process, None
        if process is None:
            return
        # Asked through its API it stops its kernels on every platform.
        if self._ask("POST", "/api/shutdown") is None:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not _is_jupyters(name)}
        return kept | {
            "JUPYTER_RUNTIME_DIR": str(self.runtime_dir),
            "JUPYTER_CONFIG_DIR": str(self._folder / "config"),
            "JUPYTER_DATA_DIR": str(self._folder / "data"),
            "IPYTHONDIR": str(self._folder / "ipython"),
        }

    def _is_ready(self) -> bool:
        assert self._process is not None
        try:
            file = self.runtime_dir / f"jpserver-{self._process.pid}.json"
            info = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            return False
        self.port, self.token = info["port"], info["token"]
        # The file is written before the port is bound.
        return self._ask("GET", "/api/status") == http.HTTPStatus.OK

    def _ask(self, method: str, path: str) -> int | None:
        """The status of the answer; None for none."""
        if not self.port:
            return None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, headers={"Authorization": f"token {self.token}"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _failed(self, how: str) -> ProblemError:
        lines: deque[str] = deque(maxlen=15)
        with suppress(OSError), self._log.open(encoding="utf-8", errors="replace") as log:
            lines.extend(re.sub(r"token=\w+", "token=…", line) for line in log)
        tail = "".join(lines).strip() or "nothing"
        return ProblemError(
            Problem(f"The demo's JupyterLab {how}", f"The end of its log:\n{tail}", detail=tail)
        )


def _command(notebooks: Path) -> list[str]:
    command = [
        sys.executable,
        *("-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0"),
        f"--ServerApp.root_dir={notebooks}",
        "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    if sys.platform != "win32" and os.geteuid() == 0:
        command.append("--allow-root")
    return command


def _is_jupyters(name: str) -> bool:
    return name.startswith(("JUPYTER", "JPY_", "IPYTHON"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
