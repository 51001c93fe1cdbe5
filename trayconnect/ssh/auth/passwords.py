"""Passwords and other answers of a login: from the keyring, or from the user."""

from __future__ import annotations

import re

from trayconnect.config.model import Auth
from trayconnect.core.keyring import Secrets
from trayconnect.core.questions import Answer, Ask, Field, Question, QuestionKind
from trayconnect.ssh.auth.keyring_secret import KeyringSecret
from trayconnect.ssh.auth.userauth import Prompt
from trayconnect.ssh.target import LoginTarget

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
_REPLACING = re.compile(
    r"\b(new|again|re-?type|re-?enter|confirm|repeat|neues|nouveau|nueva)\b",
    re.IGNORECASE,
)
"""With `_PASSWORD`: a step of the dialogue that replaces an expired one (pam_unix, pam_sss)."""

_TITLES = {
    QuestionKind.PASSWORD: "Password for",
    QuestionKind.ONE_TIME_CODE: "One-time code for",
    QuestionKind.KEYBOARD_INTERACTIVE: "Login to",
}


class Passwords:
    """The answers of one login to one target.

    `accepted` and `refused` tell how the last request fared. `typed` says whether the user gave an
    answer that is not kept, so that a later login would have to ask again."""

    def __init__(self, target: LoginTarget, auth: Auth, secrets: Secrets, ask: Ask) -> None:
        self.typed = False
        self.asked = False
        """Whether the server's prompts had anything to answer."""
        self.asked_for_account = False
        """Whether one of them was for the account's password."""
        self.heard = ""
        """What the server said last without a prompt to answer."""
        self._target = target
        self._ask = ask
        self._kept = KeyringSecret(
            secrets, target.server, target.account, wanted=auth.password == "keyring"
        )
        self._looked_up = False
        self._stored: str | None = None
        """What came from the keyring into the present request."""
        self._doubted: str | None = None
        """What came from there and was refused together with other answers."""
        self._given: str | None = None
        """The account's password as the user typed it into the present request."""
        self._remember = False
        self._others = False
        """Whether the present request took other answers besides."""
        self._replaced = False
        """Whether it set a new password."""
        self._note = ""

    def password(self) -> str:
        """The password to try next. Raises `Cancelled`."""
        stored = self._from_keyring()
        if stored is not None:
            return stored
        message = f"To log in to {self._target.description}."
        return self._account_password(message, "Password")

    def respond(self, prompt: Prompt) -> tuple[str, ...]:
        """Answer the server's own prompts (RFC 4256). Raises `Cancelled`."""
        words = [text for text in (prompt.name, prompt.instructions) if text]
        if not prompt.prompts:
            # Shown with the next question: nothing waits for an answer now.
            self.heard = "\n".join(words)
            return ()
        self.asked = True
        if self.heard:
            words.insert(0, self.heard)
            self.heard = ""
        fields = []
        for text, echo in prompt.prompts:
            *above, label = text.splitlines() or ["Answer"]
            words += above
            fields.append(Field(label, secret=not echo))
        message = "\n".join([f"{self._target.description} asks:", *words])
        kind = kind_of(prompt)
        if kind is QuestionKind.PASSWORD:
            self.asked_for_account = True
            stored = self._from_keyring()
            if stored is not None:
                return (stored,)
            return (self._account_password(message, fields[0].label),)
        self._others = True
        self._replaced |= any(_replaces(field.label) for field in fields)
        self.typed = True
        parts = [
            fields[first : first + MOST_FIELDS] for first in range(0, len(fields), MOST_FIELDS)
        ]
        values: tuple[str, ...] = ()
        for number, part in enumerate(parts, 1):
            place = f"\n(part {number} of {len(parts)})" if len(parts) > 1 else ""
            values += self._asked(kind, message + place, tuple(part)).values
        return values

    def accepted(self) -> None:
        """The server took the last answers: keep the password, if the user wanted that."""
        if self._replaced:
            self._kept.drop()
            self._remember = False
        if self._remember and self._given is not None and self._kept.put(self._given):
            self._doubted = None
        elif self._given is not None:
            self.typed = True
        if self._doubted is not None and self._given not in (None, self._doubted):
            self._kept.drop()
        self._begin()

    def refused(self) -> None:
        """The server refused the last answers: a kept password is dropped, unless another answer
        may have been the wrong one."""
        self._note = "That was not accepted. Try again." if self._given_any else ""
        if self._given is not None and not self._others:
            self._note = "That password was not accepted. Try again."
        if self._stored is not None and self._others:
            self._doubted = self._stored
        elif self._stored is not None:
            self._note = "The password from the keyring was not accepted."
            self._kept.drop()
        if self.heard:
            self._note = f"{self._note}\nThe server says: {self.heard}".lstrip()
        self._begin()

    @property
    def _given_any(self) -> bool:
        return self._given is not None or self._others

    def _begin(self) -> None:
        self._stored = self._given = None
        self._remember = self._others = self._replaced = False

    def _from_keyring(self) -> str | None:
        if self._looked_up:
            return None
        self._looked_up = True
        self._stored = self._kept.get()
        self._note = self._note or self._kept.fault
        return self._stored

    def _account_password(self, message: str, label: str) -> str:
        keepable = self._kept.wanted
        answer = self._asked(QuestionKind.PASSWORD, message, (Field(label),), keepable=keepable)
        self._given = answer.values[0]
        self._remember = answer.remember and keepable
        self.typed |= not self._remember
        return self._given

    def _asked(
        self,
        kind: QuestionKind,
        message: str,
        fields: tuple[Field, ...],
        *,
        keepable: bool = False,
    ) -> Answer:
        """What the user says, a value for each field."""
        question = Question(
            kind=kind,
            server=self._target.server,
            title=f"{_TITLES[kind]} {self._target.account}",
            message="\n".join(text for text in (self._note, message) if text),
            fields=fields,
            confirm="Log in",
            can_remember=keepable,
        )
        self._note = ""
        answer = self._ask(question)
        values = (*answer.values, *("" for _ in fields))[: len(fields)]
        return Answer(values, answer.remember)


def kind_of(prompt: Prompt) -> QuestionKind:
    """What a round of the server's prompts asks for, by its words: a single prompt may want a
    code, or, if what is typed stays hidden, the account's password as it is now."""
    if len(prompt.prompts) == 1:
        text, echo = prompt.prompts[0]
        if _CODE.search(_ACCOUNT.sub("", text)):  # first: "One-time password"
            return QuestionKind.ONE_TIME_CODE
        if not echo and _PASSWORD.search(text) and not _replaces(text):
            return QuestionKind.PASSWORD
    return QuestionKind.KEYBOARD_INTERACTIVE


def _replaces(text: str) -> bool:
    """Whether a prompt is one of those that set a new password."""
    return bool(_PASSWORD.search(text) and _REPLACING.search(text))
