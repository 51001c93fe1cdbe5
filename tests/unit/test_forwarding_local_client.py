from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.forwarding.local_client import LocalClient, PendingConnections
from trayconnect.forwarding.peer_uid import Peers

_NOT_LOOKED_AT = socket.socket()
_NOT_LOOKED_AT.close()


def client(
    deadline: float = 1.0, forward: int = 0, sock: socket.socket = _NOT_LOOKED_AT
) -> LocalClient:
    return LocalClient(sock, ("127.0.0.1", 1), forward, deadline, Peers(None))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        yield here, there


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2))), st.sets(st.integers(0, 2)))
def test_everyone_leaves_once_and_in_the_order_of_arrival(
    arrivals: list[tuple[int, int]], forwards: set[int]
) -> None:
    holding = PendingConnections()
    clients = [client(deadline, forward) for deadline, forward in arrivals]
    for each in clients:
        assert holding.add(each) == []
    by_deadline = sorted(clients, key=lambda each: each.deadline)

    assert holding.release(forwards) == [each for each in by_deadline if each.forward in forwards]
    rest = [each for each in by_deadline if each.forward not in forwards]
    assert holding.next_deadline() == (rest[0].deadline if rest else None)
    assert holding.expire(25) == [each for each in rest if each.deadline <= 25]
    assert holding.clear() == [each for each in rest if each.deadline > 25]
    assert len(holding) == 0


def test_one_that_comes_back_is_before_those_that_came_later() -> None:
    holding = PendingConnections()
    first, second = client(1.0), client(2.0)
    holding.add(first)
    holding.add(second)
    assert holding.release({0}) == [first, second]
    holding.add(second)
    holding.add(first)
    assert holding.clear() == [first, second]


def test_the_number_is_bounded(pair: tuple[socket.socket, socket.socket]) -> None:
    here, _ = pair
    holding = PendingConnections(limit=1)
    held, late = client(1.0, sock=here), client(2.0)
    assert holding.add(held) == []
    assert holding.add(late) == [late]
    assert holding.clear() == [held]


def test_those_that_hung_up_make_room(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    holding = PendingConnections(limit=1)
    gone, late = client(1.0, sock=here), client(2.0)
    holding.add(gone)
    there.close()
    assert holding.add(late) == [gone]
    assert holding.clear() == [late]


def test_what_was_sent_is_not_lost_by_looking(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    held = client(sock=here)
    assert not held.has_hung_up()
    there.sendall(b"GET")
    assert not held.has_hung_up()
    assert here.recv(10) == b"GET"
