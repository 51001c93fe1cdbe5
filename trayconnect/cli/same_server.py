"""Finds an entry of the file that does what a new one would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from trayconnect.config.edit import as_text
from trayconnect.config.forward_model import Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import SAME_HOST, Config, Server
from trayconnect.config.new_entry import NewEntry
from trayconnect.config.yaml_file import parse
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.ssh.config.interpret import HostConfig
from trayconnect.ssh.config.jump_chain import resolve_hops
from trayconnect.ssh.config.ssh_options import Query

LookUp = Callable[[Query], HostConfig]
_Local = tuple[Endpoint | None, int | None]
"""The target of a local forward, and its local port; None: any port."""


def present_entry(entry: NewEntry, config: Config, look_up: LookUp) -> Server | None:
    """The server of `config` with the destination of `entry` (account, host, port, jump hosts) and
    all of its forwards. `entry` was made for an empty file, so that it has the ports that it names.
    """
    (wanted,) = parse("servers:\n" + as_text([entry]), Path("new")).servers
    for server in config.ssh_servers:
        if not _same_destination(wanted, server, look_up):
            continue
        elsewhere = {
            port
            for other in config.servers
            if other is not server
            for _, port in _locals(other, other.local_port)
        }
        if _has_forwards(wanted, entry, server, elsewhere):
            return server
    return None


def _same_destination(wanted: Server, server: Server, look_up: LookUp) -> bool:
    if (wanted.host, wanted.username, wanted.port, wanted.jump_hosts) == (
        server.host,
        server.username,
        server.port,
        server.jump_hosts,
    ):
        return True
    try:
        mine, theirs = resolve_hops(wanted, look_up), resolve_hops(server, look_up)
    except ProblemError:
        return False
    if len(mine) != len(theirs):
        return False
    for one, other in zip(mine, theirs, strict=True):
        a, b = one.config, other.config
        if (a.hostname, a.port, a.user) != (b.hostname, b.port, b.user):
            return False
        if a.options.proxy_command != b.options.proxy_command and len(mine) == 1:
            return False
    keys, others = _keys(wanted, mine[-1].config), _keys(server, theirs[-1].config)
    return not keys or not others or keys == others


def _keys(server: Server, config: HostConfig) -> tuple[Path, ...]:
    named = server.auth.identity_file
    return (named,) if named is not None else tuple(map(Path, config.options.identity_files))


def _has_forwards(
    wanted: Server, entry: NewEntry, server: Server, elsewhere: set[int | None]
) -> bool:
    derived = _derived(entry)
    asked = [
        (_plain(forward.leads_to), None if forward.name in derived else forward.local_port)
        for forward in wanted.forwards
        if _is_plain_local(forward)
    ]
    there = list(_locals(server, server.local_port))
    for leads, port in [*_page(wanted, _asked_port(entry)), *asked]:
        if not any(
            leads == their_target and (port is None or port == their_port or port in elsewhere)
            for their_target, their_port in there
        ):
            return False
    return _others(wanted) <= _others(server)


def _asked_port(entry: NewEntry) -> int | None:
    port = entry.data.get("local_port")
    return port if isinstance(port, int) else None


def _derived(entry: NewEntry) -> set[object]:
    """The names of forwards whose local port is derived."""
    forwards = entry.data.get("forwards", ())
    assert isinstance(forwards, list | tuple)
    return {one["name"] for one in forwards if isinstance(one, dict) and "local_port" not in one}


def _locals(server: Server, port: int | None) -> Iterator[_Local]:
    yield from _page(server, port)
    for forward in server.forwards:
        if _is_plain_local(forward):
            yield _plain(forward.leads_to), forward.local_port


def _page(server: Server, port: int | None) -> Iterator[_Local]:
    jupyter = server.jupyter
    if jupyter.socket is not None:
        yield UnixEndpoint(jupyter.socket), port
    elif jupyter.port != "auto":
        yield _plain(TcpEndpoint(jupyter.host, jupyter.port)), port


def _others(server: Server) -> set[tuple[Kind, Endpoint, Endpoint | None]]:
    return {
        (forward.kind, forward.listens(server.bind_address), _plain(forward.leads_to))
        for forward in server.forwards
        if not _is_plain_local(forward)
    }


def _is_plain_local(forward: Forward) -> bool:
    return forward.kind is Kind.LOCAL and forward.local_socket is None


def _plain(place: Endpoint | None) -> Endpoint | None:
    if isinstance(place, TcpEndpoint) and place.host in SAME_HOST:
        return TcpEndpoint("localhost", place.port)
    return place
