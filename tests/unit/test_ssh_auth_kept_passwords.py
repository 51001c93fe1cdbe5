"""Which prompts the kept password answers, and what becomes of it."""

from __future__ import annotations

import pytest

from tests.support.tunnel_kit import MemorySecrets, User, says
from trayconnect.config.model import Auth
from trayconnect.core.questions import QuestionKind
from trayconnect.ssh.auth.passwords import Passwords
from trayconnect.ssh.auth.userauth import Prompt
from trayconnect.ssh.target import LoginTarget

TARGET = LoginTarget("GPU box", "gpu.example.org", 22, "ada")
WHERE = ("GPU box", "ada@gpu.example.org")


def prompt(*texts: str, echo: bool = False) -> Prompt:
    return Prompt("", "", tuple((text, echo) for text in texts))


@pytest.mark.parametrize(
    "text",
    [
        "New password: ",
        "Retype new password: ",
        "Re-enter password: ",
        "Password again: ",
        "Confirm password: ",
        "Neues Passwort: ",
    ],
)
def test_the_dialogue_for_a_new_password_is_not_answered_with_the_kept_one(text: str) -> None:
    secrets = MemorySecrets()
    secrets.kept[WHERE] = "kept"
    user = User(says("typed"))
    passwords = login(secrets, user)
    assert passwords.respond(prompt(text)) == ("typed",)
    assert user.kinds == [QuestionKind.KEYBOARD_INTERACTIVE]
    assert not user.questions[0].can_remember
    passwords.accepted()
    assert secrets.kept == {}, "the old one opens nothing any more"


def login(secrets: MemorySecrets, user: User, *, keyring: bool = True) -> Passwords:
    auth = Auth(password="keyring" if keyring else "ask")
    return Passwords(TARGET, auth, secrets, user)


def test_a_kept_password_is_given_once() -> None:
    secrets = MemorySecrets()
    secrets.kept[WHERE] = "kept"
    user = User(says("typed"))
    passwords = login(secrets, user)
    assert passwords.respond(prompt("Password:")) == ("kept",)
    passwords.refused()
    assert secrets.kept == {}
    assert passwords.respond(prompt("Password:")) == ("typed",)
    assert "from the keyring" in user.questions[0].message
    assert passwords.typed


def test_without_the_users_wish_the_keyring_is_left_alone() -> None:
    secrets = MemorySecrets()
    secrets.kept[WHERE] = "kept"
    passwords = login(secrets, User(says("typed", remember=True)), keyring=False)
    assert passwords.password() == "typed"
    passwords.accepted()
    assert secrets.kept == {WHERE: "kept"}
    assert passwords.typed


def test_several_fields_are_never_offered_to_the_keyring() -> None:
    user = User(says("pw", "123"))
    passwords = login(MemorySecrets(), user)
    assert passwords.respond(prompt("Password:", "Code:")) == ("pw", "123")
    assert not user.questions[0].can_remember
    assert passwords.typed


def test_a_prompt_of_several_lines_is_a_message_and_a_label() -> None:
    user = User(says("1"))
    login(MemorySecrets(), user).respond(prompt("Duo login\n 1. Push\nOption: ", echo=True))
    (question,) = user.questions
    assert question.fields[0].label == "Option: "
    assert question.message.endswith("asks:\nDuo login\n 1. Push")


def test_the_servers_last_words_are_told_with_its_refusal() -> None:
    user = User(says("1"), says("2"))
    passwords = login(MemorySecrets(), user)
    passwords.respond(prompt("Code:"))
    passwords.respond(Prompt("", "The push was declined", ()))
    passwords.refused()
    passwords.respond(prompt("Code:"))
    assert "The push was declined" in user.questions[1].message


def test_what_the_user_wants_kept_is_kept_only_when_it_was_right() -> None:
    secrets = MemorySecrets()
    user = User(says("wrong", remember=True), says("right", remember=True))
    passwords = login(secrets, user)
    passwords.respond(prompt("Password:"))
    passwords.refused()
    assert secrets.kept == {}
    passwords.respond(prompt("Password:"))
    passwords.accepted()
    assert secrets.kept == {WHERE: "right"}
    assert not passwords.typed
