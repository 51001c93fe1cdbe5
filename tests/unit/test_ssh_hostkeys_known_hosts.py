"""Our reader of known_hosts, with ssh-keygen as the judge."""

from __future__ import annotations

import base64
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.systems import has_modes
from tests.support.tunnel_kit import open_descriptors, until
from trayconnect.ssh.config.ssh_options import SshOptions
from trayconnect.ssh.hostkeys import known_hosts
from trayconnect.ssh.hostkeys.known_hosts import (
    CERT_AUTHORITY,
    HostKey,
    KnownHostsEntry,
    Verdict,
    find_marked,
    host_name,
    known_types,
    lookup,
    lookup_authority,
    matches,
    matches_pattern,
    names,
    parse,
    read_file,
)
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts

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
DSA = key(4, "ssh-dss")


def verdict(content: bytes, host: str = "gpu", port: int = 22, shown: HostKey = A) -> Verdict:
    return lookup(parse(content, FILE), names(host, port), shown).verdict


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
        (line("gpu", RSA), "gpu", 22, Verdict.CHANGED),
        (line("gpu", RSA) + b"\n" + line("gpu", A), "gpu", 22, Verdict.MATCH),
        (line("gpu", DSA), "gpu", 22, Verdict.CHANGED),
        (line("[gpu]:2222", B) + b"\n" + line("gpu", A), "gpu", 2222, Verdict.CHANGED),
        (line("[gpu]:2222", A) + b"\n" + line("gpu", A, "@revoked"), "gpu", 2222, Verdict.MATCH),
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
    known_hosts._reported.clear()
    with caplog.at_level(logging.WARNING):
        assert verdict(content) is Verdict.MATCH
        assert "known_hosts, line 2: skipped" in caplog.text
        caplog.clear()
        assert verdict(content) is Verdict.MATCH  # at each retry
        assert caplog.text == ""


def test_the_deciding_lines_are_named() -> None:
    found = lookup(parse(b"\n" + line("gpu", B), FILE), ("gpu",), A)
    assert [(entry.line, entry.key, entry.place) for entry in found.entries] == [
        (2, B, "known_hosts, line 2")
    ]


def test_known_types() -> None:
    content = line("gpu", RSA) + b"\n" + line("gpu", A, "@cert-authority") + b"\n" + line("x", A)
    assert known_types(parse(content, FILE), names("gpu", 22)) == ("ssh-rsa",)
    assert known_types(parse(content, FILE), names("gpu", 2222)) == ("ssh-rsa",)
    assert known_types(parse(content, FILE), names("y", 22)) == ()


@pytest.mark.parametrize(
    ("content", "port", "expected"),
    [
        (line("gpu", B, "@cert-authority"), 22, Verdict.MATCH),
        (line("gpu", B, "@cert-authority"), 2222, Verdict.MATCH),
        (line("[gpu]:2222", B, "@cert-authority"), 22, Verdict.UNKNOWN),
        (line("gpu", RSA, "@cert-authority"), 22, Verdict.UNKNOWN),
        (line("gpu", B), 22, Verdict.UNKNOWN),
        (line("gpu", A), 22, Verdict.UNKNOWN),
        (line("x", B, "@cert-authority"), 22, Verdict.UNKNOWN),
        (line("*", B, "@revoked") + b"\n" + line("gpu", B, "@cert-authority"), 22, Verdict.REVOKED),
        (line("gpu", B, "@cert-authority") + b"\n" + line("*", A, "@revoked"), 22, Verdict.REVOKED),
        (line("gpu", B, "@cert-authority") + b"\n" + line("x", A, "@revoked"), 22, Verdict.MATCH),
    ],
)
def test_lookup_of_an_authority(content: bytes, port: int, expected: Verdict) -> None:
    entries = tuple(parse(content, FILE))
    assert lookup_authority(entries, names("gpu", port), A, authority=B).verdict is expected


def test_an_authority_of_the_host_is_found() -> None:
    entries = tuple(parse(line("gpu", A) + b"\n" + line("*.lab", B, "@cert-authority"), FILE))
    assert find_marked(CERT_AUTHORITY, entries, ("gpu", "x.lab")) == entries[1]
    assert find_marked(CERT_AUTHORITY, entries, ("gpu",)) is None


@pytest.mark.parametrize(
    ("host", "port", "alias", "expected"),
    [
        ("GPU", 22, None, ("gpu",)),
        ("gpu", 2222, None, ("[gpu]:2222", "gpu")),
        ("::1", 2222, None, ("[::1]:2222", "::1")),
        ("gpu", 2222, "Lab", ("lab",)),
    ],
)
def test_names(host: str, port: int, alias: str | None, expected: tuple[str, ...]) -> None:
    assert names(host, port, alias) == expected


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (b"gpu", False),
        (b"gpu,10.0.0.1", False),
        (b"gp?", True),
        (b"a,!b", True),
        (b"|1|a|b*", False),
    ],
)
def test_what_is_a_pattern(hosts: bytes, *, expected: bool) -> None:
    assert KnownHostsEntry(FILE, 1, "", hosts, A).is_pattern is expected


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert verdict(data + b"\n" + line("gpu", A)) is Verdict.MATCH


@given(st.binary(max_size=200))
def test_a_line_is_never_half_believed(data: bytes) -> None:
    # Whatever stands in a line beside a key of somebody else, ours is not in it.
    assert verdict(data.replace(b"\n", b" ") + line("gpu", B)) is not Verdict.MATCH


# --- beside ssh-keygen ------------------------------------------------------------------------

hosts_shown = st.text("abc.-1", min_size=1, max_size=6).filter(lambda text: text[0] not in "-.")
pattern = st.text("abcABC.-1*?", min_size=1, max_size=6)
one_host = st.one_of(
    hosts_shown,
    hosts_shown.map(lambda host: f"[{host}]:2222"),
    pattern,
    pattern.map(lambda text: f"!{text}"),
    pattern.map(lambda text: f"[{text}]:2222"),
)
hosts_field = st.lists(one_host, min_size=1, max_size=3).map(",".join)
keys = st.sampled_from([A, B, RSA])
blank = st.sampled_from(["", " ", "\t", "  "])
good_line = st.builds(
    lambda indent, marker, hosts, of, comment, end: (
        indent.encode() + line(hosts, of, marker) + comment + end
    ),
    blank,
    st.sampled_from(["", "", "", "@revoked", "@cert-authority"]),
    hosts_field,
    keys,
    st.sampled_from([b"", b" ada@lab", " Zürich".encode("latin-1"), b"\t#", b"\0gpu " + b"x" * 9]),
    st.sampled_from([b"", b"", b"\r", b" "]),
)
odd_line = st.one_of(
    st.sampled_from([b"", b"# comment", b"#" + line("a", A), b"a", b"@revoked a", b"\0", b"\r"]),
    st.sampled_from([b"@new a " + line("b", A), b"a ssh-ed25519", b"\xff\xfe", b"x" * 5000]),
    st.builds(lambda of: line("a," + "x" * 1100, of), keys),
    st.binary(max_size=30).map(lambda data: b"#" + data.replace(b"\n", b"")),
)
files = st.lists(st.one_of(good_line, good_line, odd_line), min_size=1, max_size=8).map(b"\n".join)
good_files = st.lists(good_line, min_size=1, max_size=8).map(b"\n".join)
asked = st.tuples(hosts_shown, st.sampled_from([22, 2222]))


def keygen(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["ssh-keygen", *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout.decode("latin-1")


def keygen_finds(path: Path, name: str) -> list[tuple[int, str]]:
    """The lines that speak of a host, and their markers."""
    found = re.findall(r"^# Host .* found: line (\d+) ?(\w*)", keygen("-F", name, "-f", path), re.M)
    markers = {"": "", "CA": "@cert-authority", "REVOKED": "@revoked"}
    return [(int(number), markers[marker]) for number, marker in found]


def we_find(path: Path, name: str) -> list[tuple[int, str]]:
    return [(e.line, e.marker) for e in read_file(path) if matches(e.hosts, name)]


needs_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
as_oracle = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@needs_keygen
@as_oracle
@given(files, asked)
def test_files_as_ssh_keygen_reads_them(
    tmp_path: Path, content: bytes, asked: tuple[str, int]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content + b"\n")
    name = host_name(*asked)
    assert we_find(path, name) == keygen_finds(path, name)


@needs_keygen
@as_oracle
@given(good_files, asked)
def test_files_as_ssh_keygen_hashes_them(
    tmp_path: Path, content: bytes, asked: tuple[str, int]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content + b"\n")
    name = host_name(*asked)
    before = lookup(read_file(path), (name,), A).verdict
    keygen("-q", "-H", "-f", path)
    assert lookup(read_file(path), (name,), A).verdict is before
    plain = [e for e in read_file(path) if not e.marker and not e.is_pattern]
    assert all(e.hosts.startswith(b"|1|") for e in plain)
    assert we_find(path, name) == keygen_finds(path, name)


@needs_keygen
@as_oracle
@given(good_files, asked)  # it does not touch a file with a bad line
def test_what_ssh_keygen_removes_is_unknown_then(
    tmp_path: Path, content: bytes, asked: tuple[str, int]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content + b"\n")
    name = host_name(*asked)
    others = [e for e in read_file(path) if e.marker or not matches(e.hosts, name)]
    keygen("-R", name, "-f", path)
    left = read_file(path)
    assert [(e.marker, e.hosts, e.key) for e in left] == [
        (e.marker, e.hosts, e.key) for e in others
    ]
    assert lookup(left, (name,), B).verdict in (Verdict.UNKNOWN, Verdict.REVOKED)


# --- adding -----------------------------------------------------------------------------------


@has_modes
def test_add_creates_a_private_file(tmp_path: Path) -> None:
    store = KnownHosts((), tmp_path / "a" / "b" / "known_hosts")
    store.add("gpu", [A])
    store.add("[gpu]:2222", [B, RSA, B])
    assert lookup(store.entries(), ("gpu",), A).verdict is Verdict.MATCH
    assert lookup(store.entries(), ("[gpu]:2222",), B).verdict is Verdict.MATCH
    assert store.own is not None
    assert len(store.own.read_bytes().splitlines()) == 3
    assert stat.S_IMODE(store.own.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.own.parent.stat().st_mode) == 0o700


def test_add_keeps_what_is_there(tmp_path: Path) -> None:
    before = b"# mine\nbroken \xff line\n" + line("other", B)
    own = tmp_path / "known_hosts"
    own.write_bytes(before)
    store = KnownHosts((), own)
    store.add("gpu", [A])
    store.add("gpu", [A])
    assert own.read_bytes() == before + b"\n" + line("gpu", A) + b"\n"


def test_adding_at_once_from_many_threads(tmp_path: Path) -> None:
    store = KnownHosts((), tmp_path / "known_hosts")
    adders = [threading.Thread(target=store.add, args=(f"host{n % 10}", [A])) for n in range(20)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert store.own is not None
    assert sorted(store.own.read_bytes().splitlines()) == [line(f"host{n}", A) for n in range(10)]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    assert read_file(tmp_path / "missing") == ()
    assert read_file(tmp_path) == ()
    assert read_file(Path("/dev/null")) == ()


def test_files_that_ssh_config_names(tmp_path: Path) -> None:
    user, system, own, other = (tmp_path / name for name in ("user", "system", "own", "other"))
    store = KnownHosts((user,), own, (system,))
    assert store.under(SshOptions()) == store
    options = SshOptions(user_known_hosts_files=(other,), global_known_hosts_files=())
    assert store.under(options) == KnownHosts((other,), own)
    for path in (user, system, own, other):
        path.write_bytes(line(path.name, A))
    found = {e.hosts for e in store.under(options).entries()}
    assert found == {b"other", b"own"}


def test_a_file_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    import fcntl

    store = KnownHosts((), tmp_path / "known_hosts")
    store.add("old", [A])
    assert store.own is not None
    fresh = tmp_path / "fresh"
    fresh.write_bytes(line("kept", B) + b"\n")
    with store.own.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        adder = threading.Thread(target=store.add, args=("gpu", [A]))
        adder.start()
        opened = str(store.own)
        assert until(lambda: list(open_descriptors().values()).count(opened) == 2)
        # As ssh-keygen -R does it, while the other waits for the lock on the old file.
        fresh.replace(store.own)
    adder.join()
    assert store.own.read_bytes().splitlines() == [line("kept", B), line("gpu", A)]


@pytest.mark.parametrize("files", [(), (Path(os.devnull),)])
def test_without_a_file_of_the_user_nothing_is_kept(
    tmp_path: Path, files: tuple[Path, ...]
) -> None:
    own = tmp_path / "own"
    own.write_bytes(line("gpu", A))
    store = KnownHosts((), own).under(SshOptions(user_known_hosts_files=files))
    assert store.entries() == ()
    store.add("gpu", [B])
    assert own.read_bytes() == line("gpu", A)


ALPHABET = st.sampled_from("ab*?")


@given(st.text(st.sampled_from("ab"), max_size=8), st.text(ALPHABET, max_size=8))
def test_patterns_as_their_definition_has_it(text: str, pattern: str) -> None:
    def slowly(text: str, pattern: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return slowly(text, pattern[1:]) or bool(text and slowly(text[1:], pattern))
        return bool(text) and pattern[0] in ("?", text[0]) and slowly(text[1:], pattern[1:])

    assert matches_pattern(text, pattern) == slowly(text, pattern)


def test_many_stars_take_no_time() -> None:
    assert not matches_pattern("a" * 255, "*a" * 100 + "b")
    assert matches_pattern("a" * 255, "*a" * 100 + "*")
