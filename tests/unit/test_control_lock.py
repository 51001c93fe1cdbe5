from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.control import nothing_left
from tests.support.systems import has_links, has_mode
from trayconnect.control.lock import InstanceLock, owner_pid
from trayconnect.core.errors import ProblemError


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    with nothing_left():
        first, second = InstanceLock(tmp_path), InstanceLock(tmp_path)
        assert first.acquire()
        assert first.acquire()
        assert not second.acquire()
        assert (first.held, second.held) == (True, False)
        first.release()
        assert (first.held, second.held) == (False, False)
        assert second.acquire()
        assert not first.acquire()
        second.release()
        second.release()


def test_the_owner_is_named_and_the_file_stays(tmp_path: Path) -> None:
    assert owner_pid(tmp_path) is None
    lock = InstanceLock(tmp_path)
    lock.acquire()
    (file,) = tmp_path.iterdir()
    file.write_text("9" * 400)
    lock.release()
    lock.acquire()
    assert owner_pid(tmp_path) == os.getpid()
    assert has_mode(file, 0o600)
    lock.release()
    assert file.exists()


@pytest.mark.parametrize("content", [b"", b"who knows", b"\xff\xfe", b"1 2"])
def test_an_owner_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    lock = InstanceLock(tmp_path)
    lock.acquire()
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert owner_pid(tmp_path) is None
    lock.release()


def test_a_lock_that_cannot_be_is_a_problem(tmp_path: Path) -> None:
    with nothing_left(), pytest.raises(ProblemError, match="cannot be used"):
        InstanceLock(tmp_path / "missing").acquire()


@has_links
def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep me")
    lock = InstanceLock(tmp_path)
    lock.acquire()
    lock.release()
    (file,) = set(tmp_path.iterdir()) - {target}
    file.unlink()
    file.symlink_to(target)
    with pytest.raises(ProblemError):
        lock.acquire()
    assert target.read_text() == "keep me"
