"""What ssh_config(5) adds to an entry of the file: forwards, and what cannot be honoured. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from trayconnect.config.forward_model import NO_PROXY_THERE, Forward, as_forward, end_words
from trayconnect.config.forward_syntax import KEYWORDS, ForwardSpec, Kind
from trayconnect.config.local_addresses import EVERYWHERE, LOCALHOST
from trayconnect.config.model import Server
from trayconnect.config.names import name_key
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.ssh.config.jump_chain import LookUp, way


@dataclass(frozen=True, slots=True)
class ConfiguredForwards:
    """`forwards` as the file would say them; `notes`: what is said there and does not hold here,
    each in a line for people."""

    forwards: tuple[Forward, ...] = ()
    notes: tuple[str, ...] = ()


NOTHING = ConfiguredForwards()


def additions(server: Server, others: Iterable[Server], look_up: LookUp) -> ConfiguredForwards:
    """What ssh_config(5), which `look_up` knows, adds to `server`; the file, in which `others`
    stand too, wins. Raises `ProblemError`, and what `look_up` raises."""
    hops = way(server, look_up)
    notes = [f"{hop.name}: {words}" for hop in hops for words in hop.config.options.unsupported]
    end = hops[-1]
    found = merged(server, others, end.config.forwards)
    return ConfiguredForwards(
        found.forwards, (*notes, *(f"{end.name}: {note}" for note in found.notes))
    )


def merged(
    server: Server, others: Iterable[Server], specs: Iterable[ForwardSpec]
) -> ConfiguredForwards:
    """Those of the forwards of ssh_config(5) that the file leaves room for."""
    taken = _Taken(server, others)
    names = {name_key(forward.name) for forward in server.forwards}
    forwards: list[Forward] = []
    notes: list[str] = []
    for spec in dict.fromkeys(specs):
        said = f"{KEYWORDS[spec.kind]} {spec.listen}"
        if spec.target is not None:
            said += f" {spec.target}"
        try:
            forward = _forward(spec, names)
        except ValueError as error:
            notes.append(f"{said} is not opened: {error}")
            continue
        by = taken.by(forward)
        if by is None:
            names.add(name_key(forward.name))
            forwards.append(forward)
            taken.add(forward, "another line of your SSH configuration")
        elif not _same(by.leads_to, forward.leads_to):
            notes.append(f"{said} is not opened: {by.words} listens there")
    return ConfiguredForwards(tuple(forwards), tuple(notes))


def _forward(spec: ForwardSpec, names: set[str]) -> Forward:
    if spec.kind is Kind.REMOTE and spec.target is None:
        raise ValueError(NO_PROXY_THERE)
    wanted = f"{KEYWORDS[spec.kind]} {end_words(spec.listen)}"
    name, number = wanted, 1
    while name_key(name) in names:
        number += 1
        name = f"{wanted} {number}"
    forward = as_forward(spec, name)
    if forward.bind_address is None and forward.local_port is not None:
        # Where OpenSSH listens unless told otherwise; the entry's bind_address is not for these.
        return forward.model_copy(update={"bind_address": LOCALHOST})
    return forward


@dataclass(frozen=True, slots=True)
class _User:
    """Who listens somewhere. `leads_to` None: its clients say. `address`: an IP address of this
    computer, if it listens on no other."""

    words: str
    leads_to: Endpoint | None
    address: str = ""


_Key = tuple[bool, int | str]
"""Whether at the server, and the port or path."""


class _Taken:
    """What is listened on already."""

    def __init__(self, server: Server, others: Iterable[Server]) -> None:
        self._users: dict[_Key, list[_User]] = {}
        self._add((False, server.local_port), _User("local_port of the entry", _jupyter(server)))
        for forward in server.forwards:
            words = f"the forward “{forward.name}” of the entry"
            self._add(_key(forward), _User(words, forward.leads_to))
        for other in others:
            if other.name == server.name or other.is_direct:
                continue
            user = _User(f"the entry “{other.name}”", _NOWHERE)
            self._add((False, other.local_port), user)
            for forward in other.forwards:
                if forward.kind is not Kind.REMOTE:
                    self._add(_key(forward), user)

    def by(self, forward: Forward) -> _User | None:
        if forward.remote_port == 0:
            return None
        address = _address(forward)
        users = self._users.get(_key(forward), ())
        # Two lines may say one port, if each says an IP address of its own.
        beside = (
            user for user in users if not (address and user.address) or user.address == address
        )
        return next(beside, None)

    def add(self, forward: Forward, words: str) -> None:
        self._add(_key(forward), _User(words, forward.leads_to, _address(forward)))

    def _add(self, key: _Key, user: _User) -> None:
        self._users.setdefault(key, []).append(user)


_NOWHERE = UnixEndpoint("")
"""What another server's leads to is another place."""


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
    # Of one that is to be found, any port will do.
    return TcpEndpoint(jupyter.host, 0 if jupyter.port == "auto" else jupyter.port)


def _same(one: Endpoint | None, other: Endpoint | None) -> bool:
    if not (isinstance(one, TcpEndpoint) and isinstance(other, TcpEndpoint)):
        return one == other
    alike = one.host == other.host or (_is_loopback(one.host) and _is_loopback(other.host))
    return alike and (one.port == other.port or not one.port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
