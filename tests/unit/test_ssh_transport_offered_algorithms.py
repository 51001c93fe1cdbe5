"""Our choice of algorithms against what paramiko has, and its internals that we lean on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from paramiko import Channel, Transport
from paramiko.kex_gex import KexGexSHA256
from paramiko.packet import Packetizer

from trayconnect.config import algorithms as ssh_algorithms
from trayconnect.ssh.config.ssh_options import SshOptions
from trayconnect.ssh.connection_problems import nothing_in_common, nothing_left
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport import offered_algorithms
from trayconnect.ssh.transport.offered_algorithms import AlgorithmOffer
from trayconnect.ssh.transport.ssh_transport import SshTransport


@pytest.mark.parametrize(
    ("table", "strong", "legacy"),
    [
        ("_cipher_info", ssh_algorithms.CIPHERS, ssh_algorithms.LEGACY_CIPHERS),
        ("_mac_info", ssh_algorithms.MACS, ssh_algorithms.LEGACY_MACS),
        ("_kex_info", ssh_algorithms.KEX, ()),
        ("_key_info", ssh_algorithms.HOST_KEYS, ()),
    ],
)
def test_every_algorithm_of_paramiko_is_judged(
    table: str, strong: tuple[str, ...], legacy: tuple[str, ...]
) -> None:
    # A name that a new paramiko adds fails here until somebody has put it into a list.
    found = set(getattr(SshTransport, table))
    theirs = {name for name in found if not ssh_algorithms.is_certified(name)}
    optional = {"mlkem768x25519-sha256"}
    assert theirs - optional == set(strong + legacy) - optional
    assert not set(strong) & set(legacy)


def test_certificates_of_every_host_key_can_be_asked_for() -> None:
    offer = offered_algorithms.choose(SshOptions(), certificates=True)
    assert set(offer.host_keys) == set(SshTransport._key_info)


@pytest.mark.parametrize(
    "name", [*ssh_algorithms.KEX, *ssh_algorithms.CIPHERS, *ssh_algorithms.MACS]
)
def test_nothing_weak_is_listed(name: str) -> None:
    assert not any(word in name for word in ("cbc", "3des", "arcfour", "md5", "group1-", "dss"))
    assert not name.endswith("sha1")
    assert "sha1-" not in name


def test_the_best_comes_first() -> None:
    assert ssh_algorithms.KEX[0] == "mlkem768x25519-sha256"
    assert ssh_algorithms.CIPHERS[0] == "aes128-gcm@openssh.com"


@pytest.mark.parametrize(
    "name",
    [
        "_send_message",
        "_send_user_message",
        "_next_channel",
        "_really_parse_kex_init",
        "_auth_trigger",
        "_parse_kex_init",
        "_parse_newkeys",
        "_parse_disconnect",
        "_parse_ext_info",
        "_channel_handler_table",
        "_parse_global_request",
        "_verify_key",
        "_cipher_info",
        "_kex_info",
        "_active_check_timeout",
    ],
)
def test_internals_of_the_transport(name: str) -> None:
    assert hasattr(Transport, name)


@pytest.mark.parametrize(
    "name",
    [
        "_set_transport",
        "_set_window",
        "_set_remote_channel",
        "_unlink",
        "_event_pending",
        "_handle_close",
        "_feed",
        "_feed_extended",
    ],
)
def test_internals_of_the_channel(name: str) -> None:
    assert hasattr(Channel, name)


def test_internals_of_the_packets_and_the_group_exchange() -> None:
    assert hasattr(Packetizer, "_read_timeout")
    assert hasattr(KexGexSHA256, "_parse_kexdh_gex_group")


def test_known_types_are_asked_for_first() -> None:
    offer = offered_algorithms.choose(SshOptions(), known_types=["ssh-rsa", "sk-unheard-of"])
    assert offer.host_keys[:2] == ("rsa-sha2-512", "rsa-sha2-256")
    assert sorted(offer.host_keys) == sorted(ssh_algorithms.HOST_KEYS)


def test_certificates_are_asked_for_before_all() -> None:
    offer = offered_algorithms.choose(SshOptions(), known_types=["ssh-rsa"], certificates=True)
    assert offer.host_keys[0] == "ssh-ed25519-cert-v01@openssh.com"
    assert offer.host_keys[6:8] == ("rsa-sha2-512", "rsa-sha2-256")


def test_ssh_config_is_followed_as_far_as_it_is_safe() -> None:
    options = SshOptions(
        host_key_algorithms=("ssh-rsa", "rsa-sha2-256", "ssh-ed25519"),
        kex_algorithms=("diffie-hellman-group1-sha1", "ecdh-sha2-nistp256", "curve25519-sha256"),
        ciphers=("twofish-ctr", "aes256-ctr", "chacha20-poly1305@openssh.com", "aes128-cbc"),
        macs=("hmac-sha1", "hmac-sha2-512", "hmac-sha2-512"),
    )
    assert offered_algorithms.choose(
        options, known_types=["ssh-ed25519"], certificates=True
    ) == AlgorithmOffer(
        host_keys=("ssh-ed25519", "rsa-sha2-256"),
        kex=("ecdh-sha2-nistp256", "curve25519-sha256"),
        ciphers=("aes256-ctr", "chacha20-poly1305@openssh.com"),
        macs=("hmac-sha2-512",),
    )
    assert offered_algorithms.choose(SshOptions()) == AlgorithmOffer()


def test_legacy_comes_last() -> None:
    offer = offered_algorithms.choose(SshOptions(), legacy=["3des-cbc", "hmac-sha1", "aes128-cbc"])
    assert offer.ciphers == (*ssh_algorithms.CIPHERS, "aes128-cbc", "3des-cbc")
    assert offer.macs == (*ssh_algorithms.MACS, "hmac-sha1")
    options = SshOptions(ciphers=("aes128-cbc", "aes128-ctr"))
    assert offered_algorithms.choose(options, legacy=["aes128-cbc"]).ciphers == options.ciphers


def test_ssh_config_that_leaves_no_mac_leaves_the_ciphers_that_need_none() -> None:
    options = SshOptions(macs=("umac-64@openssh.com",))
    offer = offered_algorithms.choose(options, legacy=["3des-cbc"])
    assert offer.ciphers == ssh_algorithms.AEAD_CIPHERS


@pytest.mark.parametrize(
    ("options", "keyword"),
    [
        (SshOptions(ciphers=("aes128-cbc", "3des-cbc")), "Ciphers"),
        (SshOptions(macs=("umac-64@openssh.com",), ciphers=("aes128-ctr",)), "MACs"),
        (SshOptions(kex_algorithms=("diffie-hellman-group1-sha1",)), "KexAlgorithms"),
        (SshOptions(host_key_algorithms=("ssh-dss",)), "HostKeyAlgorithms"),
        (
            SshOptions(host_key_algorithms=("ssh-ed25519-cert-v01@openssh.com",)),
            "HostKeyAlgorithms",
        ),
    ],
)
def test_ssh_config_that_leaves_nothing(options: SshOptions, keyword: str) -> None:
    with pytest.raises(offered_algorithms.NothingLeftError, match=keyword) as found:
        offered_algorithms.choose(options)
    error = nothing_left(TARGET, found.value.keyword, found.value.acceptable)
    text = str(error.problem)
    for name in (keyword, *found.value.acceptable):
        assert name in text


@pytest.mark.parametrize(
    ("key_type", "accepted", "expected"),
    [
        ("ssh-rsa", (), "rsa-sha2-512"),
        ("ssh-rsa", ("rsa-sha2-256", "ssh-rsa"), "rsa-sha2-256"),
        ("ssh-rsa", ("ssh-rsa",), None),
        ("ssh-ed25519", ("rsa-sha2-256",), None),
        ("ssh-ed25519", ("ssh-ed25519",), "ssh-ed25519"),
    ],
)
def test_signature(key_type: str, accepted: tuple[str, ...], expected: str | None) -> None:
    assert offered_algorithms.signature_for(key_type, accepted) == expected


OFFER = {
    "kex_algo_list": list(ssh_algorithms.KEX),
    "server_key_algo_list": ["ssh-ed25519"],
    "client_encrypt_algo_list": list(ssh_algorithms.CIPHERS),
    "server_encrypt_algo_list": list(ssh_algorithms.CIPHERS),
    "client_mac_algo_list": list(ssh_algorithms.MACS),
    "server_mac_algo_list": list(ssh_algorithms.MACS),
}
TARGET = LoginTarget("GPU box", "gpu", 22, "ada")


def text_of(
    offer: dict[str, list[str]],
    ours: AlgorithmOffer = AlgorithmOffer(),  # noqa: B008
    target: LoginTarget = TARGET,
) -> str:
    lacks = offered_algorithms.missing(OFFER | offer, ours)
    problem = nothing_in_common(target, lacks).problem
    return f"{problem.title}\n{problem.advice}"


def test_missing_names_what_the_server_offers() -> None:
    assert offered_algorithms.missing(OFFER, AlgorithmOffer()) == []
    text = text_of(
        {
            "kex_algo_list": ["diffie-hellman-group1-sha1", "ext-info-s", "kex-strict-s-v00@x"],
            "client_encrypt_algo_list": ["arcfour"],
            "server_mac_algo_list": [],
        }
    )
    assert "too old" in text
    assert "No common key exchange: it offers only diffie-hellman-group1-sha1; cipher" in text
    assert "cipher: it offers only arcfour; MAC: it offers only nothing." in text
    assert "legacy" not in text


def test_the_line_to_add_is_named_where_it_helps() -> None:
    cbc = {"server_encrypt_algo_list": ["3des-cbc", "aes128-cbc"]}
    sha1 = {"client_mac_algo_list": ["hmac-md5", "hmac-sha1"]}
    assert text_of(cbc).endswith("\n  legacy: [aes128-cbc]")
    assert text_of(cbc | sha1).endswith("\n  legacy: [aes128-cbc, hmac-sha1]")
    allowed = replace(TARGET, legacy=("aes128-cbc",))
    assert text_of(sha1, target=allowed).endswith("\n  legacy: [aes128-cbc, hmac-sha1]")
    assert "legacy" not in text_of(cbc | {"kex_algo_list": ["diffie-hellman-group1-sha1"]})
    assert "legacy" not in text_of(cbc, target=replace(TARGET, is_jump_host=True))


def test_what_ssh_config_rules_out_is_no_fault_of_the_server() -> None:
    ours = offered_algorithms.choose(SshOptions(ciphers=("aes128-gcm@openssh.com",)))
    text = text_of({"client_encrypt_algo_list": ["aes256-ctr"]}, ours)
    assert "Your SSH configuration excludes" in text
    assert "cipher: it offers only aes256-ctr" in text
    assert "too old" not in text
