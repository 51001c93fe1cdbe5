"""Passwords, passphrases of keys and other answers of a login, from the keyring or the user."""

from __future__ import annotations

import logging
import re
from typing import Protocol

from trayconnect.config.model import Auth
from trayconnect.core.errors import ProblemError
from trayconnect.core.questions import Answer, Ask, Field, Question, QuestionKind
from trayconnect.ssh.auth import login_problems
from trayconnect.ssh.auth.identities import UnlockedKeys
from trayconnect.ssh.auth.keyfile import KeyFile, PassphraseNeededError, WrongPassphraseError
from trayconnect.ssh.auth.userauth import Prompt, SigningKey
from trayconnect.ssh.target import LoginTarget

MOST_FIELDS = 6
"""Limit for one question: a window with more fields would not fit every screen."""

# Names of one-time codes in the modules that ask for them: pam_google_authenticator, pam_oath,
# pam_duo, pam_yubico, privacyIDEA, RSA SecurID, S/Key; and in others' translations.
_CODE = re.compile(
    r"code\b|codice|código|one[- ]time|einmal|otp|token|yubi|2fa|mfa\b|[2-9]-?factor|two[- ]factor"
    r"|second factor|authenticator|securid|s/key",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(r"\S+@\S+")  # "ada@token.example.org's password" does not ask for a token
_PASSWORD = re.compile(r"password|passwort|kennwort|mot de passe|contraseña", re.IGNORECASE)
_REPLACING = re.compile(
    r"\b(new|again|re-?type|re-?enter|confirm|repeat|neues|nouveau|nueva)\b",
    re.IGNORECASE,
)
"""Together with `_PASSWORD`: a prompt of the dialogue that replaces an expired one (pam_unix,
pam_sss)."""

_TITLES = {
    QuestionKind.PASSWORD: "Password for",
    QuestionKind.ONE_TIME_CODE: "One-time code for",
    QuestionKind.KEYBOARD_INTERACTIVE: "Login to",
}


class Secrets(Protocol):
    """The system keyring. Every call has a time limit, and raises `ProblemError` if the keyring
    cannot be used."""

    def get(self, server: str, account: str) -> str | None: ...

    def set(self, server: str, account: str, secret: str) -> None: ...

    def delete(self, server: str, account: str) -> None: ...


class Passwords:
    """The answers of one login to one target.

    `accepted` and `refused` report the result of the last request. `typed` is whether the user gave
    an answer that is not stored, so that a later login would have to ask again."""

    def __init__(self, target: LoginTarget, auth: Auth, secrets: Secrets, ask: Ask) -> None:
        self.typed = False
        self.asked = False
        """Whether the server sent any prompt."""
        self.asked_for_account = False
        """Whether a prompt asked for the account's password."""
        self.last_message = ""
        """The server's last message without a prompt."""
        self._target = target
        self._ask = ask
        self._keyring = KeyringSecret(
            secrets, target.server, target.account, allowed=auth.password == "keyring"
        )
        self._looked_up = False
        self._stored: str | None = None
        """Answers from the keyring in the current request."""
        self._suspect: str | None = None
        """Answers from the keyring that were refused together with other answers."""
        self._typed_password: str | None = None
        """The account's password as the user typed it in the current request."""
        self._remember = False
        self._has_other_answers = False
        """Whether the current request had other answers too."""
        self._replaced = False
        """Whether the current request set a new password."""
        self._note = ""

    def password(self) -> str:
        """The password to try next. Raises `Cancelled`."""
        stored = self._from_keyring()
        if stored is not None:
            return stored
        message = f"Enter the password for {self._target.username} on {self._target.description}."
        return self._account_password(message, "Password")

    def respond(self, prompt: Prompt) -> tuple[str, ...]:
        """Answer the server's own prompts (RFC 4256). Raises `Cancelled`."""
        lines = [text for text in (prompt.name, prompt.instructions) if text]
        if not prompt.prompts:
            # Shown with the next question, because nothing waits for an answer now.
            self.last_message = "\n".join(lines)
            return ()
        self.asked = True
        if self.last_message:
            lines.insert(0, self.last_message)
            self.last_message = ""
        fields = []
        for text, echo in prompt.prompts:
            *above, label = text.splitlines() or ["Answer"]
            lines += above
            fields.append(Field(label, secret=not echo))
        message = "\n".join([f"{self._target.description} asks:", *lines])
        kind = kind_of(prompt)
        if kind is QuestionKind.PASSWORD:
            self.asked_for_account = True
            stored = self._from_keyring()
            if stored is not None:
                return (stored,)
            return (self._account_password(message, fields[0].label),)
        self._has_other_answers = True
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
        """The server accepted the last answers: store the password if the user wants it."""
        if self._replaced:
            self._keyring.drop()
            self._remember = False
        if (
            self._remember
            and self._typed_password is not None
            and self._keyring.put(self._typed_password)
        ):
            self._suspect = None
        elif self._typed_password is not None:
            self.typed = True
        if self._suspect is not None and self._typed_password not in (None, self._suspect):
            self._keyring.drop()
        self._reset()

    def refused(self) -> None:
        """The server refused the last answers: delete a stored password, unless another answer may
        be the wrong one."""
        self._note = "That was not accepted. Try again." if self._has_answers else ""
        if self._typed_password is not None and not self._has_other_answers:
            self._note = "That password was not accepted. Try again."
        if self._stored is not None and self._has_other_answers:
            self._suspect = self._stored
        elif self._stored is not None:
            self._note = "The password from the keyring was not accepted."
            self._keyring.drop()
        if self.last_message:
            self._note = f"{self._note}\nThe server says: {self.last_message}".lstrip()
        self._reset()

    @property
    def _has_answers(self) -> bool:
        return self._typed_password is not None or self._has_other_answers

    def _reset(self) -> None:
        self._stored = self._typed_password = None
        self._remember = self._has_other_answers = self._replaced = False

    def _from_keyring(self) -> str | None:
        if self._looked_up:
            return None
        self._looked_up = True
        self._stored = self._keyring.get()
        self._note = self._note or self._keyring.fault
        return self._stored

    def _account_password(self, message: str, label: str) -> str:
        keepable = self._keyring.allowed
        answer = self._asked(QuestionKind.PASSWORD, message, (Field(label),), keepable=keepable)
        self._typed_password = answer.values[0]
        self._remember = answer.remember and keepable
        self.typed |= not self._remember
        return self._typed_password

    def _asked(
        self,
        kind: QuestionKind,
        message: str,
        fields: tuple[Field, ...],
        *,
        keepable: bool = False,
    ) -> Answer:
        """The user's answers, one value for each field."""
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
    """What a round of prompts asks for, by its text: a single prompt may want a code, or, if the
    input is hidden, the account's current password."""
    if len(prompt.prompts) == 1:
        text, echo = prompt.prompts[0]
        if _CODE.search(_ACCOUNT.sub("", text)):  # test this first: "One-time password"
            return QuestionKind.ONE_TIME_CODE
        if not echo and _PASSWORD.search(text) and not _replaces(text):
            return QuestionKind.PASSWORD
    return QuestionKind.KEYBOARD_INTERACTIVE


def _replaces(text: str) -> bool:
    """Whether a prompt sets a new password."""
    return bool(_PASSWORD.search(text) and _REPLACING.search(text))


PASSPHRASE_TRIES = 3


class Unlocker:
    """Decrypts key files for the login to one target."""

    def __init__(
        self, target: LoginTarget, auth: Auth, secrets: Secrets, unlocked: UnlockedKeys, ask: Ask
    ) -> None:
        self._target = target
        self._secrets = secrets
        self._wants_keyring = auth.password == "keyring"
        self._unlocked = unlocked
        self._ask = ask

    def unlock(self, file: KeyFile) -> SigningKey:
        """The private key, kept decrypted while its server is connected. Raises `ProblemError`, and
        `Cancelled` if the user declines."""
        account = f"key {file.path}"
        keyring_secret = KeyringSecret(
            self._secrets, self._target.server, account, allowed=self._wants_keyring
        )
        note = ""
        stored = keyring_secret.get()
        if stored is not None:
            key = self._try(file, stored)
            if key is not None:
                return key
            keyring_secret.drop()
            note = "The passphrase from the keyring is wrong."
        for _ in range(PASSPHRASE_TRIES):
            answer = self._ask(
                self._question(file, note or keyring_secret.fault, keepable=keyring_secret.allowed)
            )
            passphrase = answer.values[0] if answer.values else ""
            key = self._try(file, passphrase)
            if key is not None:
                if answer.remember and keyring_secret.allowed:
                    keyring_secret.put(passphrase)
                return key
            note = "Wrong passphrase, try again."
        raise login_problems.wrong_passphrase(str(file.path))

    def _try(self, file: KeyFile, passphrase: str) -> SigningKey | None:
        try:
            key = file.decrypt(passphrase)
        except (WrongPassphraseError, PassphraseNeededError):
            return None
        self._unlocked.put(self._target.server, file, key)
        return key

    def _question(self, file: KeyFile, note: str, *, keepable: bool) -> Question:
        message = (
            f"The key file {file.path} is encrypted; it logs in to {self._target.description}."
        )
        return Question(
            kind=QuestionKind.PASSPHRASE,
            server=self._target.server,
            title=f"Passphrase for the key {file.path.name}",
            message="\n".join(text for text in (note, message) if text),
            fields=(Field("Passphrase"),),
            confirm="Unlock",
            can_remember=keepable,
        )


log = logging.getLogger(__name__)


class KeyringSecret:
    """The entry `account` of a server in the keyring; `allowed` is whether the user allows its use.

    After a failure, `fault` is the reason and `allowed` is False."""

    def __init__(self, secrets: Secrets, server: str, account: str, *, allowed: bool) -> None:
        self.allowed = allowed
        self.fault = ""
        self._secrets = secrets
        self._server = server
        self._account = account

    def get(self) -> str | None:
        """The stored secret, if any."""
        if not self.allowed:
            return None
        try:
            return self._secrets.get(self._server, self._account)
        except ProblemError as error:
            self.allowed = False
            self.fault = f"It cannot be kept: {error}"
            return None

    def put(self, secret: str) -> bool:
        """Store the secret. Returns whether that succeeded."""
        try:
            self._secrets.set(self._server, self._account, secret)
        except ProblemError as error:
            log.warning("%s: a secret is not kept: %s", self._server, error)
            return False
        return True

    def drop(self) -> None:
        """Delete the stored secret: the server refused it."""
        try:
            self._secrets.delete(self._server, self._account)
        except ProblemError as error:
            log.warning("%s: a refused secret stays in the keyring: %s", self._server, error)
