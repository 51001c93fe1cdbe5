"""Applies the server file when it is saved, and reports its errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from trayconnect.config.file_problems import ConfigError
from trayconnect.config.model import Config
from trayconnect.config.server_file import SHOWN, ServerFile
from trayconnect.core.notices import EDIT, Notice, Notifier
from trayconnect.diagnostics.key_check import exposed, key_warnings

logger = logging.getLogger(__name__)

FILE_NOTICE = "file"
"""The tag of notices about the server file."""


class FileReload:
    """`apply` gets a valid configuration, `refresh` redraws, and `say` prints a line in the
    terminal."""

    def __init__(
        self,
        file: ServerFile,
        apply: Callable[[Config], object],
        refresh: Callable[[], object],
        notifier: Notifier,
        say: Callable[[str], object],
    ) -> None:
        self._file = file
        self._apply = apply
        self._refresh = refresh
        self._notifier = notifier
        self._say = say
        self._key_warnings: set[str] = set()
        """Of the present file."""

    def first(self) -> None:
        """After the first read, when the program starts."""
        self._apply(self._file.config)
        self._warn_of_keys(saved=False)
        self._refresh()

    def again(self) -> None:
        """After the file was saved."""
        if self._file.read():
            self._notifier.withdraw(FILE_NOTICE)
            self._apply(self._file.config)
            self._warn_of_keys(saved=True)
        else:
            self.tell_problem()
        self._refresh()

    def tell_problem(self) -> None:
        """Show what is wrong with the file, if anything is."""
        problem = self._file.problem
        if problem is not None:
            lines = "\n".join(self._file.problems[:SHOWN])  # without the path: space is scarce
            title = problem.title.partition(";")[0]  # bubbles cut the rest
            notice = Notice.of(FILE_NOTICE, problem, buttons=(EDIT,))
            self._notifier.notify(replace(notice, title=title, body=lines))

    def _warn_of_keys(self, *, saved: bool) -> None:
        """In the log; new ones also in a notice, if the user just saved the file. A login shows
        them again."""
        self._warn_of_writers()
        try:
            warnings = key_warnings(self._file.config, self._file.path)
        except ConfigError:
            return  # it changed meanwhile, and is read again
        fresh = [warning for warning in warnings if warning.message not in self._key_warnings]
        self._key_warnings = {warning.message for warning in warnings}
        for warning in fresh:
            logger.warning("%s", warning)
        if fresh and saved:
            lines = "\n".join(warning.message for warning in fresh[:SHOWN])
            title = "A key cannot log in as it is"
            self._notifier.notify(Notice("keys", title, lines, buttons=(EDIT,)))

    def _warn_of_writers(self) -> None:
        """Warn of other users who can change the server file."""
        warnings = exposed(self._file.path)
        for warning in warnings:
            logger.warning("%s", warning)
            self._say(warning.message)
        if warnings:
            lines = "\n".join(warning.message for warning in warnings[:SHOWN])
            title = "Other users can change your server file"
            self._notifier.notify(Notice("exposed", title, lines, buttons=(EDIT,)))
        else:
            self._notifier.withdraw("exposed")
