r"""Start at login on Windows: the user's `Run` key.

`HKCU\Software\Microsoft\Windows\CurrentVersion\Run` holds command lines of at most 260 characters
("Run and RunOnce Registry Keys", Microsoft). Task Manager and Settings disable an entry by a binary
value of the same name under `Explorer\StartupApproved\Run`, whose first byte is odd when it is
disabled."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

from trayconnect.core.errors import Problem, ProblemError

VALUE = "trayconnect"

_CURRENT = r"Software\Microsoft\Windows\CurrentVersion"
RUN = rf"{_CURRENT}\Run"
APPROVED = rf"{_CURRENT}\Explorer\StartupApproved\Run"
_LONGEST_COMMAND = 260

Key = AbstractContextManager[Any]


class Winreg(Protocol):
    """The functions of the standard library's `winreg` that are used here."""

    HKEY_CURRENT_USER: int
    KEY_SET_VALUE: int
    REG_SZ: int

    def OpenKey(self, key: int, sub_key: str, reserved: int = 0, access: int = ...) -> Key: ...  # noqa: N802
    def CreateKey(self, key: int, sub_key: str) -> Key: ...  # noqa: N802
    def QueryValueEx(self, key: Any, name: str) -> tuple[Any, int]: ...  # noqa: ANN401, N802
    def SetValueEx(  # noqa: N802
        self,
        key: Any,  # noqa: ANN401
        name: str,
        reserved: int,
        kind: int,
        value: str,
        /,
    ) -> None: ...
    def DeleteValue(self, key: Any, name: str) -> None: ...  # noqa: ANN401, N802


def system_registry() -> Winreg:
    """The real registry; only on Windows."""
    return cast("Winreg", importlib.import_module("winreg"))


def is_of_the_store(prefix: str) -> bool:
    """Whether a Python in that folder, or the base of its environment, comes from the Store."""
    return r"\windowsapps\pythonsoftwarefoundation." in prefix.lower().replace("/", "\\")


def hindrance_here() -> Problem | None:
    """Why the system would not start this Python's entries at login; None if it would."""
    if not is_of_the_store(sys.base_prefix):
        return None
    return Problem(
        "Start at login does not work with Python from the Microsoft Store",
        "Windows does not see the registry entries of that Python. Install trayconnect with its "
        "setup program, or with Python from python.org.",
    )


class RunKey:
    """`entry.Autostart`."""

    def __init__(
        self,
        command: Callable[[], tuple[str, ...]],
        winreg: Winreg,
        hindrance: Callable[[], Problem | None] = hindrance_here,
    ) -> None:
        self._hindrance = hindrance
        self._command = command
        self._winreg = winreg

    def is_on(self) -> bool:
        is_entered = isinstance(self._value(RUN), str) and not self.is_disabled_by_user()
        return is_entered and self._hindrance() is None

    def is_disabled_by_user(self) -> bool:
        """Whether the entry exists but is disabled in Task Manager or Settings."""
        approved = self._value(APPROVED)
        return isinstance(approved, bytes) and len(approved) > 0 and approved[0] % 2 == 1

    def turn_on(self) -> None:
        """Write the entry, and enable it in Task Manager. Raises `ProblemError`."""
        hindrance = self._hindrance()
        if hindrance is not None:
            raise ProblemError(hindrance)
        self._write(self._line())
        self._delete(APPROVED)

    def turn_off(self) -> None:
        self._delete(RUN)
        self._delete(APPROVED)

    def refresh(self) -> bool:
        present = self._value(RUN)
        if not isinstance(present, str) or not self.is_on():
            return False
        line = self._line()
        if present == line:
            return False
        self._write(line)
        return True

    def _line(self) -> str:
        line = subprocess.list2cmdline(self._command())
        if len(line) > _LONGEST_COMMAND:
            raise ProblemError(
                Problem(
                    "The path of trayconnect is too long to start at login",
                    f"Windows allows {_LONGEST_COMMAND} characters; install it in a folder with "
                    "a shorter path.",
                    detail=line,
                )
            )
        return line

    def _value(self, path: str) -> object:
        try:
            with self._winreg.OpenKey(self._winreg.HKEY_CURRENT_USER, path) as key:
                return self._winreg.QueryValueEx(key, VALUE)[0]
        except OSError:
            return None

    def _write(self, line: str) -> None:
        winreg = self._winreg
        try:
            with winreg.CreateKey(winreg.HKEY_CURRENT_USER, RUN) as key:
                winreg.SetValueEx(key, VALUE, 0, winreg.REG_SZ, line)
        except OSError as error:
            raise _denied(error) from error

    def _delete(self, path: str) -> None:
        winreg = self._winreg
        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, path, 0, winreg.KEY_SET_VALUE) as key:
                winreg.DeleteValue(key, VALUE)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _denied(error) from error


def _denied(error: OSError) -> ProblemError:
    return ProblemError(
        Problem(
            "Windows does not allow changing what starts at login",
            "A policy of your organisation may forbid it; ask your administrator.",
            detail=repr(error),
        )
    )
