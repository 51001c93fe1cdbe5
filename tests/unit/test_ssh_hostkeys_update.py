"""Which keys that a server announces are learned, and what proves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey

from tests.support.keys import make_key
from trayconnect.ssh.auth.data_types import string
from trayconnect.ssh.hostkeys.known_hosts import HostKey
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.hostkeys.update import MAX_KEYS, PROVE, check_proofs, fresh

NAMES = ("[gpu]:2222", "gpu")
SESSION = b"session"
CLASSES: dict[str, type[PKey]] = {"ed25519": Ed25519Key, "ecdsa": ECDSAKey, "rsa": RSAKey}


class Keys:
    """Key pairs by kind, and a store that may know them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.private = {
            kind: CLASSES[kind].from_private_key_file(str(make_key(folder, kind)))
            for kind in CLASSES
        }
        self.public = {
            kind: HostKey(key.get_name(), key.asbytes()) for kind, key in self.private.items()
        }
        self.system = folder / "system"
        self.user = folder / "user"
        self.store = KnownHosts((self.user,), folder / "own", (self.system,))

    def write(self, file: Path, *lines: tuple[str, str]) -> None:
        file.write_text("".join(f"{hosts} {self.public[kind].line}\n" for hosts, kind in lines))

    def fresh(self, *announced: str, store: KnownHosts | None = None) -> list[str]:
        body = b"".join(string(self.public[kind].blob) for kind in announced)
        found = fresh(body, self.public["ed25519"], store or self.store, NAMES)
        return [kind for key in found for kind in CLASSES if self.public[kind] == key]

    def sign(self, kind: str, algorithm: str = "", *, session: bytes = SESSION) -> bytes:
        signed = string(PROVE.encode()) + string(session) + string(self.public[kind].blob)
        return self.private[kind].sign_ssh_data(signed, algorithm or None).asbytes()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(autouse=True)
def no_files(keys: Keys) -> None:
    for file in (keys.user, keys.system, keys.store.own):
        assert file is not None
        file.unlink(missing_ok=True)


ALL = ("ed25519", "ecdsa", "rsa")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("[gpu]:2222", "ed25519")], ["ecdsa", "rsa"]),
        ([("[gpu]:2222,10.0.0.1", "ed25519")], ["ecdsa", "rsa"]),
        ([("[gpu]:2222", "ed25519"), ("[gpu]:2222", "rsa")], ["ecdsa"]),
        ([("[gpu]:2222", "ed25519"), ("other", "rsa")], ["ecdsa", "rsa"]),
        ([("[gpu]:2222", "rsa")], []),  # the key in use is not this user's
        ([("gpu", "ed25519")], []),  # nor known for this port
        ([("[gp?]:2222", "ed25519")], []),
        ([("[gpu]:2222", "ed25519"), ("*", "rsa")], []),
        ([("[gpu]:2222", "ed25519"), ("@cert-authority [gpu]:2222", "rsa")], []),
        ([("[gpu]:2222", "ed25519"), ("@revoked [gpu]:2222", "rsa")], []),
        ([("[gpu]:2222", "ed25519"), ("@revoked gpu", "rsa")], ["ecdsa"]),
        ([], []),
    ],
)
def test_what_is_learned(keys: Keys, lines: list[tuple[str, str]], expected: list[str]) -> None:
    keys.write(keys.user, *lines)
    assert keys.fresh(*ALL) == expected


def test_our_own_file_counts_and_the_system_s_does_not(keys: Keys) -> None:
    keys.write(keys.system, ("[gpu]:2222", "ed25519"))
    assert keys.fresh(*ALL) == []
    assert keys.store.own is not None
    keys.write(keys.store.own, ("[gpu]:2222", "ed25519"))
    assert keys.fresh(*ALL) == ["ecdsa", "rsa"]
    keys.write(keys.system, ("@revoked [gpu]:*", "rsa"))
    assert keys.fresh(*ALL) == ["ecdsa"]


def test_where_nothing_is_kept_nothing_is_learned(keys: Keys) -> None:
    keys.write(keys.user, ("[gpu]:2222", "ed25519"))
    assert keys.fresh(*ALL, store=KnownHosts((keys.user,), None)) == []


def test_odd_announcements(keys: Keys) -> None:
    keys.write(keys.user, ("[gpu]:2222", "ed25519"))
    assert keys.fresh() == []
    assert keys.fresh("rsa", "rsa", "ed25519") == ["rsa"]
    assert keys.fresh(*["ed25519"] * MAX_KEYS, "rsa") == []
    ours = keys.public["ed25519"]
    strange = string(string(b"ssh-new") + string(b"x"))
    certificate = string(string(b"ssh-ed25519-cert-v01@openssh.com") + b"...")
    assert fresh(strange + certificate, ours, keys.store, NAMES) == ()
    longer = string(keys.public["rsa"].blob + string(b"more"))
    for broken in (b"\0", longer, string(b""), string(b"\0\0\0\x09x")):
        with pytest.raises(ValueError):
            fresh(broken, ours, keys.store, NAMES)


def proofs(*signatures: bytes) -> bytes:
    return b"".join(map(string, signatures))


def prove(keys: Keys, kinds: Sequence[str], body: bytes) -> None:
    check_proofs([keys.public[kind] for kind in kinds], body, SESSION)


def test_proofs(keys: Keys) -> None:
    prove(keys, ALL, proofs(*map(keys.sign, ALL)))
    prove(keys, ["rsa"], proofs(keys.sign("rsa", "rsa-sha2-256")))


def test_what_proves_nothing(keys: Keys) -> None:
    good = keys.sign("ecdsa")
    for body in (
        b"",
        proofs(good, good),
        proofs(keys.sign("rsa")),
        proofs(keys.sign("ecdsa", session=b"another")),
        proofs(good[:-1]),
        proofs(b""),
        good,
        proofs(good) + b"\0",
    ):
        with pytest.raises(ValueError):
            prove(keys, ["ecdsa"], body)
    with pytest.raises(ValueError, match="does not hold the ssh-rsa key"):
        prove(keys, ["ecdsa", "rsa"], proofs(good, good))


@given(data=st.binary(max_size=150))
def test_no_bytes_prove_anything(keys: Keys, data: bytes) -> None:
    with pytest.raises(ValueError):
        prove(keys, ["ed25519"], data)
    with pytest.raises(ValueError):
        prove(keys, ["ed25519"], proofs(string(b"ssh-ed25519") + string(data)))
