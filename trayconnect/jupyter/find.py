"""The Jupyter servers that run at the far end, found by one remote command."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Protocol

from trayconnect.jupyter.listens import Listens
from trayconnect.ports import Completed

TIMEOUT = 10.0
"""Seconds for the whole search; on loopback it takes 0.05."""

_BEGIN = "@@trayconnect find 1"
_SOCKET = "@@sock\n"
_PID = re.compile(r"[0-9]{1,18}")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Execute(Protocol):
    """See `trayconnect.ports.Tunnel.execute`."""

    def __call__(self, command: str, stdin: bytes, timeout: float) -> Completed: ...


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A Jupyter server of this account, as its runtime file and its listening socket tell."""

    host: str
    """The address it listens on, as seen from its own host."""
    port: int
    token: str = field(repr=False)
    """Empty if it asks for none, or if nothing proves that the port is still its own."""
    base_url: str
    """Begins and ends with a slash."""
    root_dir: str
    secure: bool
    """Whether it speaks https."""
    pid: int
    version: str
    socket: str = ""
    """The path of the UNIX socket it listens on, and then on no port."""


def find(execute: Execute) -> tuple[RunningServer, ...]:
    """The running servers: first those in the folder that the login's environment names
    (`JUPYTER_RUNTIME_DIR`), then the others; the newest first.

    Empty also when the far end has no POSIX shell. Raises `ProblemError` as `execute` does.
    """
    script = files("trayconnect.jupyter").joinpath("find.sh").read_bytes()
    completed = execute("exec sh", script.replace(b"\r\n", b"\n"), TIMEOUT)
    return parse(completed.stdout.decode("utf-8", "replace"))


def parse(output: str) -> tuple[RunningServer, ...]:
    """Read what `find.sh` printed; whatever is odd about it is skipped."""
    found: dict[int, RunningServer] = {}
    for pid, listens, text in _blocks(output):
        is_ours = text.startswith(_SOCKET)
        server = _server(pid, listens, text.removeprefix(_SOCKET), socket_is_ours=is_ours)
        if server is not None:
            # The same folder may have two names.
            found.setdefault(server.pid, server)
    return tuple(found.values())


def _blocks(output: str) -> Iterator[tuple[int, Listens, str]]:
    """Each process's number, listening addresses and runtime file."""
    _, _, report = output.replace("\r", "").partition(f"\n{_BEGIN}\n")
    head, *blocks = report.split("\n@@server ")
    little_endian = "@@order 256" not in head
    for block in blocks:
        pid, _, rest = block.partition("\n@@listens ")
        listens, _, rest = rest.partition("\n")
        text, end, _ = rest.partition("\n@@end")
        if end and _PID.fullmatch(pid):
            yield int(pid), Listens.read(listens.split(), little_endian=little_endian), text


def _server(pid: int, listens: Listens, text: str, *, socket_is_ours: bool) -> RunningServer | None:
    """Judge one runtime file; None if it is stale, broken, or of a server on nothing of its own.

    The host is the very address of its socket rather than "localhost": on [::1] the same port
    may belong to a stranger, who would be given the token.
    """
    try:
        info = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(info, dict) or info.get("pid", pid) != pid:
        return None
    if info.get("sock"):
        return _on_socket(pid, info) if socket_is_ours else None
    port = info.get("port")
    if port == 0 and len({number for _, number in listens.addresses}) == 1:
        # Notebook 6 notes the port it was asked for.
        port = listens.addresses[0][1]
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        return None
    host = listens.host(port) if listens.known else "localhost"
    if host is None:
        return None
    return _described(pid, info, host, port, proven=listens.known)


def _on_socket(pid: int, info: dict[object, object]) -> RunningServer | None:
    path = posixpath.normpath(_text(info, "sock"))
    if not path.startswith("/"):
        return None
    return _described(pid, info, "localhost", 0, proven=True, socket=path)


def _described(
    pid: int,
    info: dict[object, object],
    host: str,
    port: int,
    *,
    proven: bool,
    socket: str = "",
) -> RunningServer:
    """`proven`: what listens there is this process, so that it may have its token."""
    token = info.get("token")
    is_token = isinstance(token, str) and _TOKEN.fullmatch(token)
    return RunningServer(
        host=host,
        port=port,
        token=str(token) if proven and is_token else "",
        base_url=_slashed(_text(info, "base_url")),
        root_dir=_text(info, "root_dir") or _text(info, "notebook_dir"),
        secure=info.get("secure") is True,
        pid=pid,
        version=_text(info, "version"),
        socket=socket,
    )


def _text(info: dict[object, object], key: str) -> str:
    value = info.get(key)
    return value if isinstance(value, str) and value.isprintable() else ""


def _slashed(path: str) -> str:
    inner = path.strip("/")
    return f"/{inner}/" if inner else "/"
