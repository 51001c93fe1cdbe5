"""A session of a user in a Debian of the test's own: a screen, a bus, and xfce4-session, which
starts the panel and what the user lets start at login."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.deb.chroot import HOME, USER, Root
from tests.support.desktop import Point, find_icon, panel_settings
from tests.support.scoped import Scoped
from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect.tray.view import IconState

_RUNTIME = Path("/run/user/1000")
_BUS = _RUNTIME / "bus"
_SOCKETS = Path("/tmp/.X11-unix")


def prepare(root: Root) -> None:
    """What a session finds: the panel's settings and the folder of a logged-in user."""
    root.bind(_SOCKETS)
    settings = root.inside(HOME / ".config/xfce4/xfconf/xfce-perchannel-xml")
    settings.mkdir(parents=True)
    (settings / "xfce4-panel.xml").write_text(panel_settings())
    root.inside(_RUNTIME).mkdir(parents=True)
    root.run("chown", "--recursive", f"{USER}:{USER}", str(HOME), str(_RUNTIME))
    root.run("chmod", "700", str(_RUNTIME))


class Session(Scoped):
    """From a login to a logout."""

    def __init__(self, root: Root, screen: XServer) -> None:
        self._root = root
        self._screen = screen
        self._processes: list[subprocess.Popen[bytes]] = []
        self._log = root.inside(HOME / "session.log")
        self.env = {
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={_BUS}",
            "DISPLAY": screen.display,
            "HOME": str(HOME),
            "LC_ALL": "C.UTF-8",
            "NO_AT_BRIDGE": "1",
            "PATH": "/usr/bin:/bin",
            "XDG_CURRENT_DESKTOP": "XFCE",
            "XDG_RUNTIME_DIR": str(_RUNTIME),
        }

    def start(self) -> None:
        self._log.unlink(missing_ok=True)
        self._root.inside(_BUS).unlink(missing_ok=True)
        self.spawn(
            "dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address=unix:path={_BUS}"
        )
        wait_for(self._root.inside(_BUS).exists, "the bus")
        self.spawn("xfce4-session")
        wait_for(self._shows_panel, "the panel")

    def close(self) -> None:
        """End the session, and what it started."""
        for process in reversed(self._processes):
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
        self._processes.clear()
        wait_for(lambda: not self._shows_panel(), "the panel to go")

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program in the session."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._root.command(command, USER), env=self.env, cwd="/", start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def command(self, *arguments: str, check: bool = True) -> str:
        """What `trayconnect ARGUMENTS` prints."""
        done = self._root.run("trayconnect", *arguments, user=USER, env=self.env, check=check)
        return done.stdout

    def running(self) -> str | None:
        """The state of the first server in the running app; None if none runs."""
        said = self._root.run(
            "trayconnect", "status", "--json", user=USER, env=self.env, check=False
        )
        if said.returncode != 0:
            return None
        status: Any = json.loads(said.stdout)
        return str(status["servers"][0]["state"])

    def wait_icon(self, state: IconState) -> Point:
        place = wait_for(lambda: find_icon(self._screen.screenshot(), state), f"icon {state.value}")
        assert place is not None
        return place

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def settle(self, seconds: float) -> None:
        """Give the session time for what must not happen."""
        time.sleep(seconds)

    def _shows_panel(self) -> bool:
        return any(name == "xfce4-panel" for _, name in self._screen.windows())


def processes(root: Root, program: str) -> Sequence[int]:
    """The numbers of the processes inside that run this program, or one that was at its path."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            exe = str((folder / "exe").readlink()).removesuffix(" (deleted)")
            if exe == str(root.inside(Path(program))):
                found.append(int(folder.name))
    return found
