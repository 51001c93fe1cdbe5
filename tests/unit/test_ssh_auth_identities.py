"""Which keys are tried, in which order: as OpenSSH's pubkey_prepare, the entry's own key first."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from tests.support.keys import encryption
from trayconnect.config import algorithms
from trayconnect.core.errors import ProblemError
from trayconnect.ssh.auth import user_certificates
from trayconnect.ssh.auth.agent import NONE, OPENSSH_PIPE, PAGEANT, Agent, AgentKey, chosen
from trayconnect.ssh.auth.agent import windows_places as places
from trayconnect.ssh.auth.identities import Candidates, LoginKeys, UnlockedKeys, verify

_NO_AGENT = Agent(NONE)


class Keys:
    """Key files by name, and an agent that holds some of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str, passphrase: bytes | None = None) -> Path:
        """Make the private file and its public one."""
        key = ed25519.Ed25519PrivateKey.generate()
        path = self.folder / name
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                encryption(passphrase),
            )
        )
        path.chmod(0o600)
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        Path(f"{path}.pub").write_bytes(public)
        return path

    def certify(self, name: str, **times: int) -> Path:
        """A certificate beside a key."""
        public = serialization.load_ssh_public_key(Path(self.folder, f"{name}.pub").read_bytes())
        assert isinstance(public, ed25519.Ed25519PublicKey)
        builder = (
            serialization.SSHCertificateBuilder()
            .public_key(public)
            .serial(1)
            .type(serialization.SSHCertificateType.USER)
            .key_id(b"id")
            .valid_principals([b"ada"])
            .valid_after(times.get("valid_after", 0))
            .valid_before(times.get("valid_before", 2**64 - 1))
        )
        path = self.folder / f"{name}-cert.pub"
        certificate = builder.sign(ed25519.Ed25519PrivateKey.generate())
        path.write_bytes(certificate.public_bytes())
        return path

    def held(self, *names: str) -> list[AgentKey]:
        """The agent's keys."""
        found = []
        for name in names:
            blob = base64.b64decode(Path(self.folder, name).read_bytes().split()[1])
            found.append(AgentKey(_NO_AGENT, blob, name.removesuffix(".pub")))
        return found


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    keys = Keys(tmp_path)
    for name in ("own", "one", "two", "three", "stranger"):
        keys.file(name)
    return keys


def order(keys: Keys, wanted: LoginKeys, agent: list[AgentKey]) -> list[str]:
    """The labels of what is tried, without the folder."""
    candidates = Candidates(wanted, agent, UnlockedKeys())
    return [candidate.label.replace(f"{keys.folder}{os.sep}", "") for candidate in candidates]


def test_the_order(keys: Keys) -> None:
    for name in ("own", "two", "three"):
        keys.certify(name)
    wanted = LoginKeys(
        "GPU box",
        "ada",
        own=keys.folder / "own",
        files=tuple(keys.folder / name for name in ("one", "two", "three", "missing")),
    )
    agent = keys.held("stranger.pub", "two.pub", "three-cert.pub")
    assert order(keys, wanted, agent) == [
        "the certificate own-cert.pub",
        "the key own",
        "the certificate two-cert.pub",
        "the certificate three-cert.pub",
        "the key two (through the agent)",
        "the agent's key stranger",
        "the key one",
        "the key three",
    ]


def test_identities_only(keys: Keys) -> None:
    wanted = LoginKeys("GPU box", "ada", files=(keys.folder / "one",), only=True)
    agent = keys.held("stranger.pub", "one.pub")
    assert order(keys, wanted, agent) == ["the key one (through the agent)"]


def test_named_certificates_take_the_place_of_those_beside_the_keys(keys: Keys) -> None:
    keys.certify("one")
    named = keys.certify("two").rename(keys.folder / "elsewhere")
    files = (keys.folder / "one", keys.folder / "two")
    wanted = LoginKeys("GPU box", "ada", files=files, certificates=(named,))
    assert order(keys, wanted, []) == ["the certificate elsewhere", "the key one", "the key two"]


@pytest.mark.parametrize(
    ("times", "fault"),
    [
        ({"valid_before": 1_577_923_200}, "expired on 20"),
        ({"valid_after": 2**62, "valid_before": 2**63}, "is not valid before"),
    ],
)
def test_a_certificate_out_of_its_time(keys: Keys, times: dict[str, int], fault: str) -> None:
    keys.certify("one", **times)
    wanted = LoginKeys("GPU box", "ada", files=(keys.folder / "one",))
    candidates = Candidates(wanted, [], UnlockedKeys())
    assert [candidate.label for candidate in candidates] == [f"the key {keys.folder / 'one'}"]
    (skipped,) = candidates.skipped
    assert fault in skipped


def test_the_certificate_of_an_encrypted_key_is_shown_before_the_passphrase(keys: Keys) -> None:
    keys.file("locked", b"sesame")
    keys.certify("locked")
    wanted = LoginKeys("GPU box", "ada", own=keys.folder / "locked")
    first, second = Candidates(wanted, [], UnlockedKeys())
    assert first.certificate is not None
    assert first.public == first.certificate.public
    assert first.key is second.key is None


def test_files_that_cannot_be_used_are_passed_over_with_a_reason(keys: Keys) -> None:
    bad = keys.folder / "bad"
    bad.write_text("nonsense")
    wanted = LoginKeys("GPU box", "ada", files=(bad, keys.folder / "missing", keys.folder / "one"))
    candidates = Candidates(wanted, [], UnlockedKeys())
    assert [candidate.label for candidate in candidates] == [f"the key {keys.folder / 'one'}"]
    assert candidates.skipped == [f"The key file {bad} is not a private key"]


def test_an_own_file_that_cannot_be_used_is_a_problem(keys: Keys) -> None:
    with pytest.raises(ProblemError, match="does not exist"):
        list(Candidates(LoginKeys("GPU box", "ada", own=keys.folder / "no"), [], UnlockedKeys()))


@pytest.mark.parametrize("named", ["one", "one.pub"])
def test_verify_takes_what_the_agent_holds(keys: Keys, named: str) -> None:
    Path(keys.folder, "one").unlink()
    held = keys.held("one.pub")
    verify(keys.folder / named, lambda: held)
    with pytest.raises(ProblemError):
        verify(keys.folder / named, list)


def test_verify_does_not_trouble_the_agent_for_a_good_file(keys: Keys) -> None:
    keys.file("locked", b"sesame")
    for name in ("one", "locked"):
        verify(keys.folder / name, lambda: pytest.fail("asked"))


# --- which agent ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "agent"),
    [
        ((None, None, "/env"), "/env"),
        ((None, "/config", "/env"), "/config"),
        (("/entry", "/config", "/env"), "/entry"),
        (("none", "/config", "/env"), "none"),
        ((None, "SSH_AUTH_SOCK", "/env"), "/env"),
        ((None, None, None), None),
    ],
)
def test_which_agent(wishes: tuple[str | None, ...], agent: str | None) -> None:
    assert chosen(*wishes) == agent


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (None, (OPENSSH_PIPE, PAGEANT)),
        ("", (OPENSSH_PIPE, PAGEANT)),
        ("pageant", (PAGEANT,)),
        (r"\\.\pipe\other", (r"\\.\pipe\other",)),
        ("none", ()),
    ],
)
def test_where_windows_has_agents(path: str | None, expected: tuple[str, ...]) -> None:
    assert places(path) == expected


# --- certificates of others -----------------------------------------------------------------------


@given(st.data())
def test_a_cut_or_changed_certificate_is_none_or_another(data: st.DataObject) -> None:
    builder = (
        serialization.SSHCertificateBuilder()
        .public_key(ed25519.Ed25519PrivateKey.generate().public_key())
        .type(serialization.SSHCertificateType.USER)
        .valid_principals([b"ada"])
        .valid_after(0)
        .valid_before(2**64 - 1)
    )
    line = builder.sign(ed25519.Ed25519PrivateKey.generate()).public_bytes()
    text = line.split()[1]
    whole = base64.b64decode(text)
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + 1 :]
    found = user_certificates.of(broken)
    assert found is None or isinstance(user_certificates.fault(found), str | None)
    assert user_certificates.of(whole) is not None


def test_where_there_is_no_certificate(keys: Keys) -> None:
    file = keys.certify("one")
    kind, text = file.read_bytes().split()[:2]
    assert user_certificates.read(file) is not None
    pipe = keys.folder / "pipe"
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe)
    file.write_bytes(kind.replace(b"ed25519", b"rsa") + b" " + text)
    for path in (file, pipe, keys.folder, keys.folder / "one.pub", keys.folder / "missing"):
        assert user_certificates.read(path) is None


@pytest.mark.parametrize(
    ("plain", "certified"),
    [
        ("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"),
        ("rsa-sha2-512", "rsa-sha2-512-cert-v01@openssh.com"),
        ("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com"),
    ],
)
def test_names_with_and_without_a_certificate(plain: str, certified: str) -> None:
    assert algorithms.certified(plain) == certified
    assert algorithms.plain(certified) == plain
    assert algorithms.plain(plain) == plain


def test_the_log_names_each_agent_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    places = (str(tmp_path / "one"), str(tmp_path / "two"))
    monkeypatch.setattr("trayconnect.ssh.auth.agent._places", lambda _: places)
    caplog.set_level("INFO", "trayconnect.ssh.auth.agent")
    with Agent(None) as agent:
        assert not agent.is_there
    named = [message.partition(": ")[0] for message in caplog.messages]
    assert named == [f"the ssh-agent at {place}" for place in places]
