"""The log: a small rotating file of the user's own, and stderr on request."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

import platformdirs

from trayconnect.core import sanitize
from trayconnect.core.privacy import make_folder

SIZE = 1_000_000
"""Size limit of one file, in bytes."""
KEPT = 2
"""Number of older files."""
HELD = 1000
"""Number of records held back while the terminal asks a question; older ones are only in the file.
"""
FORMAT = "%(asctime)s %(levelname)s %(name)s [%(threadName)s]: %(message)s"
"""The names of a session's threads contain the session's name, and so attribute a record."""

logger = logging.getLogger("trayconnect")


def log_file() -> Path:
    """The log's path; the file need not exist."""
    return Path(platformdirs.user_log_dir("trayconnect", appauthor=False)) / "trayconnect.log"


def read() -> str:
    """The current file's text; empty if there is no file."""
    try:
        return log_file().read_text("utf-8", errors="replace")
    except OSError:
        return ""


class _Console(logging.StreamHandler[TextIO]):
    """stderr, which pauses while it is a terminal that asks a question."""

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
    """Log nothing to a terminal within the block, and catch up after it. The file gets every record
    at once."""
    with ExitStack() as stack:
        for handler in logger.handlers:
            if isinstance(handler, _Console):
                stack.enter_context(handler.paused())
        yield


class _Formatter(logging.Formatter):
    """Sanitizes records: none can control the terminal that shows it, or imitate another record."""

    def format(self, record: logging.LogRecord) -> str:
        return sanitize.escaped(super().format(record)).replace("\n", "\n  ")


if sys.platform == "win32":
    import _winapi
    import msvcrt

    def _open_to_append(path: str) -> int:
        """Open a file that other processes may rename meanwhile, as POSIX allows: the app and a
        command both have the log open, and either rotates it."""
        append, share_all, open_always, normal = 0x120114, 7, 4, 0x80  # winnt.h, fileapi.h
        handle = _winapi.CreateFile(path, append, share_all, 0, open_always, normal, 0)
        return msvcrt.open_osfhandle(handle, os.O_APPEND)

else:

    def _open_to_append(path: str) -> int:
        # The path may be a link of another user, who could once write to the folder.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(descriptor, 0o600)  # an older file may be open to other users
        return descriptor


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """Readable by its user alone. While another program keeps it from being renamed, it grows.

    Several processes write to it, and any of them may turn it over; the others follow."""

    _kept_from = 0
    """How large it was when it could not be renamed."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of logging
        """Drop the record when the disk is full: a traceback on stderr helps nobody."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # the rest, on a full disk
            super().close()

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
    """Start logging. If the log file cannot be written, say so on stderr and log without it."""
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


class LogOnce:
    """Logs a warning about `what` with a reason, then stays silent until a call succeeded. From any
    thread."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._lock = threading.Lock()
        self._failing = False

    def report(self, reason: str) -> None:
        with self._lock:
            known, self._failing = self._failing, True
        if not known:
            self._logger.warning("%s: %s", self._what, reason)

    @property
    def is_failing(self) -> bool:
        """Whether the last record is a failure."""
        return self._failing

    def settle(self) -> None:
        """Record a success."""
        with self._lock:
            self._failing = False
