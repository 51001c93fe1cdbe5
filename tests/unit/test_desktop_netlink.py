"""Real changes of the network, and noise."""

from __future__ import annotations

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.desktop.events import network
from trayconnect.desktop.events.network import RouteWatcher, source_addresses

LIMIT = 90.0
UP = network.IFF_UP | network.IFF_RUNNING | network.IFF_LOWER_UP


def message(kind: int, payload: bytes) -> bytes:
    padded = payload + bytes(-len(payload) % 4)
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, 1, 0) + padded


def link(flags: int, index: int = 2, kind: int = network.RTM_NEWLINK) -> bytes:
    return message(kind, struct.pack("=BxHiII", 0, 1, index, flags, 0xFFFFFFFF))


def address(text: str, index: int = 2, kind: int = network.RTM_NEWADDR) -> bytes:
    packed = socket.inet_aton(text)
    attribute = struct.pack("=HH", 4 + len(packed), 2) + packed
    return message(kind, struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, index) + attribute)


def route(table: int, kind: int = network.RTM_NEWROUTE) -> bytes:
    return message(kind, struct.pack("=BBBBBBBBI", 2, 0, 0, 0, table, 3, 0, 1, 0))


def changes(*datagrams: bytes) -> list[bool]:
    state = network.LinkState()
    return [state.feed(datagram) for datagram in datagrams]


def test_a_link_that_only_reports_a_scan_is_noise() -> None:
    assert changes(link(UP), link(UP), link(UP | 0x1000), link(1), link(UP)) == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_links_are_told_apart() -> None:
    assert changes(link(UP), link(UP, index=3), link(UP, kind=network.RTM_DELLINK)) == [True] * 3


def test_an_address_that_is_announced_again_is_noise() -> None:
    gone = address("10.0.0.1", kind=network.RTM_DELADDR)
    assert changes(
        address("10.0.0.1"),
        address("10.0.0.1"),
        address("10.0.0.2"),
        gone,
        address("10.0.0.1"),
    ) == [True, False, True, True, True]


def test_only_ordinary_routes_count() -> None:
    local = 255
    assert changes(route(network.RT_TABLE_MAIN), route(local)) == [True, False]
    assert changes(route(network.RT_TABLE_MAIN, network.RTM_DELROUTE)) == [True]


def test_several_messages_in_one_datagram() -> None:
    assert changes(link(UP), link(UP) + route(255) + address("10.0.0.1")) == [True, True]


@given(st.binary(max_size=200))
def test_garbage_never_raises(data: bytes) -> None:
    network.LinkState().feed(data)


@pytest.mark.parametrize("cut", range(1, 28))
def test_a_truncated_message_never_raises(cut: int) -> None:
    changes(address("10.0.0.1")[:-cut])


def test_the_route_watcher_reports_a_change_and_stops() -> None:
    looks = iter([("a",), ("a",), ("b",), ("b",), ()])
    changed = threading.Semaphore(0)
    watcher = RouteWatcher(lambda: changed.release(), 0.001, lambda: next(looks, ()))
    watcher.start()
    assert changed.acquire(timeout=LIMIT)
    assert changed.acquire(timeout=LIMIT)
    watcher.stop()
    assert not any(thread.name == "tc-network" for thread in threading.enumerate())
    assert not changed.acquire(blocking=False)


def test_looking_at_the_routes_is_stable() -> None:
    assert len(source_addresses()) == 2
    assert source_addresses() == source_addresses()
