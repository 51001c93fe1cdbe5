"""Our choice of algorithms against what paramiko has, and its internals that we lean on."""

from __future__ import annotations

import pytest
from paramiko import Channel, Transport

from trayconnect.tunnel import algorithms

# Judged and left out. A name that a new paramiko adds makes the test below fail until somebody
# has put it into one list or the other.
REFUSED = {
    "aes128-cbc",
    "aes192-cbc",
    "aes256-cbc",
    "3des-cbc",
    "hmac-sha1",
    "hmac-sha1-96",
    "hmac-md5",
    "hmac-md5-96",
}


@pytest.mark.parametrize(
    ("table", "ours"),
    [
        ("_cipher_info", algorithms.CIPHERS),
        ("_mac_info", algorithms.MACS),
        ("_kex_info", algorithms.KEX),
        ("_key_info", algorithms.HOST_KEYS),
    ],
)
def test_every_algorithm_of_paramiko_is_judged(table: str, ours: tuple[str, ...]) -> None:
    theirs = {
        name for name in getattr(Transport, table) if not name.endswith("-cert-v01@openssh.com")
    }
    optional = {"mlkem768x25519-sha256"}
    assert set(ours) - optional <= theirs
    assert theirs - set(ours) <= REFUSED


@pytest.mark.parametrize("name", [*algorithms.KEX, *algorithms.CIPHERS, *algorithms.MACS])
def test_nothing_weak_is_listed(name: str) -> None:
    assert not any(word in name for word in ("cbc", "3des", "arcfour", "md5", "group1-", "dss"))
    assert "sha1" not in name.replace("sha1-", "sha1")
    assert name not in REFUSED


def test_gcm_comes_first() -> None:
    assert algorithms.CIPHERS[0] == "aes128-gcm@openssh.com"


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
        "_parse_global_request",
        "_active_check_timeout",
    ],
)
def test_internals_of_the_transport(name: str) -> None:
    assert hasattr(Transport, name)


@pytest.mark.parametrize(
    "name", ["_set_transport", "_set_window", "_set_remote_channel", "_unlink", "_event_pending"]
)
def test_internals_of_the_channel(name: str) -> None:
    assert hasattr(Channel, name)


def test_known_types_are_asked_for_first() -> None:
    order = algorithms.host_key_order(["ssh-rsa", "sk-unheard-of"])
    assert order[:2] == ("rsa-sha2-512", "rsa-sha2-256")
    assert sorted(order) == sorted(algorithms.HOST_KEYS)
    assert algorithms.host_key_order([]) == algorithms.HOST_KEYS


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
    assert algorithms.signature_for(key_type, accepted) == expected


def test_missing_names_what_the_server_offers() -> None:
    offer = {
        "kex_algo_list": ["diffie-hellman-group1-sha1", "ext-info-s"],
        "server_key_algo_list": ["ssh-ed25519"],
        "client_encrypt_algo_list": ["3des-cbc"],
        "server_encrypt_algo_list": ["3des-cbc"],
        "client_mac_algo_list": list(algorithms.MACS),
        "server_mac_algo_list": list(algorithms.MACS),
    }
    assert algorithms.missing(offer) == [
        "key exchange: it offers only diffie-hellman-group1-sha1",
        "cipher: it offers only 3des-cbc",
    ]
