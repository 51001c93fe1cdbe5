"""Channels to listeners that must be proven the account's own."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, cast

import pytest

from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.link import NotOursError, Owner
from trayconnect.ssh.own_channels import OwnChannels
from trayconnect.ssh.owners import Account, Socket
from trayconnect.ssh.ownership import NotAnsweredError, Ownership

ADA = 1001
HERE = ipaddress.ip_address("127.0.0.1")
TARGET = TcpEndpoint("127.0.0.1", 8888)
ACCOUNT = Account(ADA, None, 1000, "proc", little_endian=True)
LISTENER = Socket((HERE, 8888), (HERE, 0), listens=True, uid=ADA, inode=1)


def connection(near: int, *, whole: bool) -> list[Socket]:
    """A connection of the SSH server to the listener; without its far end, unless it is whole."""
    end = Socket(
        (HERE, near), (HERE, 8888), listens=False, uid=ADA, inode=near, is_established=True
    )
    far = Socket((HERE, 8888), (HERE, near), listens=False, uid=ADA, inode=near + 1)
    return [end, far] if whole else [end]


class Stream:
    closed = False

    def close(self) -> None:
        self.closed = True


class Tables:
    """Answers with one table after the other."""

    def __init__(self, *tables: Sequence[Socket]) -> None:
        self.tables = list(tables)

    def table(self, port: int) -> tuple[Account, tuple[Socket, ...]]:
        assert port == 8888
        return ACCOUNT, (LISTENER, *self.tables.pop(0))


def opened(*tables: Sequence[Socket]) -> tuple[Stream, Owner]:
    stream = Stream()
    channels = OwnChannels(
        lambda *_: cast("Any", stream), cast("Ownership", cast("Any", Tables(*tables)))
    )
    try:
        _, owner = channels.open(TARGET, ("127.0.0.1", 1), named=True)
    except NotOursError:
        assert stream.closed
        raise
    return stream, owner


def test_a_whole_connection_to_a_listener_of_ours_is_ours() -> None:
    assert opened(connection(40_001, whole=True))[1] is Owner.OURS


def test_a_connection_that_lacks_its_far_end_is_refused() -> None:
    """The kernel may have forgotten it: then its first bytes go to whoever listens by then."""
    seen = [*connection(40_001, whole=True), *connection(40_002, whole=False)]
    with pytest.raises(NotOursError, match="did not take the connection"):
        opened(seen, seen)


def test_one_that_was_only_listed_at_another_moment_is_not() -> None:
    seen = [*connection(40_001, whole=True), *connection(40_002, whole=False)]
    assert opened(seen, connection(40_001, whole=True))[1] is Owner.OURS
    later = [*connection(40_001, whole=True), *connection(40_003, whole=False)]
    assert opened(seen, later)[1] is Owner.OURS


class Talkative:
    """A channel of a server that answers without an end, in short lines."""

    def __init__(self) -> None:
        self.said = 0
        self._begun = False

    def send_all(self, data: bytes) -> None:
        """Whatever it is asked."""

    def recv_within(self, _size: int, _deadline: float) -> bytes:
        if not self._begun:
            self._begun = True
            return b"\n@@trayconnect owners 1 1001 1001 1000 proc 1 -\n@@begin 1\n"
        self.said += 2 << 10
        return b"x\n" * 1024

    def close(self) -> None:
        """Nothing to close."""


def test_an_answer_without_an_end_fills_no_memory() -> None:
    channel = Talkative()
    shell = Ownership("box", lambda *_: cast("Any", channel), "ada@box", {"ada@box"})
    with pytest.raises(NotAnsweredError, match="too much is said"):
        shell.table(8888)
    assert channel.said < 1 << 20
