"""HTTP requests with limits on total time and size, which can be cancelled."""

from __future__ import annotations

import http.client
import io
import math
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from trayconnect.core import sanitize
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.link import ByteStream
from trayconnect.services.dialling import Failure, Place, ProbeError, dialled, remaining

BODY_LIMIT = 64 * 1024
_HEADER_LIMIT, _REASON_LIMIT = 4096, 120


_LONGEST_READ = 0.5 if sys.platform == "win32" else math.inf
"""Seconds: Windows need not wake a read when its socket is shut down; the next read fails at
once."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer; redirects are not followed."""

    status: int
    reason: str
    body: bytes
    """At most the first 64 KiB; less if the body was cut, or was late."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case."""
    stays: bool = False
    """Whether the connection can carry another request."""


def get(
    url: str, *, timeout: float, cancel: CancelToken, token: str = "", verify: bool = True
) -> Response:
    """GET `url`: see `request`."""
    return request("GET", url, timeout=timeout, cancel=cancel, token=token, verify=verify)


def request(
    method: str,
    url: str,
    *,
    timeout: float,
    cancel: CancelToken,
    token: str = "",
    verify: bool = True,
) -> Response:
    """Send a request without a body, within `timeout` seconds from the name lookup to the last
    byte.

    No proxy is used. `token` logs in to Jupyter. `verify` checks an https certificate against the
    system's store. Switch it off behind a tunnel only: there the URL has a loopback address, which
    no certificate names, and SSH has authenticated the host.

    Raises `ProbeError` without an HTTP answer, `Cancelled`, and ValueError for another URL than
    http or https."""
    place = Place.of(url, verify=verify)
    deadline = time.monotonic() + timeout
    with dialled(place, deadline, cancel) as sock:
        return ask(place, sock, method, url, deadline, token=token)


def ask(
    place: Place,
    sock: socket.socket,
    method: str,
    url: str,
    deadline: float,
    *,
    token: str = "",
    keep: bool = False,
) -> Response:
    """Send a request over a connection to its place; `keep`: which may stay open. Raises
    `ProbeError`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(place.host, place.port)
    # http.client uses only sendall, makefile and close of its socket.
    connection.sock = _Deadlined(sock, deadline)
    return _exchange(connection, method, _target(parts.path, parts.query), token, keep=keep)


def get_through(stream: ByteStream, authority: str, path: str) -> Response:
    """GET a path over a stream to a web server that browsers know as `authority`.

    Has no time limit of its own; closing the stream ends the call. Raises `ProbeError`."""
    connection = http.client.HTTPConnection(authority)
    connection.sock = _OverStream(stream)
    return _exchange(connection, "GET", _target(*_path_and_query(path)), "")


def _path_and_query(path: str) -> tuple[str, str]:
    before, _, query = path.partition("#")[0].partition("?")
    return before, query


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    token: str,
    *,
    keep: bool = False,
) -> Response:
    after = "keep-alive" if keep else "close"
    headers = {"Accept": "*/*", "User-Agent": "trayconnect", "Connection": after}
    if token:
        headers["Authorization"] = f"token {token}"
    try:
        connection.request(method, target, headers=headers)
        with connection.getresponse() as answer:
            headers = {
                name.lower(): sanitize.line(value, _HEADER_LIMIT)
                for name, value in answer.getheaders()
            }
            reason = sanitize.line(answer.reason, _REASON_LIMIT)
            body = _read(answer)
            is_whole = answer.isclosed() or answer.length == 0
            stays = is_whole and not answer.will_close
            return Response(answer.status, reason, body, headers, stays)
    except TimeoutError as error:
        raise ProbeError(Failure.SILENT, str(error)) from error
    except http.client.RemoteDisconnected as error:
        raise ProbeError(Failure.CLOSED, str(error)) from error
    except (http.client.HTTPException, ValueError) as error:
        raise ProbeError(Failure.NOT_HTTP, f"{type(error).__name__}: {error}") from error
    except OSError as error:
        raise ProbeError(Failure.CLOSED, str(error)) from error


def _read(answer: http.client.HTTPResponse) -> bytes:
    """The body up to the limit. What came before a failure counts: a page that never ends is an
    answer."""
    body = bytearray()
    with suppress(OSError, http.client.HTTPException, ValueError):
        while len(body) < BODY_LIMIT and (data := answer.read1(BODY_LIMIT - len(body))):
            body += data
    return bytes(body)


def _target(path: str, query: str) -> str:
    """The request target, RFC 9112 section 3.2.1; existing quotes stay."""
    safe = "/%:@!$&'()*+,;=~?"
    target = quote(path or "/", safe=safe)
    return f"{target}?{quote(query, safe=safe)}" if query else target


class _Deadlined:
    """The part of a socket that http.client uses, with one deadline over all its calls: with a
    limit on each, a peer that sends single bytes would never end."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(remaining(self._deadline))
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._deadline))

    def close(self) -> None:
        """The socket belongs to the caller."""


class _OverStream:
    """The same part over a stream, which has no deadline."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def sendall(self, data: bytes) -> None:
        self._stream.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_StreamReader(self._stream))

    def close(self) -> None:
        """The stream belongs to the caller."""


class _StreamReader(io.RawIOBase):
    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while time.monotonic() < self._deadline:
            self._sock.settimeout(min(_LONGEST_READ, remaining(self._deadline)))
            with suppress(TimeoutError):
                return self._sock.recv_into(buffer)
        raise TimeoutError("timed out")


GATEWAY_ERRORS = (
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""Answers of a proxy when the server behind it is silent."""


def host_port(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def gateway_error(where: str, status: int, reason: str) -> Problem:
    return Problem(
        f"{where} answers {status} {reason}".rstrip(),
        "A proxy listens there, but the server behind it does not answer: start that.",
        Recovery.RETRY,
    )
