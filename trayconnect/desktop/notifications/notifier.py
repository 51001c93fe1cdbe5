"""Notices on this desktop: with buttons over D-Bus, as plain text elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from trayconnect.core.command import Command
from trayconnect.core.logs import LogOnce
from trayconnect.core.notices import Notice, Notifier
from trayconnect.desktop import programs

logger = logging.getLogger(__name__)

_CLOSE_LIMIT = 5.0
_LONGEST_QUEUE = 16
PROGRAM = "trayconnect"
"""Title of a notice without one."""


class DeliveryError(Exception):
    """A notice could not be shown; the text says why."""


class Delivery(Protocol):
    """Shows notices; called on one worker thread, except `interrupt`."""

    def send(self, notice: Notice) -> None:
        """Block until the system has accepted the notice, for a bounded time. Raises
        `DeliveryError`."""
        ...

    def interrupt(self) -> None:
        """From any thread: make the current `send`, and all later ones, fail soon."""
        ...


class PlainNotifier:
    """`notices.Notifier`: a bounded queue and one worker thread, started at the first notice.

    The system does not report when the user dismisses a notice, so the same notice is shown again
    only after another one of its tag, or after it was withdrawn. A notice that cannot be shown is
    dropped."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._complaints = LogOnce(logger, "notifications are dropped")
        self._changed = threading.Condition()
        self._waiting: dict[str, Notice] = {}
        self._latest: dict[str, Notice] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def notify(self, notice: Notice) -> None:
        with self._changed:
            known = self._latest.get(notice.tag) == notice and not notice.asked
            if self._closed or known:
                return
            if len(self._waiting) >= _LONGEST_QUEUE and notice.tag not in self._waiting:
                self._complaints.report("too many are waiting")
                return
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="tc-notify", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads
                    self._complaints.report(str(error))
                    return
                self._thread = thread
            self._latest[notice.tag] = self._waiting[notice.tag] = notice
            self._changed.notify_all()

    def withdraw(self, tag: str) -> None:
        with self._changed:
            self._waiting.pop(tag, None)
            self._latest.pop(tag, None)

    def close(self) -> None:
        """Drop the queue and end the worker, in bounded time; may be called twice."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        if thread is not None:
            self._delivery.interrupt()
            thread.join(_CLOSE_LIMIT)

    def _next(self) -> Notice | None:
        """Wait for a notice; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            return self._waiting.pop(next(iter(self._waiting)))

    def _work(self) -> None:
        while (notice := self._next()) is not None:
            try:
                self._delivery.send(notice)
            except DeliveryError as error:
                self.withdraw(notice.tag)
                if not self._closed:
                    self._complaints.report(str(error))
            except Exception:  # a bug of ours, but no reason to lose the next notices
                logger.exception("a notice could not be shown")
            else:
                self._complaints.settle()


class OsascriptDelivery:
    """macOS. The texts are arguments of the script, never part of it."""

    # The system shows about this much, and cuts off the rest without a mark.
    LONGEST_TITLE = 60
    LONGEST_BODY = 255
    _LIMIT = 10.0
    _SCRIPT = (
        b"on run argv\n"
        b"  display notification (item 2 of argv) with title (item 1 of argv)\n"
        b"end run\n"
    )

    def __init__(self, program: str = "/usr/bin/osascript") -> None:
        self._program = program

    def send(self, notice: Notice) -> None:
        title = clip(notice.title or PROGRAM, self.LONGEST_TITLE)
        texts = [title, clip(notice.body, self.LONGEST_BODY)]
        # "-": the script comes from stdin, and the rest are its arguments, not options.
        argv = [self._program, "-", *(text.replace("\0", "") for text in texts)]
        try:
            programs.run(argv, stdin=self._SCRIPT, timeout=self._LIMIT)
        except programs.ProgramError as error:
            raise DeliveryError(str(error)) from error

    def interrupt(self) -> None:
        pass  # bounded by its own time limit


class CallableDelivery:
    """Windows: the tray icon shows it, through a function that takes a message and a title."""

    # NOTIFYICONDATAW: szInfoTitle holds 63 characters and szInfo 255, besides the final NUL.
    LONGEST_TITLE = 63
    LONGEST_BODY = 255

    def __init__(self, show: Callable[[str, str], object]) -> None:
        self._show = show

    def send(self, notice: Notice) -> None:
        title = clip(notice.title or PROGRAM, self.LONGEST_TITLE)
        # A balloon without a message is not shown at all.
        body = clip(notice.body or title, self.LONGEST_BODY)
        try:
            self._show(body, title)
        except Exception as error:
            raise DeliveryError(repr(error)) from error

    def interrupt(self) -> None:
        pass


def clip(text: str, longest: int) -> str:
    """At most `longest` UTF-16 units, the unit of Windows' limits; an ellipsis marks a cut."""
    if _units(text) <= longest:
        return text
    kept = text[: longest - 1]
    while _units(kept) > longest - 1:
        kept = kept[:-1]
    return kept.rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


class DesktopNotifier(Notifier, Protocol):
    def close(self) -> None:
        """Remove the notices from the screen where possible, and end, in bounded time; may be
        called twice."""
        ...


def make_notifier(
    on_command: Callable[[Command], object],
    icon: Path,
    tray_notify: Callable[[str, str], object] | None = None,
) -> DesktopNotifier:
    """For this platform.

    `on_command` gets the command of a clicked button, on a thread of its own. `icon` is a picture
    of the program. `tray_notify(message, title)` is used on Windows, where the tray icon shows
    notices."""
    if tray_notify is not None:
        return PlainNotifier(CallableDelivery(tray_notify))
    if sys.platform == "darwin":
        return PlainNotifier(OsascriptDelivery())
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        from trayconnect.desktop.notifications.dbus import DBusNotifier

        return DBusNotifier(on_command, icon=icon.as_uri())
