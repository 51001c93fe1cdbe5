from __future__ import annotations

import errno
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.forwarding import free_port
from trayconnect.errors import Problem, ProblemError, Remedy
from trayconnect.forward import bind as module
from trayconnect.forward.bind import bind_tcp, is_local
from trayconnect.forward.port_owner import (
    Owner,
    Row,
    find_holder,
    parse_lsof,
    parse_netstat,
    parse_proc_net,
    parse_tasklist,
)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("::", False)],
)
def test_an_address_is_bound(address: str, loopback: bool) -> None:
    with bind_tcp(address, free_port(), "box") as listening:
        assert is_local(listening) is loopback
        assert not listening.getblocking()


def test_the_wildcard_is_no_loopback() -> None:
    with bind_tcp("0.0.0.0", free_port("0.0.0.0"), "box") as listening:
        assert not is_local(listening)


def test_a_port_in_time_wait_is_no_obstacle() -> None:
    port = free_port()
    with bind_tcp("127.0.0.1", port, "box") as listening:
        client = socket.create_connection(("127.0.0.1", port))
        listening.setblocking(True)
        accepted, _ = listening.accept()
        accepted.close()  # first, so that TIME_WAIT is on this side
        client.close()
    bind_tcp("127.0.0.1", port, "box").close()


def problem_of(address: str, port: int) -> Problem:
    with pytest.raises(ProblemError) as caught:
        bind_tcp(address, port, "GPU box")
    assert caught.value.problem.remedy is Remedy.FIX
    assert isinstance(caught.value.__cause__, (OSError, UnicodeError))
    return caught.value.problem


def test_a_port_taken_names_who_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        problem = problem_of("127.0.0.1", port)
    assert f"Local port {port} of GPU box is taken by" in problem.title
    assert f"(PID {os.getpid()})" in problem.title
    assert "local_port" in problem.advice


def test_one_that_listens_on_every_address_has_it_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        problem = problem_of("127.0.0.1", other.getsockname()[1])
    assert f"(PID {os.getpid()})" in problem.title


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "no such address", "x" * 300])
def test_an_address_of_somebody_else(address: str) -> None:
    problem = problem_of(address, free_port())
    assert address in problem.title
    assert "127.0.0.1" in problem.advice


@pytest.mark.parametrize(
    ("code", "title", "advice"),
    [
        (errno.EACCES, "Local port 80 of box is not allowed", "above 1023"),
        (errno.EPERM, "Local port 80 of box is not allowed", "above 1023"),
        (errno.EMFILE, "Local port 80 of box cannot be opened", "oo many open files"),
        (errno.EAFNOSUPPORT, "bind_address", "127.0.0.1"),
    ],
)
def test_what_else_the_system_may_say(code: int, title: str, advice: str) -> None:
    problem = module._problem(OSError(code, "no"), "127.0.0.1", "127.0.0.1", 80, "box")
    assert title in problem.title
    assert advice in problem.advice


# --- who holds a port ---------------------------------------------------------------------------

PROC_NET_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0
   1: 0100007F:22B8 0100007F:9C40 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0
"""
PROC_NET_TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 3 0 5
"""


def test_proc_net_tcp_is_read() -> None:
    assert list(parse_proc_net(PROC_NET_TCP)) == [
        Row("127.0.0.1", 8888, listening=True, uid=1000, inode=4711),
        Row("0.0.0.0", 22, listening=True, uid=0, inode=99),
    ]
    assert list(parse_proc_net(PROC_NET_TCP6)) == [Row("::1", 80, listening=True, uid=3, inode=5)]


def row(address: str, port: int = 80, listening: bool = True, inode: int = 1) -> Row:
    return Row(address, port, listening, 0, inode)


@pytest.mark.parametrize(
    ("rows", "address", "expected"),
    [
        ([row("127.0.0.1")], "127.0.0.1", row("127.0.0.1")),
        ([row("0.0.0.0")], "127.0.0.1", row("0.0.0.0")),
        ([row("::")], "127.0.0.1", row("::")),
        ([row("127.0.0.1")], "0.0.0.0", row("127.0.0.1")),
        ([row("127.0.0.2")], "127.0.0.1", None),
        ([row("127.0.0.1", port=81)], "127.0.0.1", None),
        ([row("127.0.0.1", listening=False)], "127.0.0.1", row("127.0.0.1", listening=False)),
        (
            [row("127.0.0.1", listening=False), row("127.0.0.1", inode=2)],
            "127.0.0.1",
            row("127.0.0.1", inode=2),
        ),
        ([], "127.0.0.1", None),
    ],
)
def test_who_keeps_an_address_from_being_bound(
    rows: list[Row], address: str, expected: Row | None
) -> None:
    assert find_holder(rows, address, 80) == expected


NETSTAT = """\

Aktive Verbindungen

  Proto  Lokale Adresse         Remoteadresse          Status           PID
  TCP    0.0.0.0:135            0.0.0.0:0              ABHÖREN         1044
  TCP    127.0.0.1:8888         127.0.0.1:50001        HERGESTELLT     7
  TCP    127.0.0.1:8888         0.0.0.0:0              ABHÖREN         4242
  TCP    127.0.0.1:18888        0.0.0.0:0              ABHÖREN         1
  TCP    [::1]:9999             [::]:0                 ABHÖREN         5
  UDP    0.0.0.0:8888           *:*                                    6
"""


@pytest.mark.parametrize(("port", "pid"), [(135, 1044), (8888, 4242), (9999, 5), (888, None)])
def test_netstat_is_read_in_any_language(port: int, pid: int | None) -> None:
    assert parse_netstat(NETSTAT, port) == pid


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ('"jupyter-lab.exe","4242","Console","1","52.100 K"\n', "jupyter-lab.exe"),
        ("INFO: No tasks are running which match the specified criteria.\n", ""),
        ("", ""),
    ],
)
def test_tasklist_is_read(text: str, program: str) -> None:
    assert parse_tasklist(text) == program


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("p4242\ncpython3.1\nLada\nf12\np4243\ncother\n", Owner(4242, "python3.1", "ada")),
        ("", Owner()),
    ],
)
def test_lsof_is_read(text: str, owner: Owner) -> None:
    assert parse_lsof(text) == owner


@given(st.text())
def test_any_output_of_the_tools_is_survived(text: str) -> None:
    parse_netstat(text, 80)
    parse_tasklist(text.replace("\0", ""))


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        (Owner(4242, "jupyter-lab", "ada"), "jupyter-lab (PID 4242)"),
        (Owner(4242), "a program (PID 4242)"),
        (Owner(None, "", "bob"), "a program of the user bob"),
        (Owner(), "another program"),
        pytest.param(
            Owner(os.getpid(), "python3", "ada"),
            f"trayconnect itself (PID {os.getpid()})",
            id="trayconnect itself",
        ),
    ],
)
def test_an_owner_in_words(owner: Owner, words: str) -> None:
    assert str(owner) == words
