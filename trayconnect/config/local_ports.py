"""The default local port of a server or forward: derived from its name, and so stable.

A browser keeps its logins by host and port, so the port of a server should be the same after a
restart, on another machine, and when other entries are added, removed or moved. It depends on the
names alone; if two names map to one port, the later one in the alphabet gets another."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Any

from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import name_key
from trayconnect.config.tools import TOOLS

FIRST, LAST = 20_000, 29_999
"""Below the ephemeral ports of Linux (from 32768) and of macOS and Windows (from 49152), and below
the node ports of Kubernetes (from 30000)."""

CAPACITY = 5_000
"""Number of ports that a file can have, derived and named ones together."""

WELL_KNOWN = frozenset(
    (
        20_000,  # DNP3, Usermin
        20_048,  # NFS mountd
        *range(21_115, 21_120),  # RustDesk
        22_000,  # Syncthing
        22_222,  # a common second port of sshd
        *(24_007, 24_008),  # GlusterFS
        24_224,  # Fluentd
        24_800,  # Synergy
        *(25_565, 25_575),  # Minecraft
        26_257,  # CockroachDB
        26_379,  # Redis Sentinel
        *range(27_000, 27_051),  # FlexLM, Steam, MongoDB
        *(28_015, 28_017),  # RethinkDB, MongoDB
        29_092,  # Kafka
        29_418,  # Gerrit
    )
)


def derive(keys: Iterable[str], taken: Collection[int]) -> dict[str, int]:
    """A port for each key: distinct ones, and not in `taken`.

    Raises ValueError beyond `CAPACITY`."""
    used = set(taken)
    ports: dict[str, int] = {}
    wanted = sorted(set(keys))
    if len(wanted) + len(used) > CAPACITY:
        raise ValueError(f"more than {CAPACITY} local ports")
    for key in wanted:
        attempt = 0
        port = _candidate(key, attempt)
        while port in used or port in WELL_KNOWN:
            attempt += 1
            port = _candidate(key, attempt)
        used.add(port)
        ports[key] = port
    return ports


def fill(servers: Iterable[Any]) -> None:
    """Give a port to every server and forward of the raw entries that names none.

    Entries that are no mappings are left to the type check. Raises ValueError beyond `CAPACITY`."""
    # A name contains no line break, so keys are distinct.
    wanted: list[tuple[str, dict[str, Any]]] = []
    taken: set[int] = set()
    for server in servers:
        if not isinstance(server, dict):
            continue
        own = name_key(str(server.get("name", "")))
        wanted.append((own, server))
        forwards = server.get("forwards")
        wanted += [
            (f"{own}\n{name_key(str(forward.get('name', '')))}", forward)
            for forward in (forwards if isinstance(forwards, list) else ())
            if isinstance(forward, dict) and _listens_on_a_port_here(forward)
        ]
    for _, entry in wanted:
        if isinstance(entry.get("local_port"), int):
            taken.add(entry["local_port"])
    missing = sorted(
        ((key, entry) for key, entry in wanted if "local_port" not in entry),
        key=lambda pair: pair[0],
    )
    for _, entry in missing:
        port = _port_of_tool(entry)
        if port is not None and port not in taken:
            taken.add(port)
            entry["local_port"] = port
    missing = [(key, entry) for key, entry in missing if "local_port" not in entry]
    ports = derive((key for key, _ in missing), taken)
    for key, entry in missing:
        entry["local_port"] = ports[key]


def _port_of_tool(forward: dict[str, Any]) -> int | None:
    """The local port that its tool requires, because the tool compares it with its own."""
    name, port = forward.get("tool"), forward.get("port")
    tool = TOOLS.get(name) if isinstance(name, str) else None
    wants = tool is not None and tool.same_port and type(port) is int and 1024 <= port <= 65535
    return port if wants else None


def _listens_on_a_port_here(forward: dict[str, Any]) -> bool:
    return forward.get("kind") != Kind.REMOTE and "local_socket" not in forward


def _candidate(key: str, attempt: int) -> int:
    text = f"{key}\0{attempt}" if attempt else key
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return FIRST + int.from_bytes(digest[:8]) % (LAST - FIRST + 1)
