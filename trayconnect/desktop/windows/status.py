"""The status window, which shows what the menu shows: the app's side, and the format of what passes
between it and the window's process (`status_window`), a JSON object a line."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trayconnect.core.command import Button, Command, from_json, to_json
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.subprocesses import let_come_forward
from trayconnect.desktop import helper_process

log = logging.getLogger(__name__)

JOIN_LIMIT = 10.0
END_LIMIT = 3.0
"""Seconds for a process to end after its window was closed."""

Icons = Mapping[str, Mapping[int, bytes]]
"""PNG pictures by the name of a state, and their size in pixels."""


@dataclass(frozen=True, slots=True)
class Group:
    """The heading of a group of servers."""

    name: str
    more: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A server."""

    name: str
    words: str
    """Its state and details, in words."""
    icon: str
    """A key of the icons."""
    toggle: Button
    main: Button | None = None
    """The most useful action."""
    more: tuple[Button, ...] = ()
    problem: str = ""
    advice: str = ""
    group: str = ""
    """The name of its heading."""


@dataclass(frozen=True, slots=True)
class StatusPage:
    rows: tuple[Row, ...] = ()
    groups: tuple[Group, ...] = ()
    """The headings; the rows of each are together."""
    notice: str = ""
    """About the whole page, such as an error in the file."""
    edit: Button | None = None
    more: tuple[Button, ...] = ()
    quit: Button | None = None


class StatusWindow:
    """The window, in a process of its own: closed and shown again as often as wanted.

    `on_command` is called with the command of a clicked button, on a thread of the window.
    `command`: the helper, for tests."""

    def __init__(
        self,
        on_command: Callable[[Command], object],
        icons: Callable[[], Icons] = dict,
        window_icon: Path | None = None,
        command: list[str] | None = None,
    ) -> None:
        self._on_command = on_command
        self._icons = icons
        self._window_icon = str(window_icon) if window_icon else ""
        self._command = command or helper_process.helper_command(helper_process.STATUS)
        self._lock = threading.Lock()
        self._page = StatusPage()
        self._shown: _Shown | None = None

    def show(self) -> None:
        """Open it, or bring it to the front; returns at once. Raises `ProblemError`."""
        self._show(lambda _shown: True)

    def update(self, page: StatusPage) -> None:
        """Replace what the window shows, also while it is closed; returns at once."""
        with self._lock:
            self._page = page
            if self._shown is not None:
                self._shown.send(page, front=False)

    @property
    def is_open(self) -> bool:
        with self._lock:
            return self._shown is not None and self._shown.is_alive

    def close(self) -> None:
        """Close it. Never raises; may be called twice."""
        with self._lock:
            shown, self._shown = self._shown, None
        if shown is not None:
            shown.end()

    def _show(self, is_wanted: Callable[[_Shown | None], bool]) -> None:
        with self._lock:
            before = self._shown
            if not is_wanted(before):
                return
            if before is None or not before.is_alive:
                self._shown = self._start()
            assert self._shown is not None
            let_come_forward()
            self._shown.send(self._page, front=True)
            is_new = self._shown is not before
        if is_new and before is not None:  # not under the lock: its thread may want that
            before.end()

    def _missed(self, ended: _Shown) -> None:
        """`show` was called while the user closed the window: open it again."""
        try:
            self._show(lambda shown: shown is ended)
        except ProblemError as error:
            log.warning("the status window is not opened again: %s", error)

    def _start(self) -> _Shown:
        if not helper_process.has_display():
            raise ProblemError(_no_display())
        if not helper_process.has_tkinter():
            raise ProblemError(_no_tk())
        try:
            process = helper_process.start(self._command)
            return _Shown(process, self._first, self._on_command, self._missed)
        except (OSError, RuntimeError) as error:
            raise ProblemError(_cannot_start(error)) from error

    def _first(self) -> bytes:
        """The first message; it takes a while to make."""
        return encode_icons(self._icons(), self._window_icon)


class _Shown:
    """One life of the window: a process, a thread that writes to it and one that reads."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        first: Callable[[], bytes],
        on_command: Callable[[Command], object],
        on_missed: Callable[[_Shown], object],
    ) -> None:
        self._process = process
        self._first = first
        self._on_command = on_command
        self._on_missed = on_missed
        self._changed = threading.Condition()
        self._next: StatusPage | None = None
        self._front = False
        self._unanswered = 0
        """How many calls to the front the window has not answered."""
        self._was_seen = False
        self._ended = False
        self._threads = [
            threading.Thread(target=self._write, name="tc-status-write", daemon=True),
            threading.Thread(target=self._read, name="tc-status-read", daemon=True),
        ]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError:  # no more threads
            self._leave()
            process.kill()
            process.wait()
            raise

    @property
    def is_alive(self) -> bool:
        with self._changed:
            return not self._ended and self._process.poll() is None

    def send(self, page: StatusPage, *, front: bool) -> None:
        """Send the page; one that is not sent yet is replaced."""
        with self._changed:
            self._next = page
            self._front |= front
            self._changed.notify()

    def end(self) -> None:
        self._leave()
        self._process.kill()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_LIMIT)

    def _leave(self) -> bool:
        """Send nothing more. Returns whether that was so already."""
        with self._changed:
            before, self._ended = self._ended, True
            self._changed.notify()
            return before

    def _write(self) -> None:
        assert self._process.stdin is not None
        # The process may end at any time: the reader notices. Closing the pipe ends it.
        with contextlib.suppress(OSError), self._process.stdin as pipe:
            pipe.write(self._first())
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._ended or self._next is not None)
                    page, self._next = self._next, None
                    front, self._front = self._front, False
                    self._unanswered += front
                    if self._ended or page is None:
                        return
                pipe.write(encode_page(page, front=front))
                pipe.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            for line in pipe:
                try:
                    if line == IN_FRONT:
                        self._answered()
                    else:
                        self._on_command(decode_click(line))
                except ValueError as error:
                    log.warning("the status window sent nonsense: %s", error)
                except Exception:  # a bug of ours, which must not end the next clicks
                    log.exception("a command of the status window failed")
        was_asked = self._leave()
        try:
            status = self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status != 0 and not was_asked:
            log.warning("the status window ended with status %d", status)
        with self._changed:
            missed = self._was_seen and (self._front or self._unanswered > 0)
        if missed:
            self._on_missed(self)

    def _answered(self) -> None:
        with self._changed:
            self._unanswered -= 1
            self._was_seen = True


def _no_tk() -> Problem:
    return Problem(
        "The status window needs Tk",
        "Install it (on Debian and Ubuntu: python3-tk). The commands work without it: "
        "trayconnect --help",
    )


def _no_display() -> Problem:
    return Problem(
        "There is no X11 screen for the status window",
        "The commands work without it: trayconnect --help",
    )


def _cannot_start(error: Exception) -> Problem:
    return Problem(
        "The status window cannot be started",
        "The commands work without it: trayconnect --help",
        detail=str(error),
    )


IN_FRONT = b"in front\n"
"""Sent by the window: it has come to the front."""


def encode_icons(icons: Icons, window: str) -> bytes:
    """The first message; `window` is the path of a PNG file for the window, or nothing."""
    pictures = {
        state: {str(size): base64.b64encode(png).decode() for size, png in sizes.items()}
        for state, sizes in icons.items()
    }
    return _line({"icons": pictures, "window": window})


def encode_page(page: StatusPage, *, front: bool) -> bytes:
    """Show that, and with `front` come before the other windows."""
    return _line({"page": asdict(page), "front": front})


def encode_click(command: Command) -> bytes:
    """The command of a clicked button."""
    return _line(to_json(command))


def decode_click(line: bytes) -> Command:
    """Raises `ValueError` for anything that `encode_click` did not make."""
    return from_json(json.loads(line))


def decode_page(read: Any) -> StatusPage:  # noqa: ANN401 - JSON
    """Raises `ValueError` for anything that `encode_page` did not make."""
    try:
        return StatusPage(
            rows=tuple(_row(row) for row in read["rows"]),
            groups=tuple(
                Group(str(group["name"]), _buttons(group["more"])) for group in read["groups"]
            ),
            notice=str(read["notice"]),
            edit=_button(read["edit"]),
            more=_buttons(read["more"]),
            quit=_button(read["quit"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a page: {error!r}") from error


def _row(read: Any) -> Row:  # noqa: ANN401 - JSON
    toggle = _button(read["toggle"])
    if toggle is None:
        raise ValueError("a row without a toggle")
    return Row(
        name=str(read["name"]),
        words=str(read["words"]),
        icon=str(read["icon"]),
        toggle=toggle,
        main=_button(read["main"]),
        more=_buttons(read["more"]),
        problem=str(read["problem"]),
        advice=str(read["advice"]),
        group=str(read["group"]),
    )


def _buttons(read: Any) -> tuple[Button, ...]:  # noqa: ANN401 - JSON
    return tuple(button for button in map(_button, read) if button is not None)


def _button(read: Any) -> Button | None:  # noqa: ANN401 - JSON
    if read is None:
        return None
    checked = read["checked"]
    return Button(
        str(read["text"]),
        from_json(read["command"]),
        bool(read["enabled"]),
        None if checked is None else bool(checked),
    )


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
