"""A TCP or TLS connection to a web server, every step within one deadline and cancellable."""

from __future__ import annotations

import enum
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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
    """Connected, and hung up on."""
    CERTIFICATE = "certificate"
    """A TLS certificate that is not trusted."""
    NO_TLS = "no-tls"
    """The TLS handshake failed otherwise."""
    NOT_HTTP = "not-http"


class ProbeError(Exception):
    """There is no HTTP answer."""

    def __init__(self, failure: Failure, detail: str) -> None:
        # The words of an exception quote what the server sent.
        detail = sanitize.line(detail)
        super().__init__(f"{failure.value}: {detail}")
        self.failure = failure
        self.detail = detail


def remaining(deadline: float) -> float:
    """Seconds until `deadline`, on the clock of `time.monotonic`, for `socket.settimeout`: never
    0, which would mean non-blocking."""
    return max(deadline - time.monotonic(), 0.001)


@contextmanager
def dialled(
    host: str, port: int, *, tls: ssl.SSLContext | None, deadline: float, cancel: CancelToken
) -> Iterator[socket.socket]:
    """A connected socket, closed on leaving; while inside, `cancel.set` wakes its user.

    Raises `ProbeError` and, at once after `cancel.set`, `Cancelled`.
    """
    sock = _connect(host, port, deadline, cancel)
    try:
        if tls is not None:
            # Wrapping takes the file descriptor over; the handshake waits until `cancel` knows.
            sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        with cancel.releasing(lambda: _wake(sock)):
            if isinstance(sock, ssl.SSLSocket):
                _shake_hands(sock, deadline)
            yield sock
    except ProbeError:
        # What looks like a hang-up was our own doing.
        cancel.check()
        raise
    finally:
        sock.close()


def _connect(host: str, port: int, deadline: float, cancel: CancelToken) -> socket.socket:
    """The first of the host's addresses that takes a TCP connection."""
    failure = ProbeError(Failure.UNRESOLVABLE, "it has no address")
    rows = _resolve(host, port, deadline, cancel)
    for index, (family, address) in enumerate(rows):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            # An address that swallows packets must leave time for those after it.
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
    """Release whoever blocks on the socket. Its owner closes it: closing here would free a
    descriptor that the blocked call still uses."""
    with suppress(OSError):
        # Not SSLSocket's own method, which pulls the TLS state from under a running read.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
