"""The client's side of SSH user authentication (RFC 4252, RFC 4256), one request at a time.

It takes the place of paramiko's own, which does not tell which methods the server allows after a
refusal, cannot ask whether a key would do before it signs, and answers prompts on the transport's
thread, where a user's thinking time would stop everything.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from paramiko import Message, SSHException
from paramiko.common import (
    MSG_SERVICE_ACCEPT,
    MSG_USERAUTH_BANNER,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_INFO_REQUEST,
    MSG_USERAUTH_SUCCESS,
    cMSG_SERVICE_REQUEST,
    cMSG_USERAUTH_INFO_RESPONSE,
    cMSG_USERAUTH_REQUEST,
)

from trayconnect.core import sanitize
from trayconnect.ssh import out_of_band
from trayconnect.ssh.auth.data_types import Reader
from trayconnect.ssh.transport.ssh_transport import SshTransport

MAX_ROUNDS = 20
"""Of keyboard-interactive; a server that asks for ever is refused."""
PATIENCE_SECONDS = 120.0
"""For the verdict on what a human typed: the server may wait for a telephone to be tapped (Duo).
OpenSSH's servers end a login after as long (LoginGraceTime)."""
MAX_BANNER = 4000
"""Characters; RFC 4252 section 5.4 sets no limit."""

_MAX_PROMPTS = 100
_MAX_AHEAD = 16
"""Answers that wait for a question; a server has one for each."""

# Number 60 means another thing for each method: PK_OK, PASSWD_CHANGEREQ, INFO_REQUEST.
_MSG_60 = MSG_USERAUTH_INFO_REQUEST


class _Words:
    """Wakes whoever waits for an answer: there is something to tell."""


class AuthLostError(Exception):
    """The transport ended amid a login."""


class AuthTimeoutError(Exception):
    """The server did not answer in time."""


class PasswordExpiredError(Exception):
    """The server wants a new password (RFC 4252 section 8); the text is its prompt."""


class SigningKey(Protocol):
    """A private key, in a file or in an agent; paramiko's PKey is one."""

    def get_name(self) -> str: ...
    def asbytes(self) -> bytes: ...
    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> Message | bytes: ...


@dataclass(frozen=True, slots=True)
class AuthResult:
    """The server's verdict on one request.

    `allowed` are the methods that can continue. `partial`: this one was right, and more is
    wanted."""

    success: bool
    partial: bool = False
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One round of keyboard-interactive: the server's words, and whether each answer may show."""

    name: str
    instructions: str
    prompts: tuple[tuple[str, bool], ...]


class UserAuth:
    """The login of one transport; `timeout` seconds are for each answer of the server."""

    def __init__(
        self,
        transport: SshTransport,
        username: str,
        timeout: float,
        on_wait: Callable[[str], Callable[[], None]] = lambda _: lambda: None,
    ) -> None:
        """`on_wait` is called, on the caller's thread, with the server's words when it waits for
        someone elsewhere; and what that returns, when it goes on."""
        self._on_wait = on_wait
        self._elsewhere = ""
        """What the server said that asks for something elsewhere, since its last answer."""
        self.waited_for_human = False
        """Whether it waited so long for that that someone must have done it."""
        self._transport = transport
        self._username = username
        self._timeout = timeout
        self._answers: queue.SimpleQueue[tuple[int, Message] | _Words | None] = queue.SimpleQueue()
        self._authenticated = False
        self._banner = ""
        # Seen by paramiko's transport, which passes messages on by this table.
        self._handler_table: dict[int, Callable[[Message], None]] = {
            MSG_SERVICE_ACCEPT: lambda m: self._came(MSG_SERVICE_ACCEPT, m),
            MSG_USERAUTH_SUCCESS: self._succeeded,
            MSG_USERAUTH_FAILURE: lambda m: self._came(MSG_USERAUTH_FAILURE, m),
            MSG_USERAUTH_BANNER: self._bannered,
            _MSG_60: lambda m: self._came(_MSG_60, m),
        }
        transport.take_login(self)

    @property
    def banner(self) -> str:
        """What the server has shown to be read before the login (RFC 4252 section 5.4)."""
        return self._banner

    # --- for paramiko's transport -----------------------------------------------------------------

    def is_authenticated(self) -> bool:
        """Whether the server has let us in."""
        return self._authenticated

    def abort(self) -> None:
        """The transport has ended."""
        self._answers.put(None)

    # --- requests; each raises AuthLostError and AuthTimeoutError ---------------------------------

    def begin(self) -> AuthResult:
        """Start the service, and ask which methods are allowed (RFC 4252 section 5.2)."""
        message = Message()
        message.add_byte(cMSG_SERVICE_REQUEST)
        message.add_string("ssh-userauth")
        self._send(message)
        number, _ = self._receive()
        if number != MSG_SERVICE_ACCEPT:
            raise AuthLostError(f"unexpected message {number}")
        self._send(self._request("none"))
        return self._result(self._receive())

    def offer(self, public: bytes, algorithm: str) -> AuthResult | None:
        """Ask whether the server would take a signature by a key (RFC 4252 section 7).

        None: it would."""
        message = self._key_request(public, algorithm, signed=False)
        self._send(message)
        answer = self._receive()
        return None if answer[0] == _MSG_60 else self._result(answer)

    def publickey(self, key: SigningKey, algorithm: str) -> AuthResult:
        """Log in with a signature."""
        message = self._key_request(key.asbytes(), algorithm, signed=True)
        data = Message()
        data.add_string(self._transport.session_id or b"")
        data.add_bytes(message.asbytes())
        message.add_string(key.sign_ssh_data(data.asbytes(), algorithm))
        self._send(message)
        return self._result(self._receive())

    def password(self, password: str) -> AuthResult:
        """Log in with a password. Raises PasswordExpiredError."""
        message = self._request("password")
        message.add_boolean(False)
        message.add_string(password)
        self._send(message)
        answer = self._receive(PATIENCE_SECONDS)
        if answer[0] == _MSG_60:
            raise PasswordExpiredError(sanitize.text(answer[1].get_binary()))
        return self._result(answer)

    def interactive(self, respond: Callable[[Prompt], tuple[str, ...]]) -> AuthResult:
        """Log in by answering the server's prompts; `respond` runs on the caller's thread."""
        message = self._request("keyboard-interactive")
        message.add_string("")
        message.add_string("")
        self._send(message)
        patience = 0.0
        for _ in range(MAX_ROUNDS):
            number, answer = self._receive(patience)
            patience = PATIENCE_SECONDS
            if number != _MSG_60:
                return self._result((number, answer))
            response = Message()
            prompt = _parse_prompt(answer)
            values = respond(prompt)
            if not prompt.prompts:
                self._elsewhere = "\n".join(filter(None, (prompt.name, prompt.instructions)))
            response.add_byte(cMSG_USERAUTH_INFO_RESPONSE)
            response.add_int(len(values))
            for value in values:
                response.add_string(value)
            self._send(response)
        raise AuthLostError("the server asks without end")

    # --- details ----------------------------------------------------------------------------------

    def _succeeded(self, message: Message) -> None:
        self._authenticated = True
        self._transport.logged_in()
        self._came(MSG_USERAUTH_SUCCESS, message)

    def _came(self, number: int, message: Message) -> None:
        """On the transport's thread, which ends with the exception."""
        if self._answers.qsize() >= _MAX_AHEAD:
            raise SSHException("it answers what nobody asked")
        self._answers.put((number, message))

    def _bannered(self, message: Message) -> None:
        text = sanitize.text(message.get_binary())
        self._banner = "\n".join(filter(None, (self._banner, text)))[:MAX_BANNER]
        if out_of_band.address(text):
            said, self._elsewhere = self._elsewhere, self._banner
            if not said:  # once an answer: there is no end to what it may say
                self._answers.put(_Words())

    def _request(self, method: str) -> Message:
        message = Message()
        message.add_byte(cMSG_USERAUTH_REQUEST)
        message.add_string(self._username)
        message.add_string("ssh-connection")
        message.add_string(method)
        return message

    def _key_request(self, blob: bytes, algorithm: str, *, signed: bool) -> Message:
        message = self._request("publickey")
        message.add_boolean(signed)
        message.add_string(algorithm)
        message.add_string(blob)
        return message

    def _send(self, message: Message) -> None:
        self._transport.outbox.post(message)

    def _receive(self, patience: float = 0.0) -> tuple[int, Message]:
        """The next answer, within the timeout, or `patience` seconds where that is longer."""
        if self._transport.ended.is_set() and self._answers.empty():
            raise AuthLostError(self._transport.reason())
        with ExitStack() as shown:
            answer = self._wait(max(self._timeout, patience), shown)
        self._elsewhere = ""
        if answer is None:
            raise AuthLostError(self._transport.reason())
        return answer

    def _wait(self, limit: float, shown: ExitStack) -> tuple[int, Message] | None:
        """The same, telling of what the server waits for; the end of that is left to `shown`."""
        began = time.monotonic()
        is_shown = False
        while True:
            waited = time.monotonic() - began
            if self._elsewhere:
                limit = max(limit, out_of_band.HUMAN_SECONDS)
                if not is_shown and waited >= out_of_band.SHOW_SECONDS:
                    is_shown = True
                    shown.callback(self._on_wait(self._elsewhere))
            if waited >= limit:
                raise AuthTimeoutError
            until = out_of_band.SHOW_SECONDS if self._elsewhere and not is_shown else limit
            try:
                answer = self._answers.get(timeout=max(0.0, until - waited))
            except queue.Empty:
                continue
            if not isinstance(answer, _Words):
                self.waited_for_human |= (
                    is_shown and time.monotonic() - began >= out_of_band.NOBODY_SECONDS
                )
                return answer

    def _result(self, answer: tuple[int, Message]) -> AuthResult:
        number, message = answer
        if number == MSG_USERAUTH_SUCCESS:
            return AuthResult(success=True)
        if number == MSG_USERAUTH_FAILURE:
            names = sanitize.line(message.get_binary()).split(",")
            allowed = tuple(name for name in names if name)
            return AuthResult(success=False, partial=message.get_boolean(), allowed=allowed)
        raise AuthLostError(f"unexpected message {number}")


def _parse_prompt(message: Message) -> Prompt:
    reader = Reader(message.get_remainder())
    try:
        name, instructions, _language = (sanitize.text(reader.string()) for _ in range(3))
        count = reader.uint32()
        if count > _MAX_PROMPTS:
            raise AuthLostError(f"the server asks {count} things at once")
        prompts = tuple((sanitize.text(reader.string()), reader.boolean()) for _ in range(count))
    except ValueError as error:
        raise AuthLostError(f"the server's question is {error}") from error
    return Prompt(name, instructions, prompts)
