"""The demo: an SSH server, a JupyterLab, and a server file for them."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.demo.lab import Lab

NAME = "Demo JupyterLab"

_FILE = """\
# The server file of the demo; it is deleted when the demo ends.
servers:
  - name: {name}
    host: {host}
    port: {port}
    username: {username}
    auth:
      identity_file: {identity_file}
    jupyter:
      port: {jupyter_port}
      path: /lab/tree/welcome.ipynb
    local_port: {local_port}
    connect_on_start: true
"""


class Demo:
    """The servers of the demo, within a `with` block, in a private folder that is deleted at its
    end.

    Entering takes some seconds and raises `ProblemError` if JupyterLab or asyncssh is missing or
    does not start. SIGTERM and SIGHUP leave the block, unless they have another handler."""

    name = NAME
    """The name of the entry."""

    def __init__(self) -> None:
        self._leaving = ExitStack()
        self._lab: Lab | None = None
        self.folder = Path()
        self.config_file = Path()
        self.known_hosts = Path()

    @property
    def token(self) -> str:
        """The token of JupyterLab, for systems on which the app cannot find it."""
        return self._lab.token if self._lab else ""

    def __enter__(self) -> Self:
        _check_needs()
        with ExitStack() as starting:
            starting.enter_context(_leaving_on_signals())
            self.folder = starting.enter_context(_private_folder())
            self._start(starting)
            self._leaving = starting.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.close()

    def _start(self, starting: ExitStack) -> None:
        # It imports asyncssh, which is an extra.
        from trayconnect.demo.ssh_server import HOST, USERNAME, SshServer

        # JupyterLab takes seconds to start.
        lab = self._lab = Lab(self.folder)
        starting.callback(lab.stop)
        lab.start()
        environment = os.environ | {"JUPYTER_RUNTIME_DIR": str(lab.runtime_dir)}
        ssh = starting.enter_context(SshServer(self.folder, environment))
        self.known_hosts = self.folder / "known_hosts"
        self.known_hosts.write_text(ssh.known_hosts_line, "utf-8")
        lab.wait_until_ready()
        self.config_file = self.folder / "servers.yaml"
        self.config_file.touch(0o600)
        text = _FILE.format(
            name=NAME,
            host=HOST,
            port=ssh.port,
            username=USERNAME,
            # A JSON string is a YAML string, too.
            identity_file=json.dumps(str(ssh.identity_file)),
            # The search for a running Jupyter needs a POSIX shell.
            jupyter_port=lab.port if sys.platform == "win32" else "auto",
            local_port=_free_port(),
        )
        self.config_file.write_text(text, encoding="utf-8")


def _check_needs() -> None:
    missing = [
        name
        for module, name in (("asyncssh", "asyncssh"), ("jupyterlab", "JupyterLab"))
        if importlib.util.find_spec(module) is None
    ]
    if getattr(sys, "frozen", False) or missing:
        needs = " and ".join(missing) or "a Python environment"
        advice = "Install it with: pip install 'trayconnect[demo]'"
        raise ProblemError(Problem(f"The demo needs {needs}", advice))


@contextmanager
def _private_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="trayconnect-demo-"))
    try:
        yield folder
    finally:
        # A kernel may still write while it ends.
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _leaving_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack: by default they end the process at once, and leave
    JupyterLab running. A handler that is set within the block replaces this."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    ours = [n for n in numbers if n is not None and signal.getsignal(n) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is leave:
                signal.signal(number, signal.SIG_DFL)


def _free_port() -> int:
    """A free local port, outside of the range from which the system takes ephemeral ports."""
    for port in random.SystemRandom().sample(range(20_000, 30_000), 200):
        with suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port
    raise ProblemError(Problem("No local port is free", "Close some programs and try again."))
