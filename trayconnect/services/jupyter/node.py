"""Finds the Jupyter servers of a compute node by their runtime files in the home that it shares.

The server cannot say who owns a listener of another host, nor whether its process lives. A runtime
file of this account that names the node and the port says that a Jupyter of this account was
started there; a regular end deletes it, a scheduler's kill leaves it. So its token goes to that
port only

- if the file is the newest that names this node and port,

- if what answers there is a Jupyter of exactly the version in the file (see `readiness`), and

- as long as the port has not been found closed while the file was there: a running Jupyter does not
refuse connections, so the file is stale until a newer one replaces it (see `health`).

This leaves another user who took the port of a killed Jupyter before the check, and pretends to be
of its version: that user gets the token of a Jupyter that has ended. The menu says that the owner
is not proven."""

from __future__ import annotations

import ipaddress
import re
import shlex
from contextlib import suppress
from urllib.parse import urlsplit

from trayconnect.core import sanitize
from trayconnect.services.jupyter import discovery
from trayconnect.services.jupyter.discovery import (
    TOKEN,
    VERSION_LENGTH,
    Discovery,
    Execute,
    RunningServer,
    decoded,
    line_of,
    slashed,
    text,
)

_BEGIN = "@@trayconnect node 1"
_FILE = re.compile(r".*/(?:jp|nb)server-([0-9]{1,18})\.json")


def find_at_node(execute: Execute, host: str, node: str) -> Discovery:
    """Search the account for Jupyters of a node; see `discovery.find`."""
    script = f"node={shlex.quote(node)}\n{discovery.script('node.sh')}"
    return parse(discovery.run(execute, host, script, _BEGIN), node)


def parse(output: str, node: str) -> Discovery:
    """Read the output of `node.sh`; what is malformed is skipped."""
    report = output.replace("\r", "").rpartition(f"\n{_BEGIN}\n")[2]
    head, *blocks = report.split("\n@@file ")
    names = {node, *line_of(f"\n{head}", "addresses").split()}
    found: dict[int, RunningServer] = {}
    for block in blocks:
        server = _server(block, node, names)
        if server is not None:
            found.setdefault(server.port, server)
    return Discovery(tuple(found.values()), home=line_of(head, "home"))


def _server(block: str, node: str, names: set[str]) -> RunningServer | None:
    path, _, rest = block.partition("\n")
    said, ends, _ = rest.partition("\n@@end")
    match = _FILE.fullmatch(path)
    info = decoded(said) if ends else None
    if match is None or info is None or info.get("sock"):
        return None
    named = {text(info, "hostname"), _host(text(info, "url"))} - {""}
    port = info.get("port")
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        return None
    if not any(is_same(name, one) for name in names for one in named):
        return None
    token = text(info, "token")
    version = sanitize.line(text(info, "version"), VERSION_LENGTH)
    return RunningServer(
        host=node,
        port=port,
        # Only the version distinguishes it from another one.
        token=token if version and TOKEN.fullmatch(token) else "",
        base_url=slashed(text(info, "base_url")),
        root_dir=text(info, "root_dir") or text(info, "notebook_dir"),
        secure=info.get("secure") is True,
        pid=int(match[1]),
        is_elsewhere=True,
        version=version,
        is_classic="notebook_dir" in info,
    )


def _host(url: str) -> str:
    with suppress(ValueError):
        return urlsplit(url).hostname or ""
    return ""


def is_same(one: str, other: str) -> bool:
    """Whether two names mean one host: a short name matches any domain."""
    one, other = (name.lower().rstrip(".") for name in (one, other))
    if one == other or _is_address(one) or _is_address(other):
        return one == other
    (first, _, domain), (second, _, elsewhere) = one.partition("."), other.partition(".")
    return first == second and not (domain and elsewhere)


def _is_address(name: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False
