"""paramiko's Transport with bounded waits, a reported end, and workarounds for its bugs."""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from paramiko import Message, SSHException
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_OPEN_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    cMSG_CHANNEL_CLOSE,
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_OPEN_FAILURE,
    cMSG_DISCONNECT,
    cMSG_GLOBAL_REQUEST,
    cMSG_REQUEST_FAILURE,
)
from paramiko.transport import ChannelMap

from trayconnect.core import sanitize
from trayconnect.core.event_loop import tell
from trayconnect.core.link import Client
from trayconnect.core.threads import served_quickly
from trayconnect.ssh.auth.data_types import DataReader, ssh_message
from trayconnect.ssh.connection_problems import SERVER_REASON
from trayconnect.ssh.transport.carried import CarriedChannel
from trayconnect.ssh.transport.channels import ChannelOutlet, SshChannel, tcp_fields
from trayconnect.ssh.transport.key_exchange import KeyExchangeTransport
from trayconnect.ssh.transport.listening import RemoteListening
from trayconnect.ssh.transport.multiplexer import ChannelRefusedError, Multiplexer
from trayconnect.ssh.transport.offered_algorithms import AlgorithmOffer
from trayconnect.ssh.transport.packetizer import Packetizer

log = logging.getLogger(__name__)

WINDOW = 2 << 20
MAX_PACKET = 32 << 10
HOST_KEYS_ANNOUNCED = b"hostkeys-00@openssh.com"
_LAST_WORDS_SECONDS = 0.5
_NO_ORIGIN = ("127.0.0.1", 0)
_DISCONNECT_BY_APPLICATION = 11  # RFC 4253 section 11.1


OnReply = Callable[[Message | None], None]
"""Gets the server's reply to a global request, after the message's number; None: a failure."""


class _Opening:
    """A requested channel."""

    def __init__(self, channel: SshChannel) -> None:
        self.channel = channel
        self.done = threading.Event()
        self.refusal: ChannelRefusedError | None = None


class AuthHandler(Protocol):
    """Replaces paramiko's authentication handler."""

    def is_authenticated(self) -> bool: ...

    def abort(self) -> None:
        """The transport has ended."""
        ...


if TYPE_CHECKING:

    class _TransportBase(KeyExchangeTransport):
        """paramiko's class, with the internals that are used here; a unit test checks that they
        exist."""

        sock: socket.socket
        auth_handler: AuthHandler | None  # type: ignore[assignment]  # ours in place of paramiko's
        server_extensions: Mapping[str, bytes]
        _channels: ChannelMap
        _handler_table: dict[int, Callable[[Message], None]]
        _channel_handler_table: dict[int, Callable[[Any, Message], object]]

        def _send_user_message(self, data: Message) -> None: ...
        def _next_channel(self) -> int: ...
        def _auth_trigger(self) -> None: ...
        def _parse_disconnect(self, m: Message) -> None: ...
        def _parse_ext_info(self, msg: Message) -> None: ...
        def _parse_global_request(self, m: Message) -> None: ...
else:
    _TransportBase = KeyExchangeTransport


class SshTransport(_TransportBase):
    """One SSH connection over `sock`, as a client.

    `name` goes into thread names; `offer` lists the algorithms."""

    packetizer: Packetizer  # type: ignore[assignment]  # ours in place of paramiko's

    _channel_handler_table = {  # noqa: RUF012 - paramiko's
        **_TransportBase._channel_handler_table,  # noqa: SLF001
        MSG_CHANNEL_DATA: SshChannel.feed,
        MSG_CHANNEL_EXTENDED_DATA: SshChannel.feed_extended,
        MSG_CHANNEL_WINDOW_ADJUST: SshChannel.adjusted,
        MSG_CHANNEL_CLOSE: SshChannel.far_close,
    }

    def __init__(
        self,
        sock: socket.socket,
        *,
        name: str,
        offer: AlgorithmOffer = AlgorithmOffer(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(
            sock,
            offer,
            default_window_size=WINDOW,
            default_max_packet_size=MAX_PACKET,
            packetizer_class=Packetizer,
        )
        self.name = f"tc-transport {name}"
        self.greeted = threading.Event()
        """Set as soon as it is known whether the peer speaks SSH, or at the end."""
        self.packetizer.on_greeting = self.greeted.set
        self.ended = threading.Event()
        """Set when its thread ends, and the SSH connection with it."""
        self.on_end: Callable[[], None] = lambda: None
        """Called on its thread after `ended` is set."""
        self.disconnect_reason = ""
        """The server's reason for the disconnection, if it gave one."""
        self.on_host_keys: Callable[[bytes], None] = lambda _: None
        """Called on its thread with the body of a `hostkeys-00@openssh.com`."""
        self._openings: dict[int, _Opening] = {}
        self._asking = threading.Lock()
        self._asked: deque[OnReply] = deque()
        """Global requests without a reply; replies come in the order of the requests."""
        self.multiplexer = Multiplexer(self.packetizer, self.reason, self.channels_seen)
        self.listening = RemoteListening(self)
        _quieten()
        self.set_log_channel(_PARAMIKO_LOG)
        self._handler_table[MSG_CHANNEL_OPEN_SUCCESS] = self._opened
        self._handler_table[MSG_CHANNEL_OPEN_FAILURE] = self._refused
        self._handler_table[MSG_CHANNEL_OPEN] = self.listening.arrived
        self._handler_table[MSG_REQUEST_SUCCESS] = self._replied
        self._handler_table[MSG_REQUEST_FAILURE] = lambda _: self._replied(None)

    # --- its end ----------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            with served_quickly():
                super().run()
        finally:
            self.active = False
            self.ended.set()
            self.greeted.set()
            self.packetizer.close()
            self._free()
            self._cut_channels()  # channels that were admitted during the end
            with self.lock:
                openings = list(self._openings.values())
            for opening in openings:
                opening.done.set()
            if self.auth_handler is not None:
                tell(self.auth_handler.abort)
            if self.completion_event is not None:
                self.completion_event.set()
            tell(self.on_end)

    def abort(self) -> None:
        """Close the connection abruptly and wake every thread that waits for it; from any thread,
        at once."""
        self.active = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("%s: already disconnected", self.name)
        self.packetizer.close()  # its thread closes the socket
        self._cut_channels()
        if not self.is_alive():
            self._free()

    def _free(self) -> None:
        """Close what only its thread uses."""
        tell(self.multiplexer.end)
        tell(self.packetizer.end)
        tell(self.sock.close)  # paramiko leaves it open after an error that it does not expect

    def _cut_channels(self) -> None:
        for channel in self._channels.values():
            if isinstance(channel, SshChannel):
                tell(channel.cut)

    def send_disconnect(self) -> None:
        """Send SSH_MSG_DISCONNECT if the socket takes it at once."""
        text = "disconnected by user"
        message = ssh_message(cMSG_DISCONNECT, _DISCONNECT_BY_APPLICATION, text, "")
        self.packetizer.send_last(message.asbytes(), _LAST_WORDS_SECONDS)

    def reason(self) -> str:
        """Why it ended, as technical text."""
        if self.disconnect_reason:
            return f"{SERVER_REASON}{self.disconnect_reason}"
        error = self.saved_exception
        return sanitize.line(repr(error)) if error is not None else "end of stream"

    # --- logging in -------------------------------------------------------------------------------

    def set_login(self, login: AuthHandler) -> None:
        """Pass the messages of user authentication to `login`."""
        self.auth_handler = login

    def logged_in(self) -> None:
        """The login succeeded."""
        self._auth_trigger()

    @property
    def signature_algorithms(self) -> tuple[str, ...]:
        """The signature algorithms that the server accepts (RFC 8308 section 3.1); empty: not
        announced."""
        value = self.server_extensions.get("server-sig-algs", b"")
        return tuple(value.decode("ascii", "replace").split(",")) if value else ()

    # --- sending ----------------------------------------------------------------------------------

    def post(self, message: Message) -> None:
        """Send a message as soon as possible; never waits."""
        self.packetizer.post(message.asbytes())

    def _send_user_message(self, data: Message) -> None:
        self.post(data)

    # --- channels and requests --------------------------------------------------------------------

    def open(self, kind: str, timeout: float, fields: bytes = b"") -> SshChannel:
        """Open a channel; `fields` follow the common ones of RFC 4254 section 5.1.

        Raises `ChannelRefusedError`, TimeoutError after `timeout` seconds, and ConnectionError when
        the transport ends. paramiko's own method shares one error among all waiters, and forgets a
        channel that is opened too late."""
        with self.lock:
            number, channel = self._new_channel()
            self._openings[number] = opening = _Opening(channel)
        message = ssh_message(cMSG_CHANNEL_OPEN, kind, number, WINDOW, MAX_PACKET)
        message.add_bytes(fields)
        self.post(message)
        if not self.ended.is_set():
            opening.done.wait(timeout)
        with self.lock:
            unanswered = self._openings.pop(number, None) is not None
        if unanswered or opening.refusal is not None:
            self._channels.delete(number)
        if opening.refusal is not None:
            raise opening.refusal
        if self.ended.is_set():
            raise ConnectionResetError(self.reason())
        if unanswered:
            raise TimeoutError(f"no answer within {timeout:g} s")
        return channel

    def open_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """A socket that leads to `host` as seen from the server: one end of a pair, whose other end
        the multiplexer carries.

        Raises `ChannelRefusedError`, TimeoutError after `timeout` seconds, and ConnectionError when
        the transport ends."""
        near, far = socket.socketpair()
        far.setblocking(False)
        done = threading.Event()
        failures: list[Exception] = []

        def opened(channel: CarriedChannel) -> None:
            channel.carry(Client(far, _NO_ORIGIN))
            done.set()

        def refused(error: Exception) -> None:
            failures.append(error)
            far.close()
            done.set()

        fields = tcp_fields(host, port, ("127.0.0.1", 0))
        self.multiplexer.open("direct-tcpip", fields, opened, refused, timeout)
        if done.wait(timeout + _LAST_WORDS_SECONDS) and not failures:
            return near
        near.close()
        raise failures[0] if failures else TimeoutError(f"no answer within {timeout:g} s")

    def turn_away(self, peer_number: int, code: int, text: str) -> None:
        """Refuse the channel that the server opens as its number `peer_number`; never waits. `code`
        as in RFC 4254 section 5.1."""
        self.post(ssh_message(cMSG_CHANNEL_OPEN_FAILURE, peer_number, code, text, ""))

    def ask(self, request: str, on_reply: OnReply, *fields: str | bytes | int) -> None:
        """Send a global request (RFC 4254 section 4); never waits. `on_reply` is called on the
        transport's thread."""
        message = ssh_message(cMSG_GLOBAL_REQUEST, request, True, *fields)
        with self._asking:  # to keep the order of both
            self._asked.append(on_reply)
            self.post(message)

    def _new_channel(self) -> tuple[int, SshChannel]:
        """The caller holds `lock`."""
        number = self._next_channel()
        outlet = ChannelOutlet(self, self.packetizer)
        channel = SshChannel(number, outlet, WINDOW, MAX_PACKET)
        self._channels.put(number, channel)
        self.channels_seen[number] = True
        return number, channel

    # --- called on the transport's thread --------------------------------------------------------

    def _opened(self, m: Message) -> None:
        number, peer_number, window, max_packet = (m.get_int() for _ in range(4))
        with self.lock:
            opening = self._openings.pop(number, None)
            if opening is not None:
                opening.channel.opened(peer_number, window, max_packet)
                opening.done.set()
                return
        # Its opener gave up: without this close the server would keep the channel open.
        self.post(ssh_message(cMSG_CHANNEL_CLOSE, peer_number))

    def _refused(self, m: Message) -> None:
        number, code, text = m.get_int(), m.get_int(), sanitize.line(m.get_binary())
        with self.lock:
            opening = self._openings.pop(number, None)
        if opening is not None:
            opening.refusal = ChannelRefusedError(code, text)
            opening.done.set()

    def _replied(self, m: Message | None) -> None:
        if self._asked:
            tell(self._asked.popleft(), m)

    def _parse_global_request(self, m: Message) -> None:
        kind = m.get_binary()  # no UTF-8, if the server likes
        if m.get_boolean():
            # paramiko would answer at once, which is forbidden during a key exchange.
            self.post(ssh_message(cMSG_REQUEST_FAILURE))
        elif kind == HOST_KEYS_ANNOUNCED:
            self.on_host_keys(m.get_remainder())

    def _parse_ext_info(self, msg: Message) -> None:
        # paramiko loops over the number of attributes that the server claims, for hours if it lies.
        reader = DataReader(msg.get_remainder())
        try:
            pairs = [(reader.string(), reader.string()) for _ in range(reader.uint32())]
        except ValueError as error:
            raise SSHException(f"its extensions: {error}") from None
        self.server_extensions = {name.decode("ascii", "replace"): value for name, value in pairs}

    def _parse_disconnect(self, m: Message) -> None:
        code, text = m.get_int(), sanitize.line(m.get_binary())
        self.disconnect_reason = f"{text} (code {code})" if text else f"code {code}"


_PARAMIKO_LOG = f"{__name__}.paramiko"
"""The logger of our transports."""


class _Quiet(logging.Filter):
    """Lowers records to debug level: paramiko logs a traceback at error level for every lost
    connection, of which the user gets the relevant part as a problem."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG:
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


_QUIET = _Quiet()


def _quieten() -> None:
    """Apply the filter to our logger, and to the one that paramiko itself starts with."""
    for name in (_PARAMIKO_LOG, "paramiko.transport"):
        # The same filter object is added only once.
        logging.getLogger(name).addFilter(_QUIET)
