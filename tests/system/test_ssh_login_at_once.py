"""A login whose requests go out together, beside the usual one: nothing else may differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, entry, until
from trayconnect.core.errors import Recovery


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    with Sshd(options={"LogLevel": "DEBUG1"}) as server:
        yield server


def kit_for(sshd: Sshd, folder: Path, *, identity_files: tuple[Path, ...] = ()) -> Kit:
    folder.mkdir(exist_ok=True)
    kit = Kit(folder, identity_files=identity_files)
    kit.trust(sshd.known_hosts_lines())
    return kit


def accepted(sshd: Sshd) -> int:
    return sshd.log_text().count("Accepted publickey")


def test_a_key_that_asks_nobody_signs_without_a_query(sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path)
    sshd.authorize(key)
    kit = kit_for(sshd, tmp_path)
    for _ in range(2):
        with kit.tunnel(entry(sshd.port, identity_file=key)) as tunnel:
            assert tunnel.execute("echo hello", b"", 30).stdout == b"hello\n"
    asked = [line for line in sshd.log_text().splitlines() if " method " in line]
    assert [" method none" in line for line in asked] == [True, False, True, False]
    assert accepted(sshd) == 2


def test_a_known_key_that_is_not_authorized_any_more(sshd: Sshd, tmp_path: Path) -> None:
    """It counts as one try (MaxAuthTries), and the problem is that of a first login."""
    key = make_key(tmp_path)
    sshd.authorize(key)
    server = entry(sshd.port, identity_file=key)
    known, unknown = kit_for(sshd, tmp_path / "known"), kit_for(sshd, tmp_path / "unknown")
    known.connect(server).close()
    sshd.authorized_keys.write_text("")
    problem = known.problem(server)
    assert problem == unknown.problem(server)
    assert problem.recovery is Recovery.USER_ACTION
    assert until(lambda: sshd.log_text().count("Failed publickey") == 2)  # one for each login


def test_commands_run_after_a_refused_signature(sshd: Sshd, tmp_path: Path) -> None:
    """The sessions that were requested behind it never open; others do."""
    for name in ("wrong", "right"):
        (tmp_path / name).mkdir()
    wrong, right = make_key(tmp_path / "wrong"), make_key(tmp_path / "right")
    sshd.authorize(right)
    kit = kit_for(sshd, tmp_path, identity_files=(wrong, right))
    for _ in range(2):
        with kit.tunnel(entry(sshd.port)) as tunnel:
            assert tunnel.execute("echo hello", b"", 30).stdout == b"hello\n"


def test_a_server_with_another_host_key_gets_no_request(sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path)
    sshd.authorize(key)
    server = entry(sshd.port, identity_file=key)
    kit = kit_for(sshd, tmp_path)
    kit.connect(server).close()
    sshd.replace_host_keys("ed25519")
    sshd.restart()
    before = sshd.log_text().count(" method ")
    assert "has changed" in kit.problem(server).title
    assert sshd.log_text().count(" method ") == before
