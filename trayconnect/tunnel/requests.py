"""Global requests to a server, and who waits for which answer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from paramiko import Message
from paramiko.common import cMSG_GLOBAL_REQUEST

if TYPE_CHECKING:
    from trayconnect.tunnel.outbox import Outbox

Answered = Callable[[bytes | None], None]
"""Takes the body of a success, or None for a failure; called on the transport's thread."""


class GlobalRequests:
    """Answers name no request: they come in the order of the requests (RFC 4254 section 4)."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._order = threading.Lock()
        self._waiting: deque[Answered] = deque()

    def send(self, kind: str, on_answer: Answered, body: bytes = b"") -> None:
        """Ask, and have `on_answer` called, unless the transport ends before. Never waits."""
        message = Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string(kind)
        message.add_boolean(True)
        message.add_bytes(body)
        with self._order:
            self._waiting.append(on_answer)
            self._outbox.post(message)

    def succeeded(self, message: Message) -> None:
        """SSH_MSG_REQUEST_SUCCESS came."""
        self._answer(message.get_remainder())

    def failed(self, message: Message) -> None:  # noqa: ARG002 - it holds nothing
        """SSH_MSG_REQUEST_FAILURE came."""
        self._answer(None)

    def _answer(self, body: bytes | None) -> None:
        if self._waiting:
            self._waiting.popleft()(body)
