"""Our own helper processes: tkinter runs in these and never in the app.

On macOS both Tk and the tray need the main thread, and a crash or a hang of Tk must not end the
tunnels. A helper gets its data over stdin, and answers over stdout, because the data is secret."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from trayconnect.core.subprocesses import let_come_forward
from trayconnect.desktop import programs

HELPER_ARGUMENT = "--desktop-helper"
"""`trayconnect --desktop-helper NAME` runs a helper: in a frozen program (PyInstaller) this is the
only way to run a module in a process of its own."""

PROMPT = "prompt"
CLIPBOARD = "clipboard"
TEXT = "text"
POPUP = "popup"
STATUS = "status"
PASTE = "paste"

_FUNCTIONS = {
    PROMPT: "prompts.prompt_window.main",
    CLIPBOARD: "clipboard_helper.serve",
    TEXT: "windows.text_window.main",
    POPUP: "windows.popup_window.main",
    STATUS: "windows.status_window.main",
    PASTE: "clipboard_helper.read",
}


def helper_command(name: str) -> list[str]:
    """The command line of a helper."""
    if getattr(sys, "frozen", False):
        return [sys.executable, HELPER_ARGUMENT, name]
    # -P: a file of the current folder must not shadow a module.
    return [sys.executable, "-P", "-m", "trayconnect.desktop.helper_process", name]


def helper_environment() -> dict[str, str]:
    """The environment in which a helper imports this very package."""
    if getattr(sys, "frozen", False):
        return dict(os.environ)
    environment = programs.clean_environment()
    root = str(Path(__file__).resolve().parents[2])
    others = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{root}{os.pathsep}{others}" if others else root
    return environment


def start(
    command: Sequence[str], *, stdout: int = subprocess.PIPE, stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a helper, with a pipe for its stdin. Raises OSError."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        env=helper_environment(),
        creationflags=programs.no_console(),
    )


def main(arguments: Sequence[str]) -> int:
    """Run the helper named in `arguments`, the arguments after `HELPER_ARGUMENT`. Returns its exit
    code."""
    if len(arguments) != 1 or arguments[0] not in _FUNCTIONS:
        sys.stderr.write(f"usage: {HELPER_ARGUMENT} {'|'.join(_FUNCTIONS)}\n")
        return 2
    module, _, function = _FUNCTIONS[arguments[0]].rpartition(".")
    status: int = getattr(importlib.import_module(f"trayconnect.desktop.{module}"), function)()
    return status


def has_tkinter() -> bool:
    """Whether tkinter is installed, without importing it."""
    return all(importlib.util.find_spec(name) is not None for name in ("_tkinter", "tkinter"))


def has_display() -> bool:
    """Whether there is a display for tkinter's windows, which need X11 on Linux and BSD (Wayland's
    X server included)."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY"))


def can_show_windows() -> bool:
    """Whether tkinter can show windows."""
    return has_display() and has_tkinter()


def has_screen() -> bool:
    """Whether there is a display for native windows: X11 or Wayland."""
    return has_display() or bool(os.environ.get("WAYLAND_DISPLAY"))


def window_programs() -> str:
    """The packages that make question windows possible on the current display: Tk draws on X11
    only. Empty if no package would help."""
    if sys.platform in ("win32", "darwin") or not has_screen():
        return ""
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        return "python3-tk or zenity" if has_display() else "zenity"


def read_stdin() -> bytes:
    """All of stdin. `sys.stdin` is None in a windowed executable, so this reads the descriptor."""
    with open(0, "rb", closefd=False) as stdin:
        return stdin.read()


def write_stdout(data: bytes) -> None:
    with open(1, "wb", closefd=False) as stdout:
        stdout.write(data)


FRONT = b"front"
"""Command to a window: raise to the front."""


class Lifeline:
    """The app's end, to be kept open while the helper should run. From any thread.

    Takes `process.stdin`, which must be a pipe, so that `communicate` does not use it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        self._pipe, process.stdin = process.stdin, None
        self._lock = threading.Lock()

    def send(self, line: bytes) -> None:
        """Blocks until the pipe has room; does nothing if the helper has ended."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._pipe.write(line + b"\n")
            self._pipe.flush()

    def is_sending(self) -> bool:
        """Whether a line is being written; the pipe may be full."""
        return self._lock.locked()

    def call_forward(self) -> None:
        """Does nothing while the helper is still receiving its content: it has no window yet."""
        if not self.is_sending():
            let_come_forward()
            self.send(FRONT)

    def close(self) -> None:
        """End the helper. May be called twice, but not while another thread sends to a helper that
        does not read."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
