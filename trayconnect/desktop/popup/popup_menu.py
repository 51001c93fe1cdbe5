"""A menu of our own on the screen, for a panel that shows the icon but draws no menu (X11)."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing

from trayconnect.desktop import helper_process
from trayconnect.desktop.lifeline import Lifeline
from trayconnect.desktop.popup import popup_wire
from trayconnect.desktop.popup.popup_model import MenuLine

log = logging.getLogger(__name__)

LIMIT = 300.0
"""Seconds after which an abandoned menu is closed: it grabs the pointer."""
JOIN_LIMIT = 5.0


class TkPopupMenu:
    """`popup_model.PopupMenu`: each menu is a process of its own, so that a hanging one can be
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
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=helper_process.helper_environment(),
                )
            except OSError as error:
                log.warning("the menu cannot be shown: %s", error)
                return
            arguments = (process, popup_wire.encode_menu(lines, at), chosen)
            self._process = process
            self._thread = threading.Thread(
                target=self._converse, args=arguments, name="tc-popup", daemon=True
            )
            self._thread.start()

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
                log.warning("the menu was open for %g s, and is taken away", self._limit)
                return
            finally:
                process.kill()
        if process.returncode < 0:
            return  # closed by `close`, or replaced by another menu
        if process.returncode != 0:
            log.warning("the menu failed: %s", complaint.decode(errors="replace").strip()[-2000:])
            return
        try:
            keys = popup_wire.decode_choice(output)
        except ValueError as error:
            log.warning("the menu answered nonsense: %s", error)
            return
        if keys:
            chosen(keys)

    def _send(self, line: Lifeline, menu: bytes, process: subprocess.Popen[bytes]) -> None:
        """A hanging helper reads nothing: ending it also ends the write."""

        def end() -> None:
            log.warning("the menu's helper read nothing for %g s, and is ended", self._limit)
            process.kill()

        guard = threading.Timer(self._limit, end)
        guard.name = "tc-popup-guard"
        guard.start()
        try:
            line.send(menu)
        finally:
            guard.cancel()
            guard.join()
