"""Passwords in the system keyring.

A keyring can hang: a locked one waits for a window that the user does not see. So each call runs
in a thread of its own and is abandoned after a time limit; while one hangs, all others fail at
once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "trayconnect"
TIME_LIMIT = 10.0

# These backends protect no secret: they use plain files, or store nothing.
_UNSAFE_MODULES = ("keyrings.alt", "keyring.backends.fail", "keyring.backends.null")
_CHAINER = "keyring.backends.chainer"

T = TypeVar("T")


def is_safe(backend: type[KeyringBackend]) -> bool:
    """Whether a backend of the `keyring` package protects its contents."""
    name = f"{backend.__module__}.{backend.__name__}"
    in_unsafe = any(name.startswith(f"{module}.") for module in _UNSAFE_MODULES)
    return not in_unsafe and "plaintext" not in name.lower()


def system_backend() -> KeyringBackend | None:
    """The user's choice if it is safe, else the best safe one, or None.

    Determined at each call: at login the app may start before the keyring's service, and
    `keyring.get_keyring` caches its result."""
    import keyring
    from keyring.backend import KeyringBackend

    chosen = type(keyring.get_keyring())
    if chosen.__module__ == "keyring.backends.null":
        return None  # the setting of `keyring --disable`
    if is_safe(chosen) and chosen.__module__ != _CHAINER:
        return keyring.get_keyring()
    safe = [
        backend
        for backend in KeyringBackend.get_viable_backends()
        if is_safe(backend) and backend.__module__ != _CHAINER and backend.priority > 0
    ]
    best = max(safe, key=lambda backend: backend.priority, default=None)
    return best() if best else None


def entry_name(server: str, account: str) -> str:
    """The user name of an entry: "GPU box: ada@gpu.example.org". It is unique for each pair,
    because the server's part contains no colon."""
    return f"{server.replace('%', '%25').replace(':', '%3A')}: {account}"


class KeyringSecrets:
    """`passwords.Secrets`. `find_backend` and `time_limit` (seconds) are for tests."""

    def __init__(
        self,
        find_backend: Callable[[], KeyringBackend | None] = system_backend,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._find_backend = find_backend
        self._time_limit = time_limit
        self._lock = threading.Lock()
        self._worker: Background[Any] | None = None

    def get(self, server: str, account: str) -> str | None:
        return self._run(lambda keys: keys.get_password(SERVICE, entry_name(server, account)))

    def set(self, server: str, account: str, secret: str) -> None:
        """Store it, and read it back: some services report success and store nothing."""
        name = entry_name(server, account)

        def keep(keys: KeyringBackend) -> bool:
            keys.set_password(SERVICE, name, secret)
            return keys.get_password(SERVICE, name) == secret

        if not self._run(keep):
            raise ProblemError(
                Problem(
                    "The keyring did not keep the password",
                    "It stays in memory until trayconnect quits; check the keyring's settings.",
                    Recovery.USER_ACTION,
                )
            )

    def delete(self, server: str, account: str) -> None:
        """Delete it; no error if it does not exist."""
        name = entry_name(server, account)

        def forget(keys: KeyringBackend) -> None:
            if keys.get_password(SERVICE, name) is not None:
                keys.delete_password(SERVICE, name)

        self._run(forget)

    def _run(self, call: Callable[[KeyringBackend], T]) -> T:
        def work() -> T:
            backend = self._find_backend()
            if backend is None:
                raise LookupError("no backend that keeps secrets")
            return call(backend)

        with self._lock:  # held for at most the time limit
            if self._worker is not None and not self._worker.is_over:
                raise _hanging()
            self._worker = worker = Background(work, "tc-keyring")
            try:
                return worker.result(CancelToken(), self._time_limit)
            except Exception as error:
                raise _unusable(error) if worker.is_over else _hanging() from error


def _hanging() -> ProblemError:
    return ProblemError(
        Problem(
            "The system keyring does not answer",
            "It may be waiting for you to unlock it. Unlock it, then connect again.",
            Recovery.USER_ACTION,
        )
    )


def _unusable(error: Exception) -> ProblemError:
    from keyring.errors import InitError, KeyringLocked, NoKeyringError

    if isinstance(error, KeyringLocked):
        title, advice = "The system keyring is locked", "Unlock it, then connect again."
    elif isinstance(error, (NoKeyringError, LookupError)):
        title = "There is no system keyring"
        advice = "Passwords are kept in memory only, and asked for again after a restart."
    elif isinstance(error, InitError):
        title = "The system keyring has no place to store passwords yet"
        advice = 'Create a keyring named "login" in your desktop\'s password program.'
    else:
        title = "The system keyring failed"
        advice = "Passwords are kept in memory only, and asked for again after a restart."
    # Without the error's text: a plug-in could put a secret into it.
    return ProblemError(
        Problem(title, advice, Recovery.USER_ACTION, detail=type(error).__qualname__)
    )
