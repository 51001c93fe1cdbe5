"""Where the log goes: a small rotating file of the user's own, and stderr where asked."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

import platformdirs

from trayconnect import sanitize
from trayconnect.privacy import make_folder

SIZE = 1_000_000
"""Bytes of one file."""
KEPT = 2
"""Older files beside it."""
HELD = 1000
"""Records that are held while the terminal is asked on; older ones are in the file alone."""
FORMAT = "%(asctime)s %(levelname)s %(name)s [%(threadName)s]: %(message)s"
"""The threads of a session carry its name, which tells whose a record is."""

logger = logging.getLogger("trayconnect")


def log_file() -> Path:
    """The log's place; it need not exist."""
    return Path(platformdirs.user_log_dir("trayconnect", appauthor=False)) / "trayconnect.log"


def read() -> str:
    """The present file's text; empty where there is none."""
    try:
        return log_file().read_text("utf-8", errors="replace")
    except OSError:
        return ""


class _Console(logging.StreamHandler[TextIO]):
    """stderr, which can pause where it is a terminal that is asked on."""

    def __init__(self) -> None:
        super().__init__()
        self._pauses = 0
        self._held: deque[logging.LogRecord] = deque(maxlen=HELD)

    def emit(self, record: logging.LogRecord) -> None:
        if self._pauses and self.stream.isatty():
            self._held.append(record)
        else:
            super().emit(record)

    @contextmanager
    def paused(self) -> Iterator[None]:
        with self.lock or nullcontext():
            self._pauses += 1
        try:
            yield
        finally:
            with self.lock or nullcontext():
                self._pauses -= 1
                while self._held and not self._pauses:
                    super().emit(self._held.popleft())


@contextmanager
def quiet() -> Iterator[None]:
    """Within, nothing is logged to a terminal; it is made up for afterwards. The file gets it at
    once."""
    with ExitStack() as stack:
        for handler in logger.handlers:
            if isinstance(handler, _Console):
                stack.enter_context(handler.paused())
        yield


class _Formatter(logging.Formatter):
    """Whatever is in a record, it neither commands the terminal that shows it nor passes for
    another record."""

    def format(self, record: logging.LogRecord) -> str:
        return sanitize.escaped(super().format(record)).replace("\n", "\n  ")


if sys.platform == "win32":
    import _winapi
    import msvcrt

    def _open_to_append(path: str) -> int:
        """Others may rename it meanwhile, as they may on POSIX: the app and a command both have
        the log open, and either turns it over."""
        append, share_all, open_always, normal = 0x120114, 7, 4, 0x80  # winnt.h, fileapi.h
        handle = _winapi.CreateFile(path, append, share_all, 0, open_always, normal, 0)
        return msvcrt.open_osfhandle(handle, os.O_APPEND)

else:

    def _open_to_append(path: str) -> int:
        # A link may be another user's, who could write to the folder once.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(descriptor, 0o600)  # one from before may be open to others
        return descriptor


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """Readable by its user alone. While another program keeps it from being renamed, it grows.

    Several processes write to it, and any of them may turn it over; the others follow."""

    _kept_from = 0
    """How large it was when it could not be renamed."""

    def _open(self) -> io.TextIOWrapper:
        return os.fdopen(_open_to_append(self.baseFilename), "a", encoding="utf-8")

    def _has_name(self, stream: io.TextIOWrapper) -> bool:
        """Whether that is the file of this name, and not one that another process has renamed."""
        try:
            named = os.stat(self.baseFilename)  # noqa: PTH116 - logging has it as text
        except OSError as error:
            return not isinstance(error, FileNotFoundError)
        return os.path.samestat(os.fstat(stream.fileno()), named)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - of logging
        older = self.stream
        if older is not None and not self._has_name(older):
            self.stream = self._open()
            older.close()
            self._kept_from = 0
        if self._kept_from and self.stream is not None:
            self.stream.seek(0, os.SEEK_END)
            if self.stream.tell() < self._kept_from + self.maxBytes // 10:
                return False
        return bool(super().shouldRollover(record))

    def doRollover(self) -> None:  # noqa: N802 - of logging
        self._kept_from = 0
        try:
            super().doRollover()
        except OSError:
            self.stream = self.stream or self._open()
            self.stream.seek(0, os.SEEK_END)
            self._kept_from = self.stream.tell()


def set_up(*, to_stderr: bool, verbose: bool = False) -> None:
    """Start logging. A log file that can't be written is said on stderr and done without."""
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False
    formatter = _Formatter(FORMAT)
    handlers: list[logging.Handler] = []
    try:
        file = log_file()
        make_folder(file.parent)
        handlers.append(_PrivateFile(file, maxBytes=SIZE, backupCount=KEPT, encoding="utf-8"))
    except OSError as error:
        print(f"No log file: {error}", file=sys.stderr)
    if to_stderr or verbose:
        handlers.append(_Console())
    for handler in handlers:
        handler.setFormatter(formatter)
        logger.addHandler(handler)


def shut_down() -> None:
    """Undo `set_up`: flush and close what it opened."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
