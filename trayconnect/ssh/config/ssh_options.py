"""The options of one host of ssh_config(5): as `ssh -G` prints them, and as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from trayconnect.config.forward_syntax import ForwardSpec
from trayconnect.config.openssh_syntax import StrictHostKeyChecking
from trayconnect.core.errors import Problem, ProblemError


@dataclass(frozen=True, slots=True)
class Query:
    """The requested host, as after `ssh -l USER -p PORT HOST`. `direct`: ignore ProxyJump and
    ProxyCommand."""

    host: str
    user: str | None = None
    port: int | None = None
    direct: bool = False


@dataclass(frozen=True, slots=True)
class RawOptions:
    """Values by keyword, in lower case; a keyword that was not set is absent.

    OpenSSH has expanded the tokens of HostName, IdentityAgent, UserKnownHostsFile and LocalForward.
    `notes` are shown to the user."""

    values: Mapping[str, tuple[str, ...]]
    forwards: tuple[ForwardSpec, ...] = ()
    notes: tuple[str, ...] = ()
    algorithms: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Final lists."""

    def first(self, keyword: str) -> str | None:
        """The one value, or None."""
        values = self.values.get(keyword)
        return values[0] if values else None


class SshConfigError(ProblemError):
    """An unusable SSH configuration; `ssh` itself would refuse it."""


def broken(place: str, message: str, detail: str = "") -> SshConfigError:
    """`place` is a file, with the line number if it is known."""
    return SshConfigError(
        Problem(
            title=f"{place}: {message}",
            advice="ssh itself refuses this file, too. Correct it, and connect again.",
            detail=detail,
        )
    )


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
