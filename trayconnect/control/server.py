"""The running app's end of the control socket."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from trayconnect.control.lock import InstanceLock
from trayconnect.control.protocol import (
    REQUEST_MAX,
    ProtocolError,
    Reply,
    VersionError,
    decode_request,
    encode_reply,
)
from trayconnect.control.transport import (
    ControlConnection,
    ControlListener,
    OtherUserError,
    Transport,
    default_transport,
)
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.closing import do_all
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
    """Limits for clients; in seconds, except `clients`."""

    clients: int = 64
    """Served at the same time; another one is disconnected."""
    request_seconds: float = 5
    """For a client to send its request."""
    reply_seconds: float = 5
    """For a client to read the reply."""
    stop_seconds: float = 2
    """For the handlers to end when the server stops, and again for the clients."""


class Exchange:
    """Reads a request from `link`, calls the handler, sends the reply, and hangs up."""

    def __init__(self, link: ControlConnection, handler: Handler, limits: Limits) -> None:
        self._link = link
        self._handler = handler
        self._limits = limits
        self._cancel = CancelToken()
        self._guard = threading.Lock()
        self._is_over = False

    def run(self) -> None:
        """Never raises."""
        try:
            self._link.authenticate(self._limits.request_seconds)
            self._serve()
        except OtherUserError as error:
            _log.warning("Refused a client: %s", error)
        except (OSError, EOFError) as error:
            _log.debug("A client did not stay for its reply: %s", error)
        except Exception:  # noqa: BLE001 - the other clients go on
            _log.exception("A client could not be served")
        finally:
            with self._guard:
                self._is_over = True
                self._link.close()

    def cancel(self) -> None:
        """From any thread: stop reading, and reply soon."""
        self._cancel.set()
        self._unless_over(self._link.stop_reading)

    def abort(self) -> None:
        """From any thread: hang up without a reply."""
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
    """The line of the reply; never raises."""
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


_PAUSE_SECONDS = 0.5
_ACCEPTOR_SECONDS = 10.0


class ControlServer:
    """Serves the commands of one user: each on a thread of its own, each bounded by `limits`.

    It takes the lock rather than its folder, since only the lock's holder may replace the socket.
    Started once, stopped once.
    """

    def __init__(
        self,
        lock: InstanceLock,
        handler: Handler,
        *,
        transport: Transport | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._lock = lock
        self._handler = handler
        self._transport = transport or default_transport()
        self._limits = limits or Limits()
        self._stopping = threading.Event()
        self._listener: ControlListener | None = None
        self._acceptor: threading.Thread | None = None
        self._starting = threading.Lock()
        """Between `start` and `stop`."""
        self._guard = threading.Lock()
        self._served: dict[threading.Thread, Exchange] = {}

    def start(self) -> None:
        """Be reachable from now on. Raises `ProblemError`, and RuntimeError without the lock."""
        if not self._lock.held:
            raise RuntimeError("the instance lock must be held first")
        with self._starting:
            if self._listener or self._stopping.is_set():
                raise RuntimeError("a control server starts once")
            self._listen()

    def _listen(self) -> None:
        try:
            listener = self._transport.listen(self._lock.folder)
        except OSError as error:
            raise ProblemError(
                Problem(
                    "The control socket cannot be opened",
                    f"Check that {self._lock.folder} can be written to, and start again.",
                    detail=str(error),
                )
            ) from error
        acceptor = threading.Thread(
            target=self._accept, args=(listener,), name="tc-control", daemon=True
        )
        try:
            acceptor.start()
        except RuntimeError:  # no more threads
            listener.stop()
            listener.close()
            raise
        self._listener, self._acceptor = listener, acceptor

    def stop(self) -> None:
        """Accept no more, reply to the waiting clients, and join all threads, within a few seconds.
        The second call does nothing. Raises RuntimeError on the thread of a handler, which it
        cannot join."""
        with self._guard:
            if threading.current_thread() in self._served:
                raise RuntimeError("a handler must leave stopping the server to another thread")
        with self._starting:
            if self._stopping.is_set():
                return
            self._stopping.set()
        listener, acceptor = self._listener, self._acceptor
        if listener is None or acceptor is None:
            return
        do_all(
            listener.stop,
            lambda: acceptor.join(_ACCEPTOR_SECONDS),
            lambda: self._end(Exchange.cancel),
            lambda: self._end(Exchange.abort),
            listener.close,
        )
        with self._guard:
            for thread in filter(threading.Thread.is_alive, self._served):
                _log.error("%s still runs, although its request was cancelled", thread.name)

    def _end(self, step: Callable[[Exchange], None]) -> None:
        """Not under the lock: what a cancellation calls is the handlers' own."""
        with self._guard:
            served = dict(self._served)
        do_all(
            *(partial(step, exchange) for exchange in served.values()), lambda: self._join(served)
        )

    def _join(self, threads: Iterable[threading.Thread]) -> None:
        deadline = time.monotonic() + self._limits.stop_seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self, listener: ControlListener) -> None:
        while True:
            try:
                link = listener.accept()
            except OSError as error:
                _log.warning("Cannot accept a client: %s", error)
                if self._stopping.wait(_PAUSE_SECONDS):
                    return
                continue
            if link is None:
                return
            self._admit(link)

    def _admit(self, link: ControlConnection) -> None:
        exchange = Exchange(link, self._handler, self._limits)
        thread = threading.Thread(target=exchange.run, name="tc-control client", daemon=True)
        with self._guard:
            # Only threads that have ended are let go of, so that `stop` joins all the others.
            self._served = {t: served for t, served in self._served.items() if t.is_alive()}
            is_full = len(self._served) >= self._limits.clients
            if not is_full and _starts(thread):
                self._served[thread] = exchange
                return
        _log.warning("Hung up on a client: %d are being served", len(self._served))
        link.close()


def _starts(thread: threading.Thread) -> bool:
    try:
        thread.start()
    except RuntimeError as error:
        _log.warning("The system has no thread for a client: %s", error)
        return False
    return True
