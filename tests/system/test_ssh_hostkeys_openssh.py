"""What is trusted, beside OpenSSH's client on the same files and the same server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import trust_opinions
from tests.support.certificates import authority_line, certify
from tests.support.keys import make_key, public_line
from tests.support.openssh import ssh_connects
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, entry, give_options
from trayconnect.core.errors import ProblemError


class Stage:
    """A server with an ed25519 key, and other keys to confuse it with."""

    def __init__(self, sshd: Sshd, folder: Path) -> None:
        self.sshd = sshd
        self._certified: dict[str, Any] | None = None
        self.identity = make_key(folder)
        sshd.authorize(self.identity)
        names = {"other": "ed25519", "rsa": "rsa", "ca": "ed25519", "ca2": "ecdsa"}
        self.keys = {name: make_key(folder, kind, name=name) for name, kind in names.items()}
        self.keys["host"] = sshd.host_keys[0]
        made = certify(self.keys["ca"], self.keys["host"], names=["x"])
        # As public_line() wants it: a line with the certificate revokes the key within.
        self.keys["certified"] = made.rename(folder / "certified.pub").with_suffix("")

    def write(self, file: Path, lines: Sequence[str], *, hashed: bool = False) -> None:
        """Lines of a marker, hosts, and the name of a key; HOST and PORT stand for the server."""
        text = ""
        for line in lines:
            *words, name = line.split()
            kind, blob = public_line(self.keys[name]).split()[:2]
            hosts = " ".join(words).replace("HOST", self.sshd.host)
            text += f"{hosts.replace('PORT', str(self.sshd.port))} {kind} {blob}\n"
        file.write_text(text)
        if hashed:
            command = ["ssh-keygen", "-q", "-H", "-f", str(file)]
            subprocess.run(command, check=True, capture_output=True)

    def certify(self, how: dict[str, Any] | None) -> None:
        """Give the server a certificate, or none."""
        if how == self._certified:
            return
        self._certified = how
        if how is None:
            self.sshd.set_option("HostCertificate", [])
        else:
            ca = self.keys[how.get("ca", "ca")]
            rest = {key: value for key, value in how.items() if key != "ca"}
            file = certify(ca, self.keys["host"], **rest)
            self.sshd.set_option("HostCertificate", str(file))
        self.sshd.restart()

    def we_connect(self, folder: Path) -> bool:
        kit = Kit(folder)
        server = entry(self.sshd.port, identity_file=self.identity)
        try:
            kit.connect(server).close()
        except ProblemError as error:
            text = str(error)
            assert any(word in text for word in ("host key", "host certificate")), text
            return False
        return True


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Sshd() as sshd:
        yield Stage(sshd, tmp_path_factory.mktemp("stage"))


PORT = "[HOST]:PORT"
NAMED = {"names": ["127.0.0.1"]}

PLAIN: list[Sequence[str]] = [
    [f"{PORT} host"],
    ["HOST host"],
    [f"{PORT} other"],
    ["HOST other"],
    [f"{PORT} rsa"],
    [f"{PORT} rsa", f"{PORT} host"],
    [f"{PORT} other", "HOST host"],
    [f"HOST,{PORT} other", f"x,{PORT},y host"],
    ["[*]:PORT host"],
    [f"!{PORT},[*]:PORT host"],
    [f"{PORT},!HOST host"],
    [f"{PORT} host", f"@revoked {PORT} host"],
    [f"{PORT} host", "@revoked * host"],
    [f"{PORT} host", "@revoked HOST host"],
    [f"{PORT} host", f"@revoked {PORT} other"],
    ["HOST host", "@revoked HOST host"],
    [f"@cert-authority {PORT} host"],
    [f"{PORT} host", f"@revoked {PORT} certified"],
    [f"{PORT} certified"],
    [f"@cert-authority {PORT} certified"],
    [f"@cert-authority {PORT} ca", f"{PORT} host"],
]


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("lines", PLAIN, ids="; ".join)
def test_plain_keys(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: Sequence[str],
    *,
    hashed: bool,
) -> None:
    give_options(monkeypatch, strict_host_key_checking="yes")
    file = tmp_path / "user_known_hosts"
    stage.certify(None)
    stage.write(file, lines, hashed=hashed)
    assert stage.we_connect(tmp_path) == ssh_connects(stage.sshd, stage.identity, file)


CERTIFIED: list[tuple[dict[str, Any], Sequence[str]]] = [
    (NAMED, [f"@cert-authority {PORT} ca"]),
    (NAMED, ["@cert-authority HOST ca"]),
    (NAMED, ["@cert-authority * ca"]),
    (NAMED, ["@cert-authority *,!HOST ca"]),
    (NAMED, ["@cert-authority x ca"]),
    (NAMED, ["@cert-authority * ca2"]),
    (NAMED, ["@cert-authority * ca2", "@cert-authority * ca"]),
    (NAMED, ["* ca"]),
    (NAMED, []),
    (NAMED, [f"{PORT} host"]),
    (NAMED, ["@cert-authority * ca2", f"{PORT} host"]),
    (NAMED, ["@cert-authority * ca", f"{PORT} other"]),
    (NAMED, ["@cert-authority * ca", "@revoked * ca"]),
    (NAMED, ["@cert-authority * ca", "@revoked * host"]),
    (NAMED, ["@cert-authority * ca", "@revoked * ca", f"{PORT} host"]),
    (NAMED, ["@cert-authority * ca", "@revoked x ca"]),
    (NAMED | {"ca": "ca2"}, ["@cert-authority * ca2"]),
    (NAMED | {"ca": "rsa"}, ["@cert-authority * rsa"]),
    (NAMED | {"ca": "rsa", "signature": "rsa-sha2-256"}, ["@cert-authority * rsa"]),
    (NAMED | {"ca": "rsa", "signature": "ssh-rsa"}, ["@cert-authority * rsa"]),
    ({}, ["@cert-authority * ca"]),
    ({"names": ["other"]}, ["@cert-authority * ca"]),
    ({"names": ["localhost", "127.0.0.1"]}, ["@cert-authority * ca"]),
    ({"names": ["other"]}, ["@cert-authority * ca", f"{PORT} host"]),
    (NAMED | {"validity": "-2h:-1h"}, ["@cert-authority * ca"]),
    (NAMED | {"validity": "-2h:-1h"}, ["@cert-authority * ca", f"{PORT} host"]),
    (NAMED | {"validity": "-2h:-1h"}, ["@cert-authority * ca", f"{PORT} other"]),
    (NAMED | {"validity": "+1h:+2h"}, ["@cert-authority * ca"]),
    (NAMED | {"validity": "-1h:+1h"}, ["@cert-authority * ca"]),
    (NAMED | {"options": ["critical:x@y=z"]}, ["@cert-authority * ca"]),
    (NAMED | {"options": ["extension:x@y=z"]}, ["@cert-authority * ca"]),
]


@pytest.mark.parametrize(("how", "lines"), CERTIFIED, ids=str)
def test_certificates(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: dict[str, Any],
    lines: Sequence[str],
) -> None:
    give_options(monkeypatch, strict_host_key_checking="yes")
    file = tmp_path / "user_known_hosts"
    stage.certify(how)
    stage.write(file, lines)
    assert stage.we_connect(tmp_path) == ssh_connects(stage.sshd, stage.identity, file)


@pytest.mark.parametrize(
    ("alias", "how", "lines"),
    [
        ("lab", None, ["lab host"]),
        ("lab", None, [f"{PORT} host"]),
        ("LAB", None, ["lab host"]),
        ("lab", None, ["[lab]:PORT host"]),
        ("lab", {"names": ["lab"]}, ["@cert-authority lab ca"]),
        ("lab", NAMED, ["@cert-authority lab ca"]),
        ("lab", {"names": ["lab"]}, [f"@cert-authority {PORT} ca"]),
    ],
)
def test_an_alias(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    alias: str,
    how: dict[str, Any] | None,
    lines: Sequence[str],
) -> None:
    give_options(monkeypatch, strict_host_key_checking="yes", host_key_alias=alias)
    file = tmp_path / "user_known_hosts"
    stage.certify(how)
    stage.write(file, lines)
    theirs = ssh_connects(stage.sshd, stage.identity, file, f"HostKeyAlias={alias}")
    assert stage.we_connect(tmp_path) == theirs


def test_never_accepts_what_openssh_refuses(tmp_path: Path) -> None:
    """Generated certificates, known_hosts files, commands and options: whole verdicts are compared.

    Many more, by hand: python -m tests.support.trust_opinions FIRST COUNT"""
    stage = trust_opinions.Stage(tmp_path)
    verdicts = set()
    for number in range(15, 30):
        theirs, ours = stage.opinions(trust_opinions.case(number))
        verdicts.add(theirs == "yes")
        assert (theirs == "yes") == (ours == "yes"), (trust_opinions.case(number), theirs, ours)
    assert verdicts == {True, False}


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_certificates_of_each_kind_of_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    give_options(monkeypatch, strict_host_key_checking="yes")
    authority = make_key(tmp_path, name="ca")
    identity = make_key(tmp_path)
    with Sshd(host_key_types=(kind,)) as sshd:
        sshd.authorize(identity)
        file = certify(authority, sshd.host_keys[0], names=[sshd.host])
        sshd.set_option("HostCertificate", str(file))
        sshd.restart()
        kit = Kit(tmp_path)
        kit.trust([authority_line("127.0.*", authority)])
        with kit.tunnel(entry(sshd.port, identity_file=identity)) as tunnel:
            shown = tunnel._route.end.presented
            assert shown is not None
            assert shown.certificate is not None
            assert "-cert-v01@openssh.com" in tunnel._route.end.host_key_type
