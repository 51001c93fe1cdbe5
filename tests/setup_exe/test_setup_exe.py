"""The bundle for Windows, and the life of an installation of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from installers.licences import OVERVIEW
from tests.setup_exe.bundle import BUNDLE, SETUP, VERSION, BundleDesk
from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.staged_jupyter import StagedJupyter
from tests.support.waiting import wait_for
from tests.windows.desk import LIMIT
from tests.windows.environment import PYTHON, windows_path
from tests.windows.kit import NAME, entry, get, trust
from trayconnect.tray.view import IconState

CURRENT = r"HKCU\Software\Microsoft\Windows\CurrentVersion"
SERVERS = f"servers:\n  - {{name: {NAME}, host: gpu.example.org}}\n"
VERSION_OF = """
import ctypes, sys
for path in sys.argv[1:]:
    api = ctypes.windll.version
    size = api.GetFileVersionInfoSizeW(path, None)
    data, value, length = ctypes.create_string_buffer(size), ctypes.c_wchar_p(), ctypes.c_uint()
    api.GetFileVersionInfoW(path, 0, size, data)
    name = chr(92) + chr(92).join(("StringFileInfo", "040904B0", "ProductVersion"))
    api.VerQueryValueW(data, name, ctypes.byref(value), ctypes.byref(length))
    print(value.value)
"""


@pytest.fixture(scope="module", autouse=True)
def made() -> None:
    assert SETUP.is_file(), "make test-setup-exe makes the installer first"
    assert BUNDLE.is_dir()


@pytest.fixture
def desk() -> Iterator[BundleDesk]:
    with BundleDesk(SERVERS) as made:
        made.use_windows_10()
        yield made


def test_commands_of_the_bundle(desk: BundleDesk) -> None:
    assert desk.command("--version") == f"trayconnect, version {VERSION}\n"
    assert desk.command("check").endswith("servers.yaml: 1 server, no problems\n")
    assert "is not running" in desk.command("status", code=1)
    words = desk.end(desk.program("trayconnect.exe"), "doctor")[1]
    for part in ("tray", "questions", "keyring"):
        assert f"ok       {part}" in words, words
    programs = [desk.program(name) for name in ("trayconnect.exe", "trayconnectw.exe")]
    shown = desk.end(windows_path(PYTHON), "-c", VERSION_OF, *programs)
    assert shown == (0, f"{VERSION}\n{VERSION}\n")


def test_every_part_of_the_bundle_has_its_licence() -> None:
    folder = BUNDLE / "_internal" / "licences"
    listed = re.findall(r"^  (\S+) \S+$", (folder / OVERVIEW).read_text(), re.MULTILINE)
    assert {"Python", "Tcl-Tk", "paramiko", "pywin32-ctypes", "pyinstaller"} <= set(listed)
    assert {path.name for path in folder.iterdir()} == {OVERVIEW, *(f"{one}.txt" for one in listed)}
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in (folder / "pystray.txt").read_text()


def test_the_command_leaves_the_icon_to_the_program_without_a_console(desk: BundleDesk) -> None:
    assert desk.command().startswith("trayconnect is running. ")
    assert len(desk.apps()) == 1
    assert not [line for line in desk.programs() if "trayconnect.exe" in line]
    assert "running already" in desk.command()
    assert NAME in desk.command("status")
    desk.command("quit")
    wait_for(lambda: not desk.programs(), "the end of the app", LIMIT)


def test_without_a_console_a_problem_is_shown_in_a_window(desk: BundleDesk) -> None:
    program = desk.program("trayconnectw.exe")
    desk.open_on_desktop("start", program, "run", "--config", r"C:\gone.yaml")
    desk.wait_window("trayconnect")
    desk.picture("exe-problem")
    desk.screen.key("Return")
    wait_for(lambda: not desk.programs(), "the end of the program", LIMIT)


def test_an_installation_is_used_upgraded_and_removed(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    with StagedJupyter() as jupyter, Sshd() as sshd:
        sshd.authorize(key)
        servers = entry(sshd, key, f"jupyter: {{port: {jupyter.port}}}")
        with BundleDesk(servers) as desk:
            desk.use_windows_10()
            trust(desk, sshd)
            _install(desk)
            _use(desk)
            _upgrade(desk)
            _remove(desk)
            _leave_another_installation(desk)


def _install(desk: BundleDesk) -> None:
    assert desk.end(windows_path(SETUP), "/S") == (0, "")
    names = {path.name for path in desk.installed.iterdir()}
    assert names == {"_internal", "trayconnect.exe", "trayconnectw.exe", "uninstall.exe"}
    desk.place = desk.installed_for_user()
    listed = desk.registry(rf"{CURRENT}\Uninstall\trayconnect")
    assert f"DisplayVersion    REG_SZ    {VERSION}" in listed, listed
    assert f'"{desk.program("uninstall.exe")}" /S' in listed, listed
    assert not desk.programs()  # without a window, it starts nothing that did not run


def _use(desk: BundleDesk) -> None:
    program = desk.program("trayconnectw.exe")
    assert program.encode() in desk.link.read_bytes()  # wine does not follow a link to a program
    desk.open_on_desktop("start", program)
    desk.wait_icon(IconState.OFF)
    desk.wait_answer()
    assert f"{NAME}  connected" in desk.command("connect", NAME, "--wait", "60")
    desk.wait_icon(IconState.UP)
    desk.picture("exe-installed-up")
    port = re.search(r"local_port: (\d+)", desk.file.read_text())
    assert port is not None
    assert b"2.99.0" in get(int(port[1]))
    assert desk.command("autostart", "on") == "on\n"
    assert program in desk.registry(rf"{CURRENT}\Run")


def _upgrade(desk: BundleDesk) -> None:
    before, stale = desk.apps(), desk.installed / "_internal" / "stale.pyd"
    stale.touch()
    assert desk.end(windows_path(SETUP), "/S") == (0, "")
    assert not stale.exists()
    desk.wait_answer()
    assert len(desk.apps()) == 1
    assert desk.apps() != before
    assert desk.program("trayconnectw.exe") in desk.registry(rf"{CURRENT}\Run")


def _remove(desk: BundleDesk) -> None:
    servers, mine = desk.file.read_text(), desk.installed / "mine.txt"
    mine.touch()
    _uninstall(desk)
    assert not desk.programs()
    assert [path.name for path in desk.installed.iterdir()] == ["mine.txt"]
    assert not desk.link.exists()
    assert "trayconnect" not in desk.registry(rf"{CURRENT}\Run")
    assert desk.file.read_text() == servers
    assert desk.known_hosts.is_file()


def _uninstall(desk: BundleDesk) -> None:
    desk.end(desk.program("uninstall.exe"), "/S")  # a copy of it does the work
    wait_for(lambda: not (desk.installed / "uninstall.exe").exists(), "the removal", LIMIT)
    wait_for(lambda: not desk.registry(rf"{CURRENT}\Uninstall\trayconnect"), "its entry", LIMIT)


def _leave_another_installation(desk: BundleDesk) -> None:
    """Its start at login stays, even while its drive is not there."""
    assert desk.end(windows_path(SETUP), "/S") == (0, "")
    other = r"E:\venv\Scripts\trayconnectw.exe"
    desk.end("reg", "add", rf"{CURRENT}\Run", "/v", "trayconnect", "/d", other)
    _uninstall(desk)
    assert other in desk.registry(rf"{CURRENT}\Run")


def test_an_older_windows_is_refused() -> None:
    with BundleDesk() as desk:
        desk.end("winecfg", "-v", "win7")
        assert desk.end(windows_path(SETUP), "/S") == (2, "")
        assert not desk.installed.exists()
