"""A menu of our own on the screen, for a panel that shows the icon but draws no menu (X11): data,
JSON for the helper process, and the app's side. It imports little, because the helper process
starts at each click."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from trayconnect.core.threads import deadline
from trayconnect.desktop import helper_process
from trayconnect.desktop.helper_process import Lifeline


@dataclass(frozen=True, slots=True)
class MenuLine:
    """A line of the popup menu; `key` is unique among its siblings."""

    key: str
    text: str = ""
    enabled: bool = True
    checked: bool | None = None
    """None where there is no check mark."""
    children: tuple[MenuLine, ...] = ()
    separator: bool = False


class PopupMenu(Protocol):
    """Posts a menu on the screen, for a panel that shows our icon but draws no menu."""

    def show(
        self,
        lines: tuple[MenuLine, ...],
        at: tuple[int, int],
        chosen: Callable[[tuple[str, ...]], None],
    ) -> None:
        """Open it at that pixel of the screen, in place of an open one; returns at once.

        `chosen` is called on a thread of the menu with the keys of the chosen line, from the
        outermost menu on; not at all if no line was chosen. Never raises."""
        ...

    def close(self) -> None:
        """Close the menu. Never raises; may be called twice."""
        ...


class NoPopupMenu:
    def show(
        self,
        lines: tuple[MenuLine, ...],
        at: tuple[int, int],
        chosen: Callable[[tuple[str, ...]], None],
    ) -> None:
        pass

    def close(self) -> None:
        pass


def encode_menu(lines: tuple[MenuLine, ...], at: tuple[int, int]) -> bytes:
    return json.dumps({"at": at, "lines": [_to_json(line) for line in lines]}).encode()


def decode_menu(data: bytes) -> tuple[tuple[MenuLine, ...], tuple[int, int]]:
    """Raises `ValueError` for data that `encode_menu` did not make."""
    try:
        read = json.loads(data)
        x, y = read["at"]
        return tuple(_from_json(line) for line in read["lines"]), (int(x), int(y))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a menu: {error!r}") from error


def encode_choice(keys: tuple[str, ...]) -> bytes:
    """The keys of a line; none for no choice."""
    return json.dumps(keys).encode()


def decode_choice(data: bytes) -> tuple[str, ...]:
    """Raises `ValueError` for data that `encode_choice` did not make."""
    read = json.loads(data)
    if not isinstance(read, list) or not all(isinstance(key, str) for key in read):
        raise ValueError("not a choice")
    return tuple(read)


def _to_json(line: MenuLine) -> dict[str, Any]:
    return {
        "key": line.key,
        "text": line.text,
        "enabled": line.enabled,
        "checked": line.checked,
        "children": [_to_json(child) for child in line.children],
        "separator": line.separator,
    }


def _from_json(read: Any) -> MenuLine:  # noqa: ANN401 - JSON
    checked = read["checked"]
    return MenuLine(
        key=str(read["key"]),
        text=str(read["text"]),
        enabled=bool(read["enabled"]),
        checked=None if checked is None else bool(checked),
        children=tuple(_from_json(child) for child in read["children"]),
        separator=bool(read["separator"]),
    )


log = logging.getLogger(__name__)

LIMIT = 300.0
"""Seconds after which an abandoned menu is closed: it grabs the pointer."""
JOIN_LIMIT = 5.0


class TkPopupMenu:
    """`PopupMenu`: each menu is a process of its own, so that a hanging one can be
    killed.

    `command`: the helper, for tests."""

    def __init__(self, command: list[str] | None = None, limit: float = LIMIT) -> None:
        self._command = command or helper_process.helper_command(helper_process.POPUP)
        self._limit = limit
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def show(
        self,
        lines: tuple[MenuLine, ...],
        at: tuple[int, int],
        chosen: Callable[[tuple[str, ...]], None],
    ) -> None:
        with self._lock:
            self._end()
            try:
                process = helper_process.start(self._command, stderr=subprocess.PIPE)
            except OSError as error:
                log.warning("the menu cannot be shown: %s", error)
                return
            arguments = (process, encode_menu(lines, at), chosen)
            thread = threading.Thread(
                target=self._converse, args=arguments, name="tc-popup", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:  # no more threads
                log.warning("the menu cannot be shown: %s", error)
                with process:
                    process.kill()
                return
            self._process, self._thread = process, thread

    def close(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        thread, self._thread = self._thread, None
        if process is not None:
            process.kill()
        if thread is not None and thread is not threading.current_thread():
            thread.join(JOIN_LIMIT)

    def _converse(
        self,
        process: subprocess.Popen[bytes],
        menu: bytes,
        chosen: Callable[[tuple[str, ...]], None],
    ) -> None:
        line = Lifeline(process)
        with process, closing(line):
            try:
                self._send(line, menu, process)
                output, complaint = process.communicate(timeout=self._limit)
            except subprocess.TimeoutExpired:
                log.warning("the menu was open for %g s, and is closed", self._limit)
                return
            finally:
                process.kill()
        if process.returncode < 0:
            return  # closed by `close`, or replaced by another menu
        if process.returncode != 0:
            log.warning("the menu failed: %s", complaint.decode(errors="replace").strip()[-2000:])
            return
        try:
            keys = decode_choice(output)
        except ValueError as error:
            log.warning("the menu answered nonsense: %s", error)
            return
        if keys:
            chosen(keys)

    def _send(self, line: Lifeline, menu: bytes, process: subprocess.Popen[bytes]) -> None:
        """If the helper hangs, it reads nothing; ending it ends the write."""

        def end() -> None:
            log.warning("the menu's helper read nothing for %g s, and is ended", self._limit)
            process.kill()

        with deadline(self._limit, end):
            line.send(menu)
