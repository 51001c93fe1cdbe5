"""User certificates made by ssh-keygen, shown to an sshd that trusts their authority."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import certify
from tests.support.keys import SshAgent, make_key
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, User, entry, give_options, nothing_left, says
from trayconnect.core.questions import QuestionKind

ME = getpass.getuser()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def sshd(authority: Path) -> Iterator[Sshd]:
    with Sshd(options={"TrustedUserCAKeys": f"{authority}.pub"}) as server:
        yield server


@pytest.fixture
def kit(tmp_path: Path, sshd: Sshd) -> Kit:
    return trusting(tmp_path, sshd)


def trusting(folder: Path, sshd: Sshd, agent: SshAgent | None = None) -> Kit:
    kit = Kit(folder, agent_socket=str(agent.socket) if agent else "")
    kit.trust(sshd.known_hosts_lines())
    return kit


@pytest.mark.parametrize(
    ("kind", "bits"),
    [("ed25519", None), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", None)],
)
def test_beside_the_identity_file(
    kit: Kit, sshd: Sshd, authority: Path, tmp_path: Path, kind: str, bits: str | None
) -> None:
    key = make_key(tmp_path, kind, bits=bits)
    certify(authority, key, host=False, names=[ME])
    with nothing_left(), kit.tunnel(entry(sshd.port, identity_file=key)) as tunnel:
        assert not tunnel.typed_login


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_signed_by_the_agent(sshd: Sshd, authority: Path, tmp_path: Path, kind: str) -> None:
    """ssh-add loads the certificate beside the key along with it."""
    key = make_key(tmp_path, kind)
    certify(authority, key, host=False, names=[ME])
    with SshAgent() as agent:
        agent.add(key)
        key.unlink()
        Path(f"{key}.pub").unlink()
        Path(f"{key}-cert.pub").unlink()
        with trusting(tmp_path, sshd, agent).tunnel(entry(sshd.port)):
            pass


def test_named_by_certificate_file_for_a_key_of_the_agent(
    sshd: Sshd, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path)
    with SshAgent() as agent:
        agent.add(key)
        path = certify(authority, key, host=False, names=[ME]).rename(tmp_path / "elsewhere.pub")
        key.unlink()
        give_options(monkeypatch, certificate_files=(path,), identities_only=True)
        with trusting(tmp_path, sshd, agent).tunnel(entry(sshd.port)):
            pass


def test_named_by_certificate_file_for_an_identity_file(
    kit: Kit, sshd: Sshd, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path, "rsa")
    path = certify(authority, key, host=False, names=[ME]).rename(tmp_path / "elsewhere.pub")
    give_options(monkeypatch, certificate_files=(path,), identity_files=(key,))
    with kit.tunnel(entry(sshd.port)):
        pass


@pytest.mark.parametrize("pem", [False, True])
def test_for_an_encrypted_key(
    kit: Kit, sshd: Sshd, authority: Path, tmp_path: Path, pem: bool
) -> None:
    key = make_key(tmp_path, "rsa", pem=pem, passphrase="open sesame")
    certify(authority, key, host=False, names=[ME])
    user = User(says("open sesame"))
    with kit.tunnel(entry(sshd.port, identity_file=key), user):
        pass
    assert user.kinds == [QuestionKind.PASSPHRASE]


def test_an_expired_one_is_explained_and_the_plain_key_tried(
    kit: Kit, sshd: Sshd, authority: Path, tmp_path: Path
) -> None:
    key = make_key(tmp_path)
    path = certify(authority, key, host=False, names=[ME], validity="20200101:20200102")
    server = entry(sshd.port, identity_file=key)
    problem = kit.problem(server)
    assert f"the certificate {path} expired on 2020-01-02" in problem.advice
    assert f"Tried: the key {key}." in problem.advice
    sshd.authorize(key)
    with kit.tunnel(server):
        pass


def test_one_for_others_is_refused_and_named(
    kit: Kit, sshd: Sshd, authority: Path, tmp_path: Path
) -> None:
    key = make_key(tmp_path)
    path = certify(authority, key, host=False, names=["somebody-else"])
    problem = kit.problem(entry(sshd.port, identity_file=key))
    assert f"the certificate {path} (for somebody-else)" in problem.advice
    assert f"the key {key}" in problem.advice


def test_one_of_a_host_is_passed_over(
    kit: Kit, sshd: Sshd, authority: Path, tmp_path: Path
) -> None:
    key = make_key(tmp_path)
    path = certify(authority, key)
    problem = kit.problem(entry(sshd.port, identity_file=key))
    assert f"{path} is no user certificate" in problem.advice
