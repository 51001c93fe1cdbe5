"""The keys of a running ssh-agent, asked with limits of time.

The protocol is draft-ietf-sshm-ssh-agent; paramiko's client of it waits without limit, and on
Windows asks Pageant before OpenSSH's agent.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import sys
import threading
from dataclasses import dataclass, field
from typing import Protocol, Self

from paramiko import Message

log = logging.getLogger(__name__)

LIST_SECONDS = 5.0
SIGN_SECONDS = 60.0
"""An agent may ask its user to confirm, or to touch a device."""

_REQUEST_IDENTITIES = 11
_IDENTITIES_ANSWER = 12
_SIGN_REQUEST = 13
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
    """A key that an agent holds; it signs while the agent is connected."""

    agent: Agent = field(repr=False)
    blob: bytes = field(repr=False)
    comment: str

    def get_name(self) -> str:
        return Message(self.blob).get_text()

    def asbytes(self) -> bytes:
        return self.blob

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> bytes:
        """A signature in SSH's format. Raises AgentError."""
        return self.agent.sign(self.blob, data, _FLAGS.get(algorithm or "", 0))


class Agent:
    """A connection to the agent at the socket `path`, for the time of a `with`.

    None: the one of the platform, if it has a usual place. Where none answers, it has no keys."""

    def __init__(self, path: str | None) -> None:
        self._connection: _Connection | None = None
        try:
            self._connection = _connect(path)
        except OSError as error:
            log.info("no ssh-agent: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect, and wake who waits for an answer; from any thread."""
        connection, self._connection = self._connection, None
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    @property
    def is_there(self) -> bool:
        """Whether one answered at that place."""
        return self._connection is not None

    def keys(self) -> list[AgentKey]:
        """Its keys in its order, certificates left out."""
        if self._connection is None:
            return []
        request = Message()
        request.add_byte(bytes([_REQUEST_IDENTITIES]))
        try:
            answer = self._ask(request, _IDENTITIES_ANSWER, LIST_SECONDS)
        except AgentError as error:
            log.warning("the ssh-agent does not list its keys: %s", error)
            return []
        count = min(answer.get_int(), _MAX_KEYS)
        pairs = [(answer.get_binary(), answer.get_binary()) for _ in range(count)]
        keys = [AgentKey(self, blob, text.decode("utf-8", "replace")) for blob, text in pairs]
        return [key for key in keys if not key.get_name().endswith("-cert-v01@openssh.com")]

    def sign(self, blob: bytes, data: bytes, flags: int) -> bytes:
        """Sign with the key `blob`. Raises AgentError."""
        request = Message()
        request.add_byte(bytes([_SIGN_REQUEST]))
        request.add_string(blob)
        request.add_string(data)
        request.add_int(flags)
        return self._ask(request, _SIGN_RESPONSE, SIGN_SECONDS).get_binary()

    def _ask(self, request: Message, expected: int, timeout: float) -> Message:
        connection = self._connection
        if connection is None:
            raise AgentError("it is disconnected")
        try:
            if isinstance(connection, socket.socket):
                connection.settimeout(timeout)
                answer = _exchange(connection, request.asbytes())
            else:
                answer = _exchange_within(connection, request.asbytes(), timeout)
        except OSError as error:
            raise AgentError(str(error) or type(error).__name__) from error
        if answer[:1] != bytes([expected]):
            raise AgentError("it refused")
        return Message(answer[1:])


def _exchange(connection: _Connection, request: bytes) -> bytes:
    connection.send(len(request).to_bytes(4, "big") + request)
    size = int.from_bytes(_receive(connection, 4), "big")
    if size > _MAX_MESSAGE:
        raise OSError("its answer is too long")
    return _receive(connection, size)


def _receive(connection: _Connection, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part or isinstance(part, str):
            raise OSError("it closed the connection")
        data += part
    return data


def _exchange_within(connection: _Connection, request: bytes, timeout: float) -> bytes:
    """The same for the pipes of Windows, which know no timeout."""
    answers: queue.SimpleQueue[bytes | OSError] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(_exchange(connection, request))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=work, name="tc-agent", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise OSError(f"no answer within {timeout:g} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


if sys.platform == "win32":
    from paramiko import win_openssh, win_pageant

    def _connect(path: str | None) -> _Connection | None:  # noqa: ARG001 - POSIX has a socket
        if win_openssh.can_talk_to_agent():
            return win_openssh.OpenSSHAgentConnection()
        if win_pageant.can_talk_to_agent():
            return win_pageant.PageantConnection()
        return None
else:

    def _connect(path: str | None) -> _Connection | None:
        if not path:
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(LIST_SECONDS)
            connection.connect(path)
        except OSError:
            connection.close()
            raise
        return connection
