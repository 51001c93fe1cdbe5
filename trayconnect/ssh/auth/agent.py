"""Client of a running ssh-agent, with time limits.

Any program that speaks the protocol (draft-ietf-sshm-ssh-agent) works: OpenSSH's, gpg-agent's SSH
socket, 1Password, KeePassXC, Pageant. paramiko's client waits without limit, and on Windows asks
Pageant before OpenSSH's agent."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Protocol, Self

from paramiko import Message

from trayconnect.core import sanitize
from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, shortage
from trayconnect.ssh.auth.data_types import ssh_message

log = logging.getLogger(__name__)

LIST_SECONDS = 5.0
SIGN_SECONDS = 60.0
"""Seconds: an agent may ask its user to confirm, or to touch a device."""

NONE = "none"
"""Instead of a socket's path: no agent."""
PAGEANT = "pageant"
"""Instead of a pipe's name, on Windows: PuTTY's agent."""
OPENSSH_PIPE = r"\\.\pipe\openssh-ssh-agent"

_REQUEST_IDENTITIES = b"\x0b"
_IDENTITIES_ANSWER = 12
_SIGN_REQUEST = b"\x0d"
_SIGN_RESPONSE = 14
_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}
_MAX_MESSAGE = 1 << 20
_MAX_KEYS = 1000


class AgentError(Exception):
    """The agent is gone, does not answer, or refused."""


class _Connection(Protocol):
    def send(self, data: bytes, /) -> object: ...
    def recv(self, size: int, /) -> bytes | str: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class AgentKey:
    """A key in an agent; it signs while the agent is connected."""

    agent: Agent = field(repr=False)
    blob: bytes = field(repr=False)
    comment: str

    def get_name(self) -> str:
        return Message(self.blob).get_binary().decode("ascii", "replace")

    def asbytes(self) -> bytes:
        return self.blob

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> bytes:
        """A signature in SSH's format. Raises AgentError."""
        return self.agent.sign(self.blob, data, _FLAGS.get(algorithm or "", 0))


def chosen(*configured: str | None) -> str | None:
    """Which agent to ask: the first configured one. OpenSSH's name for the agent of the environment
    does not count as configured."""
    return next((place for place in configured if place not in (None, "SSH_AUTH_SOCK")), None)


def windows_places(path: str | None) -> tuple[str, ...]:
    """The agents to ask on Windows, in order, until one has keys. OpenSSH's agent is part of the
    system, so the user's keys may be in Pageant instead."""
    if path == NONE:
        return ()
    return (path,) if path else (OPENSSH_PIPE, PAGEANT)


class Agent:
    """A connection to the agent at `path`, a socket (a pipe on Windows), for the time of a `with`.

    None: the platform's default agent, if it has one. Without an answer there are no keys, and
    `fault` gives the reason if a path was named."""

    def __init__(self, path: str | None) -> None:
        self.fault = ""
        self._places = list(_places(path))
        self._place = ""
        """The agent that was asked last."""
        self._connection: _Connection | None = None
        self._closing = CancelToken()
        self._lock = threading.Lock()
        """Held while the connection changes."""
        self._connect_next()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect, and wake a caller that waits for an answer; from any thread."""
        self._closing.set()
        self._disconnect()

    @property
    def is_there(self) -> bool:
        """Whether an agent answered."""
        return self._connection is not None

    def keys(self) -> list[AgentKey]:
        """The agent's keys, including certificates, in its order."""
        while self._connection is not None:
            try:
                keys = self._list()
            except AgentError as error:
                self._note(str(error))
                keys = []
            if keys or not self._places:
                return keys
            self._disconnect()
            self._connect_next()
        return []

    def sign(self, blob: bytes, data: bytes, flags: int) -> bytes:
        """Sign with the key `blob`. Raises AgentError."""
        request = ssh_message(_SIGN_REQUEST, blob, data, flags)
        return self._ask(request, _SIGN_RESPONSE, SIGN_SECONDS).get_binary()

    # --- details ----------------------------------------------------------------------------------

    def _connect_next(self) -> None:
        while self._places and self._connection is None and not self._closing.is_set():
            self._place = self._places.pop(0)
            try:
                connection = _connect(self._place)
            except OSError as error:
                if shortage(error):
                    raise
                self._note(error.strerror or str(error))
                continue
            with self._lock:
                self._connection = connection
            if self._closing.is_set():  # meanwhile
                self._disconnect()

    def _note(self, fault: str) -> None:
        log.info("the ssh-agent at %s: %s", self._place, fault)
        self.fault = fault

    def _disconnect(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _list(self) -> list[AgentKey]:
        answer = self._ask(ssh_message(_REQUEST_IDENTITIES), _IDENTITIES_ANSWER, LIST_SECONDS)
        count = min(answer.get_int(), _MAX_KEYS)
        pairs = [(answer.get_binary(), answer.get_binary()) for _ in range(count)]
        keys = [AgentKey(self, blob, sanitize.line(text)) for blob, text in pairs]
        return [key for key in keys if key.get_name()]

    def _ask(self, request: Message, expected: int, timeout: float) -> Message:
        connection = self._connection
        if connection is None:
            raise AgentError("it is disconnected")
        try:
            if isinstance(connection, socket.socket):
                answer = _exchange(connection, request.asbytes(), time.monotonic() + timeout)
            else:
                answer = self._exchange_within(connection, request.asbytes(), timeout)
        except TimeoutError as error:
            # A late answer would be taken for the answer to the next request.
            self._disconnect()
            raise AgentError(f"no answer within {timeout:g} s") from error
        except OSError as error:
            raise AgentError(str(error) or type(error).__name__) from error
        if answer[:1] != bytes([expected]):
            raise AgentError("it refused")
        return Message(answer[1:])

    def _exchange_within(self, connection: _Connection, request: bytes, timeout: float) -> bytes:
        """As `_exchange`, for Windows' pipes, which have no timeout."""
        exchange = Background(lambda: _exchange(connection, request), "tc-agent")
        try:
            return exchange.result(self._closing, timeout)
        except Cancelled:
            raise OSError("it is disconnected") from None


def _exchange(connection: _Connection, request: bytes, deadline: float | None = None) -> bytes:
    """`deadline` (of the monotonic clock) applies to sockets, and to the whole answer. Raises
    TimeoutError."""
    _limit(connection, deadline)
    connection.send(len(request).to_bytes(4, "big") + request)
    size = int.from_bytes(_receive(connection, 4, deadline), "big")
    if size > _MAX_MESSAGE:
        raise OSError("its answer is too long")
    return _receive(connection, size, deadline)


def _receive(connection: _Connection, size: int, deadline: float | None) -> bytes:
    data = b""
    while len(data) < size:
        _limit(connection, deadline)
        part = connection.recv(size - len(data))
        if not part or isinstance(part, str):
            raise OSError("it closed the connection")
        data += part
    return data


def _limit(connection: _Connection, deadline: float | None) -> None:
    if deadline is not None and isinstance(connection, socket.socket):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)


if sys.platform == "win32":
    import errno
    import os

    from paramiko import win_pageant

    _PIPE_TRIES = 20

    class _Pipe:
        """A named pipe, opened as a file."""

        def __init__(self, name: str) -> None:
            for _ in range(_PIPE_TRIES):
                try:
                    self._descriptor = os.open(name, os.O_RDWR | os.O_BINARY)
                except OSError as error:
                    # The agent has not released the previous connection yet.
                    if error.errno != errno.EINVAL:
                        raise
                    time.sleep(0.1)
                else:
                    return
            raise OSError("its pipe is busy")

        def send(self, data: bytes) -> int:
            return os.write(self._descriptor, data)

        def recv(self, size: int) -> bytes:
            return os.read(self._descriptor, size)

        def close(self) -> None:
            os.close(self._descriptor)

    _places = windows_places

    def _connect(place: str) -> _Connection:
        if place != PAGEANT:
            return _Pipe(place)
        if not win_pageant.can_talk_to_agent():
            raise OSError("Pageant does not run")
        return win_pageant.PageantConnection()
else:

    def _places(path: str | None) -> tuple[str, ...]:
        return (path,) if path and path != NONE else ()

    def _connect(place: str) -> _Connection:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(LIST_SECONDS)
            connection.connect(place)
        except OSError:
            connection.close()
            raise
        return connection
