"""Notifications that never hold up whoever sends them."""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from trayconnect.desktop import programs
from trayconnect.ports import Urgency

logger = logging.getLogger(__name__)

_CLOSE_LIMIT = 5.0
_QUEUE_LENGTH = 16


class DeliveryError(Exception):
    """A notification could not be shown; the text says why."""


class Delivery(Protocol):
    """One way of showing a notification; used from one worker thread, save `interrupt`."""

    def send(self, title: str, body: str, urgency: Urgency) -> None:
        """Block until it is handed over, for a bounded time. Raises `DeliveryError`."""
        ...

    def interrupt(self) -> None:
        """From any thread: make a `send` that is under way, and all later ones, fail soon."""
        ...

    def close(self) -> None:
        """Free what is held. Never raises."""
        ...


class QueuedNotifier:
    """`ports.Notifier`: a bounded queue and one worker thread, started at the first message.

    What cannot be shown is dropped, and the reason logged once, until one is shown again.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._queue: queue.Queue[tuple[str, str, Urgency] | None] = queue.Queue(_QUEUE_LENGTH)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failing = False

    def notify(self, title: str, body: str, urgency: Urgency = Urgency.NORMAL) -> None:
        with self._lock:
            if self._closed:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="tc-notify", daemon=True)
                self._thread.start()
        try:
            self._queue.put_nowait((title, body, urgency))
        except queue.Full:
            self._report("too many are waiting")

    def close(self) -> None:
        """Drop what is queued and end the worker, in bounded time; may be called twice."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is None:
            return
        self._delivery.interrupt()
        while True:
            try:
                self._queue.put_nowait(None)
                break
            except queue.Full:
                self._drop_one()
        thread.join(_CLOSE_LIMIT)

    def _drop_one(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            return

    def _work(self) -> None:
        try:
            while (message := self._queue.get()) is not None:
                if self._closed:
                    continue
                try:
                    self._delivery.send(*message)
                except DeliveryError as error:
                    self._report(str(error))
                else:
                    self._failing = False
        finally:
            self._delivery.close()

    def _report(self, reason: str) -> None:
        if not self._failing and not self._closed:
            self._failing = True
            logger.warning("notifications are dropped: %s", reason)


class OsascriptDelivery:
    """macOS. The texts are arguments of the script, never part of it."""

    _LIMIT = 10.0
    _SCRIPT = (
        b"on run argv\n"
        b"  display notification (item 2 of argv) with title (item 1 of argv)\n"
        b"end run\n"
    )

    def __init__(self, program: str = "/usr/bin/osascript") -> None:
        self._program = program

    def send(self, title: str, body: str, urgency: Urgency) -> None:  # noqa: ARG002
        # "-": the script comes from stdin, and what follows are its arguments, not options.
        argv = [self._program, "-", title.replace("\0", ""), body.replace("\0", "")]
        try:
            programs.run(argv, stdin=self._SCRIPT, timeout=self._LIMIT)
        except programs.ProgramError as error:
            raise DeliveryError(str(error)) from error

    def interrupt(self) -> None:
        pass  # bounded by its own limit

    def close(self) -> None:
        pass


class CallableDelivery:
    """Windows: the tray icon shows it, by a call that takes a message and a title."""

    # NOTIFYICONDATAW: szInfoTitle holds 63 characters and szInfo 255, beside the final NUL.
    LONGEST_TITLE = 63
    LONGEST_BODY = 255

    def __init__(self, show: Callable[[str, str], object]) -> None:
        self._show = show

    def send(self, title: str, body: str, urgency: Urgency) -> None:  # noqa: ARG002
        try:
            self._show(clip(body, self.LONGEST_BODY), clip(title, self.LONGEST_TITLE))
        except Exception as error:
            raise DeliveryError(repr(error)) from error

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


def clip(text: str, longest: int) -> str:
    """At most `longest` UTF-16 units, which is what Windows counts; an ellipsis marks a cut."""
    if _units(text) <= longest:
        return text
    kept = text[: longest - 1]
    while _units(kept) > longest - 1:
        kept = kept[:-1]
    return kept.rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def make_notifier(tray_notify: Callable[[str, str], object] | None = None) -> QueuedNotifier:
    """For this platform. `tray_notify(message, title)` serves on Windows, where the tray icon
    shows notifications."""
    if tray_notify is not None:
        return QueuedNotifier(CallableDelivery(tray_notify))
    if sys.platform == "darwin":
        return QueuedNotifier(OsascriptDelivery())
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        from trayconnect.desktop.notify_dbus import DBusDelivery

        return QueuedNotifier(DBusDelivery())
