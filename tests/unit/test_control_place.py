from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.control import short_folder
from tests.support.systems import has_mode, has_modes, has_unix_sockets
from trayconnect.control.address import OVERRIDE, SOCKET_NAME, SOCKET_PATH_MAX
from trayconnect.control.place import private_folder, runtime_folder
from trayconnect.core.errors import ProblemError

if sys.platform == "win32":
    USER = 0
else:
    USER = os.geteuid()


def test_the_override_is_the_folder_itself(tmp_path: Path) -> None:
    with short_folder() as base:
        wanted = base / "deep" / "own"
        assert runtime_folder({OVERRIDE: str(wanted), "XDG_RUNTIME_DIR": str(base)}) == wanted
        assert has_mode(wanted, 0o700)


def test_the_second_call_finds_what_the_first_made() -> None:
    with short_folder() as base:
        environ = {OVERRIDE: str(base / "own")}
        assert runtime_folder(environ) == runtime_folder(environ)


@pytest.mark.skipif("sys.platform != 'linux'", reason="XDG is Linux's")
class TestLinux:
    def test_it_is_in_the_users_runtime_directory(self) -> None:
        with short_folder() as base:
            folder = runtime_folder({"XDG_RUNTIME_DIR": str(base)})
            assert folder == base / "trayconnect"
            assert has_mode(folder, 0o700)

    @pytest.mark.parametrize("fault", ["missing", "writable", "relative", "a file", "unset"])
    def test_a_directory_that_is_not_safe_is_passed_over(
        self, fault: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with short_folder() as base:
            monkeypatch.setattr("trayconnect.control.place.private_folder", lambda folder: folder)
            directory = base / "run"
            if fault == "a file":
                directory.touch()
            elif fault != "missing":
                directory.mkdir()
            if fault == "writable":
                directory.chmod(0o777)
            value = os.path.relpath(directory) if fault == "relative" else str(directory)
            folder = runtime_folder({} if fault == "unset" else {"XDG_RUNTIME_DIR": value})
            assert folder in {
                Path(f"/run/user/{USER}/trayconnect"),
                Path(f"/tmp/trayconnect-{USER}"),
            }

    def test_one_of_another_user_is_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with short_folder() as base:
            monkeypatch.setattr("trayconnect.control.place.private_folder", lambda folder: folder)
            other = USER + 1
            monkeypatch.setattr("os.geteuid", lambda: other)
            folder = runtime_folder({"XDG_RUNTIME_DIR": str(base)})
            assert folder == Path(f"/tmp/trayconnect-{other}")

    def test_a_squatter_in_tmp_only_makes_it_choose_the_home_folder(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with short_folder() as base:
            monkeypatch.setattr("trayconnect.control.address._is_ours", lambda _folder, _uid: False)
            monkeypatch.setattr("trayconnect.control.address._is_anothers", lambda _f, _uid: True)
            monkeypatch.setenv("HOME", str(base))
            folder = runtime_folder({})
            assert folder == base / ".cache/trayconnect/run"
            assert has_mode(folder, 0o700)
            assert has_mode(folder.parent, 0o700)
            assert runtime_folder({}) == folder


@has_unix_sockets
def test_a_path_too_long_for_a_socket_becomes_a_short_one(tmp_path: Path) -> None:
    places = [tmp_path / ("long" * 25) / name for name in ("one", "two")]
    folders = [runtime_folder({OVERRIDE: str(place)}) for place in places]
    try:
        again = [runtime_folder({OVERRIDE: str(place)}) for place in places]
        assert folders == again
        assert len(set(folders)) == 2
        for folder in folders:
            assert len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_MAX
            assert has_mode(folder, 0o700)
    finally:
        for folder in folders:
            shutil.rmtree(folder)


@has_unix_sockets
@pytest.mark.parametrize("length", [SOCKET_PATH_MAX, SOCKET_PATH_MAX + 1])
def test_the_limit_is_met_to_the_byte(length: int) -> None:
    with short_folder() as base:
        room = length - len(os.fsencode(base)) - len(SOCKET_NAME) - 2
        wanted = base / ("é" * (room // 2) + "x" * (room % 2))
        assert len(os.fsencode(wanted / SOCKET_NAME)) == length
        folder = runtime_folder({OVERRIDE: str(wanted)})
        assert (folder == wanted) == (length <= SOCKET_PATH_MAX)
        if folder != wanted:
            folder.rmdir()


@has_modes
@pytest.mark.parametrize("fault", ["link", "dangling link", "file", "open", "closed"])
def test_what_is_not_private_is_refused_and_left_alone(fault: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    elsewhere = tmp_path / "elsewhere"
    if fault == "link":
        elsewhere.mkdir(mode=0o700)
        folder.symlink_to(elsewhere)
    elif fault == "dangling link":
        folder.symlink_to(elsewhere)
    elif fault == "file":
        folder.touch(mode=0o700)
    else:
        folder.mkdir()
        folder.chmod(0o750 if fault == "open" else 0o500)
    before = folder.lstat()
    with pytest.raises(ProblemError) as caught:
        private_folder(folder)
    assert str(folder) in caught.value.problem.title
    assert OVERRIDE in caught.value.problem.advice
    assert folder.lstat() == before
    assert not list(elsewhere.iterdir()) if fault == "link" else not elsewhere.exists()


@has_modes
def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = private_folder(tmp_path / "run")
    other = USER + 1
    monkeypatch.setattr("os.geteuid", lambda: other)
    with pytest.raises(ProblemError, match="not private") as caught:
        private_folder(folder)
    assert f"export {OVERRIDE}=" in caught.value.problem.advice
    assert "emove" not in caught.value.problem.advice  # it cannot be


def test_a_place_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProblemError, match="cannot be made"):
        private_folder(tmp_path / "file" / "run")
