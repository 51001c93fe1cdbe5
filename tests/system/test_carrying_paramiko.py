"""paramiko's own server, whose threads send data after the CLOSE of its channel now and then."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from tests.support.forwarded import forward_to, forwarded, ping, together
from tests.support.scoped import Scoped
from tests.support.tunnel_kit import Kit
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
    with forwarded(kit, forward_to(80, ssh_port=server.port)) as way, way.dial() as steady:

        def hammer() -> None:
            for _ in range(100):
                with contextlib.suppress(ConnectionError), way.dial() as client:
                    client.sendall(b"d")
                    client.recv(10_000)
                    set_reset_on_close(client)

        ping(steady)
        together([hammer] * 4)
        ping(steady)
        assert way.losses.problems == []
