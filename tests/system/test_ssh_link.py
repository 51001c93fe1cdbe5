"""A live tunnel: streams, commands, its loss and its end."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import paramiko
import pytest
from paramiko import Message

from tests.support.keys import make_key
from tests.support.proxy import FaultyProxy
from tests.support.scoped import Scoped
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import YES, Kit, Losses, User, entry, nothing_left, until
from trayconnect.config.model import JumpHost, Keepalive, Server
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import ProblemError, Recovery
from trayconnect.core.link import ByteStream, LostError
from trayconnect.ssh.ssh_link import SshLink
from trayconnect.ssh.transport import packetizer
from trayconnect.ssh.transport.ciphers import opener_for
from trayconnect.ssh.transport.ssh_transport import SshTransport

ORIGIN = ("127.0.0.1", 50000)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def kit(tmp_path: Path, sshd: Sshd) -> Kit:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    return kit


class Echo(Scoped):
    """A TCP service that sends back what it gets, then its end."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    def start(self) -> None:
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                thread = threading.Thread(target=self.handle, args=(sock,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def handle(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            while data := sock.recv(1 << 16):
                sock.sendall(data)


class Resetting(Echo):
    """Resets each connection after its first byte."""

    def handle(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def read_all(stream: ByteStream) -> bytes:
    data = b""
    while part := stream.recv(1 << 16):
        data += part
    return data


# --- streams --------------------------------------------------------------------------------------


def test_stream_carries_half_close(kit: Kit, server: Server) -> None:
    payload = bytes(range(256)) * 8192
    with Echo() as echo, nothing_left(), kit.tunnel(server) as tunnel:
        stream = tunnel.open_channel(TcpEndpoint("127.0.0.1", echo.port), ORIGIN)

        def write() -> None:
            stream.sendall(memoryview(payload))
            stream.shutdown_write()

        writer = threading.Thread(target=write)
        writer.start()
        assert read_all(stream) == payload
        writer.join()
        with pytest.raises(OSError):
            stream.sendall(b"more")
        stream.close()
        stream.close()


def test_close_wakes_a_reader_and_a_writer(kit: Kit, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, kit.tunnel(server) as tunnel:
        stream = tunnel.open_channel(TcpEndpoint("127.0.0.1", deaf.getsockname()[1]), ORIGIN)
        ended: list[object] = []

        def write() -> None:
            with contextlib.suppress(OSError):
                while True:
                    stream.sendall(b"x" * (1 << 20))
            ended.append("writer")

        def read() -> None:
            ended.append(stream.recv(1))

        threads = [threading.Thread(target=write), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        # Both block: the writer once the window is used up.
        channel = tunnel._route.end._channels.values()[0]
        assert until(lambda: channel.out_window_size == 0)
        stream.close()
        for thread in threads:
            thread.join(10)
        assert sorted(map(str, ended)) == ["b''", "writer"]


def test_a_stalled_stream_does_not_hold_up_another(kit: Kit, server: Server) -> None:
    with (
        Echo() as echo,
        socket.create_server(("127.0.0.1", 0)) as deaf,
        kit.tunnel(server) as tunnel,
    ):
        stalled = tunnel.open_channel(TcpEndpoint("127.0.0.1", deaf.getsockname()[1]), ORIGIN)
        writer = threading.Thread(target=_swallow, args=(stalled,))
        writer.start()
        stream = tunnel.open_channel(TcpEndpoint("127.0.0.1", echo.port), ORIGIN)
        for _ in range(20):
            stream.sendall(b"ping")
            assert stream.recv(4) == b"ping"
        stream.close()
        stalled.close()
        writer.join(10)


def _swallow(stream: ByteStream) -> None:
    with contextlib.suppress(OSError):
        while True:
            stream.sendall(b"x" * 65536)


def test_nothing_listens_there(kit: Kit, server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with kit.tunnel(server) as tunnel, pytest.raises(ProblemError) as caught:
            tunnel.open_channel(TcpEndpoint("127.0.0.1", port), ORIGIN)
    assert caught.value.problem.title == f"Nothing answers on 127.0.0.1:{port} at 127.0.0.1"
    assert caught.value.problem.recovery is Recovery.RETRY


def test_forwarding_forbidden(tmp_path: Path, key: Path) -> None:
    with Sshd(options={"AllowTcpForwarding": "no"}) as sshd:
        sshd.authorize(key)
        kit = Kit(tmp_path)
        kit.trust(sshd.known_hosts_lines())
        server = entry(sshd.port, identity_file=key)
        with kit.tunnel(server) as tunnel, pytest.raises(ProblemError) as caught:
            tunnel.open_channel(TcpEndpoint("127.0.0.1", 1), ORIGIN)
    assert "administrator" in caught.value.problem.title
    assert "forbids forwarding" in caught.value.problem.title
    assert caught.value.problem.recovery is Recovery.FIX_FIRST


def test_refused_channels_at_once_each_get_their_own_answer(kit: Kit, server: Server) -> None:
    with Echo() as echo, socket.socket() as taken, kit.tunnel(server) as tunnel:
        taken.bind(("127.0.0.1", 0))
        shut = taken.getsockname()[1]
        outcomes: list[bool] = []

        def attempt(port: int) -> None:
            try:
                tunnel.open_channel(TcpEndpoint("127.0.0.1", port), ORIGIN).close()
            except ProblemError as error:
                outcomes.append(port == shut and str(shut) in error.problem.title)
            else:
                outcomes.append(port == echo.port)

        threads = [
            threading.Thread(target=attempt, args=(port,)) for port in [shut, echo.port] * 20
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == [True] * 40


def test_resets_over_and_over_leave_the_tunnel_alive(kit: Kit, server: Server, sshd: Sshd) -> None:
    """Plain paramiko lasts for some ten of these before the server disconnects."""
    losses = Losses()
    rounds = 60

    def hammer(tunnel: SshLink, port: int) -> None:
        for _ in range(rounds):
            with contextlib.suppress(ProblemError):
                stream = tunnel.open_channel(TcpEndpoint("127.0.0.1", port), ORIGIN)
                with contextlib.suppress(OSError):
                    while True:
                        stream.sendall(b"x" * 20_000)
                stream.close()

    with Resetting() as service, kit.tunnel(server, losses=losses) as tunnel:
        threads = [threading.Thread(target=hammer, args=(tunnel, service.port)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tunnel.execute("echo alive", b"", 10).stdout == b"alive\n"
    assert losses.problems == []
    assert "nonexistent channel" not in sshd.log_text()


def test_rekeying_under_load(kit: Kit, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides exchange keys again and again, amid uploads, downloads, opens and closes."""
    monkeypatch.setattr(packetizer, "REKEY_BYTES", 1 << 18)
    keys: list[object] = []

    def counted(**options: Any) -> object:
        keys.append(options)
        return opener_for(**options)

    monkeypatch.setattr("trayconnect.ssh.transport.packetizer.opener_for", counted)
    losses = Losses()
    failures: list[BaseException] = []

    def exchange(tunnel: SshLink, port: int) -> None:
        try:
            for number in range(6):
                payload = bytes([number]) * 200_000
                stream = tunnel.open_channel(TcpEndpoint("127.0.0.1", port), ORIGIN)
                writer = threading.Thread(target=stream.sendall, args=(payload,))
                writer.start()
                received = b""
                while len(received) < len(payload):
                    received += stream.recv(1 << 16)
                assert received == payload
                writer.join()
                stream.close()
        except BaseException as error:
            failures.append(error)
            raise

    quick = _quick(server, 0.5, 60)
    with Echo() as echo, nothing_left(), kit.tunnel(quick, losses=losses) as tunnel:
        threads = [threading.Thread(target=exchange, args=(tunnel, echo.port)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert losses.problems == []
    assert len(keys) > 10


# --- commands -------------------------------------------------------------------------------------


def test_execute(kit: Kit, server: Server) -> None:
    with nothing_left(), kit.tunnel(server) as tunnel:
        done = tunnel.execute("cat; echo oops >&2; exit 3", b"in" * 300_000, 20)
        assert (done.status, done.stdout, done.stderr) == (3, b"in" * 300_000, b"oops\n")
        assert tunnel.execute("true", b"unread" * 500_000, 20).status == 0
        assert tunnel.execute("kill -9 $$", b"", 20).status == -1


def test_execute_keeps_one_mebibyte_of_each_output(kit: Kit, server: Server) -> None:
    command = "head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; exit 7"
    with kit.tunnel(server) as tunnel:
        done = tunnel.execute(command, b"", 30)
    assert (done.status, len(done.stdout), len(done.stderr)) == (7, 1 << 20, 1 << 20)


def test_execute_is_bounded(kit: Kit, server: Server) -> None:
    with nothing_left(), kit.tunnel(server) as tunnel:
        with pytest.raises(ProblemError) as caught:
            tunnel.execute("sleep 100", b"x", 0.3)
        assert "within 0.3 s" in caught.value.problem.title
        assert tunnel.execute("echo still here", b"", 10).stdout == b"still here\n"


def test_a_program_is_a_stream(kit: Kit, server: Server) -> None:
    with nothing_left(), kit.tunnel(server) as tunnel:
        flood = "head -c 5000000 /dev/zero >&2; echo last words >&2"
        program = tunnel.start_program(f"{flood}; cat; exit 3", 10)
        every_byte = bytes(range(256)) * 1000
        threading.Thread(target=program.sendall, args=(every_byte,)).start()
        received = b""
        while len(received) < len(every_byte):
            received += program.recv(1 << 16)
        assert received == every_byte
        assert program.status is None
        assert tunnel.execute("echo beside it", b"", 10).stdout == b"beside it\n"
        program.shutdown_write()
        assert program.recv(10) == b""
        until(lambda: program.status == 3)
        assert program.said.endswith(b"last words\n")
        program.close()


def test_a_program_ends_with_its_stream_and_with_the_tunnel(kit: Kit, server: Server) -> None:
    with nothing_left():
        with kit.tunnel(server) as tunnel:
            closed = tunnel.start_program("exec cat", 10)
            closed.close()
            open_still = tunnel.start_program("exec cat", 10)
        with pytest.raises(OSError, match="ended"):
            open_still.recv(1)
        open_still.close()


# --- loss -----------------------------------------------------------------------------------------


def _quick(server: Server, interval: float = 0.5, count_max: int = 2) -> Server:
    keepalive = Keepalive(interval=interval, count_max=count_max)
    return server.model_copy(update={"keepalive": keepalive})


def test_killed_session_is_noticed_at_once(kit: Kit, server: Server, sshd: Sshd) -> None:
    losses = Losses()
    with nothing_left(), kit.tunnel(_quick(server, 3600), losses=losses):
        sshd.kill_sessions()
        problem = losses.wait()
    assert "was lost" in problem.title
    assert problem.recovery is Recovery.RETRY
    assert len(losses.problems) == 1


def test_the_listener_may_restart(kit: Kit, server: Server, sshd: Sshd) -> None:
    losses = Losses()
    with kit.tunnel(_quick(server, 0.5, 60), losses=losses) as tunnel:
        sshd.restart()
        assert tunnel.execute("echo hello", b"", 10).stdout == b"hello\n"
    assert losses.problems == []


@pytest.mark.parametrize("count_max", [1, 3])
@pytest.mark.parametrize("writing", [False, True])
def test_frozen_server_is_noticed_in_time(
    kit: Kit, server: Server, sshd: Sshd, count_max: int, writing: bool
) -> None:
    losses = Losses()
    quick = _quick(server, 1.5 / count_max, count_max)
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        nothing_left(),
        kit.tunnel(quick, losses=losses) as tunnel,
    ):
        assert until(lambda: tunnel.latency is not None)
        writers = []
        if writing:
            # More than the windows and the socket's buffer take: they block in the transport.
            port = deaf.getsockname()[1]
            streams = [
                tunnel.open_channel(TcpEndpoint("127.0.0.1", port), ORIGIN) for _ in range(8)
            ]
            writers = [threading.Thread(target=_swallow, args=(stream,)) for stream in streams]
        sshd.freeze()
        frozen = time.monotonic()
        for writer in writers:
            writer.start()
        problem = losses.wait()
        # The limit is 1.5 s after the last sign of life; the rest is for a busy machine.
        assert time.monotonic() - frozen < 1.5 + 20
        for writer in writers:
            writer.join(10)
            assert not writer.is_alive()
        sshd.thaw()
    assert "stopped answering" in problem.title
    assert re.match(r"Nothing came for \d+(\.\d)? s: ", problem.advice)
    assert problem.recovery is Recovery.RETRY
    assert len(losses.problems) == 1


def test_check_notices_a_frozen_server_early(
    kit: Kit, server: Server, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = Losses()
    with kit.tunnel(_quick(server, 3600), losses=losses) as tunnel:
        tunnel.check()
        assert until(lambda: tunnel.latency is not None)
        assert losses.problems == []
        sshd.freeze()
        monkeypatch.setattr("trayconnect.ssh.transport.heartbeat.CHECK_SECONDS", 0.3)
        tunnel.check()
        problem = losses.wait()
        sshd.thaw()
    assert "stopped answering" in problem.title


def test_a_channel_that_is_not_answered_shows_early_that_the_server_is_gone(
    kit: Kit, server: Server, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told of a lost tunnel, so it is held for the next one."""
    losses = Losses()
    monkeypatch.setattr("trayconnect.ssh.transport.multiplexer.SUSPICIOUS_SECONDS", 0.1)
    monkeypatch.setattr("trayconnect.ssh.transport.heartbeat.CHECK_SECONDS", 0.3)
    refused: Future[ProblemError] = Future()
    with kit.tunnel(_quick(server, 3600), losses=losses) as tunnel:
        assert until(lambda: tunnel.latency is not None)
        sshd.freeze()
        tunnel.open_held(TcpEndpoint("127.0.0.1", 1), ORIGIN, print, refused.set_result)
        assert isinstance(refused.result(60), LostError)
        problem = losses.wait()
        sshd.thaw()
    assert "stopped answering" in problem.title


@pytest.mark.parametrize("fault", ["blackhole", "stall", "cut", "reset"])
def test_network_faults(tmp_path: Path, sshd: Sshd, key: Path, fault: str) -> None:
    losses = Losses()
    kit = Kit(tmp_path)
    with nothing_left(), FaultyProxy(sshd.host, sshd.port) as proxy:
        server = _quick(entry(proxy.port, identity_file=key), 0.3, 2)
        with kit.tunnel(server, User(YES), losses=losses):
            if fault == "reset":
                proxy.cut(reset=True)
            else:
                getattr(proxy, fault)()
            problem = losses.wait()
        assert problem.recovery is Recovery.RETRY


def test_a_healthy_tunnel_stays(kit: Kit, server: Server) -> None:
    """Dozens of heartbeats, every one answered by a refusal."""
    losses = Losses()
    with kit.tunnel(_quick(server, 0.05, 100), losses=losses) as tunnel:
        answered: list[float] = []
        transport = tunnel._route.end
        count = transport._replied

        def replied(reply: Message | None) -> None:
            count(reply)
            answered.append(time.monotonic())

        transport._replied = replied  # type: ignore[assignment, method-assign]
        assert until(lambda: len(answered) > 20)
    assert losses.problems == []


def test_using_a_lost_tunnel(kit: Kit, server: Server, sshd: Sshd) -> None:
    losses = Losses()
    with Echo() as echo, kit.tunnel(server, losses=losses) as tunnel:
        stream = tunnel.open_channel(TcpEndpoint("127.0.0.1", echo.port), ORIGIN)
        sshd.kill_sessions()
        losses.wait()
        with pytest.raises(OSError):
            stream.recv(1)
        with pytest.raises(OSError):
            stream.sendall(b"x")
        stream.shutdown_write()
        stream.close()
        for use in (
            lambda: tunnel.open_channel(TcpEndpoint("127.0.0.1", echo.port), ORIGIN),
            lambda: tunnel.execute("true", b"", 10),
        ):
            with pytest.raises(ProblemError) as caught:
                use()
            assert caught.value.problem.recovery is Recovery.RETRY
        tunnel.check()


# --- its end --------------------------------------------------------------------------------------


def test_close_reports_nothing_and_leaves_nothing(kit: Kit, server: Server) -> None:
    losses = Losses()
    with Echo() as echo, nothing_left():
        tunnel = kit.connect(server, losses=losses)
        streams = [
            tunnel.open_channel(TcpEndpoint("127.0.0.1", echo.port), ORIGIN) for _ in range(5)
        ]
        reader = threading.Thread(target=_read_out, args=(streams[0],))
        reader.start()
        tunnel.close()
        tunnel.close()
        reader.join(10)
        assert not reader.is_alive()
    assert losses.problems == []


def _read_out(stream: ByteStream) -> None:
    with contextlib.suppress(OSError):
        read_all(stream)


def test_close_of_a_frozen_tunnel_with_blocked_writers(
    kit: Kit, server: Server, sshd: Sshd
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, nothing_left():
        tunnel = kit.connect(server)
        port = deaf.getsockname()[1]
        streams = [tunnel.open_channel(TcpEndpoint("127.0.0.1", port), ORIGIN) for _ in range(8)]
        sshd.freeze()
        writers = [threading.Thread(target=_swallow, args=(stream,)) for stream in streams]
        for writer in writers:
            writer.start()
        assert until(lambda: tunnel._route.end.packetizer.is_full)
        started = time.monotonic()
        streams[0].close()
        streams[1].shutdown_write()
        tunnel.close()
        assert time.monotonic() - started < 30  # nobody thaws it meanwhile
        for writer in writers:
            writer.join(10)
        sshd.thaw()


def test_close_from_on_lost(kit: Kit, server: Server, sshd: Sshd) -> None:
    done = threading.Event()
    tunnels: list[SshLink] = []

    class Closing(Losses):
        def __call__(self, problem: object) -> None:
            tunnels[0].close()
            done.set()

    with nothing_left():
        tunnels.append(kit.connect(server, losses=Closing()))
        sshd.kill_sessions()
        assert done.wait(10)


# --- hops -----------------------------------------------------------------------------------------


@pytest.fixture
def gates(key: Path) -> Iterator[list[Sshd]]:
    with Sshd() as first, Sshd() as second:
        for gate in (first, second):
            gate.authorize(key)
        yield [first, second]


def _through(server: Server, gates: list[Sshd]) -> Server:
    hops = tuple(JumpHost(host=gate.host, port=gate.port) for gate in gates)
    return server.model_copy(update={"jump_hosts": hops})


def test_two_jump_hosts(kit: Kit, server: Server, sshd: Sshd, gates: list[Sshd]) -> None:
    user = User(YES, YES)
    losses = Losses()
    way = _through(server, gates)
    with nothing_left(), Echo() as echo, kit.tunnel(way, user, losses) as tunnel:
        stream = tunnel.open_channel(TcpEndpoint("127.0.0.1", echo.port), ORIGIN)
        payload = b"x" * 500_000
        writer = threading.Thread(target=stream.sendall, args=(payload,))
        writer.start()
        received = b""
        while len(received) < len(payload):
            received += stream.recv(1 << 16)
        writer.join()
        assert received == payload
        stream.close()
        assert until(lambda: tunnel.latency is not None)
    assert losses.problems == []
    # The server's own key is known; each question names its hop.
    for question, gate in zip(user.questions, gates, strict=True):
        assert f"127.0.0.1:{gate.port} (jump host of “GPU box”)" in question.message


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_lost_jump_host(
    kit: Kit, server: Server, gates: list[Sshd], which: int, fault: str
) -> None:
    losses = Losses()
    kit.trust([line for gate in gates for line in gate.known_hosts_lines()])
    with nothing_left(), kit.tunnel(_quick(_through(server, gates), 0.3), losses=losses):
        gates[which].kill_sessions() if fault == "kill" else gates[which].freeze()
        assert losses.wait().recovery is Recovery.RETRY
        gates[which].thaw()
    assert len(losses.problems) == 1


def test_a_jump_host_that_freezes_in_a_key_exchange_holds_up_no_other_tunnel(
    kit: Kit, server: Server, sshd: Sshd, gates: list[Sshd]
) -> None:
    losses, losses_beside = Losses(), Losses()
    kit.trust([line for gate in gates for line in gate.known_hosts_lines()])
    way = _quick(_through(server, gates[:1]), 0.5)
    with (
        nothing_left(),
        kit.tunnel(_quick(server, 0.5), losses=losses_beside) as beside,
        kit.tunnel(way, losses=losses) as tunnel,
    ):
        gate = tunnel._route.hops[0][1]
        gates[0].freeze()
        exchange = threading.Thread(target=_exchange_keys, args=(gate,))
        exchange.start()
        assert until(lambda: not gate.clear_to_send.is_set())
        assert "stopped answering" in losses.wait().title
        gates[0].thaw()
        assert losses_beside.problems == []
        sshd.freeze()  # its heartbeat shares the thread
        beside.check()
        assert "stopped answering" in losses_beside.wait().title
        sshd.thaw()
        exchange.join(10)
        assert not exchange.is_alive()


def _exchange_keys(transport: SshTransport) -> None:
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        transport.renegotiate_keys()


def test_jump_host_that_cannot_reach_the_server(
    kit: Kit, server: Server, sshd: Sshd, gates: list[Sshd]
) -> None:
    kit.trust(gates[0].known_hosts_lines())
    sshd.stop()
    with nothing_left():
        problem = kit.problem(_through(server, gates[:1]))
    assert problem.title == (
        f"The jump host 127.0.0.1:{gates[0].port} cannot reach 127.0.0.1:{sshd.port}"
    )
    assert problem.recovery is Recovery.RETRY


def test_jump_host_that_forbids_forwarding(kit: Kit, server: Server, gates: list[Sshd]) -> None:
    gates[0].set_option("AllowTcpForwarding", "no")
    gates[0].restart()
    kit.trust(gates[0].known_hosts_lines())
    with nothing_left():
        problem = kit.problem(_through(server, gates[:1]))
    assert "does not let connections through" in problem.title
    assert problem.recovery is Recovery.FIX_FIRST


def test_a_command_on_a_channel_that_ended_meanwhile_is_not_waited_for(
    kit: Kit, server: Server
) -> None:
    """Between the opening of its channel and the question, the tunnel may be closed."""
    with kit.tunnel(server) as tunnel:
        channel = tunnel._commands._transport.open("session", 30.0)
        channel.cut()
        assert not channel.start_command("true", b"", time.monotonic() + 30)


def test_a_command_that_reads_its_input_late_gets_all_of_it(kit: Kit, server: Server) -> None:
    """More than the server's window and pipe hold."""
    with kit.tunnel(server) as tunnel:
        done = tunnel.execute("sleep 2; wc -c", bytes(4 << 20), 60.0)
        assert done.stdout.strip() == b"%d" % (4 << 20)
