from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.systems import has_own_addresses, names_port_owners
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.forwarding import bind as module
from trayconnect.forwarding import port_owner
from trayconnect.forwarding.bind import bind_all, bind_tcp
from trayconnect.forwarding.port_owner import HeldPort, PortOwner, find_holder

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


@names_port_owners
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
    assert caught.value.problem.recovery is Recovery.FIX_FIRST
    assert isinstance(caught.value.__cause__, (OSError, UnicodeError))
    return caught.value.problem


@names_port_owners
def test_a_port_taken_names_who_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        problem = problem_of("127.0.0.1", port)
    assert f"Local port {port} of GPU box is taken by" in problem.title
    assert f"(PID {os.getpid()})" in problem.title
    assert "local_port" in problem.advice


@names_port_owners
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


def row(address: str, port: int = 80, listening: bool = True, pid: int | None = 1) -> HeldPort:
    return HeldPort(address, port, listening, pid)


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
            [row("127.0.0.1", listening=False), row("127.0.0.1", pid=2)],
            "127.0.0.1",
            row("127.0.0.1", pid=2),
        ),
        ([row("0.0.0.0"), row("::1")], "::1", row("::1")),
        ([row("0.0.0.0")], "::1", None),
        ([row("::"), row("127.0.0.1", pid=2)], "127.0.0.1", row("127.0.0.1", pid=2)),
        ([row("::ffff:127.0.0.1")], "127.0.0.1", row("::ffff:127.0.0.1")),
        ([row("::1")], "0.0.0.0", None),
        ([row("::1")], "::", row("::1")),
        ([], "127.0.0.1", None),
    ],
)
def test_who_keeps_an_address_from_being_bound(
    rows: list[HeldPort], address: str, expected: HeldPort | None
) -> None:
    assert find_holder(rows, address, 80) == expected


@pytest.mark.parametrize("pid", [None, 0])
def test_a_program_that_cannot_be_seen_is_told_by_its_user(
    monkeypatch: pytest.MonkeyPatch, pid: int | None
) -> None:
    """psutil sees the sockets of other users, and not their processes."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells the user of a socket")
    seen: list[tuple[Any, int | None]] = []
    monkeypatch.setattr(port_owner, "_connections", lambda: seen)
    import pwd

    import psutil

    user = pwd.getpwuid(os.getuid()).pw_name
    for address, family in (("127.0.0.1", socket.AF_INET), ("::", socket.AF_INET6)):
        with socket.create_server((address, 0), family=family) as other:
            seen[:] = [(found, pid) for found in psutil.net_connections("tcp")]
            told = port_owner.port_owner(address, other.getsockname()[1])
        assert told == PortOwner(user=user)


def test_a_search_for_the_owner_that_hangs_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on, searches = threading.Event(), []

    def hang() -> list[tuple[Any, int | None]]:
        searches.append(threading.current_thread())
        assert go_on.wait(60)
        return []

    monkeypatch.setattr(port_owner, "_connections", hang)
    monkeypatch.setattr(port_owner, "LIMIT", 0.2)
    assert port_owner.port_owner("127.0.0.1", 8888) == PortOwner()
    assert port_owner.port_owner("127.0.0.1", 8888) == PortOwner()
    go_on.set()
    for thread in searches:
        thread.join(60)
    assert len(searches) == 1


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        (PortOwner(4242, "jupyter-lab", "ada"), "jupyter-lab (PID 4242)"),
        (PortOwner(4242), "a program (PID 4242)"),
        (PortOwner(None, "", "bob"), "a program of the user bob"),
        (PortOwner(), "another program"),
        pytest.param(
            PortOwner(os.getpid(), "python3", "ada"),
            f"trayconnect itself (PID {os.getpid()})",
            id="trayconnect itself",
        ),
    ],
)
def test_an_owner_in_words(owner: PortOwner, words: str) -> None:
    assert str(owner) == words
