"""Client of the desktop's notification server.

Source: Desktop Notifications Specification 1.2,
https://specifications.freedesktop.org/notification-spec/1.2/"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    Message,
    MessageFlag,
    MessageType,
    new_method_call,
)
from jeepney.bus_messages import message_bus

from trayconnect.core.command import Button, Command
from trayconnect.core.logs import LogOnce
from trayconnect.core.notices import Notice, Urgency
from trayconnect.desktop.bus_connection import BusConnection, refusal

logger = logging.getLogger(__name__)

LIMIT = 5.0
"""Seconds to wait for the server's answer."""
_LONGEST_QUEUE = 16
_REMEMBERED = 64
"""Number of notices whose buttons still work, whether or not they are on the screen."""

_NAME: Final = "org.freedesktop.Notifications"
_SERVER = DBusAddress("/org/freedesktop/Notifications", bus_name=_NAME, interface=_NAME)
_SIGNALS = MatchRule(type="signal", sender=_NAME, interface=_NAME, path=_SERVER.object_path)
_OWNER = MatchRule(
    type="signal",
    sender="org.freedesktop.DBus",
    interface="org.freedesktop.DBus",
    member="NameOwnerChanged",
)
_OWNER.add_arg_condition(0, _NAME)

_DEFAULT: Final = "default"
"""The key of the default action: a click on the notice itself."""
_LEVELS = {Urgency.NORMAL: 1, Urgency.CRITICAL: 2}
_NOT_BY_DEFAULT = "disconnect"
"""The command that only its own button may run: a click on the notice itself may just mean that the
user has read it."""
_SHOWS_DEFAULT = ("Xfce Notify Daemon", "lxqt-notificationd")
"""Servers that draw a button for the default action, which the specification leaves open."""


@dataclass(frozen=True, slots=True)
class NotificationServer:
    """The server that shows our notices."""

    owner: str
    """Its unique name on the bus."""
    capabilities: frozenset[str]
    shows_default: bool = False
    """Whether it draws a button for the default action, too."""


class NotificationClient:
    """Call `run` once, on a thread of its own; it ends with `stop`, or when the bus is lost.

    `on_command` and `on_over` are called on that thread, and must return at once."""

    def __init__(
        self,
        on_command: Callable[[Command], object],
        on_over: Callable[[NotificationClient], object],
        complaints: LogOnce,
        *,
        icon: str = "",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._on_command = on_command
        self._on_over = on_over
        self._complaints = complaints
        self._icon = icon
        self._link = BusConnection(self, environ)
        self._waiting: dict[str, Notice | None] = {}
        """Notices to show, by tag, and None for those to remove."""
        self._call = 0
        """The number of the latest call."""
        self._busy = False
        self._lost: Exception | None = None
        """Why the bus is lost."""
        # State of the server that owns the name now:
        self._server: NotificationServer | None = None
        """The server's properties, known from the first notice on."""
        self._shown: dict[str, int] = {}
        """By tag, the ids on the screen."""
        self._notices: dict[int, Notice] = {}
        """By id, the latest notices, including removed ones."""

    # --- from any thread ---

    def notify(self, notice: Notice) -> None:
        self._link.post(lambda: self._enqueue(notice.tag, notice))

    def withdraw(self, tag: str) -> None:
        self._link.post(lambda: self._enqueue(tag, None))

    def stop(self) -> None:
        """Remove the notices from the screen, because their buttons would do nothing, and end."""
        self._link.post(self._clear)
        self._link.stop()

    def run(self) -> None:
        self._link.run()
        if self._lost is not None and (self._busy or self._waiting):
            self._complaints.report(str(self._lost) or repr(self._lost))

    # --- callbacks of the connection ---

    def connected(self) -> None:
        for rule in (_SIGNALS, _OWNER):
            self._link.send(message_bus.AddMatch(rule))
        self._send_next()

    def disconnected(self, reason: Exception) -> None:
        logger.info("no session bus: %s", reason)
        self._lost = reason
        self._on_over(self)
        self._link.stop()

    def signalled(self, message: Message) -> None:
        fields = message.header.fields
        match fields.get(HeaderFields.member), message.body:
            case "NameOwnerChanged", (str(name), _, _) if name == _NAME:
                self._forget()
            case "ActionInvoked", (int(number), str(key)) if self._is_from_server(message):
                self._invoked(number, key)
            case "NotificationClosed", (int(number), _) if self._is_from_server(message):
                self._closed(number)

    def called(self, message: Message) -> Message:
        return refusal(message)

    # --- internals ---

    def _is_from_server(self, message: Message) -> bool:
        server = self._server
        return server is not None and message.header.fields.get(HeaderFields.sender) == server.owner

    def _invoked(self, number: int, key: str) -> None:
        notice = self._notices.get(number)
        if notice is None:
            return  # another program's
        for button in notice.buttons:
            if key in (button.command.name, _DEFAULT):
                self._on_command(button.command)
                return

    def _closed(self, number: int) -> None:
        for tag, shown in list(self._shown.items()):
            if shown == number:
                del self._shown[tag]

    def _forget(self) -> None:
        """The server was replaced, or has ended; its notices are gone."""
        self._server = None
        self._shown.clear()
        self._notices.clear()

    def _clear(self) -> None:
        self._waiting.clear()
        for tag in list(self._shown):
            self._close_notice(tag)

    def _enqueue(self, tag: str, notice: Notice | None) -> None:
        if len(self._waiting) >= _LONGEST_QUEUE and tag not in self._waiting:
            self._complaints.report("too many are waiting")
            return
        self._waiting.pop(tag, None)
        self._waiting[tag] = notice
        self._send_next()

    def _send_next(self) -> None:
        """Send the next waiting notice: one call at a time, so that its id is known in time."""
        while self._waiting and self._link.unique_name and not self._busy:
            if self._server is None:
                self._ask("GetCapabilities", None, (), self._meet)
                return
            tag, notice = next(iter(self._waiting.items()))
            del self._waiting[tag]
            if notice is None:
                self._close_notice(tag)
                continue
            if notice.asked:
                self._close_notice(tag)
            if not self._is_shown(notice):
                self._show(notice, self._server)

    def _is_shown(self, notice: Notice) -> bool:
        number = self._shown.get(notice.tag)
        return number is not None and self._notices.get(number) == notice

    def _show(self, notice: Notice, server: NotificationServer) -> None:
        def shown(reply: Message) -> None:
            (number,) = reply.body
            self._shown[notice.tag] = number
            self._notices.pop(number, None)
            self._notices[number] = notice
            while len(self._notices) > _REMEMBERED:
                del self._notices[next(iter(self._notices))]
            self._complaints.settle()

        replaces = self._shown.get(notice.tag, 0)
        body = arguments(notice, server, replaces=replaces, icon=self._icon)
        self._ask("Notify", "susssasa{sv}i", body, shown)

    def _close_notice(self, tag: str) -> None:
        number = self._shown.pop(tag, None)
        if number is not None:
            message = new_method_call(_SERVER, "CloseNotification", "u", (number,))
            message.header.flags |= MessageFlag.no_reply_expected
            self._link.send(message)

    def _meet(self, reply: Message) -> None:
        (capabilities,) = reply.body
        owner = reply.header.fields.get(HeaderFields.sender, "")

        def named(reply: Message) -> None:
            name, *_ = reply.body
            shows_default = name in _SHOWS_DEFAULT
            if reply.header.fields.get(HeaderFields.sender, "") == owner:  # still the same
                self._server = NotificationServer(owner, frozenset(capabilities), shows_default)

        self._ask("GetServerInformation", None, (), named)

    def _ask(
        self,
        method: str,
        signature: str | None,
        body: tuple[Any, ...],
        done: Callable[[Message], None],
    ) -> None:
        """Call the server; `done` gets the result. After an error or a timeout, the waiting notice
        is dropped."""
        self._call += 1
        call = self._call
        self._busy = True

        def replied(reply: Message | None) -> None:
            if call != self._call or not self._busy or reply is None:
                return  # too late, or the bus is lost
            self._busy = False
            if reply.header.message_type is MessageType.method_return:
                done(reply)
                self._send_next()
            else:
                name = reply.header.fields.get(HeaderFields.error_name, "")
                self._give_up(f"{name}: {reply.body}")

        def silent() -> None:
            if call == self._call and self._busy:
                self._busy = False
                self._give_up(f"the notification server said nothing for {LIMIT:g} s")

        self._link.later(LIMIT, silent)
        self._link.send(new_method_call(_SERVER, method, signature, body), replied)

    def _give_up(self, reason: str) -> None:
        self._waiting.clear()
        self._complaints.report(reason)


def arguments(
    notice: Notice, server: NotificationServer, *, replaces: int = 0, icon: str = ""
) -> tuple[Any, ...]:
    """The arguments of `Notify` for that server. `replaces` is the id of the notice to replace, or
    0."""
    body = _clean(notice.body)
    hints: dict[str, tuple[str, Any]] = {
        "urgency": ("y", _LEVELS[notice.urgency]),
        "desktop-entry": ("s", "trayconnect"),
    }
    if notice.passing:
        hints["transient"] = ("b", True)
    return (
        "trayconnect",
        replaces,
        icon,
        _clean(notice.title),
        escape(body, quote=False) if "body-markup" in server.capabilities else body,
        _keys_and_labels(notice.buttons, server),
        hints,
        -1,  # the server decides how long it stays
    )


def _keys_and_labels(buttons: tuple[Button, ...], server: NotificationServer) -> list[str]:
    """Keys and labels, alternating."""
    if not buttons or "actions" not in server.capabilities:
        return []
    pairs = [(button.command.name, button.text) for button in buttons]
    first, label = pairs[0]
    if first != _NOT_BY_DEFAULT:
        pairs = [(_DEFAULT, label), *(pairs[1:] if server.shows_default else pairs)]
    return [text for pair in pairs for text in pair]


def _clean(text: str) -> str:
    """Only characters that a D-Bus string may hold: the bus disconnects a client that sends
    others."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
