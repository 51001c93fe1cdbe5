"""The app's side of one request and its reply."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from trayconnect.control.protocol import (
    REQUEST_MAX,
    ProtocolError,
    Reply,
    VersionError,
    decode_request,
    encode_reply,
)
from trayconnect.control.transport import ControlConnection, OtherUserError
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery

_log = logging.getLogger(__name__)

Handler = Callable[[Command, CancelToken], JSON]
"""Returns the data of the reply to a command, on a thread of its own. It may block; the
`CancelToken` is set when the client hangs up (or closes its sending side) or the server stops, and
it must then return soon. It may raise `ProblemError`, and `Cancelled`."""

STOPPING = Reply(
    ok=False,
    problem=Problem("trayconnect is quitting", "Start it again with: trayconnect", Recovery.RETRY),
)
BROKEN = Reply(
    ok=False,
    problem=Problem(
        "Something went wrong inside trayconnect", "This is a bug; its log says what happened."
    ),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the app its clients may take; seconds."""

    clients: int = 64
    """Served at once; one more is hung up on."""
    request_seconds: float = 5
    """From its arrival until a client has sent its request."""
    reply_seconds: float = 5
    """Until it has taken the reply."""
    stop_seconds: float = 2
    """That a stopping server leaves the handlers to answer, and then again the clients to go."""


class Exchange:
    """Reads a request from `link`, has it answered, sends the reply, and hangs up."""

    def __init__(self, link: ControlConnection, handler: Handler, limits: Limits) -> None:
        self._link = link
        self._handler = handler
        self._limits = limits
        self._cancel = CancelToken()
        self._guard = threading.Lock()
        self._is_over = False

    def run(self) -> None:
        """From end to end; never raises."""
        try:
            self._link.authenticate(self._limits.request_seconds)
            self._serve()
        except OtherUserError as error:
            _log.warning("Refused a client: %s", error)
        except (OSError, EOFError) as error:
            _log.debug("A client did not stay for its reply: %s", error)
        except Exception:  # noqa: BLE001 - nobody above could do more
            _log.exception("A client could not be served")
        finally:
            with self._guard:
                self._is_over = True
                self._link.close()

    def cancel(self) -> None:
        """From any thread: read no more, and answer soon."""
        self._cancel.set()
        self._unless_over(self._link.stop_reading)

    def abort(self) -> None:
        """From any thread: do not even answer."""
        self._cancel.set()
        self._unless_over(self._link.abort)

    def _unless_over(self, end: Callable[[], None]) -> None:
        with self._guard:
            if not self._is_over:
                end()

    def _serve(self) -> None:
        try:
            command = decode_request(self._link.receive(REQUEST_MAX, self._limits.request_seconds))
        except ProtocolError as error:
            self._send(encode_reply(_refusal(error)))
            return
        if self._cancel.is_set():
            self._send(encode_reply(STOPPING))
            return
        watcher = threading.Thread(target=self._watch, name="tc-control watch", daemon=True)
        watcher.start()
        try:
            self._send(answer(self._handler, command, self._cancel))
        finally:
            self._link.stop_reading()
            watcher.join()

    def _watch(self) -> None:
        self._link.wait_hangup()
        self._cancel.set()

    def _send(self, line: bytes) -> None:
        self._link.send(line, self._limits.reply_seconds)


def answer(handler: Handler, command: Command, cancel: CancelToken) -> bytes:
    """The reply's line, whatever the handler does."""
    try:
        return encode_reply(_ask(handler, command, cancel))
    except Exception:  # noqa: BLE001 - the app lives on, whatever its handlers do
        _log.exception("The command %r failed", command.name)
        return encode_reply(BROKEN)


def _ask(handler: Handler, command: Command, cancel: CancelToken) -> Reply:
    try:
        return Reply(ok=True, data=handler(command, cancel))
    except ProblemError as error:
        return Reply(ok=False, problem=error.problem)
    except Cancelled:
        return STOPPING


def _refusal(error: ProtocolError) -> Reply:
    _log.warning("A request was not understood: %s", error)
    if isinstance(error, VersionError):
        title = "The running trayconnect is of another version than this command"
        advice = "Quit it from its menu, and start it again with: trayconnect"
    else:
        title = "The request was not understood"
        advice = "Use the commands of trayconnect; see: trayconnect --help"
    return Reply(ok=False, problem=Problem(title, advice, detail=str(error)))
