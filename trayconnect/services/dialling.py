"""Connections to web servers, with a limit in time, which can be cancelled."""

from __future__ import annotations

import enum
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from trayconnect.core import sanitize
from trayconnect.core.abandonable import Address, look_up
from trayconnect.core.cancellation import CancelToken


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
def dialled(place: Place, deadline: float, cancel: CancelToken) -> Iterator[socket.socket]:
    """A connected socket, closed on leaving; while inside, `cancel.set` releases a blocked call.

    Raises `ProbeError` and, at once after `cancel.set`, `Cancelled`."""
    sock = dial(place, deadline, cancel)
    try:
        with released(sock, cancel):
            yield sock
    finally:
        sock.close()


def dial(place: Place, deadline: float, cancel: CancelToken) -> socket.socket:
    """A connected socket. Raises as `dialled` does."""
    sock = _connect(place.host, place.port, deadline, cancel)
    try:
        if place.tls is not None:
            # Wrapping takes over the file descriptor; `cancel` must know it before the handshake.
            sock = place.tls.wrap_socket(
                sock, server_hostname=place.host, do_handshake_on_connect=False
            )
        if isinstance(sock, ssl.SSLSocket):
            with released(sock, cancel):
                _shake_hands(sock, deadline)
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def released(sock: socket.socket, cancel: CancelToken) -> Iterator[None]:
    """Within the block, `cancel.set` releases a call that blocks on the socket. Raises
    `Cancelled`."""
    try:
        with cancel.releasing(lambda: wake(sock)):
            yield
    except ProbeError:
        # After a cancellation, the failure is our own doing.
        cancel.check()
        raise


def _connect(host: str, port: int, deadline: float, cancel: CancelToken) -> socket.socket:
    """Connect to the first of the host's addresses that accepts."""
    failure = ProbeError(Failure.UNRESOLVABLE, "it has no address")
    rows = _resolve(host, port, deadline, cancel)
    for index, (family, address) in enumerate(rows):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            # An address that drops packets must leave time for the others.
            sock.settimeout(remaining(deadline) / (len(rows) - index))
            with cancel.releasing(lambda sock=sock: wake(sock)):  # type: ignore[misc]
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


def wake(sock: socket.socket) -> None:
    """Wake a thread that blocks on the socket. Its owner closes it: closing here would free a
    descriptor that the blocked call still uses."""
    with suppress(OSError):
        # Not SSLSocket's own method, which removes the TLS state from under a running read.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a web server listens."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    """None: plain HTTP."""

    @classmethod
    def of(cls, url: str, *, verify: bool) -> Place:
        """That of a URL. Raises ValueError for another URL than http or https."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http or https URL: {url!r}")
        tls = _tls(verify) if parts.scheme == "https" else None
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls)


def _tls(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
