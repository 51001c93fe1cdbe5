"""A server that breaks the rules of the connection protocol (RFC 4254).

What OpenSSH's client takes for fatal ends the link, with a problem for people; what it lets pass
leaves all other connections alone; and our memory is bounded in every case. Beside each case stands
what channels.c of OpenSSH 10 does. We are milder with what comes after the close of a channel:
paramiko's server sends it, see test_carrying_servers."""

from __future__ import annotations

import contextlib
import enum
import itertools
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType

import pytest
from paramiko import SSHException

from tests.support import staged_server as ssh
from tests.support.forwarded import (
    Forwarded,
    bounded_memory,
    check_end,
    check_stream,
    forward_to,
    forwarded,
    piece,
    ping,
    rekey_often,
    send_stream,
    together,
)
from tests.support.forwarding import eventually, read_all, was_reset
from tests.support.staged_server import FarChannel, StagedServer, packet
from tests.support.tunnel_kit import Kit, nothing_left
from trayconnect.config.model import Keepalive
from trayconnect.core.errors import Problem, Recovery
from trayconnect.ssh import ssh_link
from trayconnect.ssh.transport import packetizer

MB = 1 << 20
MOST = 64 * MB
"""The most memory that any of this may cost."""
LAST = 2**32 - 1


@pytest.fixture(scope="module")
def server() -> Iterator[StagedServer]:
    with StagedServer() as running:
        yield running


@pytest.fixture
def kit(server: StagedServer, tmp_path: Path) -> Iterator[Kit]:
    server.on_open = FarChannel.confirm
    made = Kit(tmp_path)
    made.trust([server.known_hosts_line])
    yield made
    server.end_sessions()


@contextlib.contextmanager
def connected(
    kit: Kit, server: StagedServer, keepalive: Keepalive | None = None
) -> Iterator[Forwarded]:
    """A forward through the server; it leaves nothing."""
    entry = forward_to(80, ssh_port=server.port, keepalive=keepalive)
    with nothing_left():
        with forwarded(kit, entry) as way:
            yield way
        server.end_sessions()


def is_fit_to_be_shown(problem: Problem) -> bool:
    text = f"{problem} {problem.detail}"
    return text.replace("\n", "").isprintable() and "Traceback" not in text


# --- the table ------------------------------------------------------------------------------------


class Ends(enum.Enum):
    LINK = enum.auto()
    CHANNEL = enum.auto()
    NOTHING = enum.auto()
    UNSAID = enum.auto()
    """OpenSSH does one or the other, by chance or by version: only that nothing worse happens."""


@dataclass
class Victim:
    """The connection that the server maltreats."""

    far: FarChannel
    client: socket.socket

    @property
    def put(self) -> Callable[..., None]:
        return self.far.session.put

    def put_raw(self, payload: bytes) -> None:
        self.far.session.put_raw(payload)


Act = Callable[[Victim], None]


@dataclass(frozen=True)
class Case:
    name: str
    ends: Ends
    openssh: str
    act: Act


def ignore_the_window(victim: Victim) -> None:
    victim.far.quiet = True
    for _ in range(4096):
        victim.far.data(bytes(ssh.MAX_PACKET))


def one_byte_too_much(victim: Victim) -> None:
    far, sent = victim.far, 4
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + 0.2:
        room = far.window + far.granted - sent
        if room > 0:
            far.data(bytes(min(room, ssh.MAX_PACKET)))
            sent += min(room, ssh.MAX_PACKET)
            quiet_since = time.monotonic()
        else:
            time.sleep(0.005)
    far.data(b"\1")
    rest = sent - 4
    while rest:
        data = victim.client.recv(min(rest, MB))
        assert data
        rest -= len(data)
    assert victim.client.recv(1) == b"\1"


def extended_beyond_the_window(victim: Victim) -> None:
    for _ in range(4096):
        victim.far.extended(bytes(ssh.MAX_PACKET))


def data_after_eof(victim: Victim) -> None:
    victim.far.eof()
    check_end(victim.client)
    victim.far.data(b"late")
    half_closed(victim)


def half_closed(victim: Victim) -> None:
    """The client may still send; then both close."""
    victim.far.quiet = True
    got = victim.far.got
    victim.client.sendall(b"up")
    eventually(lambda: victim.far.got == got + 2, "what the client sends")
    check_end(victim.client)
    victim.client.shutdown(socket.SHUT_WR)
    eventually(lambda: victim.far.came(ssh.EOF), "its end")
    victim.far.close()
    eventually(lambda: victim.far.came(ssh.CLOSE), "the close")
    check_end(victim.client)


def eof_twice(victim: Victim) -> None:
    victim.far.eof()
    victim.far.eof()
    half_closed(victim)


def close_twice(victim: Victim) -> None:
    victim.far.close()
    victim.far.close()


def close_after_the_close(victim: Victim) -> None:
    victim.far.close()
    eventually(lambda: victim.far.came(ssh.CLOSE), "the close")
    check_end(victim.client)
    victim.far.close()


def data_after_close(victim: Victim) -> None:
    victim.far.close()
    victim.far.data(b"late")
    check_end(victim.client)


def close_without_eof(victim: Victim) -> None:
    victim.far.data(b"last words")
    victim.far.close()
    assert read_all(victim.client) == b"last words"


def refused_and_opened(victim: Victim) -> None:
    """The next client's channel."""
    opened = threading.Event()

    def both(far: FarChannel) -> None:
        far.refuse()
        far.confirm()
        opened.set()

    victim.far.session.settings.on_open = both
    with socket.create_connection(victim.client.getpeername()):
        eventually(opened.is_set, "the channel")


def opened_by_the_wrong_number(victim: Victim) -> None:
    victim.put(ssh.CONFIRMATION, 77_777, 5, ssh.WINDOW, ssh.MAX_PACKET)


def requests(victim: Victim) -> None:
    for kind in ("keepalive@openssh.com", "exit-status", "env", "x\xff\0y"):
        victim.far.request(kind, True, 0)
        victim.far.request(kind, False, 0)
    ping(victim.client)
    eventually(lambda: len(victim.far.kinds) >= 4, "the answers")
    ping(victim.client)
    assert len(victim.far.kinds) == 4
    assert set(victim.far.kinds) <= {ssh.FAILURE, ssh.SUCCESS}


def no_reply_after_the_close(victim: Victim) -> None:
    victim.far.close()
    victim.far.request("keepalive@openssh.com", True)
    eventually(lambda: victim.far.came(ssh.CLOSE), "the close")


def opens_channels(victim: Victim) -> None:
    for number, kind in enumerate(("forwarded-tcpip", "session", "x11", "auth-agent@openssh.com")):
        head = packet(ssh.OPEN, kind, 500_000 + number, ssh.WINDOW, ssh.MAX_PACKET)
        victim.put_raw(head + packet(0, "127.0.0.1", 80, "127.0.0.1", 9)[1:])


def data_amid_a_key_exchange(victim: Victim) -> None:
    session = victim.far.session
    session.refused_keys = True
    session.begin_key_exchange()
    victim.far.data(b"x")


def idle_talk(victim: Victim) -> None:
    for _ in range(200):
        victim.put(ssh.IGNORE, bytes(30_000))
        victim.put_raw(packet(4, True, "\x1b[2J" * 50, ""))


def say(kind: int, *fields: ssh.Field) -> Act:
    return lambda victim: victim.put(kind, *fields)


def of_it(kind: int, *fields: ssh.Field) -> Act:
    """A message for the victim's channel."""
    return lambda victim: victim.put(kind, victim.far.client, *fields)


def cut_short(kind: int, size: int) -> Act:
    """A message for the victim's channel that lacks the end; its fields are 2**32 - 1."""
    return lambda victim: victim.put_raw(
        packet(kind, victim.far.client, LAST, LAST, LAST, LAST)[: 1 + size]
    )


LINK, CHANNEL, NOTHING, UNSAID = Ends
UNKNOWN = (77_777, 2**31, LAST)
TOO_LONG: list[tuple[int, *tuple[ssh.Field, ...]]] = [
    (ssh.DATA, "x", "y"),
    (ssh.WINDOW_ADJUST, 1, 1),
    (ssh.EOF, 1),
    (ssh.CLOSE, 1),
]

CASES = [
    # the window
    Case("the window overflows", LINK, "fatal", of_it(ssh.WINDOW_ADJUST, LAST)),
    Case("the largest window", NOTHING, "goes on", of_it(ssh.WINDOW_ADJUST, LAST - ssh.WINDOW)),
    Case("by nothing", NOTHING, "goes on", of_it(ssh.WINDOW_ADJUST, 0)),
    Case("a window of no channel", NOTHING, "logs it", say(ssh.WINDOW_ADJUST, 77_777, 1)),
    Case("it ignores our window", LINK, "disconnects beyond 10 %", ignore_the_window),
    Case("one byte too much", NOTHING, "takes up to 10 % more", one_byte_too_much),
    Case("a packet over 256 KiB", LINK, "disconnects", of_it(ssh.DATA, bytes(300_000))),
    # data
    *(
        Case(
            f"data of no channel, {n}",
            LINK,
            "disconnects: nonexistent channel",
            say(ssh.DATA, n, "x"),
        )
        for n in UNKNOWN
    ),
    Case("data after the end", NOTHING, "drops it", data_after_eof),
    Case("data after the close", CHANNEL, "drops it, or disconnects", data_after_close),
    Case("errors", NOTHING, "drops them", of_it(ssh.EXTENDED_DATA, 1, bytes(1000))),
    Case("errors of another kind", NOTHING, "drops them", of_it(ssh.EXTENDED_DATA, 7, "x")),
    Case("errors of no channel", LINK, "disconnects", say(ssh.EXTENDED_DATA, 77_777, 1, "x")),
    Case("errors beyond the window", UNSAID, "drops them", extended_beyond_the_window),
    # ends
    Case("the end twice", NOTHING, "logs it", eof_twice),
    Case("the end of no channel", LINK, "disconnects", say(ssh.EOF, 77_777)),
    Case("close without the end", CHANNEL, "as with it", close_without_eof),
    Case(
        "close twice",
        CHANNEL,
        "logs it, or disconnects if the channel is gone",
        close_twice,
    ),
    Case("close when both have closed", CHANNEL, "disconnects", close_after_the_close),
    Case("close of no channel", LINK, "disconnects", say(ssh.CLOSE, 77_777)),
    # opening
    Case("opened twice", LINK, "disconnects", lambda victim: victim.far.confirm()),
    Case("refused when open", LINK, "disconnects", lambda victim: victim.far.refuse()),
    Case("opened when refused", LINK, "disconnects", refused_and_opened),
    Case("opens what nobody asked for", LINK, "disconnects", opened_by_the_wrong_number),
    Case(
        "refuses what nobody asked for",
        LINK,
        "disconnects",
        say(ssh.OPEN_FAILURE, 77_777, 2, "", ""),
    ),
    Case("opens channels itself", NOTHING, "refuses them", opens_channels),
    # requests
    Case("requests", NOTHING, "answers those that want it with a failure", requests),
    Case("a request after the close", CHANNEL, "does not answer", no_reply_after_the_close),
    Case("a request of no channel", NOTHING, "logs it", say(ssh.REQUEST, 77_777, "env", True)),
    Case(
        "end of write",
        UNSAID,
        "stops reading the client",
        of_it(ssh.REQUEST, "eow@openssh.com", False),
    ),
    Case("an answer to nothing", NOTHING, "drops it", of_it(ssh.SUCCESS)),
    Case("an answer of no channel", NOTHING, "logs it", say(ssh.FAILURE, 77_777)),
    Case("a global answer to nothing", NOTHING, "drops it", say(ssh.REQUEST_SUCCESS)),
    # messages that are none
    *(
        Case(f"message {kind} cut short to {size}", LINK, "disconnects", cut_short(kind, size))
        for kind, size in [
            (ssh.DATA, 0),
            (ssh.DATA, 3),
            (ssh.DATA, 4),
            (ssh.DATA, 7),
            (ssh.DATA, 8),
            (ssh.DATA, 16),
            (ssh.WINDOW_ADJUST, 0),
            (ssh.WINDOW_ADJUST, 4),
            (ssh.WINDOW_ADJUST, 7),
            (ssh.EOF, 0),
            (ssh.CLOSE, 3),
            (ssh.CONFIRMATION, 2),
            (ssh.OPEN_FAILURE, 0),
            (ssh.REQUEST, 2),
            (ssh.REQUEST, 8),
        ]
    ),
    *(
        Case(f"message {message[0]} that is too long", UNSAID, "disconnects", of_it(*message))
        for message in TOO_LONG
    ),
    Case("an unknown message", NOTHING, "says that it does not know it", say(192, "?")),
    Case("idle talk", NOTHING, "drops it", idle_talk),
    Case("new keys out of the blue", LINK, "disconnects", say(ssh.NEWKEYS)),
    Case("data amid a key exchange", UNSAID, "takes it", data_amid_a_key_exchange),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_violation(
    kit: Kit, server: StagedServer, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    quick = Keepalive(interval=1, count_max=2) if case.ends is UNSAID else None
    with (
        connected(kit, server, quick) as way,
        way.dial() as steady,
        way.dial(receive_buffer=8192) as client,
    ):
        ping(steady)
        ping(client)
        victim = Victim(server.channel(1), client)
        with bounded_memory(MOST):
            try:
                case.act(victim)
            except (EOFError, OSError):  # the link has ended meanwhile
                if case.ends not in (LINK, UNSAID):
                    raise
            if case.ends is LINK:
                assert_lost(way)
                assert was_reset(steady)
                assert victim.far.came(ssh.CLOSE) or was_reset(client)
            elif case.ends is UNSAID:
                with contextlib.suppress(OSError, AssertionError):
                    ping(steady)
                    return
                assert_lost(way)
            else:
                ping(steady)
                if case.ends is CHANNEL:
                    check_end(client)
                elif not victim.far.came(ssh.CLOSE):
                    ping(client)
                with way.dial() as fresh:
                    ping(fresh)
                assert way.losses.problems == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert [record for record in caplog.records if record.exc_info] == []


def assert_lost(way: Forwarded) -> None:
    problem = way.losses.wait()
    assert " was " in problem.title
    assert problem.recovery is Recovery.RETRY
    assert is_fit_to_be_shown(problem)
    assert len(way.losses.problems) == 1
    assert_no_bug(way)


def assert_no_bug(way: Forwarded) -> None:
    """The link has ended for a reason that was thought of."""
    error = way.tunnel._route.end.saved_exception
    assert isinstance(error, NoneType | SSHException | EOFError | OSError), repr(error)


def any_field(dice: random.Random, far: FarChannel) -> bytes:
    number = dice.choice((0, 1, 4, far.client, far.client + 1, 2**31, LAST - 1, LAST))
    text = dice.randbytes(dice.choice((0, 1, 20, 2000)))
    return dice.choice((packet(0, number)[1:], packet(0, text)[1:], b"\1", text))


@pytest.mark.parametrize("seed", range(8))
def test_any_messages(
    kit: Kit, server: StagedServer, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    """Most are wrong in some way; the channel is often right. Several links, since each ends."""
    dice = random.Random(seed)
    kinds = (*range(80, 83), *range(90, 101), *(4, 5, 7, 21, 31, 50, 60, 150, 255))
    for _ in range(5):
        with connected(kit, server) as way, way.dial() as steady, way.dial() as client:
            ping(steady)
            ping(client)
            far = server.channel(1)
            with contextlib.suppress(EOFError, OSError):
                for _ in range(100):
                    fields = [any_field(dice, far) for _ in range(dice.randrange(5))]
                    start = packet(dice.choice(kinds))
                    start += dice.choice((packet(0, far.client)[1:], b""))
                    far.session.put_raw(start + b"".join(fields))
            with contextlib.suppress(OSError, AssertionError):
                ping(steady)
                continue
            assert_lost(way)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# --- how a channel opens --------------------------------------------------------------------------


def test_data_before_the_channel_is_open(kit: Kit, server: StagedServer) -> None:
    """OpenSSH drops it."""

    def early(far: FarChannel) -> None:
        far.data(b"early")
        far.confirm()

    server.on_open = early
    with connected(kit, server) as way, way.dial() as client:
        ping(client)
        assert way.losses.problems == []


def test_an_answer_that_comes_too_late(
    kit: Kit, server: StagedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is told that nobody wants the channel any more."""
    monkeypatch.setattr(ssh_link, "OPEN_SECONDS", 0.3)
    server.on_open = lambda far: None
    with connected(kit, server) as way:
        with way.dial() as client:
            assert was_reset(client)
        eventually(lambda: way.refused, "the reason")
        far = server.channel(0)
        far.confirm()
        far.data(b"late")
        eventually(lambda: far.came(ssh.CLOSE), "the close")
        far.close()
        server.on_open = FarChannel.confirm
        with way.dial() as client:
            ping(client)
        assert way.losses.problems == []


@pytest.mark.parametrize("kind", [ssh.CONFIRMATION, ssh.OPEN_FAILURE, ssh.REQUEST, ssh.CLOSE])
def test_an_answer_cut_short(kit: Kit, server: StagedServer, kind: int) -> None:
    """It ends the link, and the client that waits for the answer has its end too."""

    def act(far: FarChannel) -> None:
        if kind == ssh.REQUEST:
            far.request("x", True)
        elif kind == ssh.CLOSE:
            far.close()
            far.session.put(kind, 77_777)
        else:
            far.session.put_raw(packet(kind, far.client, LAST, LAST)[:11])

    server.on_open = act
    with connected(kit, server) as way, way.dial() as client:
        client.sendall(b"x")
        assert_lost(way)
        way.forwarding.detach()
        way.forwarding.close()
        assert was_reset(client)


def test_a_client_that_hangs_up_before_the_channel_is_open(kit: Kit, server: StagedServer) -> None:
    server.on_open = lambda far: None
    with connected(kit, server) as way:
        for number in range(20):
            with way.dial() as client:
                client.sendall(b"hello")
                far = server.channel(number)
                if number % 2:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            far.quiet = True
            far.confirm()
            far.data(b"hello")
            eventually(lambda: {ssh.EOF, ssh.CLOSE} & {*far.kinds}, "its end")  # noqa: B023
            far.close()
            eventually(lambda: far.came(ssh.CLOSE), "the close")  # noqa: B023
        server.on_open = FarChannel.confirm
        with way.dial() as client:
            ping(client)
        assert way.losses.problems == []


def test_a_window_of_nothing(kit: Kit, server: StagedServer) -> None:
    """Nothing is sent until there is a window, and nothing spins."""
    with connected(kit, server) as way, way.dial() as steady:
        ping(steady)
        server.on_open = lambda far: far.confirm(window=0)
        with way.dial() as client:
            client.sendall(bytes(100_000))
            far = server.channel(1)
            far.quiet = True
            assert_idle(steady)
            assert far.got == 0
            far.adjust(50_000)
            eventually(lambda: far.got == 50_000, "as much as the window")
            assert_idle(steady)
            assert far.got == 50_000
            far.adjust(LAST)
            eventually(lambda: far.got == 100_000, "the rest")


@pytest.mark.parametrize("max_packet", [0, 1, 13, 70_000, LAST])
def test_the_largest_packet_of_the_server(kit: Kit, server: StagedServer, max_packet: int) -> None:
    """With 0, OpenSSH sends nothing; a packet is never larger than any server takes."""
    with connected(kit, server) as way, way.dial() as steady:
        ping(steady)
        server.on_open = lambda far: far.confirm(max_packet=max_packet)
        with way.dial() as client:
            if max_packet:
                size = min(max_packet * 50, 3 * MB)
                together(
                    [lambda: send_stream(client, 1, size), lambda: check_stream(client, 1, size)]
                )
                far = server.channel(1)
                assert far.got == size
            else:
                with contextlib.suppress(OSError):
                    client.sendall(bytes(10_000))
                far = server.channel(1)
                assert_idle(steady)
            assert far.largest <= min(max_packet, 256_000)
        ping(steady)
        assert way.losses.problems == []


def assert_idle(steady: socket.socket) -> None:
    """Nobody computes while nothing comes."""
    ping(steady)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.15
    ping(steady)


def test_data_larger_than_our_largest_packet(kit: Kit, server: StagedServer) -> None:
    """OpenSSH drops it, and with it a part of the stream: nobody may take the rest for a whole."""
    with connected(kit, server) as way, way.dial() as steady, way.dial() as client:
        ping(steady)
        ping(client)
        far = server.channel(1)
        size = min(2 * far.max_packet, 200_000)
        far.data(piece(0, 0, size))
        far.data(piece(0, size, 10))
        far.close()
        try:
            data = read_all(client)
        except ConnectionResetError:
            pass
        else:
            assert data == piece(0, 0, size + 10)
        ping(steady)
        assert way.losses.problems == []


# --- more than one message ------------------------------------------------------------------------


def test_errors_are_given_back_to_the_window(kit: Kit, server: StagedServer) -> None:
    """They count (RFC 4254 section 5.2): a server that keeps to the window would wait without
    end."""
    with connected(kit, server) as way, way.dial() as client:
        ping(client)
        far = server.channel(0)
        sent, most = 4, 4 * far.window
        while sent < most:
            eventually(lambda: far.window + far.granted > sent, "room")  # noqa: B023
            size = min(far.window + far.granted - sent, ssh.MAX_PACKET)
            far.extended(bytes(size))
            sent += size
        ping(client)


@pytest.mark.parametrize("what", ["global", "channel", "open"])
def test_questions_of_a_server_that_reads_no_answers(
    kit: Kit, server: StagedServer, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The link ends, at the latest with the heartbeat, and what waits to be sent is bounded."""
    monkeypatch.setattr(packetizer, "MOST_UNREAD", MB // 4)
    with (
        connected(kit, server, Keepalive(interval=1, count_max=3)) as way,
        way.dial() as client,
        bounded_memory(MOST),
    ):
        ping(client)
        far = server.channel(0)
        far.session.packetizer.reads.clear()
        asked = {
            "global": packet(ssh.GLOBAL_REQUEST, "x@y", True),
            "channel": packet(ssh.REQUEST, far.client, "x@y", True),
            "open": packet(ssh.OPEN, "session", 500_000, 1000, 1000),
        }[what]
        with contextlib.suppress(EOFError, OSError):
            while not way.losses.problems:
                far.session.put_raw(asked)
        assert_lost(way)


def test_a_server_that_refuses_thousands(kit: Kit, server: StagedServer) -> None:
    with connected(kit, server) as way, way.dial() as steady:
        ping(steady)
        server.on_open = FarChannel.refuse

        def many() -> None:
            for _ in range(500):
                with contextlib.suppress(ConnectionError), way.dial() as client:
                    client.sendall(b"x")
                    assert client.recv(1) == b""

        together([many] * 4)
        ping(steady)
        assert way.losses.problems == []
        assert len(server.session.opened) == 2001


def test_an_opening_without_an_answer_holds_up_nobody(kit: Kit, server: StagedServer) -> None:
    with connected(kit, server) as way, way.dial() as steady:
        ping(steady)
        server.on_open = lambda far: None
        with contextlib.ExitStack() as waiting:
            for _ in range(50):
                waiting.enter_context(way.dial()).sendall(b"x")
            server.channel(50)
            ping(steady)
        ping(steady)


# --- key exchanges --------------------------------------------------------------------------------


def test_a_key_exchange_that_never_ends(kit: Kit, server: StagedServer) -> None:
    """Who uploads waits, in bounded memory, until the heartbeat notices."""
    with (
        connected(kit, server, Keepalive(interval=0.7, count_max=2)) as way,
        way.dial() as client,
        bounded_memory(MOST),
    ):
        ping(client)
        server.session.refused_keys = True
        server.session.begin_key_exchange()
        with contextlib.suppress(OSError):
            while True:
                client.sendall(bytes(MB))
        problem = way.losses.wait()
        assert problem.recovery is Recovery.RETRY
        assert is_fit_to_be_shown(problem)


def test_disconnecting_amid_a_key_exchange(kit: Kit, server: StagedServer) -> None:
    with connected(kit, server) as way, way.dial() as client:
        ping(client)
        server.session.refused_keys = True
        server.session.begin_key_exchange()
        client.sendall(b"held")
        way.tunnel.close()
        assert was_reset(client)
        assert way.losses.problems == []


@pytest.mark.parametrize("who", ["ours", "server"])
@pytest.mark.parametrize("strict", [True, False])
def test_nothing_else_is_sent_amid_a_key_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str, strict: bool
) -> None:
    """Data, ends, openings, answers and keepalives wait."""
    with StagedServer(strict=strict) as server:
        kit = Kit(tmp_path)
        kit.trust([server.known_hosts_line])
        if who == "ours":
            rekey_often(monkeypatch, size=MB)
        with connected(kit, server, Keepalive(interval=0.2, count_max=100)) as way:
            done = threading.Event()
            numbers = itertools.count()

            def short() -> None:
                while not done.is_set():
                    next(numbers)
                    with way.dial() as client:
                        ping(client)

            def long() -> None:
                try:
                    with way.dial() as client:
                        size = 10 * MB
                        for _ in range(3):
                            if who == "server":
                                server.session.begin_key_exchange()
                            together(
                                [
                                    lambda: send_stream(client, 1, size),
                                    lambda: check_stream(client, 1, size),
                                ]
                            )
                finally:
                    done.set()

            together([long, short])
            seen = server.session.packetizer
            assert seen.amid == []
            assert seen.exchanges >= 4
            assert server.session.agreed_on_strict_kex is strict
            assert way.losses.problems == []
