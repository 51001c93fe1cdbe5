"""Whose a listener and a connection is, by the kernel's table and by folders."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.core.link import Owner
from trayconnect.ssh.owners import (
    Account,
    Address,
    Path,
    Socket,
    connection,
    connection_to_name,
    half_made,
    is_settled,
    listener,
    path,
    sockets,
)

ADA, EVE, ROOT = 1001, 1002, 0
ACCOUNT = Account(ADA, ADA, 1000, "proc", little_endian=True)
PORT = 8888
OURS, OTHERS, SYSTEM, UNKNOWN, NOBODY = (
    Owner.OURS,
    Owner.OTHERS,
    Owner.SYSTEM,
    Owner.UNKNOWN,
    Owner.NOBODY,
)


def at(host: str = "127.0.0.1", port: int = PORT) -> Address:
    return ip_address(host), port


def listens(uid: int, host: str = "127.0.0.1") -> Socket:
    return Socket(at(host), at("0.0.0.0", 0), listens=True, uid=uid, inode=7)


def pair(
    far: int, *, near: int = ADA, accepted: bool = True, near_port: int = 40000
) -> list[Socket]:
    """A connection from the SSH server to the port, whose far end user `far` has."""
    return [
        Socket(at(port=near_port), at(), listens=False, uid=near, inode=8),
        Socket(at(), at(port=near_port), listens=False, uid=far, inode=9 if accepted else 0),
    ]


def connecting(host: str = "127.0.0.1", port: int = PORT) -> Socket:
    near = at(port=40001) if ":" not in host else at("::1", 40001)
    return Socket(near, at(host, port), listens=False, uid=ADA, inode=5, is_connecting=True)


def half(near: int, port: int = 40002) -> Socket:
    """The near end of a connection."""
    return Socket(at(port=port), at(), listens=False, uid=near, inode=6, is_established=True)


def test_connections_that_lack_their_far_end() -> None:
    far = Socket(at(), at(port=40002), listens=False, uid=0, inode=0)
    strangers = half(EVE, 40005)
    table = [listens(ADA), *pair(ADA), half(ADA), half(ROOT, 40003), strangers, connecting()]
    assert half_made(table, ACCOUNT, [at()]) == {at(port=40002), at(port=40003)}
    assert half_made([*table, far], ACCOUNT, [at()]) == {at(port=40003)}
    assert half_made(table, ACCOUNT, [at("::1")]) == frozenset()


@pytest.mark.parametrize(
    ("table", "source", "settled"),
    [
        ([listens(ADA)], "proc", True),
        ([listens(ADA), *pair(ADA)], "proc", True),
        ([listens(ADA), *pair(ADA, accepted=False)], "proc", True),
        # Its listener may be replaced before the next SYN, a second later.
        ([listens(ADA), connecting()], "proc", False),
        ([listens(ADA), *pair(ADA), connecting()], "proc", False),
        ([listens(ADA), connecting("::1"), connecting(port=PORT + 1)], "proc", True),
        # It may be made to another listener, by its first byte.
        ([listens(ADA), *pair(ADA), half(ADA)], "proc", False),
        ([listens(ADA), *pair(ADA), half(EVE)], "proc", True),
        ([listens(ADA)], "with_lsof", False),
        ([listens(ADA)], "with_sockstat", False),
    ],
)
def test_a_table_is_settled_once_no_connection_is_being_made(
    table: list[Socket], source: str, settled: bool
) -> None:
    assert is_settled(table, replace(ACCOUNT, source=source), at()) is settled


def test_a_connection_that_is_being_made_is_recognized() -> None:
    lines = [
        "socket 0100007F:9C41 0100007F:22B8 02 1001 8",
        "socket 0100007F:9C42 0100007F:22B8 01 1001 9",
    ]
    found = sockets(lines, ACCOUNT)
    assert found is not None
    assert [(one.is_connecting, one.is_established) for one in found] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("table", "host", "owner"),
    [
        ([], "127.0.0.1", NOBODY),
        ([listens(ADA)], "127.0.0.1", OURS),
        ([listens(EVE)], "127.0.0.1", OTHERS),
        ([listens(ROOT)], "127.0.0.1", SYSTEM),
        ([listens(65534)], "127.0.0.1", OTHERS),
        # The most specific one gets it.
        ([listens(ADA), listens(EVE, "0.0.0.0")], "127.0.0.1", OURS),
        ([listens(EVE), listens(ADA, "0.0.0.0")], "127.0.0.1", OTHERS),
        ([listens(ADA, "0.0.0.0"), listens(EVE, "::")], "127.0.0.1", OURS),
        ([listens(EVE, "::")], "127.0.0.1", OTHERS),
        ([listens(ADA, "::")], "127.0.0.1", OURS),
        ([listens(ADA, "::")], "::1", OURS),
        ([listens(ADA, "0.0.0.0")], "::1", NOBODY),
        ([listens(EVE, "127.0.0.2")], "127.0.0.1", NOBODY),
        # Of equals, all count.
        ([listens(ADA), listens(EVE)], "127.0.0.1", OTHERS),
        ([listens(ADA), listens(ROOT)], "127.0.0.1", SYSTEM),
    ],
)
def test_who_gets_a_connection(table: list[Socket], host: str, owner: Owner) -> None:
    assert listener(table, ACCOUNT, at(host)) is owner


@pytest.mark.parametrize(
    ("table", "owner"),
    [
        ([listens(ADA), *pair(ADA)], OURS),
        ([listens(ADA), *pair(ROOT, accepted=False)], OURS),
        ([listens(ADA), *pair(ADA, accepted=False)], OURS),
        # An SSH server that stays root.
        ([listens(ADA), *pair(ADA, near=ROOT)], OURS),
        # Accepted by a stranger, who left the port to ours.
        ([listens(ADA), *pair(EVE)], OTHERS),
        ([listens(ADA), *pair(EVE, accepted=False)], OTHERS),
        ([listens(ADA), *pair(ROOT)], SYSTEM),
        ([listens(ADA), *pair(ADA), *pair(EVE, near_port=40001)], OTHERS),
        # A stranger's talk to himself is nobody's business, and no proof.
        ([listens(ADA), *pair(ADA), *pair(EVE, near=EVE, near_port=40001)], OURS),
        ([listens(ADA), *pair(ADA, near=EVE)], UNKNOWN),
        # Nothing is seen of it: another network's.
        ([listens(ADA)], UNKNOWN),
        ([], UNKNOWN),
        ([listens(EVE)], OTHERS),
        # Gone meanwhile.
        (pair(EVE)[:1], NOBODY),
        (pair(EVE), OTHERS),
        ([listens(ROOT), *pair(ROOT)], SYSTEM),
        ([listens(ROOT), *pair(EVE)], OTHERS),
    ],
)
def test_whose_a_connection_is(table: list[Socket], owner: Owner) -> None:
    assert connection(table, ACCOUNT, at()) is owner


def test_an_address_that_may_be_another_hosts() -> None:
    """The same port of this host says nothing of it, until the connection is seen here."""
    place = at("10.0.0.5")
    near = Socket(at("10.0.0.9", 40000), place, listens=False, uid=ADA, inode=8)
    far = Socket(place, at("10.0.0.9", 40000), listens=False, uid=EVE, inode=9)
    assert connection([listens(EVE, "0.0.0.0"), near], ACCOUNT, place) is UNKNOWN
    assert connection([listens(EVE, "0.0.0.0"), near, far], ACCOUNT, place) is OTHERS
    assert connection_to_name([near], ACCOUNT, PORT) is UNKNOWN
    assert connection_to_name([near, far], ACCOUNT, PORT) is OTHERS
    assert connection_to_name(pair(ADA), ACCOUNT, PORT) is UNKNOWN
    # Not accepted yet: older kernels name no user.
    waits = [near, replace(far, uid=ROOT, inode=0)]
    assert connection_to_name([listens(EVE, "0.0.0.0"), *waits], ACCOUNT, PORT) is OTHERS
    assert connection_to_name([listens(ADA, "0.0.0.0"), *waits], ACCOUNT, PORT) is UNKNOWN
    assert connection_to_name([listens(EVE, "127.0.0.9"), *waits], ACCOUNT, PORT) is UNKNOWN


_UIDS = st.sampled_from([ROOT, 33, ADA, EVE, 65534])
_HOSTS = st.sampled_from(["127.0.0.1", "0.0.0.0", "::", "::1", "127.0.0.9"])


@given(
    st.lists(st.builds(listens, _UIDS, _HOSTS), max_size=4),
    st.lists(
        st.builds(
            pair,
            _UIDS,
            near=_UIDS,
            accepted=st.booleans(),
            near_port=st.integers(40000, 40009),
        ),
        max_size=4,
    ),
)
def test_ours_is_only_what_no_stranger_has(
    listeners: list[Socket], pairs: list[list[Socket]]
) -> None:
    table = [*listeners, *(one for two in pairs for one in two)]
    if connection(table, ACCOUNT, at()) is OURS:
        assert any(one.uid == ADA for one in listeners)
        for near, far in pairs:
            if near.uid in (ADA, ROOT, 33):
                assert far.uid == ADA or (far.uid, far.inode) == (ROOT, 0)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("1001 - 1000 proc 1 -", 1000),
        ("1001 - - proc 1 -", 1000),
        ("1001 - 500 proc 1 -", 500),
        ("1001 - 60000 proc 1 -", 1000),
        ("501 20 - with_lsof 1 -", 500),
        ("0 0 1000 proc 256 -", 1000),
    ],
)
def test_where_people_begin(words: str, first: int) -> None:
    account = Account.read(words.split())
    assert account is not None
    assert account.first_person == first


ROW = "0100007F:0016,0200007F:9C40,0"
MAPPED = "0000000000000000FFFF00000100007F:0016,0000000000000000FFFF00000200007F:9C40,0"
SIX = "B80D0120000000000000000001000000:0016,B80D0120000000000000000002000000:9C40,0"


@pytest.mark.parametrize(
    ("network", "here"),
    [
        (f"127.0.0.2,40000,127.0.0.1,22 {ROW}", True),
        (f"127.0.0.2,40000,127.0.0.1,22 {MAPPED}", True),
        (f"2001:db8::2,40000,2001:db8::1%eth0,22 {SIX}", True),
        (f"127.0.0.2,40000,127.0.0.1,22 {ROW.replace('02', '03')} {ROW}", True),
        (f"127.0.0.2,40000,127.0.0.1,22 {ROW[:-1]}{ADA}", True),
        ("below", True),
        # Another user may have made one that looks like it.
        (f"127.0.0.2,40000,127.0.0.1,22 {ROW[:-1]}{EVE}", False),
        (f"127.0.0.3,40000,127.0.0.1,22 {ROW}", False),
        (f"127.0.0.2,40000,127.0.0.3,22 {ROW}", False),
        (f"127.0.0.2,40001,127.0.0.1,22 {ROW}", False),
        (f"127.0.0.2,40000,127.0.0.1,23 {ROW}", False),
        (f"127.0.0.1,22,127.0.0.2,40000 {ROW}", False),
        ("127.0.0.2,40000,127.0.0.1,22", False),
        ("-", False),
        (f"- {ROW}", False),
        (f"x,y,z,w {ROW}", False),
        (f"UNKNOWN,65535,UNKNOWN,65535 {ROW}", False),
    ],
)
def test_whether_commands_run_in_the_network_of_the_server(network: str, here: bool) -> None:
    account = Account.read(f"{ADA} - 1000 proc 1 {network}".split())
    assert account is not None
    assert account.is_elsewhere is not here


@pytest.mark.parametrize(
    ("network", "here"),
    [("10.0.0.1,40000,10.0.0.2,22", True), ("-", False), ("UNKNOWN,65535,UNKNOWN,65535", False)],
)
def test_where_no_table_lists_the_connection_to_the_server(network: str, here: bool) -> None:
    account = Account.read(f"501 - - with_lsof 1 {network}".split())
    assert account is not None
    assert account.is_elsewhere is not here


@pytest.mark.parametrize(
    "words",
    ["", "x - 1000 proc 1 -", "1 2 3", "1 2 3 4 5", "1 2 3 proc 1 127.0.0.1,1,127.0.0.1,2 7"],
)
def test_an_account_that_cannot_be_read(words: str) -> None:
    assert Account.read(words.split()) is None


def test_the_lines_of_the_script() -> None:
    line = "socket 0100007F:22B8 00000000:0000 0A 1001 7"
    assert sockets([line], ACCOUNT) == (listens(ADA),)
    mapped = "socket 0000000000000000FFFF00000100007F:22B8 " + "0" * 32 + ":0000 0A 1001 7"
    assert sockets([mapped], ACCOUNT) == (
        Socket(at(), (ip_address("::"), 0), listens=True, uid=ADA, inode=7),
    )
    for broken in ("socket", "x", "socket 01:22B8 00000000:0000 0A 1001 7"):
        assert sockets([line, broken], ACCOUNT) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "*", "[::]"])
def test_what_lsof_shows_is_ours_alone(host: str) -> None:
    account = Account(501, None, 500, "with_lsof", little_endian=True)
    table = sockets([f"listener 501 {host}:8888"], account)
    assert table is not None
    assert connection(table, account, at()) is OURS
    assert connection((), account, at()) is UNKNOWN
    assert connection(table, account, at("10.0.0.5")) is UNKNOWN


def test_what_sockstat_shows_is_everybodys() -> None:
    account = Account(1001, None, 1000, "with_sockstat", little_endian=True)
    for uid, owner in ((1001, OURS), (1002, OTHERS), (0, SYSTEM)):
        table = sockets([f"listener {uid} 127.0.0.1:8888", "listener 1002 ::1:8888"], account)
        assert table is not None
        assert connection(table, account, at()) is owner


# --- UNIX sockets -------------------------------------------------------------------------------

AT = "at /run/é/s"
ROOTS = "place 2 drwxr-xr-x 0 0"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], Path(NOBODY)),
        ([AT, ROOTS, "place 5 srwxr-xr-x 1001 1001"], Path(OURS, 5, "/run/é/s")),
        (
            [AT, ROOTS, "place 3 drwxrwxrwt 0 0", "place 5 srwxr-xr-x 1001 1001"],
            Path(OURS, 5, "/run/é/s"),
        ),
        (
            [AT, ROOTS, "place 3 drwxrwxrwx 0 0", "place 5 srwxr-xr-x 1001 1001"],
            Path(UNKNOWN, 5, is_open=True),
        ),
        (
            [
                AT,
                ROOTS,
                "place 3 drwxr-x--- 1001 1001",
                "place 4 drwxrwxrwx 1001 1001",
                "place 5 srwxr-xr-x 1001 1001",
            ],
            Path(UNKNOWN, 5),
        ),
        (
            [AT, ROOTS, "place 3 drwxrwxrwx 0 0", "place 5 srwxr-xr-x 0 0"],
            Path(SYSTEM, 5, is_open=True),
        ),
        (
            [AT, ROOTS, "place 3 drwxrwxr-x 1001 1001", "place 5 srwxr-xr-x 1001 1"],
            Path(OURS, 5, "/run/é/s"),
        ),
        ([AT, ROOTS, "place 3 drwxrwxr-x 1001 100", "place 5 srwxr-xr-x 1001 1"], Path(UNKNOWN, 5)),
        (
            [AT, ROOTS, "place 3 drwxr-xr-x 1002 1002", "place 5 srwxr-xr-x 1001 1"],
            Path(UNKNOWN, 5),
        ),
        ([AT, ROOTS, "place 5 srwxr-xr-x 1002 1002"], Path(OTHERS, 5)),
        ([AT, ROOTS, "place 5 srwxr-xr-x 0 0"], Path(SYSTEM, 5)),
        ([AT, ROOTS, "place 5 -rwxr-xr-x 1001 1001"], Path(UNKNOWN, 5)),
        (["link"], Path(UNKNOWN)),
        (["at /a", "b", ROOTS, "place 5 srwxr-xr-x 1001 1001"], Path(UNKNOWN)),
        (["at /\ufffd", ROOTS, "place 5 srwxr-xr-x 1001 1001"], Path(UNKNOWN, 5)),
        ([f"at /{'é' * 52}", ROOTS, "place 5 srwxr-xr-x 1001 1001"], Path(UNKNOWN, 5)),
        ([AT, ROOTS, "place 5"], Path(UNKNOWN)),
    ],
)
def test_whose_a_path_is(lines: list[str], found: Path) -> None:
    assert path(lines, ACCOUNT) == found


@pytest.mark.skipif(sys.platform == "win32", reason="a script of sh")
def test_a_host_without_awk_cannot_tell(tmp_path: pathlib.Path) -> None:
    """On Linux, a program that lists the sockets of another network must not stand in for it."""
    (tmp_path / "lsof").touch(0o755)
    for program in ("id", "od", "tr", "ls"):
        found = shutil.which(program)
        assert found is not None
        (tmp_path / program).symlink_to(found)
    script = files("trayconnect.ssh").joinpath("owners.sh").read_text()
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        stdin=subprocess.DEVNULL,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    first = done.stdout.partition("@@trayconnect owners 1 ")[2].splitlines()[0]
    account = Account.read(first.split())
    assert account is not None
    assert account.source == ("-" if sys.platform == "linux" else "with_lsof")
