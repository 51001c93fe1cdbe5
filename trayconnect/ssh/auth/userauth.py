"""The client's side of SSH user authentication (RFC 4252, RFC 4256).

It replaces paramiko's implementation, which does not report the methods that the server allows
after a refusal, cannot query a key before it signs, and answers prompts on the transport's thread,
where a user's thinking time would block everything."""

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
from trayconnect.ssh.auth.data_types import DataReader, ssh_message
from trayconnect.ssh.connection_problems import SERVER_REASON
from trayconnect.ssh.transport.ssh_transport import SshTransport

MAX_ROUNDS = 20
"""Limit for the rounds of keyboard-interactive; a server that exceeds it is refused."""
PATIENCE_SECONDS = 120.0
"""Seconds for the result of what a human typed: the server may wait for a confirmation on a
telephone (Duo). OpenSSH's servers end a login after the same time (LoginGraceTime)."""
MAX_BANNER = 4000
"""Characters; RFC 4252 section 5.4 sets no limit."""
MAX_LAST_WORDS = 300

_MAX_PROMPTS = 100
_MAX_AHEAD = 16
"""Limit for answers that arrive before their request; a server sends one for each."""

# Message number 60 differs by method: PK_OK, PASSWD_CHANGEREQ, INFO_REQUEST.
_MSG_60 = MSG_USERAUTH_INFO_REQUEST


class _MessageArrived:
    """Wakes a thread that waits for an answer: there is a message to show."""


class AuthLostError(Exception):
    """The transport ended during a login."""


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
class SignedRequest:
    """A login with a signature by `key`. `on_sent` is called when it has been sent."""

    key: SigningKey
    algorithm: str
    on_sent: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class AuthResult:
    """The server's result of one request.

    `allowed` are the methods that can continue. `partial`: this one succeeded, and more are
    required."""

    success: bool
    partial: bool = False
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One round of keyboard-interactive: the server's texts, and whether to echo each answer."""

    name: str
    instructions: str
    prompts: tuple[tuple[str, bool], ...]


class UserAuth:
    """The login on one transport; `timeout` seconds apply to each answer of the server."""

    def __init__(
        self,
        transport: SshTransport,
        username: str,
        timeout: float,
        on_wait: Callable[[str], Callable[[], None]] = lambda _: lambda: None,
    ) -> None:
        """`on_wait` is called, on the caller's thread, with the server's message when the server
        waits for an action elsewhere. What it returns is called when the server continues."""
        self._on_wait = on_wait
        self._pending_action = ""
        """The server's messages since its last answer that ask for an action elsewhere."""
        self.waited_for_human = False
        """Whether it waited so long that a human must have acted."""
        self._transport = transport
        self._username = username
        self._timeout = timeout
        self._answers: queue.SimpleQueue[tuple[int, Message] | _MessageArrived | None] = (
            queue.SimpleQueue()
        )
        self._authenticated = False
        self._banner = ""
        self._last_words = ""
        """The server's banner since its last answer. OpenSSH sends the words of a PAM module that
        denies the account so, and hangs up."""
        # paramiko's transport dispatches messages by this table.
        self._handler_table: dict[int, Callable[[Message], None]] = {
            MSG_SERVICE_ACCEPT: lambda m: self._received(MSG_SERVICE_ACCEPT, m),
            MSG_USERAUTH_SUCCESS: self._succeeded,
            MSG_USERAUTH_FAILURE: lambda m: self._received(MSG_USERAUTH_FAILURE, m),
            MSG_USERAUTH_BANNER: self._bannered,
            _MSG_60: lambda m: self._received(_MSG_60, m),
        }
        transport.set_login(self)

    @property
    def banner(self) -> str:
        """The server's banner before the login (RFC 4252 section 5.4)."""
        return self._banner

    # --- for paramiko's transport -----------------------------------------------------------------

    def is_authenticated(self) -> bool:
        """Whether the server has accepted the login."""
        return self._authenticated

    def abort(self) -> None:
        """The transport has ended."""
        self._answers.put(None)

    # --- requests; each raises AuthLostError and AuthTimeoutError ---------------------------------

    def begin(self, first: SignedRequest | None = None) -> tuple[AuthResult, AuthResult | None]:
        """Start the service, and ask which methods are allowed (RFC 4252 section 5.2). Returns the
        result of that, and the result of the `first` request, if that was needed.

        All is sent at once; the server answers in order (RFC 4252 section 5.1), and rejects the
        service by a disconnection (RFC 4253 section 10)."""
        self._send(ssh_message(cMSG_SERVICE_REQUEST, "ssh-userauth"))
        self._send(self._request("none"))
        if first is not None:
            self._send_signed(first)
        number, _ = self._receive()
        if number != MSG_SERVICE_ACCEPT:
            raise AuthLostError(f"unexpected message {number}")
        result = self._result(self._receive())
        if first is None or result.success:  # after a success, the server ignores requests
            return result, None
        return result, self._result(self._receive())

    def offer(self, public: bytes, algorithm: str) -> AuthResult | None:
        """Query whether the server would accept a signature by a key (RFC 4252 section 7).

        None: it would."""
        message = self._key_request(public, algorithm, signed=False)
        self._send(message)
        answer = self._receive()
        return None if answer[0] == _MSG_60 else self._result(answer)

    def publickey(self, request: SignedRequest) -> AuthResult:
        """Authenticate with a signature."""
        self._send_signed(request)
        return self._result(self._receive())

    def password(self, password: str) -> AuthResult:
        """Authenticate with a password. Raises PasswordExpiredError."""
        self._send(self._request("password", False, password))
        answer = self._receive(PATIENCE_SECONDS)
        if answer[0] == _MSG_60:
            raise PasswordExpiredError(sanitize.text(answer[1].get_binary()))
        return self._result(answer)

    def interactive(self, respond: Callable[[Prompt], tuple[str, ...]]) -> AuthResult:
        """Authenticate by answering the server's prompts; `respond` runs on the caller's thread."""
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
            prompt = _parse_prompt(answer)
            values = respond(prompt)
            if not prompt.prompts:
                self._pending_action = "\n".join(filter(None, (prompt.name, prompt.instructions)))
            self._send(ssh_message(cMSG_USERAUTH_INFO_RESPONSE, len(values), *values))
        raise AuthLostError("the server keeps asking")

    # --- details ----------------------------------------------------------------------------------

    def _succeeded(self, message: Message) -> None:
        self._authenticated = True
        self._transport.logged_in()
        self._received(MSG_USERAUTH_SUCCESS, message)

    def _received(self, number: int, message: Message) -> None:
        """Called on the transport's thread, which the exception ends."""
        if self._answers.qsize() >= _MAX_AHEAD:
            raise SSHException("an answer without a request")
        self._last_words = ""
        self._answers.put((number, message))

    def _bannered(self, message: Message) -> None:
        text = sanitize.text(message.get_binary())
        self._banner = "\n".join(filter(None, (self._banner, text)))[:MAX_BANNER]
        self._last_words = " ".join((self._last_words + " " + text).split())[-MAX_LAST_WORDS:]
        if out_of_band.address(text):
            message_text, self._pending_action = self._pending_action, self._banner
            if not message_text:  # log once per answer: a server may send banners without end
                self._answers.put(_MessageArrived())

    def _request(self, method: str, *fields: str | bytes | int) -> Message:
        head = (self._username, "ssh-connection", method)
        return ssh_message(cMSG_USERAUTH_REQUEST, *head, *fields)

    def _send_signed(self, request: SignedRequest) -> None:
        key, algorithm = request.key, request.algorithm
        message = self._key_request(key.asbytes(), algorithm, signed=True)
        data = Message()
        data.add_string(self._transport.session_id or b"")
        data.add_bytes(message.asbytes())
        message.add_string(key.sign_ssh_data(data.asbytes(), algorithm))
        self._send(message)
        request.on_sent()

    def _key_request(self, blob: bytes, algorithm: str, *, signed: bool) -> Message:
        return self._request("publickey", signed, algorithm, blob)

    def _send(self, message: Message) -> None:
        self._transport.post(message)

    def _receive(self, patience: float = 0.0) -> tuple[int, Message]:
        """The next answer, within the timeout, or within `patience` seconds if that is longer."""
        if self._transport.ended.is_set() and self._answers.empty():
            raise self._lost()
        with ExitStack() as display:
            answer = self._wait(max(self._timeout, patience), display)
        self._pending_action = ""
        if answer is None:
            raise self._lost()
        return answer

    def _lost(self) -> AuthLostError:
        reason = self._transport.reason()
        if self._last_words and not reason.startswith(SERVER_REASON):
            reason = f"{SERVER_REASON}{self._last_words}"
        return AuthLostError(reason)

    def _wait(self, limit: float, display: ExitStack) -> tuple[int, Message] | None:
        """As `_receive`, while showing what the server waits for; `display` gets the end of
        that."""
        began = time.monotonic()
        is_visible = False
        while True:
            waited = time.monotonic() - began
            if self._pending_action:
                limit = max(limit, out_of_band.HUMAN_SECONDS)
                if not is_visible and waited >= out_of_band.SHOW_SECONDS:
                    is_visible = True
                    display.callback(self._on_wait(self._pending_action))
            if waited >= limit:
                raise AuthTimeoutError
            until = out_of_band.SHOW_SECONDS if self._pending_action and not is_visible else limit
            try:
                answer = self._answers.get(timeout=max(0.0, until - waited))
            except queue.Empty:
                continue
            if not isinstance(answer, _MessageArrived):
                self.waited_for_human |= (
                    is_visible and time.monotonic() - began >= out_of_band.NOBODY_SECONDS
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
    reader = DataReader(message.get_remainder())
    try:
        name, instructions, _language = (sanitize.text(reader.string()) for _ in range(3))
        count = reader.uint32()
        if count > _MAX_PROMPTS:
            raise AuthLostError(f"the server sends {count} prompts at once")
        prompts = tuple((sanitize.text(reader.string()), reader.boolean()) for _ in range(count))
    except ValueError as error:
        raise AuthLostError(f"the server's question is {error}") from error
    return Prompt(name, instructions, prompts)
