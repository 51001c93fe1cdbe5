"""The Run key that starts the app at login, in a registry of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop.autostart.windows import APPROVED, RUN, VALUE, RunKey, is_of_the_store

COMMAND = (r"C:\Users\Ada L\trayconnectw.exe",)


class FakeWinreg:
    """Keys by path; one value each is all that is needed. `deny` forbids writing."""

    HKEY_CURRENT_USER = 1
    KEY_SET_VALUE = 2
    REG_SZ = 1

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {RUN: {}}
        self.deny = False

    @contextmanager
    def OpenKey(
        self, key: int, sub_key: str, reserved: int = 0, access: int = 0
    ) -> Iterator[dict[str, Any]]:
        if sub_key not in self.keys:
            raise FileNotFoundError(sub_key)
        if access == self.KEY_SET_VALUE and self.deny:
            raise PermissionError(5, "denied")
        yield self.keys[sub_key]

    @contextmanager
    def CreateKey(self, key: int, sub_key: str) -> Iterator[dict[str, Any]]:
        if self.deny:
            raise PermissionError(5, "denied")
        yield self.keys.setdefault(sub_key, {})

    def QueryValueEx(self, key: dict[str, Any], name: str) -> tuple[Any, int]:
        if name not in key:
            raise FileNotFoundError(name)
        return key[name], self.REG_SZ

    def SetValueEx(
        self, key: dict[str, Any], name: str, reserved: int, kind: int, value: str, /
    ) -> None:
        key[name] = value

    def DeleteValue(self, key: dict[str, Any], name: str) -> None:
        if name not in key:
            raise FileNotFoundError(name)
        del key[name]


@pytest.fixture
def registry() -> FakeWinreg:
    return FakeWinreg()


def test_on_and_off(registry: FakeWinreg) -> None:
    entry = RunKey(lambda: COMMAND, registry)
    assert not entry.is_on()
    entry.turn_on()
    assert entry.is_on()
    assert registry.keys[RUN] == {VALUE: r'"C:\Users\Ada L\trayconnectw.exe"'}
    entry.turn_off()
    entry.turn_off()
    assert not entry.is_on()


@pytest.mark.parametrize(
    ("approved", "on"),
    [
        (b"\x02" + bytes(11), True),
        (b"\x06" + bytes(11), True),
        (b"\x03" + bytes(11), False),
        (b"\x07" + bytes(11), False),
        (b"", True),
    ],
)
def test_task_manager_has_the_last_word(registry: FakeWinreg, approved: bytes, on: bool) -> None:
    entry = RunKey(lambda: COMMAND, registry)
    entry.turn_on()
    registry.keys[APPROVED] = {VALUE: approved}
    assert entry.is_on() is on
    assert entry.is_disabled_by_user() is not on


def test_turning_on_lifts_the_switch_of_task_manager(registry: FakeWinreg) -> None:
    registry.keys[APPROVED] = {VALUE: b"\x03" + bytes(11)}
    entry = RunKey(lambda: COMMAND, registry)
    entry.turn_on()
    assert entry.is_on()


def test_refresh_follows_a_moved_installation(registry: FakeWinreg) -> None:
    entry = RunKey(lambda: COMMAND, registry)
    assert not entry.refresh()
    registry.keys[RUN][VALUE] = r"C:\old.exe"
    assert entry.refresh()
    assert registry.keys[RUN][VALUE] == r'"C:\Users\Ada L\trayconnectw.exe"'
    assert not entry.refresh()


def test_refresh_leaves_an_entry_that_the_user_switched_off(registry: FakeWinreg) -> None:
    registry.keys[RUN][VALUE] = r"C:\old.exe"
    registry.keys[APPROVED] = {VALUE: b"\x03"}
    assert not RunKey(lambda: COMMAND, registry).refresh()
    assert registry.keys[RUN][VALUE] == r"C:\old.exe"


def test_a_forbidden_registry_is_a_problem(registry: FakeWinreg) -> None:
    entry = RunKey(lambda: COMMAND, registry)
    entry.turn_on()
    registry.deny = True
    for change in (entry.turn_on, entry.turn_off):
        with pytest.raises(ProblemError, match="does not allow"):
            change()


def test_a_path_that_is_too_long_is_a_problem(registry: FakeWinreg) -> None:
    with pytest.raises(ProblemError, match="too long"):
        RunKey(lambda: ("C:\\" + "a" * 260,), registry).turn_on()
    assert registry.keys[RUN] == {}


@pytest.mark.parametrize(
    ("prefix", "is_so"),
    [
        (
            r"C:\Program Files\WindowsApps\PythonSoftwareFoundation.Python.3.12_3.12.2_x64__qbz5",
            True,
        ),
        (
            r"C:\Users\ada\AppData\Local\Microsoft\WindowsApps\PythonSoftwareFoundation.Python.3.11_q",
            True,
        ),
        ("c:/program files/windowsapps/pythonsoftwarefoundation.python.3.13_x", True),
        (r"C:\Users\ada\AppData\Local\Programs\Python\Python312", False),
        (r"C:\WindowsApps\Python", False),
    ],
)
def test_python_of_the_microsoft_store(prefix: str, is_so: bool) -> None:
    assert is_of_the_store(prefix) is is_so


def test_what_windows_would_not_see_is_refused(registry: FakeWinreg) -> None:
    entry = RunKey(lambda: COMMAND, registry, lambda: Problem("It does not work", "Install"))
    registry.keys[RUN][VALUE] = "old"
    assert not entry.is_on()
    assert not entry.refresh()
    with pytest.raises(ProblemError, match="does not work"):
        entry.turn_on()
    assert registry.keys[RUN][VALUE] == "old"
    entry.turn_off()
    assert registry.keys[RUN] == {}
