"""From what a configuration says of a host to what is done."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from trayconnect.config import jump_hosts as jumps
from trayconnect.config import openssh_scalars
from trayconnect.config.forward_syntax import ForwardSpec, Kind, Place
from trayconnect.config.jump_hosts import Jump
from trayconnect.config.openssh_tokenizer import split_words
from trayconnect.core.errors import Problem
from trayconnect.ssh.config import expand
from trayconnect.ssh.config.expand import Tokens
from trayconnect.ssh.config.honoured import HARMLESS, METHODS, QUIET, REFUSED, SWITCHES, TOLD
from trayconnect.ssh.config.raw_options import Query, RawOptions, SshConfigError, broken
from trayconnect.ssh.config.ssh_options import MIN_RSA_BITS, AddressFamily, SshOptions

DEFAULT_PORT = 22
_NONE = "none"
_OWN_KNOWN_HOSTS = ("~/.ssh/known_hosts",)
_USUAL_COUNT_MAX, _USUAL_PROMPTS = 3, 3


@dataclass(frozen=True, slots=True)
class HostConfig:
    """One host, as `ssh` would take it. `jumps` are of ProxyJump, the nearest first."""

    hostname: str
    port: int
    user: str
    jumps: tuple[Jump, ...] = ()
    options: SshOptions = field(default_factory=SshOptions)
    forwards: tuple[ForwardSpec, ...] = ()


def interpret(
    said: RawOptions, query: Query, *, home: Path, local_user: str, environment: Mapping[str, str]
) -> HostConfig:
    """What is done for a host. Raises `SshConfigError`."""
    try:
        return _interpret(said, query, home, local_user, environment)
    except ValueError as error:
        raise broken(f"ssh_config of {query.host}", str(error)) from error


def _interpret(
    said: RawOptions, query: Query, home: Path, local_user: str, environment: Mapping[str, str]
) -> HostConfig:
    name = said.first("hostname")
    if name is not None and "hostname" not in said.expanded:
        name = expand.hostname(name, query.host)
    _refuse(said, query)
    hostname = _folded(name or query.host)
    alias = said.first("hostkeyalias")
    jump = said.first("proxyjump") or _NONE
    hops = jumps.parse(jump)
    tokens = Tokens(
        original=query.host,
        hostname=hostname,
        port=openssh_scalars.port_number(said.first("port") or str(DEFAULT_PORT)),
        user=said.first("user") or local_user,
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
        jumps=jumps.parse(tokens.command(jump)),
        options=_options(said, tokens, alias.lower() if alias else None),
        forwards=_forwards(said, tokens),
    )


def _leads_to_itself(jump: Jump, tokens: Tokens) -> bool:
    there = (jump.host, jump.port or DEFAULT_PORT, jump.user or tokens.user)
    return there == (tokens.hostname, tokens.port, tokens.user)


def _options(said: RawOptions, tokens: Tokens, alias: str | None) -> SshOptions:
    family = (said.first("addressfamily") or "any").lower()
    strictness = said.first("stricthostkeychecking") or "ask"
    command = said.first("proxycommand")
    identities = said.values.get("identityfile", ())
    return SshOptions(
        address_family=cast(AddressFamily, family),
        bind_address=said.first("bindaddress"),
        connect_timeout=openssh_scalars.seconds(said.first("connecttimeout") or _NONE) or None,
        proxy_command=None
        if command is None or command.lower() == _NONE
        else tokens.command(command),
        server_alive_interval=openssh_scalars.seconds(said.first("serveraliveinterval") or _NONE)
        or None,
        server_alive_count_max=_number(said, "serveralivecountmax", _USUAL_COUNT_MAX),
        identity_files=_paths(said, "identityfile", tokens),
        no_identity_files=bool(identities) and all(one.lower() == _NONE for one in identities),
        certificate_files=_paths(said, "certificatefile", tokens),
        identities_only=openssh_scalars.flag(said.first("identitiesonly") or "no"),
        identity_agent=_agent(said, tokens),
        number_of_password_prompts=_number(said, "numberofpasswordprompts", _USUAL_PROMPTS),
        pubkey_accepted_algorithms=said.algorithms.get("pubkeyacceptedalgorithms", ()),
        batch_mode=openssh_scalars.flag(said.first("batchmode") or "no"),
        ruled_out_methods=_ruled_out_methods(said),
        required_rsa_size=openssh_scalars.whole_number(
            said.first("requiredrsasize") or str(MIN_RSA_BITS)
        ),
        host_key_alias=alias,
        user_known_hosts_files=_known_hosts(said, "userknownhostsfile", tokens),
        global_known_hosts_files=_known_hosts(said, "globalknownhostsfile", None),
        known_hosts_command=_known_hosts_command(said, tokens),
        revoked_host_keys=next(iter(_paths(said, "revokedhostkeys", tokens)), None),
        strict_host_key_checking=openssh_scalars.strictness(strictness),
        check_host_ip=openssh_scalars.flag(said.first("checkhostip") or "no"),
        update_host_keys=_updates_host_keys(said),
        host_key_algorithms=said.algorithms.get("hostkeyalgorithms", ()),
        ca_signature_algorithms=said.algorithms.get("casignaturealgorithms", ()),
        kex_algorithms=said.algorithms.get("kexalgorithms", ()),
        ciphers=said.algorithms.get("ciphers", ()),
        macs=said.algorithms.get("macs", ()),
        unsupported=(*said.notes, *_unsupported(said)),
        ignored=tuple(name for keyword, name in QUIET.items() if _matters(said, keyword)),
    )


def _folded(name: str) -> str:
    """As OpenSSH folds a host's name; the zone of an address is left alone."""
    return name if "%" in name else name.lower()


def _number(said: RawOptions, keyword: str, usual: int) -> int | None:
    value = openssh_scalars.whole_number(said.first(keyword) or str(usual))
    return None if value == usual else value


def _path(said: RawOptions, keyword: str, text: str, tokens: Tokens) -> str:
    return text if keyword in said.expanded else tokens.path(text)


def _paths(said: RawOptions, keyword: str, tokens: Tokens) -> tuple[Path, ...]:
    return tuple(
        Path(_path(said, keyword, text, tokens))
        for text in said.values.get(keyword, ())
        if text.lower() != _NONE
    )


def _known_hosts(said: RawOptions, keyword: str, tokens: Tokens | None) -> tuple[Path, ...] | None:
    texts = said.values.get(keyword)
    if texts is None:
        return None
    if tokens is None:
        return tuple(Path(text) for text in texts if text.lower() != _NONE)
    return _paths(said, keyword, tokens)


def _known_hosts_command(said: RawOptions, tokens: Tokens) -> tuple[str, ...]:
    text = said.first("knownhostscommand") or _NONE
    program, *arguments = split_words(text, comments=False) or (_NONE,)
    if text.lower() == _NONE or not program:
        return ()
    # Tokens are for arguments: the program's path is taken as it stands.
    return (program, *(tokens.text(one, later="HIKft") for one in arguments))


def _updates_host_keys(said: RawOptions) -> bool:
    value = said.first("updatehostkeys")
    if value is not None:
        return value.lower() in ("yes", "true")
    by_dns = (said.first("verifyhostkeydns") or "no").lower() not in ("no", "false")
    files = said.values.get("userknownhostsfile", _OWN_KNOWN_HOSTS)
    return not by_dns and files == _OWN_KNOWN_HOSTS


def _agent(said: RawOptions, tokens: Tokens) -> str | None:
    text = said.first("identityagent")
    if text is None or text == "SSH_AUTH_SOCK":
        return None
    if text.lower() == _NONE:
        return _NONE
    if text.startswith("$") and not text.startswith("${"):
        # No such variable: OpenSSH then has no agent.
        return tokens.environment.get(text[1:]) or _NONE
    return _path(said, "identityagent", text, tokens)


def _forwards(said: RawOptions, tokens: Tokens) -> tuple[ForwardSpec, ...]:
    if openssh_scalars.flag(said.first("clearallforwardings") or "no"):
        return ()
    for_others = openssh_scalars.flag(said.first("gatewayports") or "no")
    is_expanded = "localforward" in said.expanded
    found = []
    for forward in said.forwards:
        listen, target = forward.listen, forward.target
        if not is_expanded:
            listen = _expanded(listen, tokens)
            target = None if target is None else _expanded(target, tokens)
        if for_others and forward.kind is not Kind.REMOTE and listen.host is None:
            listen = listen if listen.path is not None else replace(listen, host="")
        found.append(ForwardSpec(forward.kind, listen, target))
    return tuple(found)


def _expanded(place: Place, tokens: Tokens) -> Place:
    return place if place.path is None else Place(path=tokens.percent(place.path))


def _matters(said: RawOptions, keyword: str) -> bool:
    value = said.first(keyword)
    return value is not None and value.lower() not in HARMLESS.get(keyword, ())


def _refuse(said: RawOptions, query: Query) -> None:
    """Raise `SshConfigError` for what must not be passed over."""
    for keyword, (name, advice) in REFUSED.items():
        is_used = keyword != "proxyusefdpass" or said.first("proxycommand") is not None
        if is_used and _matters(said, keyword):
            title = f"{name} of your ssh configuration for {query.host} is not supported"
            raise SshConfigError(Problem(title, advice, detail=said.first(keyword) or ""))


def _ruled_out_methods(said: RawOptions) -> tuple[str, ...]:
    off = {
        method
        for keyword, method in SWITCHES.items()
        if (said.first(keyword) or "yes").lower() in ("no", "false")
    }
    preferred = said.first("preferredauthentications")
    if preferred is not None:
        off |= set(METHODS) - set(preferred.lower().split(","))
    if openssh_scalars.flag(said.first("batchmode") or "no"):
        off |= {"keyboard-interactive", "password"}
    return tuple(method for method in METHODS if method in off)


def _unsupported(said: RawOptions) -> list[str]:
    notes = [
        f"{name} is not supported: {instead}"
        for keyword, (name, instead) in TOLD.items()
        if _matters(said, keyword) and (keyword != "exitonforwardfailure" or said.forwards)
    ]
    preferred = (said.first("preferredauthentications") or "").lower().split(",")
    ours = [method for method in preferred if method in METHODS]
    if ours != [method for method in METHODS if method in ours]:
        notes.append(
            "the order of PreferredAuthentications is not supported: keys come first, then "
            "keyboard-interactive, then passwords"
        )
    return notes
