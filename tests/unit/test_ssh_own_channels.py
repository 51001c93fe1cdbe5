"""Channels to listeners of the account's own, without a server: who waits for whom."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from ipaddress import ip_address
from typing import cast

import pytest

from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import (
    ByteStream,
    Client,
    LostError,
    NotOpenedError,
    NotOursError,
    OnRefused,
    Owner,
    Refusal,
)
from trayconnect.ssh import spares
from trayconnect.ssh.held_channel import HeldChannel
from trayconnect.ssh.own_channels import OwnChannels
from trayconnect.ssh.owners import Account, Path, Socket
from trayconnect.ssh.ownership import NotAnsweredError, Ownership, Table

ADA, EVE = 1001, 1002
ACCOUNT = Account(ADA, ADA, 1000, "proc", little_endian=True)
HERE = TcpEndpoint("127.0.0.1", 8888)
LOST = LostError(Problem("lost", ""))


def table(uid: int, port: int) -> Table:
    """A listener of that user, and an accepted connection to it."""
    near, far = (ip_address("127.0.0.1"), 40000), (ip_address("127.0.0.1"), port)
    return ACCOUNT, (
        Socket(far, (ip_address("0.0.0.0"), 0), True, uid, 1),
        Socket(near, far, False, ADA, 2),
        Socket(far, near, False, uid, 3),
    )


class Channel:
    """A `HeldChannel` that notes what happens to it."""

    def __init__(self) -> None:
        self.is_untouched = True
        self.carried: list[Client] = []
        self.on_unused: Callable[[Client], None] | None = None
        self.is_closed = False

    def watch(self, on_touched: Callable[[], None]) -> None:
        pass

    def carry(self, client: Client, on_unused: Callable[[Client], None] | None = None) -> None:
        self.carried.append(client)
        self.on_unused = on_unused

    def close(self) -> None:
        self.is_closed = True


class Server:
    """Answers when the test wants it. `in_order`: as OpenSSH."""

    def __init__(self, *, in_order: bool = False) -> None:
        self.opening: list[tuple[Endpoint, Callable[[HeldChannel], None], OnRefused]] = []
        self.tables: list[tuple[int, Future[Table | None]]] = []
        self.channels = OwnChannels(
            self._stream, self._open, cast("Ownership", self), self._run if in_order else None
        )

        self.holds = False
        """Whether the link's thread is busy."""
        self.held: list[Callable[[], None]] = []

    def _run(self, job: Callable[[], None]) -> bool:
        assert self.opening, "the question would overtake the request for the channel"
        if self.holds:
            self.held.append(job)
        else:
            job()
        return True

    def _stream(self, target: Endpoint, origin: tuple[str, int]) -> ByteStream:
        raise NotImplementedError

    def _open(
        self,
        target: Endpoint,
        origin: tuple[str, int],
        on_opened: Callable[[HeldChannel], None],
        on_refused: OnRefused,
    ) -> None:
        self.opening.append((target, on_opened, on_refused))

    def table(self, port: int, answer: Future[Table | None] | None = None) -> Future[Table | None]:
        answer = answer or Future()
        self.tables.append((port, answer))
        return answer

    def path(self, path: str) -> Future[Path | None]:
        raise ZeroDivisionError("a bug")

    def opens(self) -> Channel:
        _, on_opened, _ = self.opening.pop(0)
        channel = Channel()
        on_opened(channel)
        return channel

    def answers(self, uid: int = ADA) -> None:
        port, answer = self.tables.pop(0)
        answer.set_result(table(uid, port))


class Visitor:
    """A client, and what it is told."""

    def __init__(self, server: Server, target: Endpoint = HERE, *, named: bool = False) -> None:
        self.client = Client(cast("socket.socket", None), ("127.0.0.1", 5000))
        self.owners: list[Owner] = []
        self.errors: list[ProblemError] = []
        server.channels.carry(
            self.client,
            target,
            named=named,
            on_opened=self.owners.append,
            on_refused=self.errors.append,
        )


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.channels.close()


def test_the_proof_comes_after_the_channel_and_before_a_byte(server: Server) -> None:
    visitor = Visitor(server)
    assert server.tables == []
    channel = server.opens()
    assert not channel.carried
    assert not visitor.owners
    server.answers()
    assert (channel.carried, visitor.owners) == ([visitor.client], [Owner.OURS])


@pytest.mark.parametrize("named", [True, False])
def test_nothing_is_carried_to_a_stranger(server: Server, named: bool) -> None:
    visitor = Visitor(server, named=named)
    channel = server.opens()
    server.answers(EVE)
    (error,) = visitor.errors
    assert isinstance(error, NotOursError)
    assert (error.owner, channel.carried, channel.is_closed) == (Owner.OTHERS, [], True)


def test_nor_where_no_answer_comes(server: Server) -> None:
    visitor = Visitor(server, named=True)
    channel = server.opens()
    server.tables.pop()[1].set_exception(NotAnsweredError("slow"))
    assert isinstance(visitor.errors[0], NotOursError)
    assert (channel.carried, channel.is_closed) == ([], True)


@pytest.fixture
def openssh() -> Iterator[Server]:
    made = Server(in_order=True)
    yield made
    made.channels.close()


CONNECTING = Socket(
    (ip_address("127.0.0.1"), 40001), (ip_address("127.0.0.1"), 8888), False, ADA, 4, True
)


@pytest.mark.parametrize("opens_first", [True, False])
def test_the_proof_is_asked_for_together_with_the_channel(
    openssh: Server, opens_first: bool
) -> None:
    visitor = Visitor(openssh)
    if opens_first:
        channel = openssh.opens()
        assert not channel.carried
        openssh.answers()
    else:
        openssh.answers()
        channel = openssh.opens()
    assert (channel.carried, visitor.owners) == ([visitor.client], [Owner.OURS])
    assert not openssh.tables


HALF = Socket(
    (ip_address("127.0.0.1"), 40002),
    (ip_address("127.0.0.1"), 8888),
    listens=False,
    uid=ADA,
    inode=4,
    is_established=True,
)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("lacks_it_again", [True, False])
def test_a_connection_that_lacks_its_far_end(
    server: Server, named: bool, lacks_it_again: bool
) -> None:
    """The first byte would make it, to whoever listens by then."""
    visitor = Visitor(server, named=named)
    channel = server.opens()
    account, sockets = table(ADA, 8888)
    server.tables.pop()[1].set_result((account, (*sockets, HALF)))
    assert not channel.carried
    server.tables.pop()[1].set_result((account, (*sockets, HALF) if lacks_it_again else sockets))
    assert bool(channel.carried) is not lacks_it_again
    assert channel.is_closed is lacks_it_again
    assert len(visitor.errors) == lacks_it_again


@pytest.mark.parametrize(
    "early", ["connecting", "half-made", "unseen", "theirs", "unknown", "silent"]
)
@pytest.mark.parametrize("uid", [ADA, EVE])
def test_an_early_answer_proves_nothing_else(openssh: Server, early: str, uid: int) -> None:
    """The proof is asked for once more, now that the channel is open."""
    visitor = Visitor(openssh)
    _, answer = openssh.tables.pop()
    account, sockets = table(ADA, 8888)
    match early:
        case "connecting":
            answer.set_result((account, (*sockets, CONNECTING)))
        case "half-made":
            answer.set_result((account, (*sockets, HALF)))
        case "unseen":
            answer.set_result((account, sockets[:1]))
        case "theirs":
            answer.set_result(table(EVE, 8888))
        case "unknown":
            answer.set_result(None)
        case "silent":
            answer.set_exception(NotAnsweredError("slow"))
    channel = openssh.opens()
    assert not channel.carried
    openssh.answers(uid)
    assert bool(channel.carried) is (uid == ADA)
    assert bool(visitor.errors) is (uid == EVE)


def test_each_of_those_that_share_a_table_is_judged_by_its_own_address(openssh: Server) -> None:
    other = TcpEndpoint("127.0.0.5", 8888)
    visitors = [Visitor(openssh), Visitor(openssh), Visitor(openssh, other)]
    shared = table(ADA, 8888)
    for _ in visitors:
        openssh.tables.pop(0)[1].set_result(shared)
    channels = [openssh.opens() for _ in visitors]
    assert [bool(channel.carried) for channel in channels] == [True, True, False]
    openssh.answers(EVE)
    assert channels[2].is_closed


def test_the_question_is_sent_after_the_request_for_the_channel(openssh: Server) -> None:
    """The link's thread sends that first, whichever thread the client came on."""
    openssh.holds = True
    Visitor(openssh)
    assert openssh.tables == []
    openssh.held.pop()()
    assert len(openssh.tables) == 1


def test_what_a_table_proved_is_not_said_of_a_later_one(openssh: Server) -> None:
    Visitor(openssh)
    openssh.answers(ADA)
    assert openssh.opens().carried
    Visitor(openssh)
    openssh.answers(EVE)
    channel = openssh.opens()
    assert not channel.carried
    openssh.answers(EVE)
    assert channel.is_closed


def test_localhost_goes_to_the_address_of_ours_and_next_time_at_once(server: Server) -> None:
    target = TcpEndpoint("localhost", 8888)
    first = Visitor(server, target)
    server.answers()  # which address it is
    assert server.opening[0][0] == HERE
    server.opens()
    server.answers()
    assert first.owners == [Owner.OURS]
    second = Visitor(server, target)
    assert [place for place, _, _ in server.opening] == [HERE]
    server.opening.pop()[2](NotOpenedError(Problem("no", ""), Refusal.REFUSED))
    assert not second.errors, "it may listen on the other address now"
    server.answers()
    server.opens()
    server.answers()
    assert second.owners == [Owner.OURS]


def test_a_target_that_does_not_answer_holds_up_no_other(server: Server) -> None:
    hangs, other = Visitor(server, TcpEndpoint("localhost", 1)), Visitor(server)
    channel = server.opens()
    server.tables.pop()[1].set_result(table(ADA, 8888))
    assert channel.carried == [other.client]
    assert not hangs.owners
    assert not hangs.errors


def test_the_end_of_the_link_and_a_bug_are_reported(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    from trayconnect.core.endpoints import UnixEndpoint

    visitor = Visitor(server)
    server.opening.pop()[2](LOST)
    assert visitor.errors == [LOST]
    unlucky = Visitor(server, UnixEndpoint("/run/x"))
    assert unlucky.errors[0].problem.title == "Something unexpected went wrong"
    assert "a bug" in caplog.text


def test_a_spare_channel_saves_both_waits_and_loses_no_client(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(spares, "MOST", 1)
    Visitor(server)
    server.opens()
    server.answers()
    spare = server.opens()
    server.answers()
    visitor = Visitor(server)
    assert (spare.carried, visitor.owners) == ([visitor.client], [Owner.OURS])
    assert len(server.opening) == 1, "its replacement"
    server.opening.clear()
    # The far end closes it before the client has sent a byte.
    assert spare.on_unused is not None
    spare.on_unused(visitor.client)
    fresh = server.opens()
    server.answers()
    assert fresh.carried == [visitor.client]
    assert visitor.errors == []


def test_a_client_gets_one_spare_and_then_its_own(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that closes each connection at once would take one spare after the other."""
    monkeypatch.setattr(spares, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(spares, "MOST", 1)
    Visitor(server)
    server.opens()
    server.answers()
    visitor = Visitor(server)  # while the spare one is being opened
    spare = server.opens()
    server.answers()
    assert spare.carried == [visitor.client]
    assert spare.on_unused is not None
    spare.on_unused(visitor.client)
    before = server.opens()  # asked for as its own before it got the spare
    server.answers()
    assert (before.carried, before.is_closed) == ([], True)
    own = server.opens()
    server.answers()
    assert (own.carried, own.on_unused) == ([visitor.client], None)


def test_a_client_whose_channel_is_refused_got_another_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(spares, "MOST", 1)
    Visitor(server)
    server.opens()
    server.answers()
    visitor = Visitor(server)  # while the spare one is being opened
    spare = server.opens()
    server.answers()
    assert (spare.carried, visitor.owners) == ([visitor.client], [Owner.OURS])
    server.opening.pop()[2](NotOpenedError(Problem("no", ""), Refusal.REFUSED))
    assert visitor.errors == []
    assert not server.opening


def test_no_channel_is_opened_ahead_to_a_stranger(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(spares, "MOST", 2)
    Visitor(server)
    server.opens()
    server.answers(ADA)
    ahead = [server.opens() for _ in range(2)]
    server.answers(ADA)
    server.answers(EVE)
    assert [channel.is_closed for channel in ahead] == [True, True]
    Visitor(server)
    assert len(server.opening) == 1
