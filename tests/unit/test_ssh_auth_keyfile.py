"""Files that are no usable private key, and what is said of them."""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.keys import encryption
from trayconnect.core.errors import ProblemError, Recovery
from trayconnect.ssh.auth.keyfile import (
    PassphraseNeededError,
    WrongPassphraseError,
    key_in,
    read_key_file,
)

_ED = ed25519.Ed25519PrivateKey.generate()
_RSA = rsa.generate_private_key(65537, 2048)
_EC = ec.generate_private_key(ec.SECP256R1())
_KEYS = {"ssh-ed25519": _ED, "ssh-rsa": _RSA, "ecdsa-sha2-nistp256": _EC}
_OPENSSH = serialization.PrivateFormat.OpenSSH
_PKCS8 = serialization.PrivateFormat.PKCS8


def text(
    key: object,
    passphrase: bytes | None = None,
    form: serialization.PrivateFormat = _OPENSSH,
) -> bytes:
    assert hasattr(key, "private_bytes")
    data = key.private_bytes(serialization.Encoding.PEM, form, encryption(passphrase, form))
    assert isinstance(data, bytes)
    return data


def write(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def problem_of(path: Path) -> tuple[str, str]:
    with pytest.raises(ProblemError) as caught:
        read_key_file(path).decrypt()
    problem = caught.value.problem
    assert problem.recovery is Recovery.FIX_FIRST
    assert str(path) in problem.title
    return problem.title, problem.advice


@pytest.mark.parametrize("form", [_OPENSSH, _PKCS8])
@pytest.mark.parametrize("kind", _KEYS)
def test_good_keys(tmp_path: Path, kind: str, form: serialization.PrivateFormat) -> None:
    file = read_key_file(write(tmp_path, text(_KEYS[kind], form=form)))
    key = file.decrypt()
    assert key.get_name() == kind
    if form is _OPENSSH:
        assert file.public is not None
        assert (file.public.type, file.public.blob) == (kind, key.asbytes())


@pytest.mark.parametrize("form", [_OPENSSH, _PKCS8])
def test_encrypted_keys(tmp_path: Path, form: serialization.PrivateFormat) -> None:
    file = read_key_file(write(tmp_path, text(_ED, b"sesame", form)))
    with pytest.raises(PassphraseNeededError):
        file.decrypt()
    with pytest.raises(WrongPassphraseError):
        file.decrypt("open")
    assert file.decrypt("sesame").get_name() == "ssh-ed25519"
    if form is _OPENSSH:
        assert file.public is not None
        assert file.public.blob == file.decrypt("sesame").asbytes()


def test_the_public_half_beside_an_encrypted_pem(tmp_path: Path) -> None:
    path = write(tmp_path, text(_ED, b"sesame", _PKCS8))
    public = _ED.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    Path(f"{path}.pub").write_bytes(public + b" comment\n")
    file = read_key_file(path)
    assert file.public is not None
    assert file.public.blob == file.decrypt("sesame").asbytes()


_PUBLIC = _ED.public_key().public_bytes(
    serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
)
_DSA = dsa.generate_private_key(1024)


def ppk(key: ed25519.Ed25519PrivateKey) -> bytes:
    """In PuTTY's format, version 3, without a passphrase."""
    public = base64.b64decode(_PUBLIC.split()[1])
    private = len(public[-32:]).to_bytes(4, "big") + key.private_bytes_raw()
    parts = (b"ssh-ed25519", b"none", b"a key", public, private)
    signed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    lines = [
        b"PuTTY-User-Key-File-3: ssh-ed25519",
        b"Encryption: none",
        b"Comment: a key",
        b"Public-Lines: 1",
        base64.b64encode(public),
        b"Private-Lines: 1",
        base64.b64encode(private),
        b"Private-MAC: " + hmac.new(b"", signed, "sha256").hexdigest().encode(),
    ]
    return b"\n".join(lines) + b"\n"


_PPK = ppk(_ED)


@pytest.mark.parametrize(
    ("data", "title", "advice"),
    [
        (b"", "is empty", "Copy"),
        (b" \n\n", "is empty", "Copy"),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\n", "is damaged", "copy it again"),
        (b"PuTTY-User-Key-File-1: ssh-rsa\nEncryption: none\n", "PuTTY", "private-openssh"),
        (b"PuTTY-User-Key-File-3: ssh-rsa\nPublic-Lines: ten\n", "is damaged", "copy it again"),
        (_PUBLIC, "is a public key", "without .pub"),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\n", "is a public key", "without .pub"),
        (b"ssh-ed25519-cert-v01@openssh.com AAAAIHNz x\n", "is a certificate", "private key"),
        (b"|1|Zm9v|YmFy ssh-rsa AAAA\n", "known_hosts", "~/.ssh/id_ed25519"),
        (b"gpu.example.org " + _PUBLIC, "known_hosts", "~/.ssh/id_ed25519"),
        (b"<!DOCTYPE html>\n<html>", "is a web page", "Download"),
        (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "is a PGP key", "gpg-agent"),
        (b"-----BEGIN CERTIFICATE-----\n", "TLS", "ssh-keygen"),
        (b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0", "old SSH programs", "ssh-keygen"),
        (b"\x30\x82\x04\xa4", "is in a binary format", "openssl pkey -inform DER"),
        (b"hello\n", "is not a private key", "ssh-keygen"),
        (b"\x80\x81\0", "is not a private key", "ssh-keygen"),
        ("-----BEGIN".encode("utf-16"), "UTF-16", "plain text"),
        (text(_ED)[:-60], "is damaged", "copy it again"),
        (text(_ED).replace(b"b3BlbnNzaC1rZXk", b"b3BlbnNzaC1rZXX"), "is damaged", "copy it again"),
        (text(_RSA, form=_PKCS8).replace(b"QEF", b"QEB"), "is damaged", "copy it again"),
        (
            text(_DSA, form=serialization.PrivateFormat.TraditionalOpenSSL),
            "of a kind that cannot be used",
            "ed25519",
        ),
        (text(_DSA, form=_PKCS8), "of a kind that cannot be used", "ed25519"),
        (
            text(ec.generate_private_key(ec.SECP256K1()), form=_PKCS8),
            "of a kind that cannot be used",
            "ed25519",
        ),
    ],
)
def test_bad_files(tmp_path: Path, data: bytes, title: str, advice: str) -> None:
    said = problem_of(write(tmp_path, data))
    assert title in said[0]
    assert advice in said[1]


@pytest.mark.parametrize("form", [_OPENSSH, _PKCS8])
def test_what_windows_adds_does_no_harm(tmp_path: Path, form: serialization.PrivateFormat) -> None:
    data = b"\xef\xbb\xbf" + text(_ED, form=form).replace(b"\n", b"\r\n")
    assert read_key_file(write(tmp_path, data)).decrypt().get_name() == "ssh-ed25519"


def test_a_key_of_putty(tmp_path: Path) -> None:
    file = read_key_file(write(tmp_path, _PPK))
    assert file.public is not None
    assert file.public.blob == file.decrypt().asbytes()


def test_a_public_key_names_the_private_one_beside_it(tmp_path: Path) -> None:
    private = write(tmp_path, text(_ED))
    public = tmp_path / "key.pub"
    public.write_bytes(_PUBLIC)
    assert f"Name the private key: {private}" in problem_of(public)[1]


def test_missing_folder_and_pipe(tmp_path: Path) -> None:
    assert "does not exist" in problem_of(tmp_path / "missing")[0]
    assert "is a folder" in problem_of(tmp_path)[0]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "is not a file" in problem_of(tmp_path / "pipe")[0]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_readable_by_others(tmp_path: Path) -> None:
    path = write(tmp_path, text(_ED), 0o644)
    title, advice = problem_of(path)
    assert "other users" in title
    assert f"chmod 600 {path}" in advice


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_cut_or_changed_key_is_never_a_raw_error(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([text(_ED), text(_EC, form=_PKCS8), _PPK]))
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + 1 :]
    with contextlib.suppress(ProblemError, PassphraseNeededError):
        key_in(Path("key"), broken).decrypt()


def test_a_passphrase_that_would_take_years(tmp_path: Path) -> None:
    encryption = (
        serialization.PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(77).build(b"sesame")
    )
    text = _ED.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, encryption
    )
    body = base64.b64decode(b"".join(text.splitlines()[1:-1]))
    rounds = (77).to_bytes(4, "big")
    assert body.count(rounds) == 1
    path = tmp_path / "key"
    for count, fits in ((10_000, True), (10_001, False), (2**32 - 1, False)):
        changed = base64.b64encode(body.replace(rounds, count.to_bytes(4, "big")))
        path.write_bytes(
            b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
            + changed
            + b"\n-----END OPENSSH PRIVATE KEY-----\n"
        )
        path.chmod(0o600)
        if fits:
            assert read_key_file(path).public is not None
        else:
            with pytest.raises(ProblemError, match="takes too long to decrypt"):
                read_key_file(path)
