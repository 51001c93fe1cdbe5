"""Lines over a Windows named pipe; a key in a file that only the user can read authenticates both
ends.

The pipe's name is made from the key, so that nobody can take it before the app does. Messages are
bytes: never `recv()`, which unpickles.

Neither end sends the key. Three-pass mutual authentication of ISO/IEC 9798-4 with HMAC-SHA-256
(RFC 2104):

    app -> command   challenge of the app
    command -> app   challenge of the command, proof "command"
    app -> command   proof "app"

A proof covers the name of its side and both challenges, so that none can be sent back, or replayed
in another exchange. (That of `multiprocessing.connection` lacks this.)"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path
from typing import Any, TypeAlias

from trayconnect.control.protocol import ProtocolError
from trayconnect.control.transport import OtherUserError, seconds_left

CHALLENGE_SIZE = 32
PROOF_SIZE = 32
KEY_SIZE = 32

APP = b"app"
COMMAND = b"command"


def proof(key: bytes, side: bytes, app_challenge: bytes, command_challenge: bytes) -> bytes:
    """What `side` sends to show that it knows `key`; the challenges are of `CHALLENGE_SIZE`."""
    message = b"trayconnect control 1\0" + app_challenge + command_challenge + side
    return hmac.digest(key, message, hashlib.sha256)


def is_proof(
    claimed: bytes, key: bytes, side: bytes, app_challenge: bytes, command_challenge: bytes
) -> bool:
    """Whether `side` knows `key`, compared in constant time."""
    return hmac.compare_digest(claimed, proof(key, side, app_challenge, command_challenge))


_KEY_NAME = "control.key"
_BACKLOG = 128
_POLL_SECONDS = 0.1
"""A blocked call notices at this pace that it should end: nothing can wake one on a pipe."""

if sys.platform == "win32":
    _Pipe: TypeAlias = "connection.Connection[Any, Any] | connection.PipeConnection[Any, Any]"
else:
    _Pipe: TypeAlias = "connection.Connection[Any, Any]"


class PipeTransport:
    """`Transport` over a named pipe."""

    def listen(self, folder: Path) -> PipeListener:
        key = secrets.token_bytes(KEY_SIZE)
        listener = PipeListener(folder / _KEY_NAME, key, self._address(key))
        try:
            listener.publish()
        except BaseException:
            listener.close()
            raise
        return listener

    def connect(self, folder: Path, timeout: float) -> PipeLink:  # noqa: ARG002
        # A pipe that is busy is waited for by multiprocessing itself, up to 20 s.
        key = (folder / _KEY_NAME).read_bytes()
        if len(key) != KEY_SIZE:
            raise FileNotFoundError(f"{_KEY_NAME} is not complete")
        pipe = connection.Client(self._address(key))
        return PipeLink(pipe, key, is_app=False)

    def _address(self, key: bytes) -> str:
        name = "trayconnect-" + hashlib.sha256(b"name of the pipe\0" + key).hexdigest()[:32]
        return rf"\\.\pipe\{name}"


class PipeListener:
    def __init__(self, key_file: Path, key: bytes, address: str) -> None:
        self._key_file = key_file
        self._key = key
        self._address = address
        self._stopped = threading.Event()
        self._listener = connection.Listener(address, backlog=_BACKLOG)

    def publish(self) -> None:
        """Write the key for the commands. Raises OSError.

        In place: Windows replaces no file that a command has open at the moment."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(self._key_file, flags, 0o600), "wb") as file:
            file.write(self._key)

    def accept(self) -> PipeLink | None:
        pipe = self._listener.accept()
        if self._stopped.is_set():
            pipe.close()
            return None
        return PipeLink(pipe, self._key, is_app=True)

    def stop(self) -> None:
        self._stopped.set()
        with suppress(OSError):
            if self._key_file.read_bytes() == self._key:
                self._key_file.unlink()
        with suppress(OSError):  # the way to end an accept on a pipe is to come to it
            connection.Client(self._address).close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.close()


class PipeLink:
    """What is not the app is the command."""

    def __init__(self, pipe: _Pipe, key: bytes, *, is_app: bool) -> None:
        self._pipe = pipe
        self._key = key
        self._is_app = is_app
        self._reading_stopped = threading.Event()

    def authenticate(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        mine = secrets.token_bytes(CHALLENGE_SIZE)
        if self._is_app:
            self.send(mine, seconds_left(deadline))
            answer = self._exactly(CHALLENGE_SIZE + PROOF_SIZE, deadline)
            theirs, claimed = answer[:CHALLENGE_SIZE], answer[CHALLENGE_SIZE:]
            self._check(is_proof(claimed, self._key, COMMAND, mine, theirs))
            self.send(proof(self._key, APP, mine, theirs), seconds_left(deadline))
        else:
            theirs = self._exactly(CHALLENGE_SIZE, deadline)
            self.send(mine + proof(self._key, COMMAND, theirs, mine), seconds_left(deadline))
            claimed = self._exactly(PROOF_SIZE, deadline)
            self._check(is_proof(claimed, self._key, APP, theirs, mine))

    def receive(self, limit: int, timeout: float) -> bytes:
        return self._message(limit, time.monotonic() + timeout)

    def send(self, line: bytes, timeout: float) -> None:
        watchdog = threading.Timer(timeout, self.abort)
        watchdog.name = "tc-control watchdog"
        watchdog.daemon = True
        watchdog.start()
        try:
            self._pipe.send_bytes(line)
        except OSError as error:
            if self._pipe.closed:
                raise TimeoutError("the other end does not read") from error
            raise
        finally:
            watchdog.cancel()
            watchdog.join()

    def wait_hangup(self) -> None:
        with suppress(OSError, EOFError):
            while not self._reading_stopped.is_set() and not self._pipe.poll(_POLL_SECONDS):
                pass

    def stop_reading(self) -> None:
        self._reading_stopped.set()

    def abort(self) -> None:
        self._reading_stopped.set()
        self.close()  # which is what ends a write on a pipe

    def close(self) -> None:
        with suppress(OSError):
            self._pipe.close()

    def _message(self, limit: int, deadline: float) -> bytes:
        while not self._pipe.poll(min(_POLL_SECONDS, seconds_left(deadline))):
            self._check_reading()
        self._check_reading()
        try:
            return self._pipe.recv_bytes(limit)
        except OSError as error:
            if error.errno is None and not self._pipe.closed:
                # multiprocessing's own way to say that it is longer
                raise ProtocolError(f"more than {limit} bytes") from error
            raise

    def _exactly(self, size: int, deadline: float) -> bytes:
        try:
            message = self._message(size, deadline)
        except ProtocolError as error:
            raise OtherUserError("the other end does not know the handshake") from error
        self._check(len(message) == size)
        return message

    def _check(self, is_right: bool) -> None:
        if not is_right:
            raise OtherUserError("the other end does not know the key")

    def _check_reading(self) -> None:
        if self._reading_stopped.is_set():
            raise EOFError("no longer read")
