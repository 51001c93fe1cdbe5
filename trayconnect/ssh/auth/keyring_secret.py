"""One secret of a login in the system keyring. A keyring failure does not stop the login."""

from __future__ import annotations

import logging

from trayconnect.core.errors import ProblemError
from trayconnect.core.keyring import Secrets

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
