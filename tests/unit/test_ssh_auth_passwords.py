"""What a server's prompts ask for, and which questions the user gets."""

from __future__ import annotations

import pytest

from tests.support.tunnel_kit import MemorySecrets
from trayconnect.config.model import Auth
from trayconnect.core.questions import Answer, Question, QuestionKind
from trayconnect.ssh.auth.passwords import Passwords, kind_of
from trayconnect.ssh.auth.userauth import Prompt
from trayconnect.ssh.target import LoginTarget

TARGET = LoginTarget("GPU box", "gpu.example.org", 22, "ada")
PASSWORD, CODE, OTHER = (
    QuestionKind.PASSWORD,
    QuestionKind.ONE_TIME_CODE,
    QuestionKind.KEYBOARD_INTERACTIVE,
)


def ask_with(*prompts: tuple[str, bool], name: str = "", words: str = "") -> Prompt:
    return Prompt(name, words, prompts)


@pytest.mark.parametrize(
    ("text", "echo", "kind"),
    [
        ("Password:", False, PASSWORD),
        ("ada@token.example.org's password:", False, PASSWORD),
        ("Current password:", False, PASSWORD),
        ("Passwort:", False, PASSWORD),
        ("Password:", True, OTHER),
        ("Verification code:", False, CODE),
        ("Verification code:", True, CODE),
        ("One-time password (OATH) for `ada':", False, CODE),
        ("Passcode or option (1-3):", True, CODE),
        ("Enter PASSCODE:", False, CODE),
        ("YubiKey for `ada':", False, CODE),
        ("Enter your OTP", False, CODE),
        ("OTP:", False, CODE),
        ("Token", False, CODE),
        ("Wait for the tokencode to change, then enter it:", False, CODE),
        ("Two-factor code", False, CODE),
        ("Password & verification code:", False, CODE),
        ("Bestätigungscode:", False, CODE),
        ("Einmalpasswort:", False, CODE),
        ("Código de verificación:", False, CODE),
        ("s/key 99 ke1234", False, CODE),
        ("PIN:", False, OTHER),
        ("Press Enter when you have confirmed the push", True, OTHER),
        ("", False, OTHER),
    ],
)
def test_a_single_prompt_is_known_by_its_words(text: str, echo: bool, kind: QuestionKind) -> None:
    assert kind_of(ask_with((text, echo))) is kind


def test_several_prompts_are_shown_as_the_server_puts_them() -> None:
    assert kind_of(ask_with(("Password:", False), ("Verification code:", False))) is OTHER


class User:
    def __init__(self, *answers: Answer) -> None:
        self.questions: list[Question] = []
        self._answers = list(answers)

    def __call__(self, question: Question) -> Answer:
        self.questions.append(question)
        return self._answers.pop(0)


def login(user: User, secrets: MemorySecrets) -> Passwords:
    return Passwords(TARGET, Auth(password="keyring"), secrets, user)


def test_a_code_is_asked_for_by_its_name_and_never_kept() -> None:
    secrets = MemorySecrets()
    user = User(Answer(("123456",), remember=True))
    passwords = login(user, secrets)
    assert passwords.respond(ask_with(("Verification code:", False))) == ("123456",)
    passwords.accepted()
    (question,) = user.questions
    assert question.kind is CODE
    assert question.title == "One-time code for ada@gpu.example.org"
    assert not question.can_remember
    assert passwords.typed
    assert secrets.kept == {}


def test_a_kept_password_is_no_answer_to_a_code() -> None:
    secrets = MemorySecrets()
    secrets.kept["GPU box", TARGET.account] = "s3cret"
    user = User(Answer(("123456",)))
    passwords = login(user, secrets)
    prompt = ask_with(("One-time password:", False))
    assert passwords.respond(prompt) == ("123456",)
    assert passwords.respond(ask_with(("Password:", False))) == ("s3cret",)


def test_the_servers_own_words_reach_the_user_with_an_empty_answer_allowed() -> None:
    user = User(Answer(("", "")))
    prompt = ask_with(("Choice", True), ("PIN", False), name="Duo", words="Enter for a push")
    assert login(user, MemorySecrets()).respond(prompt) == ("", "")
    (question,) = user.questions
    assert question.kind is OTHER
    assert question.may_be_empty
    assert "Duo\nEnter for a push" in question.message
    assert [(field.label, field.secret) for field in question.fields] == [
        ("Choice", False),
        ("PIN", True),
    ]
    assert not question.can_remember


def test_a_server_that_asks_much_is_answered_in_parts() -> None:
    user = User(Answer(tuple("abcdef")), Answer(("g",)))
    prompt = ask_with(*((f"Question {number}", True) for number in range(7)))
    assert login(user, MemorySecrets()).respond(prompt) == tuple("abcdefg")
    assert [len(question.fields) for question in user.questions] == [6, 1]
    assert "part 2 of 2" in user.questions[1].message
