"""The LaunchAgent that starts the app at login."""

from __future__ import annotations

import plistlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop.autostart.macos import (
    LABEL,
    LaunchAgent,
    agent_plist,
    is_disabled,
    is_passing,
)
from trayconnect.desktop.programs import ProgramError

COMMAND = ("/Users/ada/a b/trayconnect", "--x", '"&<')


class Launchctl:
    """Remembers what it was asked; lists `disabled`."""

    def __init__(self) -> None:
        self.calls: list[Sequence[str]] = []
        self.output = ""

    def __call__(self, arguments: Sequence[str]) -> str:
        self.calls.append(arguments)
        return self.output


def missing(_arguments: Sequence[str]) -> str:
    raise ProgramError("no launchctl")


def test_the_property_list_reads_back() -> None:
    assert plistlib.loads(agent_plist(COMMAND)) == {
        "Label": LABEL,
        "ProgramArguments": list(COMMAND),
        "RunAtLoad": True,
        "ProcessType": "Interactive",
        "LimitLoadToSessionType": "Aqua",
    }


def test_on_and_off(tmp_path: Path) -> None:
    launchctl = Launchctl()
    agent = LaunchAgent(lambda: COMMAND, tmp_path / "LaunchAgents", launchctl)
    assert not agent.is_on()
    agent.turn_on()
    assert agent.is_on()
    assert launchctl.calls[0][0] == "enable"
    assert launchctl.calls[0][1].endswith(f"/{LABEL}")
    agent.turn_off()
    agent.turn_off()
    assert not agent.is_on()


def test_the_system_has_the_last_word(tmp_path: Path) -> None:
    launchctl = Launchctl()
    agent = LaunchAgent(lambda: COMMAND, tmp_path, launchctl)
    agent.turn_on()
    launchctl.output = f'disabled services = {{\n\t"{LABEL}" => disabled\n}}\n'
    assert not agent.is_on()


def test_the_disabled_key_counts(tmp_path: Path) -> None:
    agent = LaunchAgent(lambda: COMMAND, tmp_path, Launchctl())
    (tmp_path / f"{LABEL}.plist").write_bytes(
        plistlib.dumps({**plistlib.loads(agent_plist(COMMAND)), "Disabled": True})
    )
    assert not agent.is_on()
    assert not agent.refresh()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f'\t"{LABEL}" => disabled', True),
        (f'\t"{LABEL}" => true', True),
        (f'\t"{LABEL}" => enabled', False),
        (f'\t"{LABEL}" => false', False),
        (f'\t"{LABEL}.other" => disabled', False),
        ("", False),
    ],
)
def test_print_disabled(line: str, expected: bool) -> None:
    assert is_disabled(f"disabled services = {{\n{line}\n}}\n", LABEL) is expected


def test_without_launchctl_the_file_decides(tmp_path: Path) -> None:
    agent = LaunchAgent(lambda: COMMAND, tmp_path, missing)
    agent.turn_on()
    assert agent.is_on()


@pytest.mark.parametrize("content", [b"", b"<plist>", b"bplist00garbage", b"\xff\xfe"])
def test_a_broken_file_is_off(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{LABEL}.plist").write_bytes(content)
    agent = LaunchAgent(lambda: COMMAND, tmp_path, Launchctl())
    assert not agent.is_on()
    assert not agent.refresh()


def test_refresh_follows_a_moved_installation(tmp_path: Path) -> None:
    LaunchAgent(lambda: ("/old",), tmp_path, Launchctl()).turn_on()
    agent = LaunchAgent(lambda: COMMAND, tmp_path, Launchctl())
    assert agent.refresh()
    assert (tmp_path / f"{LABEL}.plist").read_bytes() == agent_plist(COMMAND)
    assert not agent.refresh()


@pytest.mark.parametrize(
    ("executable", "expected"),
    [
        ("/private/var/folders/x/T/AppTranslocation/1-2/d/trayconnect.app/Contents/MacOS/t", True),
        ("/Volumes/trayconnect/trayconnect.app/Contents/MacOS/trayconnect", True),
        ("/Volumes/trayconnect 1/trayconnect.app/Contents/MacOS/trayconnect", True),
        ("/Volumes/Data/Applications/trayconnect.app/Contents/MacOS/trayconnect", False),
        ("/Applications/trayconnect.app/Contents/MacOS/trayconnect", False),
    ],
)
def test_a_place_that_will_be_gone_at_the_next_login(executable: str, expected: bool) -> None:
    assert is_passing(executable) is expected


def test_no_entry_names_a_place_that_will_be_gone(tmp_path: Path) -> None:
    LaunchAgent(lambda: ("/Applications/t",), tmp_path, Launchctl()).turn_on()
    problem = Problem("It does not work from here", "Move it")
    agent = LaunchAgent(lambda: COMMAND, tmp_path, Launchctl(), lambda: problem)
    with pytest.raises(ProblemError, match="does not work"):
        agent.turn_on()
    assert not agent.refresh()
    assert agent.is_on()
    assert (tmp_path / f"{LABEL}.plist").read_bytes() == agent_plist(("/Applications/t",))
