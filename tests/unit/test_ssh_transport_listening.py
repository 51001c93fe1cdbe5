"""Whose connections a server may bring, over a stub of the transport."""

from __future__ import annotations

from typing import cast

import pytest
from paramiko import Message

from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.link import Incoming
from trayconnect.ssh.transport.listening import RemoteListening
from trayconnect.ssh.transport.ssh_transport import OnReply, SshTransport


class Stub:
    """What `RemoteListening` needs of a transport; the server grants all that it answers."""

    name = "tc-transport test"

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str | int, ...]]] = []
        self.replies: list[OnReply] = []
        self.turned_away: list[tuple[int, int]] = []
        self.listening = RemoteListening(cast(SshTransport, self))
        self.taken: list[str] = []

    def ask(self, request: str, on_reply: OnReply, *fields: str | int) -> None:
        self.asked.append((request, fields))
        self.replies.append(on_reply)

    def turn_away(self, theirs: int, code: int, text: str) -> None:
        self.turned_away.append((theirs, code))

    def listen(self, name: str, where: Endpoint, *, port: int = 0, granted: bool = True) -> None:
        def take(_: Incoming) -> None:
            self.taken.append(name)

        self.listening.listen(where, take, lambda _: None)
        reply = Message()
        reply.add_int(port)
        self.replies.pop()(Message(reply.asbytes()) if granted else None)

    def brings(self, kind: str, *fields: str | int) -> None:
        """The server opens its channel 7."""
        message = Message()
        message.add_string(kind)
        for value in (7, 1 << 20, 1 << 15, *fields):
            if isinstance(value, int):
                message.add_int(value)
            else:
                message.add_string(value)
        self.listening.arrived(Message(message.asbytes()))


@pytest.fixture
def stub() -> Stub:
    return Stub()


def tcp(address: str, port: int) -> tuple[str, str, int, str, int]:
    return "forwarded-tcpip", address, port, "198.51.100.7", 1234


def test_the_requests_of_the_protocol(stub: Stub) -> None:
    stub.listen("a", TcpEndpoint("", 9000))
    stub.listen("b", UnixEndpoint("/run/x"))
    assert stub.asked == [
        ("tcpip-forward", ("", 9000)),
        ("streamlocal-forward@openssh.com", ("/run/x",)),
    ]


def test_each_goes_to_who_asked_for_it(stub: Stub) -> None:
    stub.listen("a", TcpEndpoint("localhost", 9000))
    stub.listen("b", TcpEndpoint("", 9001))
    stub.listen("chosen", TcpEndpoint("localhost", 0), port=40000)
    stub.listen("socket", UnixEndpoint("/run/x"))
    stub.brings(*tcp("localhost", 9000))
    stub.brings(*tcp("0.0.0.0", 9001))  # as some servers write it
    stub.brings(*tcp("127.0.0.1", 40000))
    stub.brings("forwarded-streamlocal@openssh.com", "/run/x", "")
    assert stub.taken == ["a", "b", "chosen", "socket"]
    assert stub.turned_away == []


def test_of_two_on_one_port_the_address_tells(stub: Stub) -> None:
    stub.listen("a", TcpEndpoint("127.0.0.1", 9000))
    stub.listen("b", TcpEndpoint("127.0.0.2", 9000))
    stub.brings(*tcp("127.0.0.2", 9000))
    stub.brings(*tcp("localhost", 9000))
    assert stub.taken == ["b"]
    assert stub.turned_away == [(7, 1)]


def test_nothing_else_comes_in(stub: Stub) -> None:
    stub.listen("refused", TcpEndpoint("localhost", 9000), granted=False)
    stub.listen("other", TcpEndpoint("localhost", 9001))
    for kind, *fields in (
        tcp("localhost", 9000),
        tcp("", 22),
        ("forwarded-streamlocal@openssh.com", "/run/docker.sock", ""),
        ("x11", "198.51.100.7", 1234),
        ("auth-agent@openssh.com",),
        ("session",),
        ("direct-tcpip", "localhost", 22, "198.51.100.7", 1234),
    ):
        stub.brings(kind, *fields)
    assert stub.taken == []
    assert stub.turned_away == [(7, 1)] * 7
