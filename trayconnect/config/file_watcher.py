"""Notices changes of a file, whichever way an editor saves it, without polling."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from trayconnect.core.errors import shortage

_logger = logging.getLogger(__name__)

QUIET_SECONDS = 0.2
"""A burst of events ends after so much silence."""
BURST_SECONDS = 2.0
"""Longest delay by a burst, for a folder that is never quiet."""
POLL_SECONDS = 10.0
"""Poll interval where the system cannot report changes."""
_JOIN_SECONDS = 5.0
_MAX_LINKS = 40  # Linux's limit for symbolic links
_READS = ("opened", "closed_no_write")

_State = tuple[tuple[str, ...], tuple[int, ...] | None]


class FileWatcher:
    """Calls `on_change` once for each burst of changes to a file: written, replaced, created or
    deleted, at its path or at the target of the symbolic links at that path.

    The calls come from one thread, named "tc-config-watch". The file's state at the end of the
    burst is compared with the earlier one, so that other files in the folder, and readers, cause no
    call. Changes count from the construction on: construct it before reading the file, and no
    change is missed."""

    def __init__(self, path: Path, on_change: Callable[[], None]) -> None:
        self._path = path.absolute()
        self._on_change = on_change
        self._wake = threading.Event()
        self._stopping = False
        self._folder_gone = False
        self._polling = False
        self._again = False
        """Whether the last change must be read again because the system was short of resources."""
        self._thread = threading.Thread(target=self._run, name="tc-config-watch", daemon=True)
        self._observer: BaseObserver | None = None
        self._watched: set[Path] = set()
        self._state = _state(self._path)

    def start(self) -> None:
        """Begin; may be called once."""
        self._observe()
        self._wake.set()  # to detect earlier changes
        self._thread.start()

    def stop(self) -> None:
        """No call begins after this returns, and no thread remains. May be called twice, and from
        within `on_change`."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)
        self._unobserve()

    def _run(self) -> None:
        while self._wait():
            self._observe()
            state = _state(self._path)
            if state != self._state or self._again:
                self._state = state
                self._call()

    def _wait(self) -> bool:
        """Sleep until a burst of events is over; false when it is time to stop."""
        self._wake.wait(POLL_SECONDS if self._observer is None or self._again else None)
        limit = time.monotonic() + BURST_SECONDS
        while not self._stopping and time.monotonic() < limit:
            self._wake.clear()
            if not self._wake.wait(QUIET_SECONDS):
                break
        return not self._stopping

    def _call(self) -> None:
        self._again = False
        try:
            self._on_change()
        except Exception as error:
            # One failure must not end the watch.
            short = shortage(error)
            if short is not None:
                self._again = True
                _logger.warning("%s is not read yet: %s", self._path, short)
                return
            _logger.exception("Could not take in the change of %s", self._path)

    def _observe(self) -> None:
        """Watch the current folders; if that fails, `_wait` polls."""
        folders = _folders(self._path)
        if self._observer is not None and folders == self._watched and not self._folder_gone:
            return
        self._folder_gone = False
        try:
            if self._observer is None:
                self._observer = Observer()
                self._observer.start()
            self._observer.unschedule_all()
            for folder in folders:
                self._observer.schedule(_Handler(self._notice), str(folder))
        except (OSError, RuntimeError) as error:
            # Out of inotify watches or instances; a folder that vanished; FSEvents' own failures.
            if not self._polling:
                _logger.warning(
                    "The system cannot tell of changes to %s (%s): looking every %g s",
                    self._path,
                    error,
                    POLL_SECONDS,
                )
            self._polling = True
            self._unobserve()
        else:
            self._polling = False
            self._watched = folders
            _name_threads()
            if _folders(self._path) != folders:  # made or removed just now
                self._wake.set()

    def _unobserve(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.ident is not None:
                observer.join(_JOIN_SECONDS)

    def _notice(self, event: FileSystemEvent) -> None:
        """Called by watchdog, in a thread of its own."""
        if event.event_type in _READS:
            return
        if event.event_type == "deleted" and event.is_directory:
            self._folder_gone = True  # a new folder of the same name needs a new watch
        self._wake.set()


class _Handler(FileSystemEventHandler):
    def __init__(self, notice: Callable[[FileSystemEvent], None]) -> None:
        self._notice = notice

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._notice(event)


def _links(path: Path) -> list[Path]:
    """The path, and each target of the symbolic links from there."""
    paths = [path]
    while len(paths) <= _MAX_LINKS:
        try:
            target = paths[-1].readlink()
        except OSError:  # no link, or no file
            break
        paths.append(Path(os.path.normpath(paths[-1].parent.resolve() / target)))
    return paths


def _folders(path: Path) -> set[Path]:
    """The folders whose entries decide where the path leads. A missing folder is replaced by its
    nearest existing parent."""
    folders = set()
    for link in _links(path):
        folder = link.parent
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        folders.add(folder.resolve())
    return folders


def _state(path: Path) -> _State:
    """A value that changes with the file."""
    links = tuple(map(str, _links(path)))
    try:
        found = path.stat()
    except OSError:
        return links, None
    return links, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _name_threads() -> None:
    """Rename watchdog's threads, which has no option for it, so that they are recognizable in a
    thread dump."""
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("watchdog."):
            thread.name = "tc-config-watch events"
