"""A report to paste into an issue: the machine, a server's session, and its part of the log,
without secrets. Pure, but for `system_lines`."""

from __future__ import annotations

import getpass
import importlib.metadata
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import trayconnect
from trayconnect.config.model import Server
from trayconnect.sessions.forwards import ForwardState
from trayconnect.sessions.snapshot import Snapshot

LOG_RECORDS = 60
"""Limit for the records of the log in a report."""
VIEW_RECORDS = 1000
"""The same for a window."""

_RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_SECRET = re.compile(r"(?i)\b(token|password|passphrase|_xsrf|code)=[^\s&\"']+")
_LIBRARIES = ("paramiko", "cryptography", "pystray", "Pillow", "keyring", "jeepney", "PyYAML")


def server_report(snapshot: Snapshot, log: str, system: Iterable[str]) -> str:
    """The report on one server; `log` is the whole log."""
    lines = [
        *system,
        "",
        f"Server “{snapshot.name}”",
        *(f"  {line}" for line in _server_lines(snapshot.server)),
        *(f"  {line}" for line in _session_lines(snapshot)),
        "",
        f"Log (the last {LOG_RECORDS} records of this server)",
        *(f"  {line}" for line in log_of(log, snapshot.name, LOG_RECORDS).splitlines()),
    ]
    return scrub("\n".join(lines)) + "\n"


def notes_text(snapshot: Snapshot) -> str:
    """The settings of ssh_config that have no effect here, and the banners of the servers."""
    return scrub("\n".join(_notes_lines(snapshot)).strip()) + "\n"


def system_lines() -> list[str]:
    """This program, its libraries, and the system it runs on."""
    versions = []
    for name in _LIBRARIES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:  # on this platform, or in a bundle
            continue
    python = platform.python_version()
    bundled = ", bundled" if getattr(sys, "frozen", False) else ""
    return [
        f"trayconnect {trayconnect.__version__}, Python {python}{bundled}, {platform.platform()}",
        ", ".join(versions),
    ]


def log_of(log: str, name: str, limit: int) -> str:
    """The last `limit` records that name a server, with their tracebacks."""
    records: list[list[str]] = []
    for line in log.splitlines():
        if _RECORD.match(line) or not records:
            records.append([line])
        else:
            records[-1].append(line)
    names = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)").search
    wanted = [record for record in records if names(record[0])]
    return "\n".join(line for record in wanted[-limit:] for line in record)


def scrub(text: str) -> str:
    """Remove passwords and tokens, and the path of the home folder."""
    text = _SECRET.sub(lambda match: f"{match[1]}=…", text)
    home = str(Path("~").expanduser())
    if len(home) > 1:
        text = text.replace(home, "~")
    return text


def _server_lines(server: Server) -> Iterator[str]:
    if server.url is not None:
        yield f"direct: {server.url}"
        return
    user = server.username or getpass.getuser()
    yield f"ssh: {user}@{server.host}, port {server.port}"
    for hop in server.jump_hosts:
        yield f"through: {hop.username or user}@{hop.host}, port {hop.port}"
    jupyter = server.jupyter
    yield (
        f"forward: {server.bind_address}:{server.local_port} -> {jupyter.host}:{jupyter.port}"
        f"{jupyter.path}"
    )
    if (start := server.start) is not None:
        where = start.environment or "the first environment with Jupyter"
        yield f"start: {start.app} in {start.folder}, {where}, when {start.when}"
    key = server.auth.identity_file
    yield f"login: {key or 'the default keys'}, password: {server.auth.password}"
    yield f"keepalive: {server.keepalive.interval:g} s, {server.keepalive.count_max} times"


def _session_lines(snapshot: Snapshot) -> Iterator[str]:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(snapshot.since))
    reached = f", reached {snapshot.level.label}" if snapshot.level else ""
    yield f"state: {snapshot.state.value}{reached}, since {since}, attempt {snapshot.attempt}"
    if snapshot.latency is not None:
        yield f"latency: {snapshot.latency * 1000:.1f} ms"
    if (moved := snapshot.traffic) is not None:
        mb = f"{moved.sent / 1e6:.1f} MB sent, {moved.received / 1e6:.1f} MB received"
        yield f"traffic: {moved.connections} open connections, {mb}"
    if snapshot.page is not None:
        yield f"page: {snapshot.page.url}"
    if snapshot.asking:
        yield "a question is open"
    problem = snapshot.problem
    if problem is not None:
        yield f"problem: {problem.title}"
        for line in problem.advice.splitlines():
            yield f"  {line}"
        for line in problem.detail.splitlines():
            yield f"  detail: {line}"
    for forward in snapshot.forwards:
        yield from _forward_lines(forward)
    for line in _notes_lines(snapshot):
        if line:
            yield line


def _forward_lines(forward: ForwardState) -> Iterator[str]:
    leads = f" -> {forward.leads_to}" if forward.leads_to else ""
    source = ", of ssh_config" if forward.is_of_ssh else ""
    carries = "up" if forward.is_up else "not up"
    yield f"{forward.kind} forward {forward.name}: {forward.listens}{leads}, {carries}{source}"
    if forward.problem is not None:
        yield f"  problem: {forward.problem.title}"
        for line in forward.problem.detail.splitlines():
            yield f"  detail: {line}"


def _notes_lines(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.notes:
        yield "These settings of your SSH configuration have no effect here:"
        yield from (f"  {note}" for note in snapshot.notes)
        yield ""
    if snapshot.banner:
        yield "Messages of the login:"
        yield from (f"  {line}".rstrip() for line in snapshot.banner.splitlines())
