"""The supported part of ssh_config(5) for one host, as frozen data.

Names are those of ssh_config(5). None or an empty tuple: the option is not set, and our own default
applies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trayconnect.config.openssh_syntax import StrictHostKeyChecking

AddressFamily = Literal["any", "inet", "inet6"]

MIN_RSA_BITS = 1024
"""As OpenSSH: a shorter key can be broken, and proves nothing."""


@dataclass(frozen=True, slots=True)
class SshOptions:
    """Times are seconds. Paths have their tokens (%h, %d, …), `~` and variables expanded.

    Lists of algorithms are final: `+`, `-` and `^` have been applied to OpenSSH's defaults."""

    address_family: AddressFamily = "any"
    bind_address: str | None = None
    connect_timeout: float | None = None
    proxy_command: str | None = None
    """With expanded tokens; the user's shell runs it."""
    server_alive_interval: float | None = None
    server_alive_count_max: int | None = None

    # Logging in
    identity_files: tuple[Path, ...] = ()
    no_identity_files: bool = False
    """`IdentityFile none`: not even the default files."""
    certificate_files: tuple[Path, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    """The path of the agent's socket; "none" for no agent; None: SSH_AUTH_SOCK."""
    number_of_password_prompts: int | None = None
    pubkey_accepted_algorithms: tuple[str, ...] = ()
    ruled_out_methods: tuple[str, ...] = ()
    """Disabled authentication methods, by their names in SSH."""
    batch_mode: bool = False
    """Ask the user nothing."""
    required_rsa_size: int = MIN_RSA_BITS
    """Minimum bits of an RSA key, for host keys as well as user keys."""

    # Host keys
    host_key_alias: str | None = None
    user_known_hosts_files: tuple[Path, ...] | None = None
    """None: the default files. Empty: no file."""
    global_known_hosts_files: tuple[Path, ...] | None = None
    known_hosts_command: tuple[str, ...] = ()
    """A program that prints more lines, with its arguments; a zero byte and one of the letters H,
    I, K, f and t stand for values that are known only after connecting."""
    revoked_host_keys: Path | None = None
    strict_host_key_checking: StrictHostKeyChecking = "ask"
    check_host_ip: bool = False
    """Whether a different stored key for the address counts against a host that has a name."""
    update_host_keys: bool = True
    """False for `no`, and for `ask`."""

    # Algorithms
    host_key_algorithms: tuple[str, ...] = ()
    ca_signature_algorithms: tuple[str, ...] = ()
    """Algorithms of the authorities that certify host keys."""
    kex_algorithms: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()

    unsupported: tuple[str, ...] = ()
    """Options that are set and not supported here, one line each, for people."""
    ignored: tuple[str, ...] = ()
    """Unsupported keywords that nobody would miss."""
