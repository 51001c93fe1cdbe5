"""Which command starts this installation."""

from __future__ import annotations

import dataclasses
import sysconfig
from pathlib import Path

import pytest

import trayconnect
from tests.support.systems import has_links, has_posix_paths
from trayconnect.core.errors import ProblemError
from trayconnect.desktop.autostart.entry import Installation, launch_command


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    scripts = tmp_path / "venv" / "bin"
    scripts.mkdir(parents=True)
    return Installation(
        executable=scripts / "python",
        frozen=False,
        scripts=scripts,
        installed=True,
        windows=False,
        environ={"PATH": ""},
        home=tmp_path / "home",
    )


def make_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_script_beside_the_interpreter(here: Installation) -> None:
    script = make_file(here.scripts / "trayconnect")
    assert launch_command(here) == (str(script),)


@has_links
def test_a_link_to_that_script_is_preferred(here: Installation) -> None:
    script = make_file(here.scripts / "trayconnect")
    link = here.home / ".local" / "bin" / "trayconnect"
    link.parent.mkdir(parents=True)
    link.symlink_to(script)
    assert launch_command(here) == (str(link),)


@has_links
def test_a_link_on_the_path_is_found(here: Installation, tmp_path: Path) -> None:
    script = make_file(here.scripts / "trayconnect")
    link = tmp_path / "tools" / "trayconnect"
    link.parent.mkdir()
    link.symlink_to(script)
    there = dataclasses.replace(here, environ={"PATH": f"relative:{link.parent}"})
    assert launch_command(there) == (str(link),)


@has_links
def test_another_installation_on_the_path_is_left_alone(here: Installation, tmp_path: Path) -> None:
    script = make_file(here.scripts / "trayconnect")
    other = make_file(tmp_path / "other" / "trayconnect")
    link = here.home / ".local" / "bin" / "trayconnect"
    link.parent.mkdir(parents=True)
    link.symlink_to(other)
    there = dataclasses.replace(here, environ={"PATH": str(other.parent)})
    assert launch_command(there) == (str(script),)


def test_a_module_without_a_script(here: Installation) -> None:
    assert launch_command(here) == (str(here.executable), "-m", "trayconnect")


def test_a_folder_of_sources_cannot_be_started_at_login(here: Installation) -> None:
    with pytest.raises(ProblemError, match="Install it first"):
        launch_command(dataclasses.replace(here, installed=False))


@has_posix_paths
def test_frozen(here: Installation) -> None:
    make_file(here.scripts / "trayconnect")
    frozen = dataclasses.replace(here, frozen=True, executable=Path("/opt/tc/trayconnect"))
    assert launch_command(frozen) == ("/opt/tc/trayconnect",)


@has_links
def test_frozen_in_a_package_the_link_among_the_programs(
    here: Installation, tmp_path: Path
) -> None:
    program = make_file(tmp_path / "lib/trayconnect/trayconnect")
    link = tmp_path / "bin/trayconnect"
    link.parent.mkdir()
    link.symlink_to("../lib/trayconnect/trayconnect")
    path = {"PATH": str(link.parent)}
    packaged = dataclasses.replace(here, frozen=True, executable=program, environ=path)
    assert launch_command(packaged) == (str(link),)


def test_frozen_for_windows_the_one_without_a_console(here: Installation, tmp_path: Path) -> None:
    console = make_file(tmp_path / "trayconnect.exe")
    frozen = dataclasses.replace(here, frozen=True, windows=True, executable=console)
    assert launch_command(frozen) == (str(console),)
    windowed = make_file(tmp_path / "trayconnectw.exe")
    assert launch_command(frozen) == (str(windowed),)
    itself = dataclasses.replace(frozen, executable=windowed)
    assert launch_command(itself) == (str(windowed),)


def test_frozen_in_an_appimage(here: Installation, tmp_path: Path) -> None:
    image = make_file(tmp_path / "trayconnect.AppImage")
    frozen = dataclasses.replace(here, frozen=True, environ={"APPIMAGE": str(image)})
    assert launch_command(frozen) == (str(image),)
    gone = dataclasses.replace(here, frozen=True, environ={"APPIMAGE": str(tmp_path / "gone")})
    assert launch_command(gone) == (str(here.executable),)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("trayconnectw.exe", "pythonw.exe", "trayconnect.exe"), ("trayconnectw.exe",)),
        (("pythonw.exe", "trayconnect.exe"), ("pythonw.exe", "-m", "trayconnect")),
        (("trayconnect.exe",), ("trayconnect.exe",)),
    ],
)
def test_windows_prefers_what_opens_no_console(
    here: Installation, files: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    for name in files:
        make_file(here.scripts / name)
    windows = dataclasses.replace(here, windows=True, executable=here.scripts / "python.exe")
    program, *rest = expected
    assert launch_command(windows) == (str(here.scripts / program), *rest)


def test_windows_without_anything(here: Installation) -> None:
    with pytest.raises(ProblemError):
        launch_command(dataclasses.replace(here, windows=True))


def test_this_interpreter_describes_itself() -> None:
    here = Installation()
    assert here.executable.is_absolute()
    assert here.scripts.is_absolute()
    assert not here.frozen


def test_a_package_among_the_libraries_of_its_python_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder, is_installed in ((Path(trayconnect.__file__).parents[1], True), (tmp_path, False)):
        monkeypatch.setattr(sysconfig, "get_path", lambda _name, folder=folder: str(folder))
        assert Installation().installed == is_installed
