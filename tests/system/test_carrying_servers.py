"""Other servers than sshd: paramiko's, whose threads send data after the CLOSE of its channel now
and then, and asyncssh's."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from tests.support.asyncssh_server import AsyncsshServer
from tests.support.forwarded import (
    Forwarded,
    attach,
    check_stream,
    count_key_exchanges,
    forward_to,
    forwarded,
    ping,
    rekey_often,
    send_stream,
    together,
)
from tests.support.forwarding import listening
from tests.support.scoped import Scoped
from tests.support.tunnel_kit import Kit, Losses, User, says
from tests.support.waiting import end_accept
from trayconnect.core.sockets import set_reset_on_close

pytestmark = pytest.mark.usefixtures("leaves_nothing")


class _Everybody(paramiko.ServerInterface):
    def check_auth_none(self, username: str) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_direct_tcpip_request(self, chanid: int, origin: object, to: object) -> int:
        return OPEN_SUCCEEDED


class ParamikoServer(Scoped):
    """Lets everybody in. Behind each channel is an echo, or, after the byte `d`, data without
    end."""

    def __init__(self) -> None:
        self.key = paramiko.ECDSAKey.generate()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def known_hosts_line(self) -> str:
        return f"[127.0.0.1]:{self.port} {self.key.get_name()} {self.key.get_base64()}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        end_accept(self._listener)
        self._listener.close()
        for transport in self._transports:
            transport.close()
            transport.join(10)
        self._thread.join(10)
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            sock, _ = self._listener.accept()
            transport = paramiko.Transport(sock)
            self._transports.append(transport)
            transport.add_server_key(self.key)
            transport.start_server(server=_Everybody())
            while transport.is_active():
                channel = transport.accept(0.1)
                if channel is not None:
                    thread = threading.Thread(target=self._talk, args=(channel,), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _talk(self, channel: paramiko.Channel) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := channel.recv(1000):
                if data == b"d":
                    while True:
                        channel.sendall(bytes(5000))
                channel.sendall(data)
        channel.close()


@pytest.fixture
def server() -> Iterator[ParamikoServer]:
    with ParamikoServer() as running:
        yield running


def test_clients_that_reset_amid_downloads(server: ParamikoServer, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    kit.trust([server.known_hosts_line])
    with forwarded(kit, forward_to(80, ssh_port=server.port)) as way:
        reset_downloads(way, b"d")
        assert way.losses.problems == []


def reset_downloads(way: Forwarded, order: bytes) -> None:
    """Hundreds of times; another connection goes on."""

    def hammer() -> None:
        for _ in range(100):
            with contextlib.suppress(ConnectionError), way.dial() as client:
                client.sendall(order)
                client.recv(10_000)
                set_reset_on_close(client)

    with way.dial() as steady:
        ping(steady)
        together([hammer] * 4)
        ping(steady)


async def echo(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"])
def test_asyncssh_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cipher: str) -> None:
    """Both sides exchange keys, amid transfers and resets."""
    rekey_often(monkeypatch, size=1 << 20)
    ended = count_key_exchanges(monkeypatch)
    kit, losses, size = Kit(tmp_path), Losses(), 5_000_000
    with AsyncsshServer(
        carry=echo, rekey_bytes=1 << 20, encoding=None, encryption_algs=[cipher]
    ) as server:
        kit.trust([server.known_hosts_line])
        box = forward_to(80, ssh_port=server.port, username=server.username)
        with (
            kit.tunnel(box, User(says(server.password)), losses=losses) as tunnel,
            listening(box) as forwarding,
        ):
            attach(forwarding, tunnel)
            way = Forwarded(box, tunnel, forwarding, losses, [])

            def transfer() -> None:
                with way.dial() as client:
                    together(
                        [
                            lambda: send_stream(client, 1, size),
                            lambda: check_stream(client, 1, size),
                        ]
                    )

            together([transfer, transfer, lambda: reset_downloads(way, bytes(50_000))])
            assert losses.problems == []
    assert ended() > 5
