"""UNIX sockets to listen on."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from trayconnect.core.errors import ProblemError
from trayconnect.forwarding.bind import bind_unix
from trayconnect.forwarding.peer_uid import PeerOwner, Peers

if sys.platform == "win32":
    pytest.skip("there are no UNIX sockets", allow_module_level=True)


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(path))
    return client


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def problem(path: Path) -> str:
    with pytest.raises(ProblemError) as caught:
        bind_unix(path, "GPU box")
    assert str(path) in caught.value.problem.title
    assert "GPU box" in caught.value.problem.title
    return str(caught.value.problem)


def test_it_is_for_this_user_alone_and_goes_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "s"
    listening, remove = bind_unix(path, "box")
    with listening:
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)
        assert not listening.getblocking()
        connect(path).close()
        remove()
        assert not path.exists()
        remove()


def test_a_stale_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listening, remove = bind_unix(path, "box")
    with listening:
        connect(path).close()
        remove()


def test_one_that_answers_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert "is taken by another program" in problem(path)
        connect(path).close()


def test_nor_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("mine")
    assert "is a file already" in problem(path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert "is a file already" in problem(path)
    assert path.is_symlink()


def test_what_another_put_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listening, remove = bind_unix(path, "box")
    with listening:
        path.unlink()
        path.write_text("another's")
        remove()
    assert path.read_text() == "another's"


def test_why_it_cannot_be_opened(tmp_path: Path) -> None:
    assert "is missing: make it" in problem(tmp_path / "a" / "b" / "s")
    assert "too long for this system" in problem(tmp_path / ("x" * 200))
    (tmp_path / "file").touch()
    assert "Not a directory" in problem(tmp_path / "file" / "s")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_who_is_at_the_other_end(tmp_path: Path) -> None:
    listening, remove = bind_unix(tmp_path / "s", "box")
    listening.setblocking(True)
    me = os.geteuid()
    peers, others = Peers(me), Peers(me + 1)
    with listening, connect(tmp_path / "s") as client:
        accepted, _ = listening.accept()
        with accepted:
            assert peers.identify(accepted) is PeerOwner.OURS
            assert me == 0 or others.identify(accepted) is PeerOwner.OTHER_USER
            client.shutdown(socket.SHUT_WR)
            assert peers.identify(accepted) is PeerOwner.OURS
            client.close()
            assert peers.identify(accepted) is PeerOwner.GONE
        remove()
