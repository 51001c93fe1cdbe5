"""One secret of a login in the system keyring, whose failures stop nothing."""

from __future__ import annotations

import logging

from trayconnect.core.errors import ProblemError
from trayconnect.core.keyring import Secrets

log = logging.getLogger(__name__)


class KeyringSecret:
    """The entry `account` of a server in the keyring; `wanted` is whether the user lets us use it.

    `fault` says, after a failure, why it cannot be kept; `wanted` is then False."""

    def __init__(self, secrets: Secrets, server: str, account: str, *, wanted: bool) -> None:
        self.wanted = wanted
        self.fault = ""
        self._secrets = secrets
        self._server = server
        self._account = account

    def get(self) -> str | None:
        """What is kept, if anything."""
        if not self.wanted:
            return None
        try:
            return self._secrets.get(self._server, self._account)
        except ProblemError as error:
            self.wanted = False
            self.fault = f"It cannot be kept: {error}"
            return None

    def put(self, secret: str) -> bool:
        """Keep it; whether that worked."""
        try:
            self._secrets.set(self._server, self._account, secret)
        except ProblemError as error:
            log.warning("%s: a secret is not kept: %s", self._server, error)
            return False
        return True

    def drop(self) -> None:
        """Forget what is kept: it was refused."""
        try:
            self._secrets.delete(self._server, self._account)
        except ProblemError as error:
            log.warning("%s: a refused secret stays in the keyring: %s", self._server, error)
