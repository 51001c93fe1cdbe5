"""Logins of several steps: PAM with a second factor, partial success, expired passwords, and
what servers say meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.asyncssh_server import AsyncsshServer
from tests.support.keys import SshAgent, make_key
from tests.support.pam import PASSWORD, Authenticator, pam_service
from tests.support.sshd import PasswordAccount, Sshd, password_server, system_user
from tests.support.tunnel_kit import (
    Kit,
    MemorySecrets,
    User,
    entry,
    give_options,
    nothing_left,
    says,
)
from trayconnect.config.model import Server
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.questions import QuestionKind

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make accounts")


def account_of(sshd: Sshd, username: str, password: str) -> PasswordAccount:
    # sshd reads the authorized keys as the user who logs in.
    sshd.folder.chmod(0o711)
    sshd.authorized_keys.chmod(0o644)
    lines = tuple(sshd.known_hosts_lines())
    return PasswordAccount(sshd.host, sshd.port, username, password, lines, sshd)


@contextlib.contextmanager
def two_factors(folder: Path, **options: str) -> Iterator[tuple[PasswordAccount, Authenticator]]:
    """A server that wants the password and a code, in two rounds."""
    factor = Authenticator(folder)
    settings = {"KbdInteractiveAuthentication": "yes", **options}
    with (
        system_user() as (username, password),
        pam_service([PASSWORD, factor.pam_line]) as service,
        Sshd(options=settings, pam_service=service) as sshd,
    ):
        yield account_of(sshd, username, password), factor


def kit_for(
    folder: Path, account: PasswordAccount | AsyncsshServer, secrets: MemorySecrets | None = None
) -> Kit:
    kit = Kit(folder, secrets)
    if isinstance(account, AsyncsshServer):
        kit.trust([account.known_hosts_line])
    else:
        kit.trust(account.known_hosts_lines)
    return kit


def keyring(account: PasswordAccount) -> Server:
    return entry(account.port, username=account.username, auth={"password": "keyring"})


# --- a second factor ------------------------------------------------------------------------------


@needs_root
def test_password_then_code(tmp_path: Path) -> None:
    with two_factors(tmp_path) as (account, factor):
        kit = kit_for(tmp_path, account)
        user = User(says(account.password), says(factor.code()))
        server = entry(account.port, username=account.username)
        with nothing_left(), kit.tunnel(server, user) as tunnel:
            assert tunnel.typed_login
    labels = [question.fields[0].label for question in user.questions]
    assert labels == ["Password:", "Verification code:"]
    assert user.kinds == [QuestionKind.PASSWORD, QuestionKind.ONE_TIME_CODE]


@needs_root
def test_the_code_never_gets_into_the_keyring(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    with two_factors(tmp_path) as (account, factor):
        kit = kit_for(tmp_path, account, secrets)
        user = User(says(account.password, remember=True), says(factor.code(), remember=True))
        with kit.tunnel(keyring(account), user) as tunnel:
            assert tunnel.typed_login
        assert [question.can_remember for question in user.questions] == [True, False]
        assert list(secrets.kept.values()) == [account.password]
        # From now on only the code is typed, and so nothing is retried by itself.
        user = User(says(factor.code()))
        with kit.tunnel(keyring(account), user) as tunnel:
            assert tunnel.typed_login


@needs_root
def test_a_wrong_code_does_not_cost_the_kept_password(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    with two_factors(tmp_path) as (account, factor):
        kit = kit_for(tmp_path, account, secrets)
        where = ("GPU box", f"{account.username}@127.0.0.1:{account.port}")
        secrets.kept[where] = account.password
        user = User(says("000000"), says(account.password), says(factor.code()))
        with kit.tunnel(keyring(account), user):
            pass
        assert secrets.kept == {where: account.password}


@needs_root
def test_a_kept_password_that_was_wrong_leaves_the_keyring(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    with two_factors(tmp_path) as (account, factor):
        kit = kit_for(tmp_path, account, secrets)
        secrets.kept["GPU box", f"{account.username}@127.0.0.1:{account.port}"] = "of last year"
        user = User(says(factor.code()), says(account.password), says(factor.code()))
        with kit.tunnel(keyring(account), user):
            pass
        assert secrets.kept == {}


@needs_root
def test_a_key_then_password_and_code(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    options = {"AuthenticationMethods": "publickey,keyboard-interactive"}
    with two_factors(tmp_path, **options) as (account, factor):
        assert account.sshd is not None
        account.sshd.authorize(key)
        kit = kit_for(tmp_path, account)
        server = entry(account.port, username=account.username, identity_file=key)
        user = User(says(account.password), says(factor.code()))
        with nothing_left(), kit.tunnel(server, user) as tunnel:
            assert tunnel.typed_login


@needs_root
def test_two_keys(tmp_path: Path) -> None:
    first, second = make_key(tmp_path, name="first"), make_key(tmp_path, name="second")
    with (
        Sshd(options={"AuthenticationMethods": "publickey,publickey"}) as sshd,
        SshAgent() as agent,
    ):
        for key in (first, second):
            sshd.authorize(key)
            agent.add(key)
        kit = Kit(tmp_path, agent_socket=str(agent.socket))
        kit.trust(sshd.known_hosts_lines())
        with kit.tunnel(entry(sshd.port)) as tunnel:
            assert not tunnel.typed_login


def test_a_menu_and_words_without_a_prompt(tmp_path: Path) -> None:
    """As Duo has it: a choice that shows, and news that nobody has to answer."""
    rounds = [
        [("Passcode or option (1-2): ", True, "1")],
        [],
        [("Press return: ", True, "")],
    ]
    with AsyncsshServer(rounds) as server:
        kit = kit_for(tmp_path, server)
        user = User(says("1"), says(""))
        with kit.tunnel(entry(server.port, username="ada"), user):
            pass
    choice, news = user.questions
    assert not choice.fields[0].secret
    assert choice.message.splitlines()[1:] == ["Two steps", "Step 1"]
    assert news.message.splitlines()[1:] == ["Two steps", "Step 2", "Two steps", "Step 3"]


def test_a_server_may_take_its_time_to_judge_what_was_typed(tmp_path: Path) -> None:
    """A telephone must be found and tapped; connect_timeout is for a server's own doings."""
    with AsyncsshServer([[("Push: ", True, "yes")]], thinks=4.0) as server:
        kit = kit_for(tmp_path, server)
        with kit.tunnel(entry(server.port, username="ada", connect_timeout=3), User(says("yes"))):
            pass


def test_too_long_is_not_retried_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trayconnect.ssh.auth.userauth.PATIENCE_SECONDS", 0.0)
    with AsyncsshServer([[("Push: ", True, "yes")]], thinks=30.0) as server:
        kit = kit_for(tmp_path, server)
        with nothing_left():
            problem = kit.problem(
                entry(server.port, username="ada", connect_timeout=2), User(says("yes"))
            )
    assert problem.recovery is Recovery.USER_ACTION
    assert "did not answer the login" in problem.title


# --- which method ---------------------------------------------------------------------------------


@needs_root
def test_a_password_refused_by_prompts_is_not_tried_by_the_other_method(tmp_path: Path) -> None:
    options = {"PasswordAuthentication": "yes", "KbdInteractiveAuthentication": "yes"}
    with (
        system_user() as (username, password),
        pam_service([PASSWORD]) as service,
        Sshd(options=options, pam_service=service) as sshd,
    ):
        account = account_of(sshd, username, password)
        kit = kit_for(tmp_path, account)
        user = User(*[says("wrong")] * 9)
        problem = kit.problem(entry(account.port, username=username), user)
        assert len(user.questions) == 3
        assert problem.recovery is Recovery.USER_ACTION
        assert "Tried: keyboard-interactive." in problem.advice
        assert "Failed password" not in sshd.log_text()


@needs_root
def test_prompts_that_ask_nothing_give_way_to_the_password(tmp_path: Path) -> None:
    """Keyboard-interactive without PAM offers nothing on Linux, and is refused at once."""
    options = {"KbdInteractiveAuthentication": "yes"}
    with password_server(options) as account:
        kit = kit_for(tmp_path, account)
        user = User(says(account.password))
        with kit.tunnel(entry(account.port, username=account.username), user):
            pass


def test_number_of_password_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_options(monkeypatch, number_of_password_prompts=1)
    with AsyncsshServer() as server:
        kit = kit_for(tmp_path, server)
        user = User(*[says("wrong")] * 9)
        kit.problem(entry(server.port, username="ada"), user)
    assert len(user.questions) == 1


def test_a_kept_password_is_not_sent_again_and_again_to_a_server_that_hangs_up(
    tmp_path: Path,
) -> None:
    secrets = MemorySecrets()
    with AsyncsshServer(drops=True) as server:
        secrets.kept["GPU box", f"ada@127.0.0.1:{server.port}"] = "the one of last year"
        kit = kit_for(tmp_path, server, secrets)
        keyring = {"password": "keyring"}
        problem = kit.problem(entry(server.port, username="ada", auth=keyring))
    assert "closed the connection during the login" in problem.title
    assert "lock the account" in problem.advice
    assert problem.recovery is Recovery.USER_ACTION
    assert secrets.kept, "it may be right: the line may have been cut"


def test_a_server_with_fewer_tries_ends_it_and_the_keys_are_named(tmp_path: Path) -> None:
    with Sshd(options={"MaxAuthTries": "3"}) as sshd, SshAgent() as agent:
        for number in range(5):
            agent.add(make_key(tmp_path, name=f"key{number}"))
        kit = Kit(tmp_path, agent_socket=str(agent.socket))
        kit.trust(sshd.known_hosts_lines())
        problem = kit.problem(entry(sshd.port))
    assert "after too many tries" in problem.title
    assert "Tried: the agent's key key0, the agent's key key1" in problem.advice
    assert "auth.identity_file" in problem.advice
    assert problem.recovery is Recovery.USER_ACTION


# --- expired passwords ----------------------------------------------------------------------------


def expire(username: str) -> None:
    subprocess.run(["chage", "-d", "0", username], check=True, timeout=60)


@needs_root
def test_an_expired_password_is_replaced_in_the_servers_own_dialogue(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    with (
        system_user() as (username, password),
        pam_service([PASSWORD]) as service,
        Sshd(options={"KbdInteractiveAuthentication": "yes"}, pam_service=service) as sshd,
    ):
        account = account_of(sshd, username, password)
        kit = kit_for(tmp_path, account, secrets)
        secrets.kept["GPU box", f"{username}@127.0.0.1:{account.port}"] = password
        expire(username)
        fresh = f"Fresh-{password}"
        user = User(says(password), says(fresh), says(fresh))
        with kit.tunnel(keyring(account), user) as tunnel:
            assert tunnel.execute("echo hello", b"", 10).stdout == b"hello\n"
        first = user.questions[0]
        assert first.fields[0].label == "Current password:"
        assert "required to change your password" in first.message
        assert [question.can_remember for question in user.questions] == [True, False, False]
        assert secrets.kept == {}  # the old one
        with kit.tunnel(entry(account.port, username=username), User(says(fresh))):
            pass


@needs_root
def test_an_expired_password_of_a_server_that_lets_us_in_to_nothing(tmp_path: Path) -> None:
    with password_server() as account:
        expire(account.username)
        kit = kit_for(tmp_path, account)
        with kit.tunnel(
            entry(account.port, username=account.username), User(says(account.password))
        ) as tunnel:
            for use in (
                lambda: tunnel.execute("echo hello", b"", 10),
                lambda: tunnel.open_channel(
                    TcpEndpoint("127.0.0.1", account.port), ("127.0.0.1", 1)
                ),
            ):
                assert_expired(problem_of(use), account.username)


def test_an_expired_password_told_by_the_protocol(tmp_path: Path) -> None:
    with AsyncsshServer(expired=True) as server:
        kit = kit_for(tmp_path, server)
        problem = kit.problem(entry(server.port, username="ada"), User(says(server.password)))
    assert_expired(problem, "ada")
    assert "Choose a new password" in problem.detail


def problem_of(use: Callable[[], object]) -> Problem:
    with pytest.raises(ProblemError) as caught:
        use()
    return caught.value.problem


def test_an_expired_password_that_one_method_does_not_tell_of(tmp_path: Path) -> None:
    """keyboard-interactive refuses it without a word; `password` would say why."""
    with AsyncsshServer(expired=True, rounds=[[("Password: ", False, "never right")]]) as server:
        kit = Kit(tmp_path)
        kit.trust([server.known_hosts_line])
        user = User(*[says(server.password)] * 9)
        problem = kit.problem(entry(server.port, username=server.username), user)
    assert_expired(problem, "ada")
    assert len(user.questions) == 2


def assert_expired(problem: Problem, username: str) -> None:
    assert problem.title.startswith(f"The password of {username}@127.0.0.1")
    assert problem.title.endswith("has expired")
    assert "ssh -p " in problem.advice
    assert problem.recovery is Recovery.USER_ACTION


# --- what servers say -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told() -> Iterator[AsyncsshServer]:
    with AsyncsshServer(banner="Authorised \x1b[31museﻠs only\nLogins are recorded.\n") as server:
        yield server


def test_a_banner_is_shown_with_the_first_question_and_kept(
    tmp_path: Path, told: AsyncsshServer
) -> None:
    kit = kit_for(tmp_path, told)
    user = User(says("wrong"), says(told.password))
    with kit.tunnel(entry(told.port, username="ada"), user) as tunnel:
        assert tunnel.banner.startswith(f"127.0.0.1:{told.port}:\nAuthorised ")
        assert "\x1b" not in tunnel.banner
    first, second = (question.message for question in user.questions)
    assert "The server says:\nAuthorised " in first
    assert first.endswith("Logins are recorded.")
    assert "Authorised" not in second


def test_a_banner_is_told_with_a_refusal(tmp_path: Path, told: AsyncsshServer) -> None:
    kit = kit_for(tmp_path, told)
    problem = kit.problem(entry(told.port, username="ada"), User(says("a"), says("b"), says("c")))
    assert "The server says: Authorised" in problem.advice


def test_a_banner_of_sshd(tmp_path: Path) -> None:
    banner = tmp_path / "banner"
    banner.write_text("Maintenance on Sunday.\n" * 1000)
    key = make_key(tmp_path)
    with Sshd(options={"Banner": str(banner)}) as sshd:
        sshd.authorize(key)
        kit = Kit(tmp_path)
        kit.trust(sshd.known_hosts_lines())
        with kit.tunnel(entry(sshd.port, identity_file=key)) as tunnel:
            assert "Maintenance on Sunday." in tunnel.banner
            assert len(tunnel.banner) < 4100
