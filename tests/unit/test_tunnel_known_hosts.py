"""Our reader of known_hosts, with ssh-keygen as the judge."""

from __future__ import annotations

import base64
import logging
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trayconnect.tunnel.known_hosts import (
    HostKey,
    Verdict,
    host_name,
    known_types,
    lookup,
    matches,
    parse,
    read_file,
)
from trayconnect.tunnel.known_hosts_store import KnownHosts

FILE = Path("known_hosts")


def key(seed: int, kind: str = "ssh-ed25519") -> HostKey:
    name = kind.encode()
    body = bytes([seed]) * 32
    blob = len(name).to_bytes(4, "big") + name + len(body).to_bytes(4, "big") + body
    return HostKey(kind, blob)


def line(hosts: str, of: HostKey, marker: str = "") -> bytes:
    encoded = base64.b64encode(of.blob).decode()
    return f"{marker} {hosts} {of.type} {encoded}".strip().encode()


A, B = key(1), key(2)
RSA = key(3, "ssh-rsa")


def verdict(content: bytes, host: str = "gpu", port: int = 22, shown: HostKey = A) -> Verdict:
    return lookup(parse(content, FILE), host, port, shown).verdict


@pytest.mark.parametrize(
    ("content", "host", "port", "expected"),
    [
        (line("gpu", A), "gpu", 22, Verdict.MATCH),
        (line("gpu", A), "GPU", 22, Verdict.MATCH),
        (line("GPU", A), "gpu", 22, Verdict.MATCH),
        (line("gpu,10.0.0.1", A), "10.0.0.1", 22, Verdict.MATCH),
        (line("*.lab", A), "gpu.lab", 22, Verdict.MATCH),
        (line("gp?", A), "gpu", 22, Verdict.MATCH),
        (line("*,!gpu", A), "gpu", 22, Verdict.UNKNOWN),
        (line("!gpu", A), "gpu", 22, Verdict.UNKNOWN),
        (line("gpu.lab", A), "gpuxlab", 22, Verdict.UNKNOWN),
        (line("[gpu]:2222", A), "gpu", 2222, Verdict.MATCH),
        (line("[gpu]:2222", A), "gpu", 22, Verdict.UNKNOWN),
        (line("gpu", A), "gpu", 2222, Verdict.MATCH),
        (line("gpu", B), "gpu", 2222, Verdict.UNKNOWN),
        (line("gpu", B), "gpu", 22, Verdict.CHANGED),
        (line("gpu", B) + b"\n" + line("gpu", A), "gpu", 22, Verdict.MATCH),
        (line("gpu", RSA), "gpu", 22, Verdict.UNKNOWN),
        (line("gpu", A) + b"\n" + line("*", A, "@revoked"), "gpu", 22, Verdict.REVOKED),
        (line("gpu", A, "@revoked"), "gpu", 2222, Verdict.REVOKED),
        (line("gpu", B, "@revoked"), "gpu", 22, Verdict.UNKNOWN),
        (line("gpu", A, "@cert-authority"), "gpu", 22, Verdict.UNKNOWN),
        (line("gpu", B, "@cert-authority"), "gpu", 22, Verdict.UNKNOWN),
        (line("gpu", A) + b"\r", "gpu", 22, Verdict.MATCH),
        (b"\t " + line("gpu", A) + b" with a comment", "gpu", 22, Verdict.MATCH),
        (b"", "gpu", 22, Verdict.UNKNOWN),
    ],
)
def test_lookup(content: bytes, host: str, port: int, expected: Verdict) -> None:
    assert verdict(content, host, port) is expected


BAD_LINES = [
    b"gpu",
    b"gpu ssh-ed25519",
    b"gpu ssh-ed25519 !!!!",
    b"gpu ssh-ed25519 AAAA",
    line("gpu", A)[:-12],
    line("gpu", A).replace(b" ssh-ed25519 ", b" ssh-rsa "),
    b"@strange " + line("gpu", A),
    b"|1|c2FsdA== ssh-ed25519 AAAA",
    "gpü \xff".encode("latin-1") + b" x y",
    b"\0\0\0",
    b"@revoked",
]


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_costs_only_itself(bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    content = b"# comment\n" + bad + b"\n" + line("gpu", A)
    with caplog.at_level(logging.WARNING):
        assert verdict(content) is Verdict.MATCH
    assert "known_hosts, line 2: skipped" in caplog.text


def test_the_deciding_lines_are_named() -> None:
    found = lookup(parse(b"\n" + line("gpu", B), FILE), "gpu", 22, A)
    assert [(entry.line, entry.key, entry.place) for entry in found.entries] == [
        (2, B, "known_hosts, line 2")
    ]


def test_known_types() -> None:
    content = line("gpu", RSA) + b"\n" + line("gpu", A, "@cert-authority") + b"\n" + line("x", A)
    assert known_types(parse(content, FILE), "gpu", 22) == ("ssh-rsa",)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert verdict(data + b"\n" + line("gpu", A)) is Verdict.MATCH


names = st.text("abc.-1", min_size=1, max_size=8).filter(lambda text: text[0] not in "-.")
patterns = st.lists(
    st.text("abc.-1*?", min_size=1, max_size=8).flatmap(lambda t: st.sampled_from([t, t, "!" + t])),
    min_size=1,
    max_size=3,
)


def keygen_finds(path: Path, name: str) -> bool:
    command = ["ssh-keygen", "-F", name, "-f", str(path)]
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return bool(done.stdout.strip())


needs_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
as_oracle = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@needs_keygen
@as_oracle
@given(names, patterns, st.sampled_from([22, 2222]))
def test_patterns_as_ssh_keygen_sees_them(
    tmp_path: Path, host: str, hosts: list[str], port: int
) -> None:
    field = ",".join(hosts)
    path = tmp_path / "file"
    path.write_bytes(line(field, A) + b"\n")
    name = host_name(host, port)
    assert matches(field.encode(), name) == keygen_finds(path, name)


@needs_keygen
@settings(as_oracle, max_examples=15)
@given(st.lists(names, min_size=1, max_size=3, unique=True), names, st.sampled_from([22, 2222]))
def test_hashed_hosts_as_ssh_keygen_makes_them(
    tmp_path: Path, hosts: list[str], other: str, port: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"".join(line(host_name(host, port), A) + b"\n" for host in hosts))
    command = ["ssh-keygen", "-q", "-H", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    entries = read_file(path)
    assert len(entries) == len(hosts)
    assert all(entry.hosts.startswith(b"|1|") for entry in entries)
    for host in (*hosts, other):
        found = lookup(entries, host, port, A).verdict is Verdict.MATCH
        assert found == (host in hosts) == keygen_finds(path, host_name(host, port))


# --- adding -----------------------------------------------------------------------------------


def test_add_creates_a_private_file(tmp_path: Path) -> None:
    store = KnownHosts((), tmp_path / "a" / "b" / "known_hosts")
    store.add("gpu", 22, A)
    store.add("gpu", 2222, B)
    assert lookup(store.entries(), "gpu", 22, A).verdict is Verdict.MATCH
    assert lookup(store.entries(), "gpu", 2222, B).verdict is Verdict.MATCH
    assert stat.S_IMODE(store.own.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.own.parent.stat().st_mode) == 0o700


def test_add_keeps_what_is_there(tmp_path: Path) -> None:
    before = b"# mine\nbroken \xff line\n" + line("other", B)
    own = tmp_path / "known_hosts"
    own.write_bytes(before)
    store = KnownHosts((), own)
    store.add("gpu", 22, A)
    store.add("gpu", 22, A)
    assert own.read_bytes() == before + b"\n" + line("gpu", A) + b"\n"


def test_adding_at_once_from_many_threads(tmp_path: Path) -> None:
    store = KnownHosts((), tmp_path / "known_hosts")
    adders = [threading.Thread(target=store.add, args=(f"host{n % 10}", 22, A)) for n in range(20)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert sorted(store.own.read_bytes().splitlines()) == [line(f"host{n}", A) for n in range(10)]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    assert read_file(tmp_path / "missing") == ()
    assert read_file(tmp_path) == ()
    assert read_file(Path("/dev/null")) == ()
