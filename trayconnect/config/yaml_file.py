"""From a `servers.yaml` to its types, with all faults reported at once."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from trayconnect.config import local_ports
from trayconnect.config.batch_options import Lines
from trayconnect.config.checks import check_forwards, check_servers
from trayconnect.config.file_problems import (
    WHOLE_FILE,
    ConfigError,
    FileProblem,
    FileReport,
    Location,
)
from trayconnect.config.forward_entries import with_forwards
from trayconnect.config.model import DIRECT_KEYS, OWN_KEYS, Config, Server
from trayconnect.config.secret_keys import without_secrets
from trayconnect.config.validation import SECTIONS, TOP, unknown_key, validate
from trayconnect.config.yaml_messages import mark_of_offset
from trayconnect.config.yaml_tree import (
    BROKEN,
    MAX_SIZE,
    NULL,
    TEXT,
    KeyValue,
    Mapping,
    Node,
    Scalar,
    Sequence,
    compose,
    mapping,
)

MAX_BYTES = 1024 * 1024
_TOO_MANY = f"more than {local_ports.CAPACITY} servers and forwards"
_SWITCHES = ("start", "batch")
"""Keys whose `true` in a server means the value of the defaults."""
_WHOLE = ("environment",)
"""Mappings with mutually exclusive keys: a server's own mapping replaces that of the defaults."""


def load(path: Path) -> Config:
    """Read a file. Raises `ConfigError`, also if it does not exist."""
    return parse(read_text(path), path)


def parse(text: str, path: Path) -> Config:
    """Parse a text; `path` is only for messages. A text without servers is valid.

    Raises `ConfigError`."""
    report = FileReport(path)
    config = _config(text.removeprefix("\ufeff"), report)
    report.raise_if_any()
    return config or Config()


def _config(text: str, report: FileReport) -> Config | None:
    if len(text) > MAX_BYTES:
        report.add(WHOLE_FILE, f"larger than {MAX_BYTES // 1024} KiB, too much for servers")
        return None
    root = compose(text, report)
    if root is None or _is_empty(root):
        return None
    if not isinstance(root, Mapping):
        report.add(root.mark, "a server file begins with 'servers:', and a list below it")
        return None
    root = without_secrets(root, report)
    assert isinstance(root, Mapping)
    for key, entry in root.entries.items():
        if key not in SECTIONS[TOP]:
            report.add(entry.mark, unknown_key(key, TOP))
    defaults = _defaults(root, report)
    return _servers(root, defaults, report)


def _defaults(root: Mapping, report: FileReport) -> Mapping:
    node = root.get("defaults")
    if node is None or _is_empty(node):
        return mapping(root.mark, {})
    if not isinstance(node, Mapping):
        report.add(node.mark, "defaults must be a mapping of what servers share, such as keepalive")
        return mapping(root.mark, {})
    shared = _with_time(with_forwards(_usable_defaults(node, report), report))
    check_forwards(shared, report)
    # Validated separately, too: a fault is reported even if no server uses the value.
    server = {"name": "defaults", "host": "defaults", **shared.data()}
    if _fill_ports([server], shared.mark, report):
        validate(Server, server, shared, "defaults", report)
    return shared


def _servers(root: Mapping, defaults: Mapping, report: FileReport) -> Config | None:
    node = root.get("servers")
    if node is None or _is_empty(node):
        return None
    if not isinstance(node, Sequence):
        report.add(node.mark, "servers must be a list: begin each entry with '- name: …'")
        return None
    if len(node.items) > local_ports.CAPACITY:
        report.add(node.mark, _TOO_MANY)
        return None
    if node.size + len(node.items) * defaults.size > MAX_SIZE:
        report.add(node.mark, "too much for a server file, with what 'defaults' adds to each")
        return None
    merged: list[Node] = [
        _with_defaults(_with_time(with_forwards(item, report)), defaults)
        if isinstance(item, Mapping)
        else item
        for item in node.items
    ]
    check_servers([server for server in merged if isinstance(server, Mapping)], report)
    servers = Sequence(node.mark, tuple(merged))
    tree = mapping(root.mark, {"servers": KeyValue(root.entries["servers"].mark, servers)})
    data = tree.data()
    if not _fill_ports(data["servers"], node.mark, report):
        return None
    config = validate(Config, data, tree, TOP, report)
    for server, written in zip(config.servers if config else (), merged, strict=False):
        if server.batch is not None and isinstance(written, Mapping):
            server.batch.read_from(_lines(written.entries["batch"]))
    return config


def _lines(batch: KeyValue) -> Lines:
    entries = batch.value.entries if isinstance(batch.value, Mapping) else {}
    time = entries["time"].mark.line if "time" in entries else 0
    options = entries["options"].value if "options" in entries else None
    items = options.items if isinstance(options, Sequence) else ()
    return Lines(batch.mark.line, time, tuple(item.mark.line for item in items))


def _fill_ports(servers: list[object], mark: Location, report: FileReport) -> bool:
    try:
        local_ports.fill(servers)
    except ValueError:
        report.add(mark, _TOO_MANY)
        return False
    return True


def _is_empty(node: Node) -> bool:
    """Whether it is an empty value, as when every line below a key is a comment; or already
    reported."""
    return isinstance(node, Scalar) and node.tag in (NULL, BROKEN)


def _usable_defaults(defaults: Mapping, report: FileReport) -> Mapping:
    """The defaults without the keys that cannot be shared, which are reported."""
    for key in OWN_KEYS:
        if key in defaults.entries:
            report.add(
                defaults.entries[key].mark,
                f"'{key}' is not allowed in defaults: every server has its own",
            )
    shared = {key: entry for key, entry in defaults.entries.items() if key not in OWN_KEYS}
    return mapping(defaults.mark, shared)


def _with_defaults(server: Mapping, defaults: Mapping) -> Mapping:
    """The server with the defaults for its missing keys; mappings are merged key by key, lists are
    not.

    Every value keeps its location, so that a fault in the defaults is reported there."""
    if "url" in server.entries:
        direct = {key: entry for key, entry in defaults.entries.items() if key in DIRECT_KEYS}
        defaults = mapping(defaults.mark, direct)
    return _merge(server, defaults)


def _merge(over: Mapping, under: Mapping) -> Mapping:
    entries = dict(over.entries)
    for key, entry in under.entries.items():
        own = entries.get(key)
        if own is None or (key in _SWITCHES and _is_true(own.value)):
            entries[key] = entry
        elif (
            key not in _WHOLE
            and isinstance(own.value, Mapping)
            and isinstance(entry.value, Mapping)
        ):
            entries[key] = own._replace(value=_merge(own.value, entry.value))
    return mapping(over.mark, entries)


def _with_time(server: Mapping) -> Mapping:
    """The entry with the time limit of its `batch` as text: YAML reads 4:00:00 as a number in base
    60."""
    batch = server.entries.get("batch")
    if batch is None or not isinstance(batch.value, Mapping):
        return server
    time = batch.value.entries.get("time")
    if time is None or not isinstance(time.value, Scalar) or time.value.tag in (NULL, BROKEN):
        return server
    as_text = time._replace(value=replace(time.value, tag=TEXT))
    entries = mapping(batch.value.mark, batch.value.entries | {"time": as_text})
    return mapping(server.mark, server.entries | {"batch": batch._replace(value=entries)})


def _is_true(node: Node) -> bool:
    return isinstance(node, Scalar) and node.data() is True


def read_text(path: Path) -> str:
    """The text of a file. Raises `ConfigError`."""
    try:
        data = _bytes(path)
    except FileNotFoundError:
        advice = (
            'Start trayconnect, which begins one; or: trayconnect add "ssh ada@gpu.example.org"'
        )
        missing = FileProblem(path, *WHOLE_FILE, "there is no such file")
        raise ConfigError([missing], advice) from None
    except PermissionError as error:
        raise _whole(path, "may not be read: check its owner and permissions") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _whole(path, f"cannot be read: {getattr(error, 'strerror', '') or error}") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode().removeprefix("\ufeff")
        mark = mark_of_offset(before, len(before))
        message = "not UTF-8: save the file in the encoding UTF-8"
        raise ConfigError([FileProblem(path, *mark, message)]) from None


def _bytes(path: Path) -> bytes:
    # Without O_NONBLOCK, opening a pipe without a writer would block.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        data = _read_all(descriptor) if regular else b""
    finally:
        os.close(descriptor)
    if not regular:
        raise _whole(path, "not a regular file")
    if len(data) > MAX_BYTES:
        raise _whole(path, f"larger than {MAX_BYTES // 1024} KiB, too much for servers")
    return data


def _read_all(descriptor: int) -> bytes:
    """Read to the end, but not much further than `MAX_BYTES`."""
    chunks: list[bytes] = []
    size = 0
    while size <= MAX_BYTES and (chunk := os.read(descriptor, MAX_BYTES + 1)):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _whole(path: Path, message: str) -> ConfigError:
    return ConfigError([FileProblem(path, *WHOLE_FILE, message)])
