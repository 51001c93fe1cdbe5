"""HTTP requests with limits on total time and size, which can be cancelled."""

from __future__ import annotations

import enum
import http.client
import io
import math
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from trayconnect.core import sanitize
from trayconnect.core.abandonable import Address, look_up
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.link import ByteStream

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
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http or https URL: {url!r}")
    tls = _tls(verify) if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    deadline = time.monotonic() + timeout
    with dialled(parts.hostname, port, tls=tls, deadline=deadline, cancel=cancel) as sock:
        connection = http.client.HTTPConnection(parts.hostname, port)
        # http.client uses only sendall, makefile and close of its socket.
        connection.sock = _Deadlined(sock, deadline)
        return _exchange(connection, method, _target(parts.path, parts.query), token)


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
    connection: http.client.HTTPConnection, method: str, target: str, token: str
) -> Response:
    headers = {"Accept": "*/*", "User-Agent": "trayconnect", "Connection": "close"}
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
            return Response(answer.status, reason, _read(answer), headers)
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


def _tls(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


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


class Failure(enum.Enum):
    """Why there is no HTTP answer."""

    UNRESOLVABLE = "unresolvable"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    """No TCP connection in time, or no route."""
    SILENT = "silent"
    """Connected, but no answer in time."""
    CLOSED = "closed"
    """Connected, then closed by the peer."""
    CERTIFICATE = "certificate"
    """A TLS certificate that is not trusted."""
    NO_TLS = "no-tls"
    """The TLS handshake failed for another reason."""
    NOT_HTTP = "not-http"


class ProbeError(Exception):
    """There is no HTTP answer."""

    def __init__(self, failure: Failure, detail: str) -> None:
        # The text of an exception quotes the server.
        detail = sanitize.line(detail)
        super().__init__(f"{failure.value}: {detail}")
        self.failure = failure
        self.detail = detail


def remaining(deadline: float) -> float:
    """Seconds until `deadline`, on the clock of `time.monotonic`, for `socket.settimeout`: never 0,
    which would mean non-blocking."""
    return max(deadline - time.monotonic(), 0.001)


@contextmanager
def dialled(
    host: str, port: int, *, tls: ssl.SSLContext | None, deadline: float, cancel: CancelToken
) -> Iterator[socket.socket]:
    """A connected socket, closed on leaving; while inside, `cancel.set` releases a blocked call.

    Raises `ProbeError` and, at once after `cancel.set`, `Cancelled`."""
    sock = _connect(host, port, deadline, cancel)
    try:
        if tls is not None:
            # Wrapping takes over the file descriptor; `cancel` must know it before the handshake.
            sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        with cancel.releasing(lambda: _wake(sock)):
            if isinstance(sock, ssl.SSLSocket):
                _shake_hands(sock, deadline)
            yield sock
    except ProbeError:
        # After a cancellation, the failure is our own doing.
        cancel.check()
        raise
    finally:
        sock.close()


def _connect(host: str, port: int, deadline: float, cancel: CancelToken) -> socket.socket:
    """Connect to the first of the host's addresses that accepts."""
    failure = ProbeError(Failure.UNRESOLVABLE, "it has no address")
    rows = _resolve(host, port, deadline, cancel)
    for index, (family, address) in enumerate(rows):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            # An address that drops packets must leave time for the others.
            sock.settimeout(remaining(deadline) / (len(rows) - index))
            with cancel.releasing(lambda sock=sock: _wake(sock)):  # type: ignore[misc]
                sock.connect(address)
        except OSError as error:
            sock.close()
            cancel.check()
            failure = ProbeError(_of_connecting(error), str(error))
            failure.__cause__ = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _of_connecting(error: OSError) -> Failure:
    match error:
        case ConnectionRefusedError():
            return Failure.REFUSED
        case ConnectionResetError():
            # It was taken, and hung up on before we saw that: our own listener is that quick when
            # nothing listens at the far end.
            return Failure.CLOSED
        case _:
            return Failure.UNREACHABLE


def _resolve(host: str, port: int, deadline: float, cancel: CancelToken) -> list[Address]:
    try:
        return look_up(host, port, remaining(deadline), cancel)
    except TimeoutError:
        raise ProbeError(Failure.UNRESOLVABLE, "the name lookup takes too long") from None
    except OSError as error:
        raise ProbeError(Failure.UNRESOLVABLE, str(error)) from error


def _shake_hands(sock: ssl.SSLSocket, deadline: float) -> None:
    sock.settimeout(remaining(deadline))
    try:
        sock.do_handshake()
    except ssl.SSLCertVerificationError as error:
        raise ProbeError(Failure.CERTIFICATE, error.verify_message) from error
    except TimeoutError as error:
        raise ProbeError(Failure.SILENT, str(error)) from error
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        raise ProbeError(Failure.CLOSED, str(error)) from error
    except ssl.SSLError as error:
        raise ProbeError(Failure.NO_TLS, str(error)) from error
    except (OSError, ValueError) as error:
        raise ProbeError(Failure.CLOSED, str(error)) from error


def _wake(sock: socket.socket) -> None:
    """Wake a thread that blocks on the socket. Its owner closes it: closing here would free a
    descriptor that the blocked call still uses."""
    with suppress(OSError):
        # Not SSLSocket's own method, which removes the TLS state from under a running read.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def host_port(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def gateway_error(where: str, status: int, reason: str) -> Problem:
    return Problem(
        f"{where} answers {status} {reason}".rstrip(),
        "A proxy listens there, but the server behind it does not answer: start that.",
        Recovery.RETRY,
    )
