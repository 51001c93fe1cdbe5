"""The passphrase of a key file, from the keyring or from the user."""

from __future__ import annotations

from trayconnect.config.model import Auth
from trayconnect.core.keyring import Secrets
from trayconnect.core.questions import Ask, Field, Question, QuestionKind
from trayconnect.ssh import connection_problems
from trayconnect.ssh.auth.identities import UnlockedKeys
from trayconnect.ssh.auth.keyfile import KeyFile, PassphraseNeededError, WrongPassphraseError
from trayconnect.ssh.auth.keyring_secret import KeyringSecret
from trayconnect.ssh.auth.userauth import SigningKey
from trayconnect.ssh.target import LoginTarget

TRIES = 3


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
        for _ in range(TRIES):
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
        raise connection_problems.wrong_passphrase(str(file.path))

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
