"""What a server must prove in a key exchange, step by step."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from paramiko import Ed25519Key, Message, PKey, RSAKey, SSHException

from tests.support.certificates import blob, certify
from tests.support.keys import make_key
from trayconnect.ssh.transport.key_exchange import GroupExchange
from trayconnect.ssh.transport.ssh_transport import SshTransport

KEX_GROUP = 31  # SSH_MSG_KEX_DH_GEX_GROUP
HASH = hashlib.sha256(b"all that was said").digest()
CERTIFIED = "ssh-ed25519-cert-v01@openssh.com"


class Keys:
    """Those of a server."""

    def __init__(self, folder: Path) -> None:
        kinds: dict[str, type[PKey]] = {"ed25519": Ed25519Key, "rsa": RSAKey}
        files = {kind: make_key(folder, kind) for kind in kinds}
        self.keys = {kind: kinds[kind].from_private_key_file(str(f)) for kind, f in files.items()}
        self.certificate = blob(certify(make_key(folder, name="ca"), files["ed25519"]))


class Server:
    """A server with those keys, and a transport that it talks to."""

    def __init__(self, keys: Keys, sock: socket.socket) -> None:
        self.keys = keys.keys
        self.certificate = keys.certificate
        self.transport = SshTransport(sock, name="x")
        self.transport.H = HASH

    def proof(self, kind: str, algorithm: str | None = None, data: bytes = HASH) -> bytes:
        return self.keys[kind].sign_ssh_data(data, algorithm).asbytes()

    def show(self, algorithm: str, key: bytes, proof: bytes) -> None:
        self.transport.host_key_type = algorithm
        self.transport._verify_key(key, proof)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def server(keys: Keys) -> Iterator[Server]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Server(keys, ours)


def test_a_plain_key(server: Server) -> None:
    key = server.keys["ed25519"].asbytes()
    server.show("ssh-ed25519", key, server.proof("ed25519"))
    presented = server.transport.presented
    assert presented is not None
    assert (presented.key.blob, presented.certificate) == (key, None)


def test_a_certificate(server: Server) -> None:
    server.show(CERTIFIED, server.certificate, server.proof("ed25519"))
    presented = server.transport.presented
    assert presented is not None
    assert presented.certificate is not None
    assert presented.key.blob == server.keys["ed25519"].asbytes()


@pytest.mark.parametrize("algorithm", ["rsa-sha2-256", "rsa-sha2-512"])
def test_rsa_signs_as_agreed(server: Server, algorithm: str) -> None:
    key = server.keys["rsa"].asbytes()
    server.show(algorithm, key, server.proof("rsa", algorithm))
    other = {"rsa-sha2-256": "rsa-sha2-512"}.get(algorithm, "rsa-sha2-256")
    with pytest.raises(SSHException):
        server.show(algorithm, key, server.proof("rsa", other))


def test_an_rsa_key_that_anybody_can_break(server: Server) -> None:
    p = int(
        "E3D836D58FAD7E6AF9FA9C939200F53F5DD8BF0E49DE8F01"
        "266DCE21819813A4F787F167FFED33977381E0BFB849470D",
        16,
    )
    q = int(
        "C2E6F58008E6D405DD81A5073A8A25F6FFCB2F6F8A6081AE"
        "11D1676F2B28628563ACB82FB461599717D9655A64D8C1B3",
        16,
    )
    e, n, d = 65537, p * q, pow(65537, -1, (p - 1) * (q - 1))
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, *crt, rsa.RSAPublicNumbers(e, n))
    short = RSAKey(key=numbers.private_key())
    proof = short.sign_ssh_data(HASH, "rsa-sha2-256").asbytes()
    assert (short.get_bits(), short.verify_ssh_sig(HASH, Message(proof))) == (768, True)
    with pytest.raises(SSHException, match="does not hold"):
        server.show("rsa-sha2-256", short.asbytes(), proof)


def test_what_is_not_proven(server: Server) -> None:
    key = server.keys["ed25519"].asbytes()
    for proof in (
        server.proof("ed25519", data=b"something else"),
        server.proof("rsa"),
        server.proof("ed25519")[:-1],
        b"",
    ):
        for algorithm, what in (("ssh-ed25519", key), (CERTIFIED, server.certificate)):
            with pytest.raises(SSHException, match="does not hold"):
                server.show(algorithm, what, proof)
    assert server.transport.presented is None


def test_another_type_than_agreed(server: Server) -> None:
    for algorithm, key in (
        ("ssh-ed25519", server.keys["rsa"].asbytes()),
        ("rsa-sha2-512", server.keys["ed25519"].asbytes()),
        ("ssh-ed25519", server.certificate),
        (CERTIFIED, server.keys["ed25519"].asbytes()),
    ):
        with pytest.raises(ValueError):
            server.show(algorithm, key, server.proof("ed25519"))
    assert server.transport.presented is None


def test_a_re_exchange_shows_the_same_key(server: Server) -> None:
    key = server.keys["ed25519"].asbytes()
    server.show("ssh-ed25519", key, server.proof("ed25519"))
    server.show("ssh-ed25519", key, server.proof("ed25519"))
    with pytest.raises(SSHException, match="another host key"):
        server.show(
            "rsa-sha2-512", server.keys["rsa"].asbytes(), server.proof("rsa", "rsa-sha2-512")
        )
    with pytest.raises(SSHException, match="another host key"):
        server.show(CERTIFIED, server.certificate, server.proof("ed25519"))


# --- the group of a group exchange --------------------------------------------------------------


@pytest.mark.parametrize("prime", [0, 1, 2**1024 - 1, 2**2047 - 1, -(2**2048), -(2**4096)])
def test_a_group_that_is_too_small(server: Server, prime: int) -> None:
    group = Message()
    group.add_mpint(prime)
    group.add_mpint(2)
    exchange = GroupExchange(server.transport)
    with pytest.raises(SSHException, match="too small"):
        exchange.parse_next(KEX_GROUP, Message(group.asbytes()))


def test_it_takes_the_place_of_paramikos() -> None:
    assert SshTransport._kex_info["diffie-hellman-group-exchange-sha256"] is GroupExchange
