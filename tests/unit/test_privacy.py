"""Folders for this user alone, core dumps, and who else may write a file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trayconnect.core.privacy import close_to_others, make_folder, no_core_dumps, writers

if sys.platform == "win32":
    pytest.skip("modes are of POSIX", allow_module_level=True)
assert sys.platform != "win32"  # for mypy

import grp  # noqa: E402
import pwd  # noqa: E402

GROUP = grp.struct_group


@pytest.mark.parametrize("umask", [0, 0o002, 0o022, 0o077])
def test_folders_are_private_under_any_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        make_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    for name in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


@pytest.fixture
def shared_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every group has another member."""
    monkeypatch.setattr("grp.getgrgid", lambda gid: GROUP(("staff", "x", gid, ["eve"])))


@pytest.mark.usefixtures("shared_group")
@pytest.mark.parametrize(
    ("file", "folder", "told"),
    [
        (0o600, 0o700, []),
        (0o644, 0o755, []),
        (0o666, 0o755, ["file"]),
        (0o664, 0o755, ["file"]),
        (0o600, 0o777, ["folder"]),
        (0o600, 0o775, ["folder"]),
        (0o602, 0o722, ["file", "folder"]),
        (0o600, 0o1777, []),
    ],
)
def test_who_else_can_write(file: int, folder: int, told: list[str], tmp_path: Path) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    path = place / "file"
    path.touch()
    path.chmod(file)
    place.chmod(folder)
    assert [(each.name, advice) for each, advice in writers(path)] == [
        (name, f"chmod go-w {path if name == 'file' else place}") for name in told
    ]


@pytest.mark.parametrize(
    ("name", "members", "told"),
    [
        ("ada", [], False),
        ("ada", ["ada"], False),
        ("ada", ["ada", "eve"], True),
        ("users", [], True),
    ],
)
def test_a_group_of_the_user_alone_may_write(
    name: str, members: list[str], told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o664)
    gid = path.stat().st_gid
    user = pwd.struct_passwd(("ada", "x", os.getuid(), gid, "", "/home/ada", "/bin/sh"))
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: user)
    monkeypatch.setattr("grp.getgrgid", lambda gid: GROUP((name, "x", gid, members)))
    assert bool([each for each, _ in writers(path) if each == path]) is told
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o775)
    assert bool(close_to_others([folder])) is told
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_folder_that_a_link_leads_to_counts(tmp_path: Path) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    (place / "file").touch()
    place.chmod(0o777)
    link = tmp_path / "link"
    link.symlink_to(place / "file")
    assert [each for each, _ in writers(link)] == [place]


def test_no_core_is_dumped() -> None:
    program = f"""
import resource
from trayconnect.core.privacy import no_core_dumps
{no_core_dumps.__name__}()
print(resource.getrlimit(resource.RLIMIT_CORE)[0])
if {sys.platform == "linux"}:
    import ctypes
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {"0"}
