"""Passwords and other answers of a login: from the keyring, or from the user."""

from __future__ import annotations

import logging
import re

from trayconnect.config.model import Auth
from trayconnect.errors import ProblemError
from trayconnect.ports import Ask, Field, Question, QuestionKind, Secrets
from trayconnect.tunnel.target import Target
from trayconnect.tunnel.userauth import Prompt

log = logging.getLogger(__name__)

MOST_FIELDS = 6
"""In one question: a window of more would not fit every screen."""

# What one-time codes are called by the modules that ask for them: pam_google_authenticator,
# pam_oath, pam_duo, pam_yubico, privacyIDEA, RSA SecurID, S/Key; and by others' translations.
_CODE = re.compile(
    r"code\b|codice|código|one[- ]time|einmal|otp|token|yubi|2fa|mfa\b|[2-9]-?factor|two[- ]factor"
    r"|second factor|authenticator|securid|s/key",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(r"\S+@\S+")  # "ada@token.example.org's password" asks for no token
_PASSWORD = re.compile(r"password|passwort|kennwort|mot de passe|contraseña", re.IGNORECASE)


class Passwords:
    """The answers of one login to one target.

    `accepted` and `refused` tell how the last one fared. `typed` says whether the user gave one
    that is not kept, so that a later login would have to ask again."""

    def __init__(self, target: Target, auth: Auth, secrets: Secrets, ask: Ask) -> None:
        self.typed = False
        self._target = target
        self._secrets = secrets
        self._ask = ask
        self._keyring = auth.password == "keyring"
        self._stored: str | None = None
        self._to_store: str | None = None
        self._note = ""
        self._looked_up = False

    def password(self) -> str:
        """The password to try next. Raises `Cancelled`."""
        stored = self._from_keyring()
        if stored is not None:
            return stored
        message = f"To log in to {self._target.description}."
        return self._typed(QuestionKind.PASSWORD, message, (Field("Password"),))[0]

    def respond(self, prompt: Prompt) -> tuple[str, ...]:
        """Answer the server's own prompts (RFC 4256). Raises `Cancelled`."""
        if not prompt.prompts:
            return ()
        kind = kind_of(prompt)
        if kind is QuestionKind.PASSWORD:
            stored = self._from_keyring()
            if stored is not None:
                return (stored,)
        fields = tuple(Field(text or "Answer", secret=not echo) for text, echo in prompt.prompts)
        words = [text for text in (prompt.name, prompt.instructions) if text]
        message = "\n".join([f"{self._target.description} asks:", *words])
        parts = [
            fields[first : first + MOST_FIELDS] for first in range(0, len(fields), MOST_FIELDS)
        ]
        values: tuple[str, ...] = ()
        for number, part in enumerate(parts, 1):
            place = f"\n(part {number} of {len(parts)})" if len(parts) > 1 else ""
            values += self._typed(kind, message + place, part)
        return values

    def accepted(self) -> None:
        """The server took the last answer: keep it, if the user wanted that."""
        if self._to_store is None:
            return
        try:
            self._secrets.set(self._target.server, self._target.account, self._to_store)
        except ProblemError as error:
            log.warning("the password is not kept: %s", error)
            self.typed = True
        self._to_store = None

    def refused(self) -> None:
        """The server refused the last answer: a kept one is dropped."""
        self._note = "The server refused that. Try again."
        self._to_store = None
        if self._stored is None:
            return
        self._stored = None
        self._note = "The server refused the password from the keyring."
        try:
            self._secrets.delete(self._target.server, self._target.account)
        except ProblemError as error:
            log.warning("the refused password stays in the keyring: %s", error)

    def _from_keyring(self) -> str | None:
        if not self._keyring or self._looked_up:
            return None
        self._looked_up = True
        try:
            self._stored = self._secrets.get(self._target.server, self._target.account)
        except ProblemError as error:
            self._keyring = False
            self._note = f"It cannot be kept: {error}"
        return self._stored

    def _typed(
        self, kind: QuestionKind, message: str, fields: tuple[Field, ...]
    ) -> tuple[str, ...]:
        keepable = self._keyring and kind is QuestionKind.PASSWORD
        question = Question(
            kind=kind,
            server=self._target.server,
            title=f"{_TITLES[kind]} {self._target.account}",
            message="\n".join(text for text in (self._note, message) if text),
            fields=fields,
            confirm="Log in",
            can_remember=keepable,
        )
        answer = self._ask(question)
        values = (*answer.values, *("" for _ in fields))[: len(fields)]
        if answer.remember and keepable:
            self._to_store = values[0]
        else:
            self.typed = True
        return values


_TITLES = {
    QuestionKind.PASSWORD: "Password for",
    QuestionKind.ONE_TIME_CODE: "One-time code for",
    QuestionKind.KEYBOARD_INTERACTIVE: "Login to",
}


def kind_of(prompt: Prompt) -> QuestionKind:
    """What a round of the server's prompts asks for, by its words: a single prompt may want a
    code, or, if what is typed stays hidden, the account's password."""
    if len(prompt.prompts) == 1:
        text, echo = prompt.prompts[0]
        if _CODE.search(_ACCOUNT.sub("", text)):  # first: "One-time password"
            return QuestionKind.ONE_TIME_CODE
        if not echo and _PASSWORD.search(text):
            return QuestionKind.PASSWORD
    return QuestionKind.KEYBOARD_INTERACTIVE
