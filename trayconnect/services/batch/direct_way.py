"""To a job's node by a channel to a port of it, where the relay of the job listens.

Any user of the node could listen on a port after the job's end, so the relay there proves that it
knows a secret that only the account can read, as this end does: see `relay.far_serve`. What goes
between the login node and the node is not encrypted, as the secret itself is not on its way to a
home that nodes share: the network of the cluster must be trusted."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from trayconnect.core import remote_script, sanitize
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import ByteStream, Link
from trayconnect.core.threads import deadline
from trayconnect.services.batch.job import job_name
from trayconnect.services.batch.reach import REACH_LIMIT, Destination
from trayconnect.services.batch.relay.relay_link import open_relay

_READ_SECONDS = 10.0
_PROOF_SECONDS = 5.0
_NO_ORIGIN = ("127.0.0.1", 0)
_HELLO = b"@@trayconnect node 1 "
_LONGEST = 200
_MARK = "@@relay"


def open_direct(
    to: Destination, login: Link, cancel: CancelToken, on_lost: Callable[[Problem], None]
) -> Link:
    """An `OpenWay`."""
    node = to.job.node or "the node"
    if not to.job.is_ours or to.files is None:
        title = f"Only a job that trayconnect has submitted lets it in on a port of {node}"
        raise ProblemError(Problem(title, "", Recovery.RETRY))
    port, secret = _told(to, login)
    problem = Problem(f"Nothing of the job listens on {node}", "", Recovery.RETRY)
    until = time.monotonic() + REACH_LIMIT / 2
    for name in to.job.nodes:
        cancel.check()
        if time.monotonic() > until:
            break
        try:
            stream = login.open_channel(TcpEndpoint(name, port), _NO_ORIGIN)
        except ProblemError as error:
            problem = error.problem
            continue
        try:
            with cancel.releasing(stream.close), deadline(_PROOF_SECONDS, stream.close):
                rest = _prove(stream, port, secret)
        except (OSError, EOFError, _FalseError) as error:
            stream.close()
            cancel.check()
            problem = _not_ours(name, port, str(error))
            continue
        except BaseException:
            stream.close()
            raise
        return open_relay(
            _Rest(stream, rest),
            b"",
            node,
            keepalive=to.server.keepalive,
            seconds=REACH_LIMIT,
            cancel=cancel,
            on_lost=on_lost,
        )
    raise ProblemError(problem)


def _told(to: Destination, login: Link) -> tuple[int, bytes]:
    """The port and the secret, from the job's folder. Raises `ProblemError`."""
    folder = f"trayconnect/jobs/{job_name(to.server.name).rpartition('-')[2]}/{to.job.id}"
    script = (
        f'folder="${{XDG_STATE_HOME:-$HOME/.local/state}}/{folder}"\n'
        # It comes a moment after the socket, and a shared home may lag.
        "for second in 1 2 3 4 5; do\n"
        '    [ ! -s "$folder/relay" ] || break\n'
        '    [ "$second" -le 2 ] || [ -e "$folder/relay.py" ] || break\n'
        '    sleep 1; ls "$folder" >/dev/null\n'
        "done 2>/dev/null\n"
        f'printf "\\n{_MARK} %s\\n" "$(cat "$folder/relay")"'
    )
    said = login.execute(remote_script.COMMAND, remote_script.stdin(script), _READ_SECONDS)
    for line in said.stdout.decode(errors="replace").splitlines():
        match line.split():
            case [mark, port, secret] if mark == _MARK and port.isdigit() and len(secret) == 64:
                return int(port), secret.encode()
    title = f"The job on {to.job.node} listens on no port"
    advice = "It has no Python, or its entry asked for another way when it was submitted."
    raise ProblemError(Problem(title, advice, Recovery.RETRY))


class _FalseError(Exception):
    """What answers does not know the secret."""


def _prove(stream: ByteStream, port: int, secret: bytes) -> bytes:
    """Prove to the relay that this end knows the secret, and have it proven by the relay; what
    comes behind that. Raises `_FalseError` and OSError."""
    hello, rest = _line(stream, b"")
    theirs = hello[len(_HELLO) :]
    if not hello.startswith(_HELLO) or len(theirs) != 64 or rest:
        raise _FalseError(f"it said {sanitize.line(hello, 60)!r}")
    ours = secrets.token_hex(32).encode()
    numbers = theirs + b" " + ours
    stream.sendall(ours + b" " + _proof(secret, b"client", numbers, port) + b"\n")
    shown, rest = _line(stream, b"")
    if not hmac.compare_digest(shown, _proof(secret, b"node", numbers, port)):
        raise _FalseError("its proof is false")
    return rest


def _proof(secret: bytes, who: bytes, numbers: bytes, port: int) -> bytes:
    """As `far_serve.proof`."""
    said = b"%b %b %d" % (who, numbers, port)
    return hmac.new(secret, said, hashlib.sha256).hexdigest().encode()


def _line(stream: ByteStream, data: bytes) -> tuple[bytes, bytes]:
    while b"\n" not in data:
        if len(data) > _LONGEST:
            raise _FalseError(f"it said {sanitize.line(data, 60)!r}")
        more = stream.recv(4096)
        if not more:
            raise _FalseError("it hung up")
        data += more
    line, _, rest = data.partition(b"\n")
    return line, rest


class _Rest:
    """A `ByteStream` of which the first bytes were read already."""

    def __init__(self, stream: ByteStream, first: bytes) -> None:
        self._stream = stream
        self._first = first
        self.sendall = stream.sendall
        self.shutdown_write = stream.shutdown_write
        self.close = stream.close

    @property
    def is_over(self) -> bool:
        return self._stream.is_over

    def recv(self, size: int) -> bytes:
        first, self._first = self._first[:size], self._first[size:]
        return first or self._stream.recv(size)


def _not_ours(name: str, port: int, detail: str) -> Problem:
    title = f"What listens on port {port} of {name} is not the job's"
    return Problem(title, "Nothing is sent there.", Recovery.RETRY, detail)
