"""Interprets the options of a host."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from trayconnect.config.forward_syntax import ForwardSpec, Kind
from trayconnect.config.openssh_syntax import (
    Jump,
    flag,
    jump_hosts,
    port_number,
    seconds,
    split_words,
    strict_host_key_checking,
    whole_number,
)
from trayconnect.core.errors import Problem
from trayconnect.ssh.config.expand import Tokens
from trayconnect.ssh.config.honoured import HARMLESS, METHODS, QUIET, REFUSED, REPORTED, SWITCHES
from trayconnect.ssh.config.ssh_options import (
    MIN_RSA_BITS,
    AddressFamily,
    Query,
    RawOptions,
    SshConfigError,
    SshOptions,
    broken,
)

DEFAULT_PORT = 22
_NONE = "none"
_USUAL_COUNT_MAX, _USUAL_PROMPTS = 3, 3


@dataclass(frozen=True, slots=True)
class HostConfig:
    """One host, as `ssh` would connect to it. `jumps` are the hosts of ProxyJump, the nearest
    first."""

    hostname: str
    port: int
    user: str
    jumps: tuple[Jump, ...] = ()
    options: SshOptions = field(default_factory=SshOptions)
    forwards: tuple[ForwardSpec, ...] = ()


def interpret(
    raw: RawOptions, query: Query, *, home: Path, local_user: str, environment: Mapping[str, str]
) -> HostConfig:
    """The settings for a host. Raises `SshConfigError`."""
    try:
        return _interpret(raw, query, home, local_user, environment)
    except ValueError as error:
        raise broken(f"ssh_config of {query.host}", str(error)) from error


def _interpret(
    raw: RawOptions, query: Query, home: Path, local_user: str, environment: Mapping[str, str]
) -> HostConfig:
    _refuse(raw, query)
    hostname = _folded(raw.first("hostname") or query.host)
    alias = raw.first("hostkeyalias")
    jump = raw.first("proxyjump") or _NONE
    hops = jump_hosts(jump)
    tokens = Tokens(
        original=query.host,
        hostname=hostname,
        port=port_number(raw.first("port") or str(DEFAULT_PORT)),
        user=raw.first("user") or local_user,
        local_user=local_user,
        home=home,
        local_host=socket.gethostname(),
        alias=alias.lower() if alias else query.host,
        jump=hops[-1].host if hops else "",
        environment=environment,
    )
    if hops and _leads_to_itself(hops[-1], tokens):
        raise ValueError(f"its ProxyJump leads to itself: jumphost loop via {hops[-1].host}")
    return HostConfig(
        hostname=hostname,
        port=tokens.port,
        user=tokens.user,
        jumps=jump_hosts(tokens.command(jump)),
        options=_options(raw, tokens, alias.lower() if alias else None),
        forwards=_forwards(raw),
    )


def _leads_to_itself(jump: Jump, tokens: Tokens) -> bool:
    there = (jump.host, jump.port or DEFAULT_PORT, jump.user or tokens.user)
    return there == (tokens.hostname, tokens.port, tokens.user)


def _options(raw: RawOptions, tokens: Tokens, alias: str | None) -> SshOptions:
    family = (raw.first("addressfamily") or "any").lower()
    strictness = raw.first("stricthostkeychecking") or "ask"
    command = raw.first("proxycommand")
    identities = raw.values.get("identityfile", ())
    return SshOptions(
        address_family=cast(AddressFamily, family),
        bind_address=raw.first("bindaddress"),
        connect_timeout=seconds(raw.first("connecttimeout") or _NONE) or None,
        proxy_command=None
        if command is None or command.lower() == _NONE
        else tokens.command(command),
        server_alive_interval=seconds(raw.first("serveraliveinterval") or _NONE) or None,
        server_alive_count_max=_number(raw, "serveralivecountmax", _USUAL_COUNT_MAX),
        identity_files=_paths(raw, "identityfile", tokens),
        no_identity_files=bool(identities) and all(one.lower() == _NONE for one in identities),
        certificate_files=_paths(raw, "certificatefile", tokens),
        identities_only=flag(raw.first("identitiesonly") or "no"),
        identity_agent=_agent(raw, tokens),
        number_of_password_prompts=_number(raw, "numberofpasswordprompts", _USUAL_PROMPTS),
        pubkey_accepted_algorithms=raw.algorithms.get("pubkeyacceptedalgorithms", ()),
        batch_mode=flag(raw.first("batchmode") or "no"),
        ruled_out_methods=_ruled_out_methods(raw),
        required_rsa_size=whole_number(raw.first("requiredrsasize") or str(MIN_RSA_BITS)),
        host_key_alias=alias,
        user_known_hosts_files=_known_hosts(raw, "userknownhostsfile"),
        global_known_hosts_files=_known_hosts(raw, "globalknownhostsfile"),
        known_hosts_command=_known_hosts_command(raw, tokens),
        revoked_host_keys=next(iter(_paths(raw, "revokedhostkeys", tokens)), None),
        strict_host_key_checking=strict_host_key_checking(strictness),
        check_host_ip=flag(raw.first("checkhostip") or "no"),
        update_host_keys=_updates_host_keys(raw),
        host_key_algorithms=raw.algorithms.get("hostkeyalgorithms", ()),
        ca_signature_algorithms=raw.algorithms.get("casignaturealgorithms", ()),
        kex_algorithms=raw.algorithms.get("kexalgorithms", ()),
        ciphers=raw.algorithms.get("ciphers", ()),
        macs=raw.algorithms.get("macs", ()),
        unsupported=(*raw.notes, *_unsupported(raw)),
        ignored=tuple(name for keyword, name in QUIET.items() if _matters(raw, keyword)),
    )


def _folded(name: str) -> str:
    """Lower case as OpenSSH does it for a host name; the zone of an address stays as it is."""
    return name if "%" in name else name.lower()


def _number(raw: RawOptions, keyword: str, usual: int) -> int | None:
    value = whole_number(raw.first(keyword) or str(usual))
    return None if value == usual else value


def _paths(raw: RawOptions, keyword: str, tokens: Tokens) -> tuple[Path, ...]:
    return tuple(
        Path(tokens.path(text)) for text in raw.values.get(keyword, ()) if text.lower() != _NONE
    )


def _known_hosts(raw: RawOptions, keyword: str) -> tuple[Path, ...] | None:
    texts = raw.values.get(keyword)
    return None if texts is None else tuple(Path(text) for text in texts if text.lower() != _NONE)


def _known_hosts_command(raw: RawOptions, tokens: Tokens) -> tuple[str, ...]:
    text = raw.first("knownhostscommand") or _NONE
    program, *arguments = split_words(text, comments=False) or (_NONE,)
    if text.lower() == _NONE or not program:
        return ()
    # Tokens are expanded in the arguments only, not in the program's path.
    return (program, *(tokens.text(one, later="HIKft") for one in arguments))


def _updates_host_keys(raw: RawOptions) -> bool:
    return (raw.first("updatehostkeys") or "yes").lower() in ("yes", "true")


def _agent(raw: RawOptions, tokens: Tokens) -> str | None:
    text = raw.first("identityagent")
    if text is None or text == "SSH_AUTH_SOCK":
        return None
    if text.lower() == _NONE:
        return _NONE
    if text.startswith("$") and not text.startswith("${"):
        # An undefined variable: OpenSSH then uses no agent.
        return tokens.environment.get(text[1:]) or _NONE
    return text


def _forwards(raw: RawOptions) -> tuple[ForwardSpec, ...]:
    if flag(raw.first("clearallforwardings") or "no"):
        return ()
    for_others = flag(raw.first("gatewayports") or "no")
    found = []
    for forward in raw.forwards:
        listen, target = forward.listen, forward.target
        if for_others and forward.kind is not Kind.REMOTE and listen.host is None:
            listen = listen if listen.path is not None else replace(listen, host="")
        found.append(ForwardSpec(forward.kind, listen, target))
    return tuple(found)


def _matters(raw: RawOptions, keyword: str) -> bool:
    value = raw.first(keyword)
    return value is not None and value.lower() not in HARMLESS.get(keyword, ())


def _refuse(raw: RawOptions, query: Query) -> None:
    """Raise `SshConfigError` for options that must not be ignored."""
    for keyword, (name, advice) in REFUSED.items():
        is_used = keyword != "proxyusefdpass" or raw.first("proxycommand") is not None
        if is_used and _matters(raw, keyword):
            title = f"{name} of your SSH configuration for {query.host} is not supported"
            raise SshConfigError(Problem(title, advice, detail=raw.first(keyword) or ""))


def _ruled_out_methods(raw: RawOptions) -> tuple[str, ...]:
    off = {
        method
        for keyword, method in SWITCHES.items()
        if (raw.first(keyword) or "yes").lower() in ("no", "false")
    }
    preferred = raw.first("preferredauthentications")
    if preferred is not None:
        off |= set(METHODS) - set(preferred.lower().split(","))
    if flag(raw.first("batchmode") or "no"):
        off |= {"keyboard-interactive", "password"}
    return tuple(method for method in METHODS if method in off)


def _unsupported(raw: RawOptions) -> list[str]:
    notes = [
        f"{name} is ignored: {instead}"
        for keyword, (name, instead) in REPORTED.items()
        if _matters(raw, keyword) and (keyword != "exitonforwardfailure" or raw.forwards)
    ]
    preferred = (raw.first("preferredauthentications") or "").lower().split(",")
    ours = [method for method in preferred if method in METHODS]
    if ours != [method for method in METHODS if method in ours]:
        notes.append(
            "the order of PreferredAuthentications is not supported: keys come first, then "
            "keyboard-interactive, then passwords"
        )
    return notes
