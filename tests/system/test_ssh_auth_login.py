"""Logging in to the real sshd in every way there is."""

from __future__ import annotations

import secrets as random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.asyncssh_server import AsyncsshServer
from tests.support.keys import SshAgent, make_key, to_ppk
from tests.support.sshd import PasswordAccount, Sshd, password_server
from tests.support.tunnel_kit import (
    YES,
    Kit,
    MemorySecrets,
    User,
    entry,
    give_options,
    nothing_left,
    says,
)
from trayconnect.core.errors import Cancelled, Recovery
from trayconnect.core.questions import QuestionKind


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        yield server


@pytest.fixture
def kit(tmp_path: Path, sshd: Sshd) -> Kit:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    return kit


@pytest.fixture(scope="module")
def account() -> Iterator[PasswordAccount]:
    with password_server() as account:
        yield account


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "pem", "bits"),
    [
        ("ed25519", False, None),
        ("ecdsa", False, "256"),
        ("ecdsa", False, "384"),
        ("ecdsa", True, "521"),
        ("rsa", False, None),
        ("rsa", True, None),
    ],
)
def test_key_files(
    kit: Kit, sshd: Sshd, tmp_path: Path, kind: str, pem: bool, bits: str | None
) -> None:
    key = make_key(tmp_path, kind, pem=pem, bits=bits)
    sshd.authorize(key)
    user = User()
    with nothing_left(), kit.tunnel(entry(sshd.port, identity_file=key), user) as tunnel:
        assert tunnel.execute("echo hello", b"", 10).stdout == b"hello\n"
        assert not tunnel.typed_login
    assert user.questions == []


@pytest.mark.parametrize(("kind", "pem"), [("ed25519", False), ("rsa", True), ("ecdsa", True)])
def test_passphrase_wrong_then_right_then_kept_until_forgotten(
    kit: Kit, sshd: Sshd, tmp_path: Path, kind: str, pem: bool
) -> None:
    key = make_key(tmp_path, kind, pem=pem, passphrase="open sesame")
    sshd.authorize(key)
    server = entry(sshd.port, identity_file=key)
    user = User(says("wrong"), says("open sesame"))
    with kit.tunnel(server, user) as tunnel:
        assert not tunnel.typed_login
    assert user.kinds == [QuestionKind.PASSPHRASE] * 2
    assert "Wrong passphrase, try again" in user.questions[1].message
    assert user.questions[0].fields[0].secret
    with kit.tunnel(server, User()):
        pass
    kit.connector.forget(server)
    with pytest.raises(Cancelled):
        kit.connect(server, User())


def test_passphrase_from_the_keyring(sshd: Sshd, tmp_path: Path) -> None:
    secrets = MemorySecrets()
    key = make_key(tmp_path, passphrase="open sesame")
    sshd.authorize(key)
    server = entry(sshd.port, identity_file=key, auth={"password": "keyring"})
    user = User(says("wrong", remember=True), says("open sesame", remember=True))
    kit = Kit(tmp_path, secrets)
    kit.trust(sshd.known_hosts_lines())
    with kit.tunnel(server, user):
        pass
    assert [question.can_remember for question in user.questions] == [True, True]
    assert secrets.kept == {("GPU box", f"key {key}"): "open sesame"}
    kit.connector.forget(server)
    with kit.tunnel(server, User()) as tunnel:
        assert not tunnel.typed_login


def test_refused_passphrase_leaves_the_keyring(sshd: Sshd, tmp_path: Path) -> None:
    secrets = MemorySecrets()
    key = make_key(tmp_path, passphrase="open sesame")
    sshd.authorize(key)
    secrets.kept["GPU box", f"key {key}"] = "of last year"
    kit = Kit(tmp_path, secrets)
    kit.trust(sshd.known_hosts_lines())
    user = User(says("open sesame"))
    server = entry(sshd.port, identity_file=key, auth={"password": "keyring"})
    with kit.tunnel(server, user):
        pass
    assert "from the keyring is wrong" in user.questions[0].message
    assert secrets.kept == {}


def test_broken_keyring_asks_for_the_passphrase(sshd: Sshd, tmp_path: Path) -> None:
    secrets = MemorySecrets()
    secrets.broken = True
    key = make_key(tmp_path, passphrase="open sesame")
    sshd.authorize(key)
    kit = Kit(tmp_path, secrets)
    kit.trust(sshd.known_hosts_lines())
    user = User(says("open sesame", remember=True))
    with kit.tunnel(entry(sshd.port, identity_file=key, auth={"password": "keyring"}), user):
        pass
    assert "keyring is locked" in user.questions[0].message
    assert not user.questions[0].can_remember


def test_a_bad_identity_file_is_told_before_anything_is_dialled(tmp_path: Path) -> None:
    bad = tmp_path / "key"
    bad.write_text("nonsense")
    bad.chmod(0o600)
    kit = Kit(tmp_path)
    with nothing_left():
        problem = kit.problem(entry(1, identity_file=bad))  # nothing listens there
    assert problem.title == f"The key file {bad} is not a private key"
    assert problem.recovery is Recovery.FIX_FIRST


def test_putty_key_with_passphrase(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path)
    sshd.authorize(key)
    ppk = to_ppk(key, passphrase="open sesame")
    user = User(says("open sesame"))
    with kit.tunnel(entry(sshd.port, identity_file=ppk), user):
        pass
    assert user.kinds == [QuestionKind.PASSPHRASE]


def test_passphrase_wrong_each_time(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path, passphrase="open sesame")
    sshd.authorize(key)
    problem = kit.problem(entry(sshd.port, identity_file=key), User(*[says("no")] * 3))
    assert "passphrase" in problem.title
    assert problem.recovery is Recovery.USER_ACTION


@pytest.mark.parametrize("pem", [False, True])
def test_no_passphrase_is_asked_for_a_key_that_the_server_refuses(
    kit: Kit, sshd: Sshd, tmp_path: Path, pem: bool
) -> None:
    key = make_key(tmp_path, "rsa", pem=pem, passphrase="open sesame")
    user = User(says("open sesame"))
    problem = kit.problem(entry(sshd.port, identity_file=key), user)
    assert user.questions == []
    assert problem.recovery is Recovery.USER_ACTION


def test_default_identity_files(sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path, "ed25519")
    rsa = make_key(tmp_path, "rsa")
    sshd.authorize(rsa)
    broken = tmp_path / "id_broken"
    broken.write_text("nonsense")
    files = (tmp_path / "missing", broken, tmp_path / "id_ed25519", rsa)
    kit = Kit(tmp_path, identity_files=files)
    kit.trust(sshd.known_hosts_lines())
    with kit.tunnel(entry(sshd.port)):
        pass


def test_refused_key_names_what_was_tried(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path)
    with nothing_left():
        problem = kit.problem(entry(sshd.port, identity_file=key))
    assert problem.recovery is Recovery.USER_ACTION
    assert "refused the login" in problem.title
    assert str(key) in problem.advice
    assert "publickey" in problem.advice
    assert "authorized_keys" in problem.advice


# --- the agent ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_agent(sshd: Sshd, tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path, kind)
    sshd.authorize(key)
    with SshAgent() as agent:
        agent.add(key)
        kit = Kit(tmp_path, agent_socket=str(agent.socket))
        kit.trust(sshd.known_hosts_lines())
        with nothing_left(), kit.tunnel(entry(sshd.port)) as tunnel:
            assert not tunnel.typed_login


def test_agent_opens_an_encrypted_identity_file(sshd: Sshd, tmp_path: Path) -> None:
    plain = make_key(tmp_path)
    sshd.authorize(plain)
    with SshAgent() as agent:
        agent.add(plain)
        _encrypt(plain, "open sesame")
        kit = Kit(tmp_path, agent_socket=str(agent.socket))
        kit.trust(sshd.known_hosts_lines())
        with kit.tunnel(entry(sshd.port, identity_file=plain)):
            pass


def test_agent_with_many_keys_stays_below_the_limit(sshd: Sshd, tmp_path: Path) -> None:
    with SshAgent() as agent:
        for number in range(8):
            agent.add(make_key(tmp_path, name=f"key{number}"))
        kit = Kit(tmp_path, agent_socket=str(agent.socket))
        kit.trust(sshd.known_hosts_lines())
        problem = kit.problem(entry(sshd.port))
    # Still a refusal that names the keys, not a disconnection.
    assert "refused the login" in problem.title
    tried, untried = problem.advice.splitlines()[:2]
    assert "key4" in tried
    assert "key5" not in tried
    assert untried.startswith("Not tried: the agent's key key5, ")
    assert "identity_file" in untried


def test_frozen_agent_is_passed_over(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trayconnect.ssh.auth.agent.LIST_SECONDS", 0.3)
    key = make_key(tmp_path)
    sshd.authorize(key)
    with SshAgent() as agent:
        kit = Kit(tmp_path, agent_socket=str(agent.socket))
        kit.trust(sshd.known_hosts_lines())
        agent.freeze()
        with kit.tunnel(entry(sshd.port, identity_file=key)):
            pass


# --- passwords ------------------------------------------------------------------------------------


def _password_kit(tmp_path: Path, account: PasswordAccount, secrets: MemorySecrets) -> Kit:
    kit = Kit(tmp_path, secrets)
    kit.trust(account.known_hosts_lines)
    return kit


def test_password_wrong_then_right(tmp_path: Path, account: PasswordAccount) -> None:
    kit = _password_kit(tmp_path, account, MemorySecrets())
    user = User(says("wrong"), says(account.password))
    server = entry(account.port, username=account.username)
    with nothing_left(), kit.tunnel(server, user) as tunnel:
        assert tunnel.typed_login
    assert user.kinds == [QuestionKind.PASSWORD] * 2
    assert account.username in user.questions[0].title
    assert "accepted" not in user.questions[0].message
    assert "That password was not accepted. Try again." in user.questions[1].message
    assert not user.questions[0].can_remember


def test_nothing_is_refused_before_something_was_typed(tmp_path: Path) -> None:
    """Without PAM, sshd's keyboard-interactive asks nothing, and fails."""
    with password_server({"KbdInteractiveAuthentication": "yes", "UsePAM": "no"}) as account:
        kit = _password_kit(tmp_path, account, MemorySecrets())
        user = User(says("wrong"), says(account.password))
        with kit.tunnel(entry(account.port, username=account.username), user):
            pass
    first, second = (question.message for question in user.questions)
    assert "accepted" not in first
    assert "refused" not in first
    assert "That password was not accepted. Try again." in second


def test_password_refused(tmp_path: Path, account: PasswordAccount) -> None:
    kit = _password_kit(tmp_path, account, MemorySecrets())
    user = User(*[says("wrong")] * 9)
    problem = kit.problem(entry(account.port, username=account.username), user)
    assert len(user.questions) == 3
    assert problem.recovery is Recovery.USER_ACTION
    assert "wrong" not in str(problem)


def test_password_from_keyring(tmp_path: Path, account: PasswordAccount) -> None:
    secrets = MemorySecrets()
    kit = _password_kit(tmp_path, account, secrets)
    server = entry(account.port, username=account.username, auth={"password": "keyring"})
    user = User(says(account.password, remember=True))
    with kit.tunnel(server, user) as tunnel:
        assert not tunnel.typed_login
    assert user.questions[0].can_remember
    assert list(secrets.kept.values()) == [account.password]
    with kit.tunnel(server, User()) as tunnel:
        assert not tunnel.typed_login


def test_refused_password_leaves_the_keyring(tmp_path: Path, account: PasswordAccount) -> None:
    secrets = MemorySecrets()
    kit = _password_kit(tmp_path, account, secrets)
    server = entry(account.port, username=account.username, auth={"password": "keyring"})
    where = ("GPU box", f"{account.username}@127.0.0.1:{account.port}")
    secrets.kept[where] = "of last year"
    user = User(says(account.password))
    with kit.tunnel(server, user) as tunnel:
        assert tunnel.typed_login
    assert "keyring" in user.questions[0].message
    assert secrets.kept == {}


def test_broken_keyring_falls_back_to_asking(tmp_path: Path, account: PasswordAccount) -> None:
    secrets = MemorySecrets()
    secrets.broken = True
    kit = _password_kit(tmp_path, account, secrets)
    server = entry(account.port, username=account.username, auth={"password": "keyring"})
    user = User(says(account.password, remember=True))
    with kit.tunnel(server, user) as tunnel:
        assert tunnel.typed_login
    assert "keyring is locked" in user.questions[0].message
    assert not user.questions[0].can_remember


def test_a_missing_identity_file_of_ssh_config_is_named(
    kit: Kit, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, missing = make_key(tmp_path), tmp_path / "id_missing"
    give_options(monkeypatch, identity_files=(missing, there))
    problem = kit.problem(entry(sshd.port))
    assert f"the key {missing}, which your SSH configuration names, does not exist" in str(problem)
    assert str(there) in problem.advice
    default = tmp_path / "id_default"
    kit = Kit(tmp_path, identity_files=(default, there))
    give_options(monkeypatch, identity_files=())
    assert str(default) not in str(kit.problem(entry(sshd.port)))


def test_what_ssh_config_rules_out_is_not_tried(
    tmp_path: Path, account: PasswordAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = _password_kit(tmp_path, account, MemorySecrets())
    ruled_out = ("publickey", "keyboard-interactive", "password")
    give_options(monkeypatch, ruled_out_methods=ruled_out)
    user = User(says(account.password))
    problem = kit.problem(entry(account.port, username=account.username), user)
    assert user.questions == []
    assert "Your SSH configuration disables" in problem.advice


def test_batch_mode_asks_nothing(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_options(monkeypatch, batch_mode=True)
    user = User(YES, YES)
    problem = Kit(tmp_path).problem(entry(sshd.port, identity_file=make_key(tmp_path)), user)
    assert "BatchMode forbids questions" in problem.title
    assert user.questions == []


@pytest.mark.parametrize("size", [2048, 4096])
def test_an_rsa_key_that_is_too_short(
    kit: Kit, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    key = make_key(tmp_path, "rsa", bits="2048")
    sshd.authorize(key)
    give_options(monkeypatch, required_rsa_size=size)
    server = entry(sshd.port, identity_file=key)
    if size == 2048:
        kit.connect(server).close()
    else:
        assert "shorter than RequiredRSASize" in kit.problem(server).advice


def test_only_kerberos(tmp_path: Path) -> None:
    options = {"GSSAPIAuthentication": "yes", "PubkeyAuthentication": "no"}
    with Sshd(options=options) as sshd:
        kit = Kit(tmp_path)
        kit.trust(sshd.known_hosts_lines())
        problem = kit.problem(entry(sshd.port))
    assert "accepts only Kerberos logins" in problem.title


def test_no_password_is_asked_where_only_keys_are_allowed(
    kit: Kit, sshd: Sshd, tmp_path: Path
) -> None:
    user = User(says("secret"))
    problem = kit.problem(entry(sshd.port, identity_file=make_key(tmp_path)), user)
    assert user.questions == []
    assert "The server accepts: publickey" in problem.advice


def test_key_then_password(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    options = {"AuthenticationMethods": "publickey,password"}
    with password_server(options) as account:
        if account.sshd is None:
            pytest.skip("only root can make an account with a known password")
        account.sshd.authorize(key)
        kit = _password_kit(tmp_path, account, MemorySecrets())
        server = entry(account.port, username=account.username, identity_file=key)
        user = User(says(account.password))
        with kit.tunnel(server, user):
            pass
        assert user.kinds == [QuestionKind.PASSWORD]


# --- a pasted key ---------------------------------------------------------------------------------


@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_a_key_is_pasted_where_there_is_none(
    kit: Kit, sshd: Sshd, tmp_path: Path, passphrase: str
) -> None:
    key = make_key(tmp_path, passphrase=passphrase)
    sshd.authorize(key)
    secret = [says(passphrase)] if passphrase else []
    user = User(says("hello"), says(key.read_text()), *secret)
    with nothing_left(), kit.tunnel(entry(sshd.port), user) as tunnel:
        assert not tunnel.typed_login
    wanted, again = user.questions[:2]
    assert wanted.kind is again.kind is QuestionKind.PRIVATE_KEY
    assert wanted.fields[0].multiline
    assert "The pasted text is not a private key" in again.message
    (kept,) = (tmp_path / "keys").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    # It is kept while it is connected even with its passphrase, and found again.
    with kit.tunnel(entry(sshd.port), User()):
        pass
    kit.connector.forget(entry(sshd.port))
    with kit.tunnel(entry(sshd.port), User(*secret)):
        pass


def test_a_pasted_key_that_the_server_refuses_is_not_kept(
    kit: Kit, sshd: Sshd, tmp_path: Path
) -> None:
    problem = kit.problem(entry(sshd.port), User(says(make_key(tmp_path).read_text())))
    assert "Tried: the pasted key." in problem.advice
    assert 'trayconnect add-key "GPU box"' in problem.advice
    assert not (tmp_path / "keys").exists()


def test_no_key_is_pasted(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    problem = kit.problem(entry(sshd.port), User(*[says("hello")] * 3))
    assert problem.recovery is Recovery.USER_ACTION
    with nothing_left(), pytest.raises(Cancelled):
        kit.connect(entry(sshd.port), User(None))
    assert not (tmp_path / "keys").exists()


# --- keyboard-interactive -------------------------------------------------------------------------


def test_several_rounds_with_the_servers_own_words(tmp_path: Path) -> None:
    pin = random.token_hex(3)
    rounds = [[("Password: ", False, "pw")], [("City", True, "Paris"), ("PIN", False, pin)]]
    with AsyncsshServer(rounds) as server:
        kit = Kit(tmp_path)
        kit.trust([server.known_hosts_line])
        user = User(says("bad"), says("pw"), says("Paris", pin))
        with kit.tunnel(entry(server.port, username="ada"), user) as tunnel:
            assert tunnel.typed_login
    assert [len(question.fields) for question in user.questions] == [1, 1, 2]
    city, code = user.questions[2].fields
    assert (city.label, city.secret, code.label, code.secret) == ("City", False, "PIN", True)
    assert "Step 2" in user.questions[2].message


def test_single_hidden_password_prompt_is_answered_from_the_keyring(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    with AsyncsshServer([[("Password: ", False, "pw")]]) as server:
        kit = Kit(tmp_path, secrets)
        kit.trust([server.known_hosts_line])
        secrets.kept["GPU box", f"ada@127.0.0.1:{server.port}"] = "pw"
        auth = {"password": "keyring"}
        with kit.tunnel(entry(server.port, username="ada", auth=auth)) as tunnel:
            assert not tunnel.typed_login


def _encrypt(key: Path, passphrase: str) -> None:
    command = ["ssh-keygen", "-q", "-p", "-f", str(key), "-P", "", "-N", passphrase]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
