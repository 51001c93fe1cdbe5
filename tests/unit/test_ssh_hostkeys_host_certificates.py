"""Our reader of certificates, and the flaws of those of hosts, over what ssh-keygen makes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.certificates import blob, certify
from tests.support.keys import make_key
from trayconnect.ssh.auth.certificate import FOREVER, parse
from trayconnect.ssh.auth.data_types import DataReader, string, strings
from trayconnect.ssh.hostkeys.host_certificates import Flaw, flaw, parse_presented
from trayconnect.ssh.hostkeys.known_hosts import HostKey

NOW = time.time()
KINDS = ["ed25519", "ecdsa", "rsa"]
ALGORITHMS = {
    "ed25519": "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa": "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa": "rsa-sha2-512-cert-v01@openssh.com",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of each kind, and authorities `ca_…`."""
    folder = tmp_path_factory.mktemp("keys")
    for kind in KINDS:
        make_key(folder, kind, name=kind)
        make_key(folder, kind, name=f"ca_{kind}")
    return folder


def made(folder: Path, kind: str = "ed25519", ca: str = "ed25519", **how: Any) -> bytes:
    return blob(certify(folder / f"ca_{ca}", folder / kind, **how))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ca", KINDS)
def test_what_ssh_keygen_certifies(folder: Path, kind: str, ca: str) -> None:
    found = parse(made(folder, kind, ca, names=["gpu.lab", "gpu"], validity="-1h:+1h"))
    assert found.key.blob == blob(folder / f"{kind}.pub")
    assert found.authority.blob == blob(folder / f"ca_{ca}.pub")
    assert found.public.blob == blob(folder / f"{kind}-cert.pub")
    assert (found.serial, found.kind, found.key_id) == (7, 2, f"the key of {kind}")
    assert found.principals == ("gpu.lab", "gpu")
    assert found.valid_after < NOW < found.valid_before
    assert flaw(found, "gpu", NOW) is None
    assert flaw(found, "GPU.lab", NOW) is None


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, None),
        ({"names": ["gpu"]}, None),
        ({"names": ["*.lab"]}, Flaw.OTHER_NAME),
        ({"names": ["gp?"]}, Flaw.OTHER_NAME),
        ({"names": ["*"]}, Flaw.OTHER_NAME),
        ({"names": ["!other"]}, Flaw.OTHER_NAME),
        ({"names": ["GPU"]}, Flaw.OTHER_NAME),
        ({"names": ["gpu "]}, Flaw.OTHER_NAME),
        ({"names": ["other"]}, Flaw.OTHER_NAME),
        ({"names": ["gpu.lab"]}, Flaw.OTHER_NAME),
        ({"validity": "-2h:-1h"}, Flaw.EXPIRED),
        ({"validity": "+1h:+2h"}, Flaw.NOT_YET),
        ({"host": False, "names": ["gpu"]}, Flaw.NOT_FOR_HOSTS),
        ({"options": ["critical:only-on@lab=tuesdays"]}, Flaw.OPTIONS),
        ({"options": ["extension:hint@lab=x"]}, None),
        ({"ca": "rsa", "signature": "ssh-rsa"}, Flaw.WEAK),
        ({"ca": "rsa", "signature": "rsa-sha2-256"}, None),
        ({"ca": "ecdsa"}, None),
    ],
)
def test_flaws(folder: Path, how: dict[str, Any], expected: Flaw | None) -> None:
    assert flaw(parse(made(folder, **how)), "gpu", NOW) is expected


def test_without_an_end(folder: Path) -> None:
    assert parse(made(folder)).valid_before == FOREVER


def test_the_ends_of_its_time(folder: Path) -> None:
    found = parse(made(folder, validity="20260101000000Z:20260201000000Z"))
    begin, end = found.valid_after, found.valid_before
    flaws = [flaw(found, "gpu", now) for now in (begin - 1, begin, end - 1, end)]
    assert flaws == [Flaw.NOT_YET, None, None, Flaw.EXPIRED]


def test_for_more_names_than_openssh_takes(folder: Path) -> None:
    assert len(parse(made(folder, names=[f"n{n}" for n in range(256)])).principals) == 256
    with pytest.raises(ValueError, match="more than 256"):
        parse(named_parts(folder, 257))


def named_parts(folder: Path, count: int) -> bytes:
    """A certificate for that many names, which ssh-keygen would not make."""
    whole = made(folder, names=["n"])
    one = string(string(b"n"))
    assert whole.count(one) == 1
    return whole.replace(one, string(string(b"n") * count))


def test_every_changed_byte_is_noticed(folder: Path) -> None:
    whole = made(folder, names=["gpu"])
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        try:
            found = parse(bytes(changed))
        except ValueError:
            continue
        assert flaw(found, "gpu", NOW) in (Flaw.UNSIGNED, Flaw.WEAK), place


def test_every_cut_is_noticed(folder: Path) -> None:
    whole = made(folder, names=["gpu"])
    for size in range(len(whole)):
        with pytest.raises(ValueError):
            parse(whole[:size])
    with pytest.raises(ValueError, match="follows"):
        parse(whole + b"\0")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse(data)
    with pytest.raises(ValueError):
        parse(string(b"ssh-ed25519-cert-v01@openssh.com") + data)


@given(st.lists(st.binary(max_size=9)))
def test_strings(parts: list[bytes]) -> None:
    data = b"".join(map(string, parts))
    assert strings(data) == parts
    for size in range(len(data)):
        assert len(strings_or_none(data[:size])) < len(parts)


def strings_or_none(data: bytes) -> list[bytes]:
    try:
        return strings(data)
    except ValueError:
        return []


def test_numbers() -> None:
    reader = DataReader(bytes(range(12)))
    assert (reader.uint32(), reader.uint64()) == (0x00010203, 0x0405060708090A0B)
    assert reader.done
    with pytest.raises(ValueError):
        reader.uint32()


# --- what came for a negotiated algorithm -------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shown(folder: Path, kind: str) -> None:
    plain, certificate = blob(folder / f"{kind}.pub"), made(folder, kind)
    algorithm = ALGORITHMS[kind]
    found = parse_presented(algorithm, certificate)
    assert found.key == HostKey(found.key.type, plain)
    assert found.certificate == parse(certificate)
    bare = algorithm.removesuffix("-cert-v01@openssh.com")
    assert parse_presented(bare, plain).key == found.key
    assert parse_presented(bare, plain).certificate is None
    for other in (set(ALGORITHMS.values()) | {bare}) - {algorithm}:
        with pytest.raises(ValueError):
            parse_presented(other, certificate)
    for other in ALGORITHMS.values():
        with pytest.raises(ValueError):
            parse_presented(other, plain)
    with pytest.raises(ValueError):
        parse_presented(bare, plain + b"\0")
