"""Keys of an ssh-agent: OpenSSH's, gpg's, and one whose faults are staged."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keys import SshAgent, make_key
from tests.support.sshd import PasswordAccount, Sshd, password_server
from tests.support.staged_agent import SecurityKey, StagedAgent
from tests.support.tunnel_kit import Kit, User, entry, give_options, nothing_left, says
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled
from trayconnect.core.questions import QuestionKind
from trayconnect.ssh.auth.agent import Agent


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        yield server


@pytest.fixture(scope="module")
def account() -> Iterator[PasswordAccount]:
    with password_server() as account:
        yield account


@pytest.fixture
def agent() -> Iterator[SshAgent]:
    with SshAgent() as agent:
        yield agent


@pytest.fixture
def kit(tmp_path: Path, sshd: Sshd) -> Kit:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    return kit


# --- which agent --------------------------------------------------------------------------------


def test_the_entry_names_an_agent(
    kit: Kit, sshd: Sshd, agent: SshAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path)
    sshd.authorize(key)
    agent.add(key)
    give_options(monkeypatch, identity_agent=str(tmp_path / "of-ssh-config"))
    with kit.tunnel(entry(sshd.port, auth={"agent": str(agent.socket)})):
        pass


def test_ssh_config_names_an_agent(
    kit: Kit, sshd: Sshd, agent: SshAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path)
    sshd.authorize(key)
    agent.add(key)
    give_options(monkeypatch, identity_agent=str(agent.socket))
    with kit.tunnel(entry(sshd.port)):
        pass
    # With no agent there is nothing to log in with, and a key is asked for.
    user = User()
    with pytest.raises(Cancelled):
        kit.connect(entry(sshd.port, auth={"agent": "none"}), user)
    assert user.kinds == [QuestionKind.PRIVATE_KEY]


def test_an_agent_that_is_not_there_is_named(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    problem = kit.problem(entry(sshd.port, auth={"agent": str(tmp_path / "nothing")}))
    assert "the ssh-agent does not answer (No such file or directory)" in problem.advice


@pytest.mark.long
def test_gpg_agent(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    """A key of ssh-keygen, added to gpg-agent, signs through its socket for SSH."""
    key = make_key(tmp_path)
    sshd.authorize(key)
    with tempfile.TemporaryDirectory(prefix="tc-gpg-") as home:
        place = gpg_agent(home, key)
        try:
            with kit.tunnel(entry(sshd.port, auth={"agent": place})):
                pass
        finally:
            end_gpg_agent(home)


def gpg_agent(home: str, key: Path) -> str:
    """Start one that holds `key`; the path of its socket. Its only pinentry says a passphrase."""
    pinentry = Path(home) / "pinentry"
    pinentry.write_text(
        "#!/bin/sh\necho OK\nwhile read -r word rest; do\n"
        '[ "$word" = GETPIN ] && echo "D sesame"\necho OK\n'
        '[ "$word" = BYE ] && exit\ndone\n'
    )
    pinentry.chmod(0o700)
    config = Path(home) / "gpg-agent.conf"
    config.write_text(f"enable-ssh-support\npinentry-program {pinentry}\n")
    environment = {**os.environ, "GNUPGHOME": home}
    subprocess.run(
        ["gpg-connect-agent", "/bye"], env=environment, check=True, capture_output=True, timeout=60
    )
    place = subprocess.run(
        ["gpgconf", "--list-dirs", "agent-ssh-socket"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()
    subprocess.run(
        ["ssh-add", "-q", str(key)],
        env={**environment, "SSH_AUTH_SOCK": place},
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    return place


def end_gpg_agent(home: str) -> None:
    subprocess.run(
        ["gpgconf", "--kill", "gpg-agent"],
        env={**os.environ, "GNUPGHOME": home},
        check=True,
        timeout=60,
    )


# --- which of its keys ----------------------------------------------------------------------------


def test_identities_only_keeps_its_other_keys_out(
    kit: Kit, sshd: Sshd, agent: SshAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, other = make_key(tmp_path, name="named"), make_key(tmp_path, name="other")
    sshd.authorize(other)
    agent.add(named)
    agent.add(other)
    named.unlink()  # its public half is left, and does
    options = {"identity_agent": str(agent.socket), "identity_files": (named,)}
    give_options(monkeypatch, **options, identities_only=True)
    problem = kit.problem(entry(sshd.port))
    assert f"Tried: the key {named} (through the agent)." in problem.advice
    give_options(monkeypatch, **options)
    with kit.tunnel(entry(sshd.port)):
        pass


def test_the_public_half_of_a_key_of_the_agent_is_enough(
    kit: Kit, sshd: Sshd, agent: SshAgent, tmp_path: Path
) -> None:
    """As users of 1Password have it: the private key is in no file."""
    key = make_key(tmp_path)
    sshd.authorize(key)
    agent.add(key)
    key.unlink()
    auth = {"agent": str(agent.socket)}
    with kit.tunnel(entry(sshd.port, identity_file=Path(f"{key}.pub"), auth=auth)):
        pass


def test_the_named_key_comes_before_a_full_agent(
    kit: Kit, sshd: Sshd, agent: SshAgent, tmp_path: Path
) -> None:
    for number in range(8):
        agent.add(make_key(tmp_path, name=f"key{number}"))
    key = make_key(tmp_path)
    sshd.authorize(key)
    auth = {"agent": str(agent.socket)}
    with kit.tunnel(entry(sshd.port, identity_file=key, auth=auth)):
        pass


# --- security keys --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_security_key_signs_through_the_agent(
    kit: Kit, sshd: Sshd, tmp_path: Path, kind: str
) -> None:
    device = SecurityKey(kind)
    sshd.authorize(device.public_line)
    file = device.handle_file(tmp_path / "id_sk")
    with StagedAgent(device) as agent:
        auth = {"agent": str(agent.socket)}
        for identity in (None, file):
            server = entry(sshd.port, identity_file=identity, auth=auth)
            with nothing_left(), kit.tunnel(server) as tunnel:
                assert not tunnel.typed_login


def test_a_security_key_without_the_agent_is_explained(
    kit: Kit, sshd: Sshd, tmp_path: Path
) -> None:
    file = SecurityKey("ed25519").handle_file(tmp_path / "id_sk")
    problem = kit.problem(entry(sshd.port, identity_file=file))
    assert "belongs to a security key" in problem.title
    assert f"ssh-add {file}" in problem.advice


# --- faults ---------------------------------------------------------------------------------------


def test_one_that_refuses_is_named_and_passed_over(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    device = SecurityKey("ed25519")
    sshd.authorize(device.public_line)
    with StagedAgent(device, refuses=True) as agent:
        server = entry(sshd.port, auth={"agent": str(agent.socket)})
        problem = kit.problem(server)
        assert "the agent's key device (the agent did not sign: it refused)" in problem.advice
        key = make_key(tmp_path)
        sshd.authorize(key)
        named = entry(sshd.port, auth={"agent": str(agent.socket)}, identity_file=key)
        with kit.tunnel(named):
            pass


def test_one_that_waits_for_ever_for_a_touch_gives_way_to_the_password(
    tmp_path: Path, account: PasswordAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    if account.sshd is None:
        pytest.skip("only root can make an account with a known password")
    monkeypatch.setattr("trayconnect.ssh.auth.agent.SIGN_SECONDS", 0.3)
    device = SecurityKey("ed25519")
    account.sshd.authorize(device.public_line)
    kit = Kit(tmp_path)
    kit.trust(account.known_hosts_lines)
    user = User(says(account.password))
    with nothing_left(), StagedAgent(device, hangs=True) as agent:
        auth = {"agent": str(agent.socket)}
        server = entry(account.port, username=account.username, auth=auth)
        with kit.tunnel(server, user):
            assert agent.asked_to_sign.is_set()
    assert len(user.questions) == 1


def test_disconnecting_does_not_wait_for_a_touch(kit: Kit, sshd: Sshd) -> None:
    device = SecurityKey("ed25519")
    sshd.authorize(device.public_line)
    cancel = CancelToken()
    with nothing_left(), StagedAgent(device, hangs=True) as agent:

        def disconnect() -> None:
            agent.asked_to_sign.wait(30)
            cancel.set()

        thread = threading.Thread(target=disconnect)
        thread.start()
        server = entry(sshd.port, auth={"agent": str(agent.socket)})
        with pytest.raises(Cancelled):
            kit.connect(server, cancel=cancel)
        thread.join(30)


def test_a_file_that_is_no_socket_is_passed_over(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path)
    sshd.authorize(key)
    with kit.tunnel(entry(sshd.port, identity_file=key, auth={"agent": str(key)})):
        pass


def test_an_agent_whose_answer_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trayconnect.ssh.auth.agent.LIST_SECONDS", 0.5)
    devices = [SecurityKey("ed25519") for _ in range(9)]
    with (
        nothing_left(),
        StagedAgent(*devices, drips=True) as staged,
        Agent(str(staged.socket)) as agent,
    ):
        assert agent.keys() == []
        assert "no answer within" in agent.fault
