"""Makes an entry of the server file from a command line of ssh, or a Host alias."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from trayconnect.config.forward_model import NO_REMOTE_PROXY, as_forward, keys_of, name_of, spec_of
from trayconnect.config.forward_syntax import ForwardEnd, ForwardSpec, Kind
from trayconnect.config.model import SAME_HOST, Config, name_key
from trayconnect.config.openssh_syntax import Jump
from trayconnect.config.ssh_command import SshCommand

_JUPYTER_PORTS = range(8888, 8900)
_LOWEST_LOCAL = 1024
_LONGEST_NAME = 80
_LOOPBACK = (None, "localhost", "127.0.0.1")
_KNOWN_PORTS = {3000: "Grafana", 4040: "Spark", 5000: "MLflow", 6006: "TensorBoard",
                8265: "Ray", 8787: "Dask", 9090: "Prometheus"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry as data; `notes` lists what was dropped, one line each, for people."""

    data: dict[str, object]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name in the menu."""
        return str(self.data["name"])


def from_command(command: SshCommand, config: Config, name: str | None = None) -> NewEntry:
    """The entry for a command line, to be added to the file `config`."""
    notes = list(command.notes)
    data: dict[str, object] = {
        "name": name or unique_name(command.host, _taken_names(config)),
        "host": command.host,
    }
    if command.port is not None:
        data["port"] = command.port
    if command.user is not None:
        data["username"] = command.user
    if command.identity_files:
        data["auth"] = {"identity_file": command.identity_files[0]}
        notes += [f"-i {path}: an entry takes one key file" for path in command.identity_files[1:]]
    if command.jumps is not None:
        data["jump_hosts"] = [_jump_text(jump) for jump in command.jumps]
    ports = _Ports(config, notes)
    page = jupyter_of(command.forwards)
    if page is not None:
        data |= _jupyter(page, ports, notes)
    if command.start is not None:
        data |= _start(command, data, notes)
    keepalive = {"interval": command.alive_interval, "count_max": command.alive_count_max}
    base = {key: value for key, value in keepalive.items() if value}
    if base:
        data["keepalive"] = base
    if command.connect_timeout:
        data["connect_timeout"] = command.connect_timeout
    others = [forward for forward in command.forwards if forward is not page]
    if kept_forwards := _forwards(others, ports, notes):
        data["forwards"] = kept_forwards
    return NewEntry(data, tuple(notes))


def from_aliases(
    hosts: Iterable[tuple[str, Sequence[ForwardSpec]]], config: Config
) -> list[NewEntry]:
    """The entries for Host aliases and their forwards. They name the hosts only: ssh_config(5)
    supplies the other options at each connection."""
    taken = _taken_names(config)
    entries = []
    for alias, forwards in hosts:
        entry: dict[str, object] = {"name": unique_name(alias, taken), "host": alias}
        page = jupyter_of(forwards)
        if page is not None and page.target is not None and _looks_like_jupyter(page):
            entry["jupyter"] = _page(page.target)
        entries.append(NewEntry(entry))
        taken.add(name_key(entries[-1].name))
    return entries


def jupyter_of(forwards: Iterable[ForwardSpec]) -> ForwardSpec | None:
    """The forward to Jupyter: the one with Jupyter's port, or the only one."""
    local = [
        forward
        for forward in forwards
        if forward.kind is Kind.LOCAL
        and forward.listen.path is None
        and forward.target is not None
        and forward.target.path is None
    ]
    likely = [forward for forward in local if _looks_like_jupyter(forward)]
    if likely:
        return likely[0]
    return local[0] if len(local) == 1 else None


def unique_name(base: str, taken: Collection[str]) -> str:
    """That name, or the name with a number if it is taken."""
    base = base[:_LONGEST_NAME]
    name, number = base, 1
    while name_key(name) in taken:
        number += 1
        suffix = f" {number}"
        name = base[: _LONGEST_NAME - len(suffix)] + suffix
    return name


def _taken_names(config: Config) -> set[str]:
    return {name_key(server.name) for server in config.servers}


def _looks_like_jupyter(forward: ForwardSpec) -> bool:
    return forward.target is not None and forward.target.port in _JUPYTER_PORTS


def _jump_text(jump: Jump) -> str:
    host = f"[{jump.host}]" if ":" in jump.host else jump.host
    user = f"{jump.user}@" if jump.user else ""
    return f"{user}{host}:{jump.port}" if jump.port else f"{user}{host}"


class _Ports:
    """The ports and sockets in use: whether one is free, and a note for each that is not."""

    def __init__(self, config: Config, notes: list[str]) -> None:
        self._notes = notes
        self._owners: dict[int | str | None, str] = {}
        self._at_server: set[ForwardEnd] = set()
        for server in config.servers:
            self._owners.setdefault(server.local_port, server.name)
            for forward in server.forwards:
                if forward.kind is not Kind.REMOTE:
                    place = forward.local_socket or forward.local_port
                    self._owners.setdefault(place, server.name)

    def reserve(self, place: int | str, otherwise: str) -> bool:
        """Whether a local port, or a socket's path, is free. If not, note that and the alternative
        `otherwise`."""
        description = (
            f"the local port {place}" if isinstance(place, int) else f"the local socket {place}"
        )
        if place in self._owners:
            owner = self._owners[place]
            has = f"“{owner}” has it" if owner else "it is used already"
            self._notes.append(f"{description}: {has}; {otherwise}")
        elif isinstance(place, int) and place < _LOWEST_LOCAL:
            self._notes.append(f"{description}: only root may listen there; {otherwise}")
        else:
            self._owners[place] = ""
            return True
        return False

    def reserve_for(self, forward: ForwardSpec) -> bool:
        """Whether that forward can listen. If not, note that."""
        listen = forward.listen
        if forward.kind is not Kind.REMOTE:
            return self.reserve(listen.path or listen.port, f"{forward.option} is left out")
        there = ForwardEnd(port=listen.port, path=listen.path)
        if there in self._at_server:
            self._notes.append(f"{forward.option}: another one listens there")
            return False
        if there != ForwardEnd():  # the server chooses the port
            self._at_server.add(there)
        return True

    def local(self, port: int) -> dict[str, object]:
        """`local_port`, or nothing to have one derived."""
        return {"local_port": port} if self.reserve(port, "another is chosen") else {}


def _is_loopback(host: str | None) -> bool:
    if host in _LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _jupyter(page: ForwardSpec, ports: _Ports, notes: list[str]) -> dict[str, object]:
    assert page.target is not None
    if not _is_loopback(page.listen.host):
        notes.append(
            f"the address {page.listen.host or '*'} to listen on: only this machine can connect; "
            "bind_address can admit others"
        )
    return {"jupyter": _page(page.target), **ports.local(page.listen.port)}


def _start(command: SshCommand, data: dict[str, object], notes: list[str]) -> dict[str, object]:
    """The options to start Jupyter, and the port that the command names for it."""
    found = data.get("jupyter")
    jupyter = found if isinstance(found, dict) else {}
    if jupyter.get("host", "localhost") not in SAME_HOST:
        notes.append("the command of Jupyter: it is started only on the server itself")
        return {}
    if command.start_port is not None:
        if not jupyter:
            jupyter = {"port": command.start_port}
        elif jupyter["port"] != command.start_port:
            notes.append(f"--port={command.start_port}: the forward leads to {jupyter['port']}")
    jupyter_data = {"jupyter": jupyter} if jupyter else {}
    return {**jupyter_data, "start": command.start or True}


def _page(target: ForwardEnd) -> dict[str, object]:
    if target.host in _LOOPBACK:
        return {"port": target.port}
    return {"host": target.host, "port": target.port}


def _forwards(forwards: Sequence[ForwardSpec], ports: _Ports, notes: list[str]) -> list[object]:
    names: set[str] = set()
    entries: list[object] = []
    for forward in dict.fromkeys(forwards):
        target = forward.target
        if fault := _fault(forward):
            notes.append(f"{forward.option}: {fault}")
        elif _is_plain(forward) and target is not None:
            name = _new_name(_KNOWN_PORTS.get(target.port, f"Port {target.port}"), names)
            host = {} if target.host in _LOOPBACK else {"host": target.host}
            local = ports.local(forward.listen.port)
            entries.append({"name": name, **local, **host, "port": target.port})
        elif ports.reserve_for(forward):
            entries.append(_entry(forward, names))
    return entries


def _fault(forward: ForwardSpec) -> str:
    """Why an entry cannot have it."""
    if forward.kind is Kind.REMOTE and forward.target is None:
        return NO_REMOTE_PROXY
    try:
        as_forward(forward, name_of(forward))
    except ValueError as error:
        return str(error)
    return ""


def _entry(forward: ForwardSpec, names: set[str]) -> object:
    """The forward in OpenSSH's syntax, if a file can hold that."""
    base = name_of(forward)
    name = _new_name(base, names)
    try:
        if name == base and spec_of(forward.kind, forward.option[3:]) == forward:
            return forward.option
    except ValueError:  # a space in a path
        pass
    return {"name": name, **keys_of(forward)}


def _new_name(base: str, names: set[str]) -> str:
    name = unique_name(base, names)
    names.add(name_key(name))
    return name


def _is_plain(forward: ForwardSpec) -> bool:
    """Whether it leads from a loopback port to a port."""
    target = forward.target
    return (
        forward.kind is Kind.LOCAL
        and forward.listen.path is None
        and _is_loopback(forward.listen.host)
        and target is not None
        and target.path is None
    )
