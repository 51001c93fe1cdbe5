"""Runs a part of the program as on another system, in a process of its own:

    python -m tests.support.other_system SYSTEM import
    python -m tests.support.other_system SYSTEM run COMMANDS

`sys.platform` says SYSTEM, and nothing that the other systems alone have can be imported: their
modules of Python, their packages, and the modules of trayconnect that are for them. For "win32",
the functions that only POSIX has are gone as well, and what Windows alone has is a mock: enough to
import, not to run. `import` prints what cannot be imported, as JSON. COMMANDS are command lines of
trayconnect as JSON; `run` prints each one's exit code and what it wrote, as JSON.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import io
import json
import os
import pkgutil
import signal
import socket
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib.machinery import ModuleSpec
from typing import Any
from unittest.mock import MagicMock

SYSTEMS = ("linux", "darwin", "win32")

_PYTHONS_POSIX = ("termios", "tty", "pty", "pwd", "grp", "fcntl", "resource", "curses", "readline",
                  "syslog", "posix")  # fmt: skip
_PYTHONS_WINDOWS = ("msvcrt", "winreg", "winsound", "nt", "_winapi", "_winreg")

ONLY_ON: dict[str, str] = {
    "linux": """jeepney Xlib trayconnect.desktop.bus_connection
        trayconnect.desktop.notifications.dbus trayconnect.desktop.notifications.freedesktop
        trayconnect.services.batch.relay.far trayconnect.services.batch.relay.far_channels
        trayconnect.services.batch.relay.far_commands trayconnect.services.batch.relay.far_main
        trayconnect.services.batch.relay.far_owners trayconnect.services.batch.relay.far_serve
        trayconnect.tray.backends.dbus_objects trayconnect.tray.backends.dbusmenu
        trayconnect.tray.backends.linux trayconnect.tray.backends.sni
        trayconnect.tray.backends.watcher trayconnect.tray.backends.xembed
        trayconnect.tray.backends.xembed_window""",
    "darwin": "AppKit Foundation Quartz objc PyObjCTools trayconnect.tray.backends.darwin",
    "win32": """trayconnect.control.transport_pipe trayconnect.tray.backends.win32
        trayconnect.tray.backends.win32_system""",
    "posix": "trayconnect.control.transport_unix",
}
"""What belongs to one system, or to the two of POSIX; every other module is imported on all."""

_ONLY_POSIX = {
    os: """getuid getgid geteuid getegid getgroups getpgrp getpgid setsid setpgid killpg fork
        forkpty mkfifo mknod chown lchown fchown fchmod uname sysconf confstr statvfs ttyname
        tcgetpgrp wait wait3 wait4 waitid openpty O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_DIRECTORY""",
    signal: """SIGHUP SIGKILL SIGQUIT SIGWINCH SIGTSTP SIGCONT SIGCHLD SIGUSR1 SIGUSR2 SIGTTOU
        SIGPIPE SIGALRM pthread_sigmask""",
    socket: "AF_UNIX SO_PEERCRED SCM_RIGHTS",
}
"""Names of modules that Windows has without them."""


def forbidden_on(system: str) -> tuple[str, ...]:
    """The names of modules that are not there on that system, without those below them."""
    pythons = _PYTHONS_POSIX if system == "win32" else _PYTHONS_WINDOWS
    here = {system} if system == "win32" else {system, "posix"}
    others = ONLY_ON.keys() - here
    return (*pythons, *(name for other in sorted(others) for name in ONLY_ON[other].split()))


class Forbid(importlib.abc.MetaPathFinder):
    """Lets nothing of `names` be imported, nor what is below them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def covers(self, name: str) -> bool:
        return any(name == each or name.startswith(f"{each}.") for each in self._names)

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if self.covers(fullname):
            raise ModuleNotFoundError(
                f"No module named {fullname!r} on {sys.platform}", name=fullname
            )
        return None


def become(system: str) -> Forbid:
    """Make this process one of that system, as far as that goes."""
    if system == sys.platform:
        forbid = Forbid(forbidden_on(system))
        sys.meta_path.insert(0, forbid)
        return forbid
    _load_what_is_not_ours()
    os.environ["PYSTRAY_BACKEND"] = "dummy"  # the others' would start at its import
    sys.platform = system
    forbid = Forbid(forbidden_on(system))
    for name in [name for name in sys.modules if forbid.covers(name)]:
        if name != "posix":  # os has it already
            del sys.modules[name]
    sys.meta_path.insert(0, forbid)
    if system == "win32":
        _pretend_windows()
    return forbid


def _load_what_is_not_ours() -> None:
    """These look at the system when they are imported, and would break at the lie."""
    for name in (
        "asyncio", "concurrent.futures", "ctypes.util", "ctypes.wintypes", "getpass", "http.client",
        "http.server", "logging.handlers", "multiprocessing.connection", "selectors", "shutil",
        "ssl", "subprocess", "sysconfig", "tempfile", "threading", "urllib.request", "uuid",
        "webbrowser", "tkinter", "tkinter.ttk", "tkinter.font", "click.testing",
        "cryptography.hazmat.primitives.serialization", "keyring", "paramiko", "PIL.Image",
        "PIL.ImageDraw", "pydantic", "watchdog.observers", "yaml", "asyncssh",
    ):  # fmt: skip
        try:
            importlib.import_module(name)
        except ImportError:
            if not name.startswith(("tkinter", "asyncssh")):  # Debian's may lack one, a user both
                raise
    sys.modules["sysconfig"].get_config_vars()


def _pretend_windows() -> None:
    import ctypes
    import subprocess

    for module, names in _ONLY_POSIX.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    for name in ("msvcrt", "winreg", "_winapi"):
        sys.modules[name] = MagicMock(name=name)
    vars(builtins)["WindowsError"] = OSError
    windows: Any = ctypes
    windows.windll = windows.WinDLL = MagicMock(name="windll")
    windows.WINFUNCTYPE = ctypes.CFUNCTYPE
    windows.WinError = windows.get_last_error = windows.GetLastError = MagicMock(name="error")
    flags: Any = subprocess
    flags.CREATE_NO_WINDOW = flags.CREATE_NEW_PROCESS_GROUP = flags.CREATE_NEW_CONSOLE = 0


def import_everything(forbid: Forbid) -> dict[str, str]:
    """Import every module of trayconnect that this system has; what failed, by its name."""
    import trayconnect

    failed: dict[str, str] = {}
    packages = [trayconnect.__path__]
    prefixes = ["trayconnect."]
    while packages:
        for info in pkgutil.iter_modules(packages.pop(), prefixes.pop()):
            if forbid.covers(info.name) or info.name.endswith(".__main__"):
                continue
            try:
                module = importlib.import_module(info.name)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
                failed[info.name] = f"{type(error).__name__}: {error}"
                continue
            if info.ispkg:
                packages.append(module.__path__)  # type: ignore[arg-type]
                prefixes.append(f"{info.name}.")
    return failed


def run_commands(commands: list[list[str]]) -> list[tuple[int, str]]:
    from trayconnect.cli import main as cli

    results = []
    for command in commands:
        written = io.StringIO()
        with redirect_stdout(written), redirect_stderr(written):
            code = cli.run(command)
        results.append((code, written.getvalue()))
    return results


def main() -> None:
    system, what, *commands = sys.argv[1:]
    forbid = become(system)
    told = import_everything(forbid) if what == "import" else run_commands(json.loads(commands[0]))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
