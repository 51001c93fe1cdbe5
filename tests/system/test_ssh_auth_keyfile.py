"""Private keys as ssh-keygen, openssl and puttygen write them, read and compared."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.keys import make_key, public_line, to_ppk
from trayconnect.core.errors import ProblemError
from trayconnect.ssh.auth.keyfile import PassphraseNeededError, WrongPassphraseError, read_key_file

PASSPHRASE = "sesame öffne dich"
KINDS = [("ed25519", None), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", None)]


def assert_opens(path: Path, public: str, passphrase: str) -> None:
    """The file gives the key whose public line is `public`, with the passphrase and only so."""
    file = read_key_file(path)
    if passphrase:
        with pytest.raises(PassphraseNeededError):
            file.decrypt()
        with pytest.raises(WrongPassphraseError):
            file.decrypt("wrong")
    key = file.decrypt(passphrase or None)
    kind, text = public.split()[:2]
    assert (key.get_name(), key.get_base64()) == (kind, text)
    if file.public is not None:
        assert file.public.blob == key.asbytes()
    # A passphrase for a key that needs none is no error.
    assert file.decrypt(passphrase or "needless").asbytes() == key.asbytes()


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
@pytest.mark.parametrize("form", ["RFC4716", "PKCS8", "PEM"])
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_ssh_keygen(
    tmp_path: Path, kind: str, bits: str | None, form: str, passphrase: str
) -> None:
    # ssh-keygen of Debian 12 writes ed25519 in its own format only, whatever is asked for.
    path = make_key(tmp_path, kind, bits=bits, passphrase=passphrase, form=form)
    public = public_line(path)
    Path(f"{path}.pub").unlink()
    assert_opens(path, public, passphrase)


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes256-ctr", "aes256-gcm@openssh.com"])
def test_ciphers_of_the_openssh_format(tmp_path: Path, cipher: str) -> None:
    path = make_key(tmp_path, passphrase=PASSPHRASE, cipher=cipher)
    public = public_line(path)
    Path(f"{path}.pub").unlink()
    assert_opens(path, public, PASSPHRASE)


def test_a_cipher_that_is_not_known_here(tmp_path: Path) -> None:
    path = make_key(tmp_path, passphrase=PASSPHRASE, cipher="chacha20-poly1305@openssh.com")
    with pytest.raises(ProblemError, match="aes256-ctr") as caught:
        read_key_file(path).decrypt(PASSPHRASE)
    assert "encrypted in a way" in caught.value.problem.title


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_openssl_ed25519(tmp_path: Path, passphrase: str) -> None:
    path = tmp_path / "key.pem"
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)]
    if passphrase:
        command += ["-aes256", "-pass", "stdin"]
    subprocess.run(command, input=passphrase.encode(), check=True, timeout=60)
    path.chmod(0o600)
    command = ["openssl", "pkey", "-in", str(path), "-pubout", "-outform", "DER"]
    if passphrase:
        command += ["-passin", "stdin"]
    public = subprocess.run(
        command, input=passphrase.encode(), check=True, capture_output=True, timeout=60
    ).stdout
    key = read_key_file(path).decrypt(passphrase or None)
    assert key.asbytes()[-32:] == public[-32:]


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_puttygen(
    tmp_path: Path, kind: str, bits: str | None, version: int, passphrase: str
) -> None:
    key = make_key(tmp_path, kind, bits=bits)
    path = to_ppk(key, version=version, passphrase=passphrase)
    assert_opens(path, public_line(key), passphrase)


@pytest.mark.parametrize("flavour", ["argon2i", "argon2d", "argon2id"])
def test_every_argon2_of_puttygen(tmp_path: Path, flavour: str) -> None:
    key = make_key(tmp_path)
    path = to_ppk(key, passphrase=PASSPHRASE, parameters=f"kdf={flavour},memory=1024,passes=2")
    assert_opens(path, public_line(key), PASSPHRASE)


def test_a_ppk_that_was_changed(tmp_path: Path) -> None:
    path = to_ppk(make_key(tmp_path))
    path.write_bytes(path.read_bytes().replace(b"Comment: ", b"Comment: x"))
    with pytest.raises(ProblemError, match="is damaged"):
        read_key_file(path).decrypt()


def test_a_ppk_that_asks_for_hours_of_work(tmp_path: Path) -> None:
    path = to_ppk(make_key(tmp_path), passphrase=PASSPHRASE)
    text = path.read_bytes()
    path.write_bytes(text.replace(b"Argon2-Memory: ", b"Argon2-Memory: 9999"))
    with pytest.raises(ProblemError, match="cannot be read"):
        read_key_file(path).decrypt(PASSPHRASE)
