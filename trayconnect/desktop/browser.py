"""The default browser."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.page import Page
from trayconnect.core.subprocesses import path_for_others
from trayconnect.desktop import openers, programs
from trayconnect.desktop.redirect_page import RedirectPages, page_folder, remove_leftovers, snap_of

_SETTINGS_LIMIT = 3.0


class SystemBrowser:
    """`page.Browser`. A page with a token is opened through a redirect file; see
    `redirect_page`."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._home = Path.home()
        self._pages = RedirectPages()
        # One app runs at a time, so earlier files are stale.
        remove_leftovers(environ, self._home)

    def open(self, page: Page) -> None:
        """Returns when the opener has ended, or after a few seconds. Raises `ProblemError`."""
        if urlsplit(page.url).scheme not in ("http", "https"):
            raise _cannot_open(page, "not a web address")
        try:
            target = self._redirect(page) if page.token else page.url
        except OSError as error:
            raise _cannot_open(page, f"the page that hides the token: {error}") from error
        if sys.platform == "win32":
            _start_file(page, target)
        else:
            self._launch(page, target)

    def close(self) -> None:
        """Delete the pages. Never raises; may be called twice."""
        self._pages.close()

    def _launch(self, page: Page, target: str) -> None:
        failures = []
        for command in openers.page_commands(target, sys.platform, self._environ, shutil.which):
            try:
                programs.launch(command)
            except programs.ProgramError as error:
                failures.append(str(error))
            else:
                return
        raise _cannot_open(page, "; ".join(failures) or "no browser was found")

    def _redirect(self, page: Page) -> str:
        folder = page_folder(self._environ, self._home, self._default_snap())
        return path_for_others(self._pages.write(folder, page.link)).as_uri()

    def _default_snap(self) -> str | None:
        """The name of the default browser's snap, if it is a snap."""
        words = openers.split_browser(self._environ.get("BROWSER", "").split(os.pathsep)[0])
        if words and words[0].startswith("/snap/bin/"):
            return Path(words[0]).name.partition(".")[0]
        if not (self._home / "snap").is_dir():
            return None
        try:
            command = ["xdg-settings", "get", "default-web-browser"]
            return snap_of(programs.run(command, timeout=_SETTINGS_LIMIT).decode())
        except (programs.ProgramError, UnicodeDecodeError):
            return None


def _start_file(page: Page, target: str) -> None:
    if sys.platform == "win32":
        try:
            os.startfile(target)  # noqa: S606 - an address that we made, or one from the file
        except OSError as error:
            raise _cannot_open(page, str(error)) from error


def _cannot_open(page: Page, detail: str) -> ProblemError:
    return ProblemError(
        Problem(
            "No browser could be opened",
            f"Open {page.url} in a browser yourself, or set a default browser.",
            detail=detail,
        )
    )
