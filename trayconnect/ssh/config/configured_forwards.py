"""What ssh_config(5) adds to an entry of the file: forwards, and notes on unsupported options.
Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from trayconnect.config.forward_model import NO_REMOTE_PROXY, Forward, as_forward, end_text
from trayconnect.config.forward_syntax import KEYWORDS, ForwardSpec, Kind
from trayconnect.config.local_addresses import EVERYWHERE, LOCALHOST
from trayconnect.config.model import Server, name_key
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.ssh.config.jump_chain import LookUp, resolve_hops


@dataclass(frozen=True, slots=True)
class ConfiguredForwards:
    """`forwards` in the form of the file; `notes` lists the settings that have no effect here, one
    line each, for people."""

    forwards: tuple[Forward, ...] = ()
    notes: tuple[str, ...] = ()


NOTHING = ConfiguredForwards()


def additions(server: Server, others: Iterable[Server], look_up: LookUp) -> ConfiguredForwards:
    """What ssh_config(5) adds to `server`. The entries of the file, `server` and `others`, take
    precedence. `look_up` returns the configuration of a host. Raises `ProblemError`, and what
    `look_up` raises."""
    hops = resolve_hops(server, look_up)
    notes = [
        f"{hop.name}: {description}"
        for hop in hops
        for description in hop.config.options.unsupported
    ]
    end = hops[-1]
    found = merged(server, others, end.config.forwards)
    return ConfiguredForwards(
        found.forwards, (*notes, *(f"{end.name}: {note}" for note in found.notes))
    )


def merged(
    server: Server, others: Iterable[Server], specs: Iterable[ForwardSpec]
) -> ConfiguredForwards:
    """The forwards of ssh_config(5) that do not conflict with the file."""
    taken = _Taken(server, others)
    names = {name_key(forward.name) for forward in server.forwards}
    forwards: list[Forward] = []
    notes: list[str] = []
    for spec in dict.fromkeys(specs):
        line = f"{KEYWORDS[spec.kind]} {spec.listen}"
        if spec.target is not None:
            line += f" {spec.target}"
        try:
            forward = _forward(spec, names)
        except ValueError as error:
            notes.append(f"{line} is not opened: {error}")
            continue
        by = taken.by(forward)
        if by is None:
            names.add(name_key(forward.name))
            forwards.append(forward)
            taken.add(forward, "another line of your SSH configuration")
        elif not _same(by.leads_to, forward.leads_to):
            notes.append(f"{line} is not opened: {by.description} listens there")
    return ConfiguredForwards(tuple(forwards), tuple(notes))


def _forward(spec: ForwardSpec, names: set[str]) -> Forward:
    if spec.kind is Kind.REMOTE and spec.target is None:
        raise ValueError(NO_REMOTE_PROXY)
    base = f"{KEYWORDS[spec.kind]} {end_text(spec.listen)}"
    name, number = base, 1
    while name_key(name) in names:
        number += 1
        name = f"{base} {number}"
    forward = as_forward(spec, name)
    if forward.bind_address is None and forward.local_port is not None:
        # OpenSSH's default address; the entry's bind_address does not apply to these.
        return forward.model_copy(update={"bind_address": LOCALHOST})
    return forward


@dataclass(frozen=True, slots=True)
class _ListenerUser:
    """A listener's user. `leads_to` None: its clients name the target. `address`: an IP address of
    this computer, if it listens on no other."""

    description: str
    leads_to: Endpoint | None
    address: str = ""


_Key = tuple[bool, int | str]
"""Whether it listens at the server, and the port or path."""


class _Taken:
    """The places that have a listener already."""

    def __init__(self, server: Server, others: Iterable[Server]) -> None:
        self._users: dict[_Key, list[_ListenerUser]] = {}
        self._add(
            (False, server.local_port), _ListenerUser("local_port of the entry", _jupyter(server))
        )
        for forward in server.forwards:
            description = f"the forward “{forward.name}” of the entry"
            self._add(_key(forward), _ListenerUser(description, forward.leads_to))
        for second in others:
            if second.name == server.name:
                continue
            user = _ListenerUser(f"the entry “{second.name}”", _NOWHERE)
            if second.page_port is not None:
                self._add((False, second.page_port), user)
            for forward in second.forwards:
                if forward.kind is not Kind.REMOTE:
                    self._add(_key(forward), user)

    def by(self, forward: Forward) -> _ListenerUser | None:
        if forward.remote_port == 0:
            return None
        address = _address(forward)
        users = self._users.get(_key(forward), ())
        # Two lines may name the same port, if each names an IP address of its own.
        beside = (
            user for user in users if not (address and user.address) or user.address == address
        )
        return next(beside, None)

    def add(self, forward: Forward, description: str) -> None:
        self._add(_key(forward), _ListenerUser(description, forward.leads_to, _address(forward)))

    def _add(self, key: _Key, user: _ListenerUser) -> None:
        self._users.setdefault(key, []).append(user)


_NOWHERE = UnixEndpoint("")
"""Stands for the target of another server's forward, which never equals ours."""


def _address(forward: Forward) -> str:
    """The one address of this computer that it listens on, or nothing."""
    address = forward.bind_address or ""
    if forward.kind is Kind.REMOTE or address in (LOCALHOST, EVERYWHERE, "0.0.0.0", "::"):
        return ""
    return address


def _key(forward: Forward) -> _Key:
    if forward.kind is Kind.REMOTE:
        return True, forward.remote_socket or forward.remote_port or 0
    return False, forward.local_socket or forward.local_port or 0


def _jupyter(server: Server) -> Endpoint | None:
    jupyter = server.jupyter
    if jupyter.socket is not None:
        return UnixEndpoint(jupyter.socket)
    # A port that is chosen automatically may be any.
    return TcpEndpoint(jupyter.host, 0 if jupyter.port == "auto" else jupyter.port)


def _same(first: Endpoint | None, second: Endpoint | None) -> bool:
    if not (isinstance(first, TcpEndpoint) and isinstance(second, TcpEndpoint)):
        return first == second
    alike = first.host == second.host or (_is_loopback(first.host) and _is_loopback(second.host))
    return alike and (first.port == second.port or not first.port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
