"""Which program holds a local TCP port, where the system tells."""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

_LIMIT = 3.0
"""Seconds after which the search is given up: a message without the name is worth more."""
_LISTEN = "0A"
_PROC = Path("/proc")
_WILDCARDS = frozenset(("0.0.0.0", "::", "*"))


@dataclass(frozen=True, slots=True)
class PortOwner:
    """Who holds a port; what could not be learnt is None or empty."""

    pid: int | None = None
    program: str = ""
    user: str = ""

    def __str__(self) -> str:
        """For a sentence: "jupyter-lab (PID 4242)"."""
        if self.pid == os.getpid():
            return f"trayconnect itself (PID {self.pid})"
        if self.pid is not None:
            return f"{self.program or 'a program'} (PID {self.pid})"
        return f"a program of the user {self.user}" if self.user else "another program"


def port_owner(address: str, port: int) -> PortOwner:
    """Who holds `port` so that it cannot be bound on the numeric `address`.

    Takes a few seconds at most, and never raises."""
    try:
        if sys.platform == "linux":
            owner = _ask_linux(address, port)
        elif sys.platform == "win32":
            owner = _ask_windows(address, port)
        else:
            command = ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-FpcLn"]
            owner = parse_lsof(_output(command), address)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _log.debug("cannot find out who holds port %s: %s", port, error)
        return PortOwner()
    return owner


# --- Linux ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SocketRow:
    """A line of /proc/net/tcp or tcp6 (proc(5)), as far as it matters here."""

    address: str
    port: int
    listening: bool
    uid: int
    inode: int


def parse_proc_net(text: str) -> Iterator[SocketRow]:
    """The sockets of a /proc/net/tcp or /proc/net/tcp6; those that no process owns are left out."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        packed, port = fields[1].split(":")
        words = [int(packed[at : at + 8], 16) for at in range(0, len(packed), 8)]
        family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
        address = socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))
        row = SocketRow(
            address, int(port, 16), fields[3] == _LISTEN, int(fields[7]), int(fields[9])
        )
        if row.inode:
            yield row


def find_holder(rows: list[SocketRow], address: str, port: int) -> SocketRow | None:
    """The socket that keeps `port` of `address` from being bound: a listening one if there is."""
    found = [row for row in rows if row.port == port and _meets(row.address, address)]
    return min(found, key=lambda row: (not row.listening, row.address != address), default=None)


def _meets(held: str, address: str) -> bool:
    """Whether a socket bound to `held` keeps `address` from being bound: it is the same, or one of
    the two is every address of a family. `::` may be every address of IPv4 as well."""
    held = held.removeprefix("::ffff:")
    if held == address:
        return True
    if (":" in held) == (":" in address):
        return not _WILDCARDS.isdisjoint((held, address))
    return held == "::"


def _ask_linux(address: str, port: int) -> PortOwner:
    rows = [
        row
        for table in ("tcp", "tcp6")
        if (path := _PROC / "net" / table).exists()
        for row in parse_proc_net(path.read_text("ascii"))
    ]
    holder = find_holder(rows, address, port)
    if holder is None:
        return PortOwner()
    pid = _process_with(holder.inode)
    program = (_PROC / str(pid) / "comm").read_text("utf-8", "replace").strip() if pid else ""
    return PortOwner(pid, program, _user_name(holder.uid))


def _process_with(inode: int) -> int | None:
    """The process that has the socket open; None if it is another user's."""
    wanted = f"socket:[{inode}]"
    deadline = time.monotonic() + _LIMIT
    for entry in os.scandir(_PROC):
        if not entry.name.isdecimal():
            continue
        if time.monotonic() > deadline:
            break
        try:
            for descriptor in os.scandir(_PROC / entry.name / "fd"):
                if os.readlink(descriptor.path) == wanted:  # noqa: PTH115 - not a path
                    return int(entry.name)
        except OSError:  # not ours to look at, or it just ended
            continue
    return None


def _user_name(uid: int) -> str:
    name = str(uid)
    if sys.platform != "win32":
        import pwd

        with contextlib.suppress(KeyError):
            name = pwd.getpwuid(uid).pw_name
    return name


# --- macOS and Windows ------------------------------------------------------------------------


def parse_lsof(text: str, address: str) -> PortOwner:
    """The process that keeps `address` from being bound, in the output of `lsof -FpcLn` about the
    listeners of one port (lsof(8), "OUTPUT FOR OTHER PROGRAMS")."""
    fields: dict[str, str] = {}
    found: list[tuple[bool, PortOwner]] = []
    for line in text.splitlines():
        if line.startswith("p"):
            fields = {}
        fields[line[:1]] = line[1:]
        held = line[1:].rpartition(":")[0].strip("[]")
        if line.startswith("n") and _meets(held, address):
            pid = int(fields["p"]) if "p" in fields else None
            owner = PortOwner(pid, fields.get("c", ""), fields.get("L", ""))
            found.append((held != address, owner))
    return min(found, key=lambda each: each[0], default=(False, PortOwner()))[1]


def parse_netstat(text: str, address: str, port: int) -> int | None:
    """The PID that keeps `port` of `address` from being bound, in the output of Windows'
    `netstat -ano`.

    The words for a state are translated there; a foreign port of 0 is what marks a listener."""
    listener = re.compile(rf"\s*TCP\s+(\S+):{port}\s+\S+:0\s+.*?(\d+)\s*")
    found = [
        (held != address, int(match[2]))
        for line in text.splitlines()
        if (match := listener.fullmatch(line))
        and _meets(held := match[1].strip("[]").partition("%")[0], address)
    ]
    return min(found, key=lambda each: each[0], default=(False, None))[1]


def parse_tasklist(text: str) -> str:
    """The program's name in the output of Windows' `tasklist /FO CSV /NH`."""
    for row in csv.reader(text.splitlines()):
        if len(row) > 1:  # else it is the sentence that says there is none
            return row[0]
    return ""


def _ask_windows(address: str, port: int) -> PortOwner:
    pid = parse_netstat(_output(["netstat", "-ano"]), address, port)
    if pid is None:
        return PortOwner()
    return PortOwner(
        pid, parse_tasklist(_output(["tasklist", "/FI", f"PID eq {pid}", "/FO", "CSV", "/NH"]))
    )


def _output(command: list[str]) -> str:
    flags, encoding = 0, "utf-8"
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW  # else one would flash up for each of them
        encoding = "oem"
    completed = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_LIMIT,
        check=False,
        encoding=encoding,
        errors="replace",
        creationflags=flags,
    )
    return completed.stdout
