"""Private keys as they come over a clipboard, and where they are kept."""

from __future__ import annotations

import contextlib
import os
import stat
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.support.keys import encryption
from trayconnect.core.errors import ProblemError
from trayconnect.ssh.auth.keyfile import read_key_file
from trayconnect.ssh.auth.pasted_key import MAX_CHARACTERS, accept, is_last_line, place, store

_ED = ed25519.Ed25519PrivateKey.generate()
_RSA = rsa.generate_private_key(65537, 2048)
_FORMS = {
    "openssh": serialization.PrivateFormat.OpenSSH,
    "pkcs8": serialization.PrivateFormat.PKCS8,
    "pem": serialization.PrivateFormat.TraditionalOpenSSL,
}


def text(form: str, passphrase: bytes | None = None) -> str:
    key = _RSA if form == "pem" else _ED
    encrypted = encryption(passphrase, _FORMS[form])
    return key.private_bytes(serialization.Encoding.PEM, _FORMS[form], encrypted).decode()


PUBLIC = (
    _ED.public_key()
    .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    .decode()
)

BENT: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "no last newline": str.strip,
    "indented": lambda key: textwrap.indent(key, "    "),
    "of Windows": lambda key: "\ufeff" + key.replace("\n", "\r\n"),
    "of an old Mac": lambda key: key.replace("\n", "\r"),
    "blank lines between": lambda key: key.replace("\n", "\n\n"),
    "with words around": lambda key: f"Here is my key:\n{key}\nBye!\n",
    "quoted in JSON": lambda key: '"' + key.replace("\n", "\\n") + '"',
    "trailing spaces": lambda key: key.replace("\n", "  \n"),
}


@pytest.mark.parametrize("passphrase", [None, b"sesame"])
@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("bent", BENT)
def test_bent_on_the_way(tmp_path: Path, bent: str, form: str, passphrase: bytes | None) -> None:
    key = accept(BENT[bent](text(form, passphrase)))
    assert key.encrypted is (passphrase is not None)
    file = read_key_file(store(tmp_path / "keys", "GPU box", key))
    opened = file.decrypt(passphrase.decode() if passphrase else None)
    if not key.encrypted:
        assert key.public is not None
        assert key.public.blob == opened.asbytes()


@pytest.mark.parametrize("width", [40, 64, 76, 5000])
def test_wrapped_anew(width: int) -> None:
    begin, *lines, end = text("openssh").strip().split("\n")
    body = textwrap.fill("".join(lines), width, break_long_words=True)
    assert accept(f"{begin}\n{body}\n{end}").public is not None
    assert accept(f"{begin} {' '.join(lines)} {end}").public is not None


@pytest.mark.parametrize(
    ("pasted", "title", "advice"),
    [
        ("", "The pasted text is empty", "whole private key"),
        (PUBLIC, "The pasted text is a public key", "whole private key"),
        ("hello", "The pasted text is not a private key", "whole private key"),
        (text("openssh")[:-40], "The pasted text is damaged", "whole private key"),
        (text("openssh")[40:], "The pasted text is damaged", "whole private key"),
        (text("openssh").replace("b3Bl", "b3Bk"), "The pasted text is damaged", "whole"),
        ("<!doctype html>", "The pasted text is a web page", "Download"),
        ("x" * (MAX_CHARACTERS + 1), "too long", "whole private key"),
    ],
)
def test_explained(pasted: str, title: str, advice: str) -> None:
    with pytest.raises(ProblemError) as caught:
        accept(pasted)
    problem = caught.value.problem
    assert title in problem.title
    assert advice in problem.advice


@given(st.text(max_size=200))
def test_any_text_is_judged(pasted: str) -> None:
    for whole in (pasted, f"-----BEGIN PRIVATE KEY-----{pasted}-----END PRIVATE KEY-----"):
        with contextlib.suppress(ProblemError):
            accept(whole)


@pytest.mark.parametrize("form", _FORMS)
def test_the_last_line(form: str) -> None:
    *lines, last = text(form).strip().split("\n")
    assert is_last_line(last + "\r\n")
    assert not any(is_last_line(line) for line in lines)
    assert is_last_line("Private-MAC: 00")


def test_kept_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "keys"
    previous = os.umask(0)
    try:
        path = store(folder, "GPU box", accept(text("openssh")))
    finally:
        os.umask(previous)
    assert path == place(folder, "GPU box")
    assert [entry.name for entry in folder.iterdir()] == [path.name]
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_older_key_is_never_overwritten(tmp_path: Path) -> None:
    path = store(tmp_path, "GPU box", accept(text("openssh")))
    before = path.read_bytes()
    with pytest.raises(ProblemError, match="already") as caught:
        store(tmp_path, "GPU box", accept(text("pkcs8")))
    assert str(path) in caught.value.problem.advice
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProblemError, match="could not be stored"):
        store(tmp_path / "file" / "keys", "GPU box", accept(text("openssh")))


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_every_server_has_its_own_place(one: str, other: str) -> None:
    folder = Path("/keys")
    paths = [place(folder, name) for name in (one, other)]
    assert all(path.parent == folder and len(path.name) < 200 for path in paths)
    assert (paths[0] == paths[1]) is (one == other)
