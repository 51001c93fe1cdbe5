"""A page on disk that redirects the browser to a link with a token.

Every user of the machine can read a link on a command line (`/proc/PID/cmdline`), but not a file of
mode 0600. Jupyter itself opens its browser this way (`ServerApp.use_redirect_file`).

The file's folder decides whether a confined browser can read it. Jupyter's own folder,
`~/.local/share/jupyter/runtime`, fails with the snap of Firefox or Chromium, Ubuntu's default
(jupyter/notebook#4500, #5479): a snap sees its own private /tmp, and the `home` interface excludes
names that begin with a dot. `~/snap/NAME/common` is the data folder of that very snap
(`SNAP_USER_COMMON`), and always accessible to it. A browser in a flatpak gets any single file
through the document portal (`--file-forwarding`). All others read the runtime folder, which is in
memory, not on disk."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path

import platformdirs

from trayconnect.core.privacy import make_private
from trayconnect.core.threads import Timer

LIFETIME = 60.0
"""Seconds until a page is deleted; a browser that starts cold on a busy machine needs time."""

_STOP_LIMIT = 5.0
_PREFIX = "open-"
_SUFFIX = ".html"


def page_html(url: str) -> str:
    """A page that redirects to `url` at once, without sending a referrer."""
    target = escape(url)
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<meta http-equiv="refresh" content="0;url={target}">\n'
        "<title>Opening Jupyter</title></head>\n"
        f'<body><p><a rel="noreferrer" href="{target}">Open Jupyter</a></p></body></html>\n'
    )


def page_folder(environ: Mapping[str, str], home: Path, snap: str | None) -> Path:
    """A folder that the default browser can read; `snap` is its name if it is a snap."""
    if snap is not None:
        own = home / "snap" / snap / "common"
        if own.is_dir():
            return own / "trayconnect"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute() and Path(runtime).is_dir():
        return Path(runtime) / "trayconnect" / "pages"
    return Path(platformdirs.user_cache_dir("trayconnect", appauthor=False)) / "pages"


def snap_of(desktop_file: str) -> str | None:
    """The snap of a browser, from the output of `xdg-settings get default-web-browser`: snapd names
    its entries SNAP_APPLICATION.desktop."""
    match = re.fullmatch(r"([a-z0-9][a-z0-9-]*)_[A-Za-z0-9.-]+\.desktop", desktop_file.strip())
    return match.group(1) if match else None


class RedirectPages:
    """The pages of this process."""

    def __init__(self, lifetime: float = LIFETIME) -> None:
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._timers: dict[Path, Timer] = {}
        self._is_closed = False

    def write(self, folder: Path, url: str) -> Path:
        """Make a page that is deleted after `lifetime` seconds. Raises OSError, also after
        `close`."""
        make_private(folder)
        remove_stale(folder, self._lifetime)
        prefix = f"{_PREFIX}{os.getpid()}-"
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=_SUFFIX, dir=folder)  # 0600
        page = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(page_html(url))
            self._keep(page)
        except BaseException:
            _unlink(page)
            raise
        return page

    def _keep(self, page: Path) -> None:
        timer = Timer(lambda: self._expire(page))
        with self._lock:
            if self._is_closed:  # meanwhile: nobody would delete it
                raise OSError("trayconnect is quitting")
            with contextlib.suppress(RuntimeError):  # no more threads: `close` deletes it
                timer.set(self._lifetime)
            self._timers[page] = timer

    def close(self) -> None:
        """Delete all pages, and make no more; may be called twice."""
        with self._lock:
            self._is_closed = True
            timers, self._timers = self._timers, {}
        for page, timer in timers.items():
            _unlink(page)
            timer.stop(_STOP_LIMIT)

    def _expire(self, page: Path) -> None:
        _unlink(page)
        with self._lock:
            self._timers.pop(page, None)


def remove_leftovers(environ: Mapping[str, str], home: Path) -> None:
    """Delete the pages of processes that have ended, from every folder: a killed process leaves its
    own."""
    folders = {page_folder(environ, home, None), page_folder({}, home, None)}
    if sys.platform == "linux":
        folders.update(home.glob("snap/*/common/trayconnect"))
    for folder in folders:
        remove_stale(folder, LIFETIME)


def remove_stale(folder: Path, age: float) -> None:
    """Delete pages older than `age` seconds, and those of processes that have ended. Never
    raises."""
    now = time.time()
    try:
        pages = list(folder.glob(f"{_PREFIX}*{_SUFFIX}"))
    except OSError:  # after su(1), XDG_RUNTIME_DIR may be another user's
        return
    for page in pages:
        try:
            if now - page.lstat().st_mtime > age or _has_ended(page):
                page.unlink()
        except OSError:
            continue  # another process deleted it


if sys.platform == "win32":

    def _has_ended(page: Path) -> bool:
        """On Windows, testing a process needs a handle: the page's age decides."""
        del page
        return False

else:

    def _has_ended(page: Path) -> bool:
        """Whether the process that wrote a page, whose PID is in its name, has ended."""
        number = page.name.removeprefix(_PREFIX).partition("-")[0]
        if not number.isdecimal():
            return False
        try:
            os.kill(int(number), 0)
        except (ProcessLookupError, OverflowError):
            return True
        except OSError:
            return False  # the PID belongs to another user's process now
        return False


def _unlink(page: Path) -> None:
    try:
        page.unlink()
    except OSError:
        return
