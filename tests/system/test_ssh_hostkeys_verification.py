"""Host keys: unknown, changed, revoked, of another type."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import YES, Kit, User, entry, give_options, nothing_left
from trayconnect.config.model import Server
from trayconnect.core.errors import Cancelled, Recovery
from trayconnect.core.questions import QuestionKind


def test_unknown_key_is_asked_for_once(sshd: Sshd, server: Server, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    kit.user_file.write_text("# mine\n")
    user = User(YES)
    with kit.tunnel(server, user):
        pass
    question = user.questions[0]
    assert question.kind is QuestionKind.HOST_KEY
    assert question.fields == ()
    assert sshd.fingerprints()[0] in question.message
    assert "ssh-ed25519" in question.message
    assert f"127.0.0.1:{sshd.port}" in question.title
    assert kit.own_file.read_text().splitlines() == sshd.known_hosts_lines()
    assert stat.S_IMODE(kit.own_file.stat().st_mode) == 0o600
    assert kit.user_file.read_text() == "# mine\n"
    with kit.tunnel(server, User()):
        pass


def test_declined_key_is_not_kept(sshd: Sshd, server: Server, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    with nothing_left(), pytest.raises(Cancelled):
        kit.connect(server, User(None))
    assert not kit.own_file.exists()
    # Nothing was sent before: not even a login was begun.
    assert "Accepted" not in sshd.log_text()
    assert "Failed" not in sshd.log_text()


def test_changed_key_is_refused_with_the_way_to_mend_it(
    sshd: Sshd, server: Server, tmp_path: Path
) -> None:
    kit = Kit(tmp_path)
    kit.trust(["# first line", *sshd.known_hosts_lines()])
    old = sshd.fingerprints()[0]
    sshd.replace_host_keys("ed25519")
    sshd.restart()
    user = User(YES)
    with nothing_left():
        problem = kit.problem(server, user)
    assert user.questions == []
    assert problem.recovery is Recovery.NETWORK
    assert "has changed" in problem.title
    for part in (old, sshd.fingerprints()[0], f"{kit.user_file}, line 2"):
        assert part in problem.advice
    removal = next(row for row in problem.advice.splitlines() if "ssh-keygen" in row)
    subprocess.run(removal.strip(), shell=True, check=True, capture_output=True)
    user = User(YES)
    with kit.tunnel(server, user):
        pass
    assert user.kinds == [QuestionKind.HOST_KEY]


def test_revoked_key(sshd: Sshd, server: Server, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    line = sshd.known_hosts_lines()[0]
    kit.trust([line, f"@revoked * {line.split(maxsplit=1)[1]}"])
    problem = kit.problem(server)
    assert problem.recovery is Recovery.NETWORK
    assert "revoked" in problem.title
    assert f"{kit.user_file}, line 2" in problem.advice


def test_hashed_and_broken_lines(sshd: Sshd, server: Server, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    command = ["ssh-keygen", "-q", "-H", "-f", str(kit.user_file)]
    subprocess.run(command, check=True, capture_output=True)
    hashed = kit.user_file.read_bytes()
    kit.user_file.write_bytes(b"@cert-authority *.lab\n\xff\xfe\nbad\n" + hashed)
    with kit.tunnel(server):
        pass


@pytest.mark.parametrize("known", ["ed25519", "ecdsa", "rsa"])
def test_the_known_type_is_asked_for(tmp_path: Path, known: str) -> None:
    key = make_key(tmp_path)
    with Sshd(host_key_types=("rsa", "ecdsa", "ed25519")) as sshd:
        sshd.authorize(key)
        kit = Kit(tmp_path)
        kit.trust([line for line in sshd.known_hosts_lines() if known in line])
        user = User()
        with kit.tunnel(entry(sshd.port, identity_file=key), user):
            pass
        assert user.questions == []


def test_a_key_of_another_type_is_a_changed_one(sshd: Sshd, server: Server, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    sshd.replace_host_keys("rsa")
    sshd.restart()
    problem = kit.problem(server)
    assert "has changed" in problem.title
    assert f"{kit.user_file}, line 1" in problem.advice


def test_strict_checking_asks_nothing(
    sshd: Sshd, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_options(monkeypatch, strict_host_key_checking="yes")
    kit = Kit(tmp_path)
    problem = kit.problem(server, User(YES))
    assert sshd.fingerprints()[0] in problem.advice
    assert not kit.own_file.exists()


def test_files_and_alias_of_ssh_config(
    sshd: Sshd, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = (tmp_path / "one", tmp_path / "two")
    system = tmp_path / "system"
    give_options(
        monkeypatch,
        strict_host_key_checking="yes",
        host_key_alias="the-lab",
        user_known_hosts_files=files,
        global_known_hosts_files=(system,),
    )
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    assert "not known" in kit.problem(server).title
    line = sshd.known_hosts_lines()[0].replace(sshd.known_host_name, "the-lab")
    for file in (files[1], system):
        file.write_text(f"{line}\n")
        with kit.tunnel(server):
            pass
        file.unlink()


def test_accept_new_keeps_it_without_a_word(
    sshd: Sshd, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_options(monkeypatch, strict_host_key_checking="accept-new")
    kit = Kit(tmp_path)
    with kit.tunnel(server):
        pass
    assert kit.own_file.read_text().splitlines() == sshd.known_hosts_lines()
    sshd.replace_host_keys()
    sshd.restart()
    assert "has changed" in kit.problem(server).title
