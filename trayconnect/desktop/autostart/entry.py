"""Start at login, for the running platform, and the command that starts this installation."""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import trayconnect
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop.autostart import macos, windows
from trayconnect.desktop.autostart.macos import LaunchAgent
from trayconnect.desktop.autostart.windows import RunKey, system_registry
from trayconnect.desktop.autostart.xdg import DesktopEntry
from trayconnect.desktop.windows_console import CONSOLE, WINDOWED, beside

PROGRAM = CONSOLE


def _is_installed() -> bool:
    package = Path(trayconnect.__file__).resolve().parent
    libraries = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return any(package.parent == Path(library).resolve() for library in libraries)


@dataclass(frozen=True, slots=True)
class Installation:
    """Properties of the running interpreter."""

    executable: Path = field(default_factory=lambda: Path(sys.executable))
    frozen: bool = field(default_factory=lambda: bool(getattr(sys, "frozen", False)))
    scripts: Path = field(default_factory=lambda: Path(sysconfig.get_path("scripts")))
    installed: bool = field(default_factory=_is_installed)
    """Whether `python -m trayconnect` works from every folder."""
    windows: bool = sys.platform == "win32"
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    home: Path = field(default_factory=Path.home)


def launch_command(
    installation: Installation | None = None, is_file: Callable[[Path], bool] = Path.is_file
) -> tuple[str, ...]:
    """The program and its arguments, by absolute path.

    - Frozen (PyInstaller): the executable itself, or the AppImage around it; on Windows the one
      without a console.
    - Otherwise the script beside the interpreter.
    - A link to the executable or the script in a folder for programs is preferred, because it
      survives an upgrade that moves the rest (pipx, uv, a package of the system).
      `shutil.which` would not do: it may find another installation.
    - Windows: a way that opens no console window.

    Raises `ProblemError` when this copy is not installed.
    """
    this = installation or Installation()
    if this.frozen:
        appimage = this.environ.get("APPIMAGE", "")
        if appimage and is_file(Path(appimage)):
            return (appimage,)
        if this.windows:
            return (str(beside(this.executable, is_file) or this.executable),)
        return (str(_stable_link(this.executable, _folders(this)) or this.executable),)
    if this.windows:
        return _windows_command(this, is_file)
    script = this.scripts / PROGRAM
    if is_file(script):
        return (str(_stable_link(script, _folders(this)) or script),)
    if this.installed:
        return (str(this.executable), "-m", PROGRAM)
    raise _not_installed()


def _windows_command(this: Installation, is_file: Callable[[Path], bool]) -> tuple[str, ...]:
    windowed_script = this.scripts / f"{WINDOWED}.exe"
    if is_file(windowed_script):
        return (str(windowed_script),)
    windowed_python = this.executable.with_name("pythonw.exe")
    if this.installed and is_file(windowed_python):
        return (str(windowed_python), "-m", PROGRAM)
    script = this.scripts / f"{PROGRAM}.exe"
    if is_file(script):
        return (str(script),)
    raise _not_installed()


def _folders(this: Installation) -> Sequence[Path]:
    path = this.environ.get("PATH", "").split(os.pathsep)
    preferred = [this.home / ".local" / "bin", Path("/usr/local/bin"), Path("/usr/bin")]
    return [*preferred, *(Path(folder) for folder in path if Path(folder).is_absolute())]


def _stable_link(script: Path, folders: Sequence[Path]) -> Path | None:
    target = script.resolve()
    for folder in folders:
        link = folder / PROGRAM
        if link.is_symlink() and link.resolve() == target:
            return link
    return None


def _not_installed() -> ProblemError:
    return ProblemError(
        Problem(
            "This copy of trayconnect cannot be started at login",
            "It runs from a source folder. Install it first: `pipx install .` in that folder.",
        )
    )


logger = logging.getLogger(__name__)

AT_LOGIN = ("run", "--at-login")
"""On Linux: the desktop may start its panel later than this program."""
Command = Callable[[], tuple[str, ...]]
"""Returns the command to register; raises `ProblemError` if there is none."""


class Autostart(Protocol):
    """Whether the program starts at login, according to the system."""

    def is_on(self) -> bool: ...

    def turn_on(self) -> None:
        """Raises `ProblemError`."""
        ...

    def turn_off(self) -> None:
        """Raises `ProblemError`."""
        ...


class RefreshingAutostart(Autostart, Protocol):
    """`Autostart` that also follows a moved installation."""

    def refresh(self) -> bool:
        """Rewrite the entry if it is on and starts another command. Returns whether it did. Raises
        `ProblemError`."""
        ...


def autostart(command: Command = launch_command) -> RefreshingAutostart:
    """For this platform. The constructor changes nothing."""
    kinds: dict[str, Callable[[], RefreshingAutostart]] = {
        "darwin": lambda: LaunchAgent(command),
        "win32": lambda: RunKey(command, system_registry()),
    }
    return kinds.get(sys.platform, lambda: DesktopEntry(lambda: (*command(), *AT_LOGIN)))()


def hindrance() -> Problem | None:
    """Why it cannot be turned on here; None if it can, as far as is known."""
    kinds = {"darwin": macos.hindrance_here, "win32": windows.hindrance_here}
    return kinds.get(sys.platform, lambda: None)()


def refresh_quietly(entry: RefreshingAutostart) -> None:
    """At the start of the app: correct an outdated path. A failure is only logged."""
    try:
        if entry.refresh():
            logger.info("start at login: the entry now starts this installation")
    except ProblemError as error:
        logger.warning("start at login: %s", error)
