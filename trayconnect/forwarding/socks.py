"""The server's side of SOCKS: version 5 (RFC 1928) without authentication, and version 4 with 4A
(the protocols' memos of NEC, at openssh.com/txt), for CONNECT alone.

The far end resolves names, not this side."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import time
from dataclasses import dataclass

from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.link import Refusal
from trayconnect.forwarding.conversations import Conversation, Wanted

HANDSHAKE_SECONDS = 10.0
"""Time limit for the client's handshake."""

_LONGEST_TEXT = 255
_LONGEST_HEAD = 8192
_CONNECT = 1

# RFC 1928, section 6
_SUCCEEDED, _FAILED, _NOT_ALLOWED, _HOST_UNREACHABLE, _REFUSED = 0, 1, 2, 4, 5
_COMMAND_UNKNOWN, _ADDRESS_UNKNOWN = 7, 8
_NO_METHOD = 0xFF
_REPLIES = {
    Refusal.FORBIDDEN: _NOT_ALLOWED,
    Refusal.REFUSED: _REFUSED,
    Refusal.UNREACHABLE: _HOST_UNREACHABLE,
    Refusal.UNRESOLVED: _HOST_UNREACHABLE,
    Refusal.OTHER: _FAILED,
}
# SOCKS 4
_GRANTED_4, _REJECTED_4 = 90, 91

_HTTP_ANSWER = """\
This is a SOCKS proxy, not an HTTP one: it is a dynamic forward of trayconnect.
Enter it as the SOCKS host in the settings of the browser, with SOCKS version 5 and with names
resolved by the proxy. For curl: --socks5-hostname ADDRESS:PORT
"""


class SocksError(Exception):
    """The client hung up, took too long, or asked for something unsupported; it has the reply
    already."""


@dataclass(frozen=True, slots=True)
class SocksRequest:
    """A CONNECT. `version` is 4 or 5."""

    target: TcpEndpoint
    version: int

    @property
    def granted(self) -> bytes:
        """The reply that the channel is open."""
        return _reply5(_SUCCEEDED) if self.version == 5 else _reply4(_GRANTED_4)

    def denied(self, client: socket.socket, refusal: Refusal) -> bool:
        """Send the failure. Returns whether that was possible."""
        reply = _reply5(_REPLIES[refusal]) if self.version == 5 else _reply4(_REJECTED_4)
        return _send_last(client, reply)


def negotiate(
    client: socket.socket, limit: float = HANDSHAKE_SECONDS
) -> Conversation[SocksRequest]:
    """Read the client's request, and not one byte more, in `limit` seconds.

    Raises `SocksError`."""
    reader = _HandshakeReader(client, time.monotonic() + limit)
    try:
        version = yield from reader.byte()
        if version == 5:
            return (yield from _negotiate5(reader))
        if version == 4:
            return (yield from _negotiate4(reader))
        if chr(version).isalpha():
            yield from _explain_to_http(reader)
    except (OSError, EOFError) as error:
        raise SocksError(f"no SOCKS request came: {error}") from error
    raise SocksError(f"it does not speak SOCKS: its first byte is {version:#04x}")


class _HandshakeReader:
    """Exact reads from a client, which does not block, until a deadline of the monotonic clock."""

    def __init__(self, client: socket.socket, deadline: float) -> None:
        self.client = client
        self._deadline = deadline

    def read(self, size: int) -> Conversation[bytes]:
        """Raises OSError and EOFError."""
        data = b""
        while len(data) < size:
            more = yield Wanted(size - len(data), self._deadline)
            if not more:
                raise EOFError("it hung up")
            data += more
        return data

    def byte(self) -> Conversation[int]:
        return (yield from self.read(1))[0]

    def null_terminated(self) -> Conversation[bytes]:
        """Read up to a zero byte, and consume it."""
        data = b""
        while (character := (yield from self.read(1))) != b"\0":
            data += character
            if len(data) > _LONGEST_TEXT:
                raise EOFError("its user or host name is too long")
        return data

    def send(self, data: bytes) -> None:
        self.client.sendall(data)


def _negotiate5(reader: _HandshakeReader) -> Conversation[SocksRequest]:
    methods = yield from reader.read((yield from reader.byte()))
    if 0 not in methods:
        reader.send(bytes((5, _NO_METHOD)))
        raise SocksError("it wants to log in, and this proxy has no logins")
    reader.send(b"\5\0")
    version, command, _, kind = yield from reader.read(4)
    if version != 5:
        raise _reject(reader, _reply5(_FAILED), "it changed its version")
    host = yield from _address5(reader, kind)
    (port,) = struct.unpack("!H", (yield from reader.read(2)))
    if command != _CONNECT:
        raise _reject(reader, _reply5(_COMMAND_UNKNOWN), f"command {command} is not CONNECT")
    if not host:
        raise _reject(reader, _reply5(_FAILED), "it names no host")
    return SocksRequest(TcpEndpoint(host, port), 5)


def _address5(reader: _HandshakeReader, kind: int) -> Conversation[str]:
    """Empty if it is no address."""
    match kind:
        case 1:
            return str(ipaddress.IPv4Address((yield from reader.read(4))))
        case 3:
            return _name((yield from reader.read((yield from reader.byte()))))
        case 4:
            return str(ipaddress.IPv6Address((yield from reader.read(16))))
    raise _reject(reader, _reply5(_ADDRESS_UNKNOWN), f"address type {kind} is not known")


def _negotiate4(reader: _HandshakeReader) -> Conversation[SocksRequest]:
    command, port, packed = struct.unpack("!BH4s", (yield from reader.read(7)))
    yield from reader.null_terminated()  # the user name, which cannot be verified
    host = str(ipaddress.IPv4Address(packed))
    if packed[:3] == b"\0\0\0" and packed[3]:  # 4A: an invalid address
        host = _name((yield from reader.null_terminated()))
    if command != _CONNECT:
        raise _reject(reader, _reply4(_REJECTED_4), f"command {command} is not CONNECT")
    if not host:
        raise _reject(reader, _reply4(_REJECTED_4), "it names no host")
    return SocksRequest(TcpEndpoint(host, port), 4)


def _name(data: bytes) -> str:
    """A host name as text; empty if it is invalid."""
    try:
        name = data.decode()
    except UnicodeDecodeError:
        return ""
    return name if name.isprintable() and " " not in name else ""


def _reply5(code: int) -> bytes:
    """The bound address is left empty, because no client uses it."""
    return bytes((5, code, 0, 1)) + bytes(6)


def _reply4(code: int) -> bytes:
    return bytes((0, code)) + bytes(6)


def _reject(reader: _HandshakeReader, reply: bytes, reason: str) -> SocksError:
    _send_last(reader.client, reply)
    return SocksError(reason)


def _explain_to_http(reader: _HandshakeReader) -> Conversation[None]:
    """Answer a browser whose user took this for an HTTP proxy, or for a page."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LONGEST_HEAD:
        head += yield from reader.read(1)
    answer = _HTTP_ANSWER.encode()
    fields = f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(answer)}\r\n"
    start = f"HTTP/1.1 501 This is a SOCKS proxy\r\n{fields}Connection: close\r\n\r\n"
    reader.send(start.encode() + answer)


def _send_last(client: socket.socket, reply: bytes) -> bool:
    """Send a last reply without waiting for further input."""
    with contextlib.suppress(OSError):
        client.sendall(reply)
        client.shutdown(socket.SHUT_WR)
        return True
    return False
