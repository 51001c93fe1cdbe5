"""Start at login on macOS: a LaunchAgent (launchd.plist(5), launchctl(1))."""

from __future__ import annotations

import os
import plistlib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.parsers.expat import ExpatError

from trayconnect.core import files
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop import programs

LABEL = "io.github.trayconnect"

_LAUNCHCTL_LIMIT = 5.0

Launchctl = Callable[[Sequence[str]], str]
"""Runs launchctl with arguments and returns its output; raises `ProgramError`."""


def run_launchctl(arguments: Sequence[str]) -> str:
    output = programs.run(["/bin/launchctl", *arguments], timeout=_LAUNCHCTL_LIMIT)
    return output.decode(errors="replace")


def is_passing(executable: str) -> bool:
    """Whether a program runs from a temporary place: from the disk image, or from where macOS runs
    a downloaded application until the user moves it."""
    return re.search(r"/AppTranslocation/|^/Volumes/trayconnect\b", executable) is not None


def hindrance_here() -> Problem | None:
    """Why this program would not be found at the next login; None if it would."""
    if not is_passing(sys.executable):
        return None
    return Problem(
        "Start at login does not work from the disk image",
        "Drag trayconnect to Applications, quit this one, and start it there.",
    )


class LaunchAgent:
    """`entry.Autostart`. The system reads the agent at the next login. It is never loaded or
    unloaded here, because that would start a second app or end this one."""

    def __init__(
        self,
        command: Callable[[], tuple[str, ...]],
        folder: Path | None = None,
        launchctl: Launchctl = run_launchctl,
        hindrance: Callable[[], Problem | None] = hindrance_here,
    ) -> None:
        self._hindrance = hindrance
        self._command = command
        self._path = (folder or Path.home() / "Library" / "LaunchAgents") / f"{LABEL}.plist"
        self._launchctl = launchctl
        self._domain = f"gui/{os.getuid() if hasattr(os, 'getuid') else 0}"

    def is_on(self) -> bool:
        agent = self._read()
        return agent is not None and not agent.get("Disabled", False) and not self._overridden()

    def turn_on(self) -> None:
        """Write the agent, and undo a `launchctl disable`. Raises `ProblemError`."""
        hindrance = self._hindrance()
        if hindrance is not None:
            raise ProblemError(hindrance)
        files.write_atomically(self._path, agent_plist(self._command()))
        try:
            self._launchctl(["enable", f"{self._domain}/{LABEL}"])
        except programs.ProgramError:
            return  # usually nothing was disabled; `is_on` tells if the agent still is

    def turn_off(self) -> None:
        files.remove(self._path)

    def refresh(self) -> bool:
        agent = self._read()
        if agent is None or agent.get("Disabled", False) or self._hindrance() is not None:
            return False
        command = list(self._command())
        if agent.get("ProgramArguments") == command:
            return False
        content = plistlib.dumps({**agent, "ProgramArguments": command})
        files.write_atomically(self._path, content)
        return True

    def _read(self) -> dict[str, object] | None:
        try:
            agent = plistlib.loads(self._path.read_bytes())
        except (OSError, ValueError, ExpatError):
            return None
        return agent if isinstance(agent, dict) else None

    def _overridden(self) -> bool:
        try:
            output = self._launchctl(["print-disabled", self._domain])
        except programs.ProgramError:
            return False
        return is_disabled(output, LABEL)


def agent_plist(command: Sequence[str]) -> bytes:
    """The agent's property list. No KeepAlive: it would undo Quit."""
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(command),
            "RunAtLoad": True,
            "ProcessType": "Interactive",
            "LimitLoadToSessionType": "Aqua",
        }
    )


def is_disabled(output: str, label: str) -> bool:
    """Whether `launchctl print-disabled` lists the label as disabled.

    Lines read `"label" => disabled`, and `"label" => true` before macOS 13."""
    pattern = rf'^\s*"{re.escape(label)}" => (disabled|true)\s*$'
    return re.search(pattern, output, re.MULTILINE) is not None
