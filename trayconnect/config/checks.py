"""What no type can tell: whether the entries of a file go together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trayconnect.config.defaults import DIRECT_KEYS
from trayconnect.config.model import Server
from trayconnect.config.names import name_key
from trayconnect.config.problems import Mark, Report
from trayconnect.config.scalars import TEXT, shown
from trayconnect.config.yaml_tree import Mapping, Scalar, Sequence

_TUNNEL_KEYS = frozenset(Server.model_fields) - DIRECT_KEYS


class _PortUse(NamedTuple):
    port: int
    mark: Mark
    owner: str


def check_servers(servers: Iterable[Mapping], report: Report) -> None:
    """Report what is used twice, and entries that are neither or both of the two kinds."""
    known = list(servers)
    for server in known:
        _check_kind(server, report)
        _check_names(_forwards(server), report)
    _check_names(known, report)
    _check_ports(known, report)


def _check_kind(server: Mapping, report: Report) -> None:
    host, url = server.entries.get("host"), server.entries.get("url")
    if host and url:
        report.add(
            max(host.mark, url.mark),
            "an entry has either a host, for a tunnel, or a url, for a direct connection; not both",
        )
    elif url:
        for key, entry in server.entries.items():
            if key in _TUNNEL_KEYS:
                report.add(
                    entry.mark,
                    f"'{key}' has no meaning beside a url, which is a direct connection: remove it",
                )
    elif not host:
        report.add(
            server.mark,
            "this server has no host: add 'host: …', or 'url: …' for a direct connection",
        )


def _check_names(entries: Iterable[Mapping], report: Report) -> None:
    first: dict[str, Scalar] = {}
    for entry in entries:
        name = entry.get("name")
        if not isinstance(name, Scalar) or name.tag != TEXT:
            continue
        key = name_key(name.text)
        if key in first:
            report.add(name.mark, _used_twice(name, first[key]))
        else:
            first[key] = name


def _used_twice(name: Scalar, earlier: Scalar) -> str:
    if name.text == earlier.text:
        return f"the name {shown(name.text)} is used already, in line {earlier.mark.line}"
    return (
        f"the name {shown(name.text)} is too like {shown(earlier.text)} in line "
        f"{earlier.mark.line}: upper and lower case make no difference"
    )


def _check_ports(servers: Iterable[Mapping], report: Report) -> None:
    first: dict[int, _PortUse] = {}
    for use in _ports(servers):
        earlier = first.setdefault(use.port, use)
        if earlier is use:
            continue
        if earlier.mark == use.mark:
            words = f"would be that of both {earlier.owner} and {use.owner}: leave it out here"
        else:
            words = f"is that of {earlier.owner} already, in line {earlier.mark.line}"
        report.add(use.mark, f"local_port {use.port} {words}")


def _ports(servers: Iterable[Mapping]) -> Iterator[_PortUse]:
    for server in servers:
        owner = f"the server {_name(server)}"
        yield from _port(server, owner)
        for forward in _forwards(server):
            yield from _port(forward, f"the forward {_name(forward)} of {owner}")


def _port(entry: Mapping, owner: str) -> Iterator[_PortUse]:
    port = entry.get("local_port")
    number = port.data() if isinstance(port, Scalar) else None
    if port is not None and isinstance(number, int) and not isinstance(number, bool):
        yield _PortUse(number, port.mark, owner)


def _forwards(server: Mapping) -> list[Mapping]:
    forwards = server.get("forwards")
    if not isinstance(forwards, Sequence):
        return []
    return [forward for forward in forwards.items if isinstance(forward, Mapping)]


def _name(entry: Mapping) -> str:
    name = entry.get("name")
    return shown(name.text) if isinstance(name, Scalar) else "without a name"
