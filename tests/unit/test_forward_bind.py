from __future__ import annotations

import errno
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.forwarding import free_port
from tests.support.systems import has_netstat, has_own_addresses
from trayconnect.config.endpoints import TcpEndpoint
from trayconnect.errors import Problem, ProblemError, Remedy
from trayconnect.forward import bind as module
from trayconnect.forward.bind import bind_all, bind_tcp
from trayconnect.forward.port_owner import (
    Owner,
    Row,
    find_holder,
    parse_lsof,
    parse_netstat,
    parse_proc_net,
    parse_tasklist,
)

OTHER = pytest.param("127.9.9.9", marks=has_own_addresses)


@pytest.mark.parametrize("address", ["127.0.0.1", OTHER, "::1", "0.0.0.0", "::"])
def test_an_address_is_bound_and_no_other(address: str) -> None:
    with bind_tcp(address, free_port(), "box") as listening:
        assert listening.getsockname()[0] == address
        assert not listening.getblocking()


def places(*addresses: str) -> list[TcpEndpoint]:
    port = free_port()
    return [TcpEndpoint(address, port) for address in addresses]


@has_own_addresses
def test_all_are_bound() -> None:
    where = places("127.0.0.1", "::1", "127.9.9.9")
    all_bound = bind_all(where, "box")
    assert [bound.socket.getsockname()[:2] for bound in all_bound] == [
        (one.host, one.port) for one in where
    ]
    for bound in all_bound:
        bound.socket.close()


def test_an_address_that_this_computer_lacks_is_left_out() -> None:
    where = places("127.0.0.1", "2001:db8::1", "192.0.2.1", "::1")
    all_bound = bind_all(where, "box")
    assert [bound.socket.getsockname()[0] for bound in all_bound] == ["127.0.0.1", "::1"]
    for bound in all_bound:
        bound.socket.close()
    with pytest.raises(ProblemError, match="not an address of this computer"):
        bind_all(places("192.0.2.1", "127.0.0.1"), "box")


@has_netstat
@pytest.mark.parametrize("address", ["::1", OTHER])
def test_all_or_nothing_and_where_it_is_taken_is_said(address: str) -> None:
    where = places("127.0.0.1", "::1", "127.9.9.9")
    port = where[0].port
    with socket.create_server(
        (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET
    ):
        with pytest.raises(ProblemError) as caught:
            bind_all(where, "box")
        shown = "[::1]" if address == "::1" else address
        title = caught.value.problem.title
        assert title.startswith(f"Local port {port} of box is taken by ")
        assert title.endswith(f"(PID {os.getpid()}) on {shown}")
    for bound in bind_all(where, "box"):  # nothing was left bound
        bound.socket.close()


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


@has_netstat
def test_a_port_taken_names_who_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        problem = problem_of("127.0.0.1", port)
    assert f"Local port {port} of GPU box is taken by" in problem.title
    assert f"(PID {os.getpid()})" in problem.title
    assert "local_port" in problem.advice


@has_netstat
def test_one_that_listens_on_every_address_has_it_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        problem = problem_of("127.0.0.1", other.getsockname()[1])
    assert f"(PID {os.getpid()})" in problem.title


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "no such address", "x" * 300])
def test_an_address_of_somebody_else(address: str) -> None:
    problem = problem_of(address, free_port())
    assert address in problem.title
    assert "localhost" in problem.advice


@pytest.mark.parametrize(
    ("code", "title", "advice"),
    [
        (errno.EACCES, "Local port 80 of box is not allowed", "above 1023"),
        (errno.EPERM, "Local port 80 of box is not allowed", "above 1023"),
        (errno.EMFILE, "Local port 80 of box cannot be opened", "oo many open files"),
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
        ([row("0.0.0.0"), row("::1")], "::1", row("::1")),
        ([row("0.0.0.0")], "::1", None),
        ([row("::"), row("127.0.0.1", inode=2)], "127.0.0.1", row("127.0.0.1", inode=2)),
        ([row("::ffff:127.0.0.1")], "127.0.0.1", row("::ffff:127.0.0.1")),
        ([row("::1")], "0.0.0.0", None),
        ([row("::1")], "::", row("::1")),
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


@pytest.mark.parametrize(
    ("address", "port", "pid"),
    [
        ("127.0.0.1", 135, 1044),
        ("127.0.0.1", 8888, 4242),
        ("::1", 9999, 5),
        ("127.0.0.1", 9999, None),
        ("127.0.0.1", 888, None),
        ("::1", 135, None),
    ],
)
def test_netstat_is_read_in_any_language(address: str, port: int, pid: int | None) -> None:
    assert parse_netstat(NETSTAT, address, port) == pid


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
    ("address", "owner"),
    [
        ("127.0.0.1", Owner(4242, "python3.1", "ada")),
        ("127.0.0.2", Owner(4243, "other", "bob")),
        ("::1", Owner(4244, "third", "eve")),
    ],
)
def test_lsof_is_read(address: str, owner: Owner) -> None:
    text = (
        "p4243\ncother\nLbob\nf7\nn*:8888\n"
        "p4242\ncpython3.1\nLada\nf12\nn127.0.0.1:8888\n"
        "p4244\ncthird\nLeve\nf3\nn[::1]:8888\n"
    )
    assert parse_lsof(text, address) == owner
    assert parse_lsof("", address) == Owner()


@given(st.text())
def test_any_output_of_the_tools_is_survived(text: str) -> None:
    parse_netstat(text, "::1", 80)
    parse_lsof(text, "127.0.0.1")
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
