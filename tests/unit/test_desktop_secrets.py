"""The keyring never hangs us, and never keeps a secret in the clear."""

from __future__ import annotations

import threading
from collections.abc import Callable

import keyring.backends.chainer
import keyring.backends.fail
import keyring.backends.null
import keyring.backends.SecretService
import keyring.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend

from trayconnect.core.errors import ProblemError, Recovery
from trayconnect.desktop.secrets import KeyringSecrets, entry_name, is_safe

LIMIT = 90.0


class Memory(KeyringBackend):
    """A keyring in a dict. `before` runs at the start of each call."""

    priority = -1.0  # never chosen by the package itself

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.before = before

    def get_password(self, service: str, username: str) -> str | None:
        self.before()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.before()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self.before()
        del self.entries[service, username]


class Forgetful(Memory):
    """Says yes, and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def wait_for(gate: threading.Event) -> None:
    assert gate.wait(LIMIT)


def no_worker() -> bool:
    return not any(thread.name == "tc-keyring" for thread in threading.enumerate())


def test_keep_read_and_forget() -> None:
    backend = Memory()
    secrets = KeyringSecrets(lambda: backend)
    assert secrets.get("GPU box", "ada@gpu") is None
    secrets.set("GPU box", "ada@gpu", "s3cret")
    assert secrets.get("GPU box", "ada@gpu") == "s3cret"
    assert backend.entries == {("trayconnect", "GPU box: ada@gpu"): "s3cret"}
    secrets.delete("GPU box", "ada@gpu")
    secrets.delete("GPU box", "ada@gpu")
    assert secrets.get("GPU box", "ada@gpu") is None
    assert no_worker()


def test_a_keyring_that_forgets_is_found_out() -> None:
    with pytest.raises(ProblemError, match="did not keep"):
        KeyringSecrets(Forgetful).set("GPU box", "ada", "s3cret")


def test_a_hanging_keyring_is_given_up_and_used_again_later() -> None:
    gate = threading.Event()
    backend = Memory(before=lambda: wait_for(gate))
    secrets = KeyringSecrets(lambda: backend, time_limit=0.05)
    with pytest.raises(ProblemError, match="does not answer"):
        secrets.get("GPU box", "ada")
    (hung,) = (thread for thread in threading.enumerate() if thread.name == "tc-keyring")
    with pytest.raises(ProblemError, match="does not answer"):
        secrets.set("GPU box", "ada", "s3cret")
    assert [t for t in threading.enumerate() if t.name == "tc-keyring"] == [hung]
    gate.set()
    hung.join(LIMIT)
    later = KeyringSecrets(lambda: backend)
    later.set("GPU box", "ada", "s3cret")
    assert later.get("GPU box", "ada") == "s3cret"


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        (keyring.errors.KeyringLocked, "is locked"),
        (keyring.errors.NoKeyringError, "There is no system keyring"),
        (keyring.errors.InitError, "no place to store"),
        (RuntimeError, "failed"),
    ],
)
def test_errors_are_problems_and_quote_nothing(kind: type[Exception], title: str) -> None:
    backend = Memory(before=failing(kind("s3cret")))
    secrets = KeyringSecrets(lambda: backend)
    calls: list[Callable[[], object]] = [
        lambda: secrets.get("GPU box", "ada"),
        lambda: secrets.set("GPU box", "ada", "s3cret"),
        lambda: secrets.delete("GPU box", "ada"),
    ]
    for call in calls:
        with pytest.raises(ProblemError, match=title) as caught:
            call()
        assert caught.value.problem.recovery is Recovery.USER_ACTION
        assert "s3cret" not in str(caught.value.problem) + caught.value.problem.detail


def test_no_safe_backend_is_a_problem() -> None:
    with pytest.raises(ProblemError, match="There is no system keyring"):
        KeyringSecrets(lambda: None).get("GPU box", "ada")


def test_unsafe_backends() -> None:
    assert is_safe(keyring.backends.SecretService.Keyring)
    assert not is_safe(keyring.backends.fail.Keyring)
    assert not is_safe(keyring.backends.null.Keyring)
    for module, name in (("keyrings.alt.file", "PlaintextKeyring"), ("my", "PlaintextStore")):
        fake = type(name, (), {"__module__": module})
        assert not is_safe(fake)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_two_accounts_share_an_entry(a: str, b: str, c: str, d: str) -> None:
    assert (entry_name(a, b) == entry_name(c, d)) is ((a, b) == (c, d))


def test_a_tricky_pair_of_names() -> None:
    assert entry_name("a: b", "c") != entry_name("a", "b: c")
    assert entry_name("a%3A b", "c") != entry_name("a: b", "c")
