"""Checks across entries of a file, which no type can express, and warnings about open ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from trayconnect.config.batch_options import System, option_faults
from trayconnect.config.file_problems import WHOLE_FILE, FileProblem, FileReport, Location
from trayconnect.config.forward_model import SHAPES, faults
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import is_loopback
from trayconnect.config.model import DIRECT_KEYS, SAME_HOST, Config, Server, name_key
from trayconnect.config.yaml_tree import TEXT, Mapping, Scalar, Sequence, mark_of, shown

_TUNNEL_KEYS = frozenset(Server.model_fields) - DIRECT_KEYS


class _Use(NamedTuple):
    """The use of a port, or of a socket's path."""

    key: str
    value: int | str
    mark: Location
    owner: str


def check_servers(servers: Iterable[Mapping], report: FileReport) -> None:
    """Report what is used twice, and entries that are neither an SSH server nor a direct
    connection, or both."""
    known = list(servers)
    for server in known:
        _check_kind(server, report)
        _check_jupyter(server, report)
        _check_start(server, report)
        _check_batch(server, report)
        check_forwards(server, report)
    _check_names(known, report)
    _check_uses(_uses_here(known), report)


def check_forwards(server: Mapping, report: FileReport) -> None:
    """Report faults in the forwards of one server, or of the defaults."""
    forwards = _forwards(server)
    _check_names(forwards, report)
    for forward in forwards:
        kind = _kind(forward)
        for fault in faults(kind, forward.entries) if kind else ():
            mark = forward.entries[fault.key].mark if fault.key else forward.mark
            report.add(mark, fault.message)
    _check_uses(_uses_there(forwards), report)


def _check_jupyter(server: Mapping, report: FileReport) -> None:
    jupyter = server.get("jupyter")
    if isinstance(jupyter, Mapping) and "socket" in jupyter.entries:
        for key in ("host", "port"):
            if key in jupyter.entries:
                report.add(
                    jupyter.entries[key].mark,
                    f"'{key}' has no meaning beside 'socket': remove one of them",
                )


def _check_start(server: Mapping, report: FileReport) -> None:
    start, jupyter = server.get("start"), server.get("jupyter")
    if start is None or not isinstance(jupyter, Mapping):
        return
    if isinstance(start, Scalar) and start.data() is not True:
        return
    host = jupyter.get("host")
    if isinstance(host, Scalar) and host.text not in SAME_HOST:
        report.add(
            server.entries["start"].mark,
            f"'start' is for the server itself, and Jupyter's host is {shown(host.text)}: remove "
            "one of them",
        )
    socket = start.get("socket") if isinstance(start, Mapping) else None
    port = jupyter.get("port")
    if not isinstance(socket, Scalar):
        return
    for word, beside in (
        ("always", isinstance(port, Scalar) and port.text != "auto" and "port"),
        ("never", "socket" in jupyter.entries and "socket"),
    ):
        if beside and socket.text == word:
            report.add(socket.mark, f"'socket: {word}' contradicts the {beside} of 'jupyter'")


def _check_batch(server: Mapping, report: FileReport) -> None:
    batch, start, jupyter = server.get("batch"), server.get("start"), server.get("jupyter")
    if batch is None or (isinstance(batch, Scalar) and batch.data() is not True):
        return
    for key in ("host", "port", "socket"):
        if isinstance(jupyter, Mapping) and key in jupyter.entries:
            report.add(
                jupyter.entries[key].mark,
                f"'{key}' has no meaning beside 'batch', which finds where the job's Jupyter "
                "listens: remove it",
            )
    if isinstance(start, Mapping):
        for key, instead in (("when", "'when' under 'batch'"), ("socket", "'reach' under 'batch'")):
            if key in start.entries:
                report.add(
                    start.entries[key].mark,
                    f"'{key}' of 'start' has no meaning beside 'batch': use {instead}",
                )
    if isinstance(batch, Mapping):
        _check_batch_options(batch, report)


def _check_batch_options(batch: Mapping, report: FileReport) -> None:
    system, reach, options = batch.get("system"), batch.get("reach"), batch.get("options")
    name = system.text if isinstance(system, Scalar) else "auto"
    if name == "gridengine" and isinstance(reach, Scalar) and reach.text == "srun":
        report.add(reach.mark, "'reach: srun' is for Slurm: Grid Engine has no srun")
    if not isinstance(options, Sequence):
        return
    words = [item.text if isinstance(item, Scalar) else "--_" for item in options.items]
    for index, fault in option_faults(words, _SYSTEMS.get(name)):
        report.add(options.items[index].mark, f"an entry of options {fault}")


_SYSTEMS: dict[str, System] = {"slurm": "slurm", "gridengine": "gridengine"}


def _check_kind(server: Mapping, report: FileReport) -> None:
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


def _check_names(entries: Iterable[Mapping], report: FileReport) -> None:
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
        f"the name {shown(name.text)} is too similar to {shown(earlier.text)} in line "
        f"{earlier.mark.line}: upper and lower case count as equal"
    )


def _check_uses(uses: Iterable[_Use], report: FileReport) -> None:
    first: dict[tuple[str, int | str], _Use] = {}
    for use in uses:
        earlier = first.setdefault((use.key, use.value), use)
        if earlier is use:
            continue
        if earlier.mark == use.mark:
            message = f"would be that of both {earlier.owner} and {use.owner}: leave it out here"
        else:
            message = f"is that of {earlier.owner} already, in line {earlier.mark.line}"
        report.add(use.mark, f"{use.key} {use.value} {message}")


def _uses_here(servers: Iterable[Mapping]) -> Iterator[_Use]:
    for server in servers:
        owner = f"the server {_name(server)}"
        yield from _use(server, "local_port", owner)
        for forward in _forwards(server):
            if _kind(forward) is not Kind.REMOTE:
                for key in SHAPES[Kind.LOCAL].listens:
                    yield from _use(forward, key, f"the forward {_name(forward)} of {owner}")


def _uses_there(forwards: Iterable[Mapping]) -> Iterator[_Use]:
    for forward in forwards:
        if _kind(forward) is Kind.REMOTE:
            for key in SHAPES[Kind.REMOTE].listens:
                yield from _use(forward, key, f"the forward {_name(forward)}")


def _use(entry: Mapping, key: str, owner: str) -> Iterator[_Use]:
    node = entry.get(key)
    value = node.data() if isinstance(node, Scalar) else None
    # A server may choose several ports, for which the file says 0.
    if node is not None and isinstance(value, int | str) and value and value is not True:
        yield _Use(key, value, node.mark, owner)


def _kind(forward: Mapping) -> Kind | None:
    """None: the value is no kind; the type check reports it."""
    node = forward.get("kind")
    if node is None:
        return Kind.LOCAL
    known = {kind.value: kind for kind in Kind}
    return known.get(node.text) if isinstance(node, Scalar) else None


def _forwards(server: Mapping) -> list[Mapping]:
    forwards = server.get("forwards")
    if not isinstance(forwards, Sequence):
        return []
    return [forward for forward in forwards.items if isinstance(forward, Mapping)]


def _name(entry: Mapping) -> str:
    name = entry.get("name")
    return shown(name.text) if isinstance(name, Scalar) else "without a name"


def open_port_warnings(config: Config, text: str, path: Path) -> tuple[FileProblem, ...]:
    """A warning for each `bind_address` of `config` that admits other computers; `text` was read
    from `path`."""
    found = []
    for index, server in enumerate(config.servers):
        if server.page_port is not None and not is_loopback(server.bind_address):
            mark = mark_of(text, index, "bind_address")
            message = _message(server.bind_address, f"the local ports of “{server.name}”")
            found.append(FileProblem(path, *mark, message))
        for number, forward in enumerate(server.forwards):
            address = forward.bind_address
            if forward.kind is Kind.REMOTE or address is None or is_loopback(address):
                continue
            mark = mark_of(text, index, "forwards", number, "bind_address")
            if mark == WHOLE_FILE:  # in OpenSSH's syntax
                mark = mark_of(text, index, "forwards", number)
            message = _message(address, f"“{forward.name}” of “{server.name}”")
            found.append(FileProblem(path, *mark, message))
    return tuple(found)


def _message(address: str, what: str) -> str:
    return (
        f"bind_address {address}: other computers can connect to {what}. Only this computer can "
        "with: localhost"
    )
