"""Opens a page or a file in the user's default program."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.page import Page
from trayconnect.core.subprocesses import path_for_others
from trayconnect.desktop import programs
from trayconnect.desktop.redirect_page import RedirectPages, page_folder, remove_leftovers, snap_of

_SETTINGS_LIMIT = 3.0

OnFailure = Callable[[Problem], object]
"""Called when a program fails after it had started, however late; must be quick."""
BROWSER_FAILED = "The browser ended with an error"
EDITOR_FAILED = "The editor ended with an error"
"""Not "could not be opened": it may have run for hours."""
FindProgram = Callable[[str], str | None]

_LINUX_OPENERS = (
    ("xdg-open",),
    ("gio", "open"),
)
_LINUX_BROWSERS = ("x-www-browser", "firefox", "chromium", "google-chrome")
_WSL_OPENER = "wslview"


def has_screen(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def page_commands(
    url: str, platform: str, environ: Mapping[str, str], which: FindProgram
) -> list[list[str]]:
    """Commands that open `url`; installed programs only.

    `$BROWSER` comes first, as for Python's `webbrowser`: programs between path separators, with
    `%s` for the page. It is used without a display, too: remote editors set it to a program that
    opens the page on the user's own machine."""
    commands = []
    for entry in environ.get("BROWSER", "").split(os.pathsep):
        words = split_browser(entry)
        if words and which(words[0]):
            filled = [word.replace("%s", url) for word in words]
            commands.append(filled if filled != words else [*words, url])
    if platform == "darwin":
        commands.append(["/usr/bin/open", url])
        return commands
    if which(_WSL_OPENER):
        commands.append([_WSL_OPENER, url])
    if has_screen(environ):
        commands += [[*words, url] for words in _LINUX_OPENERS if which(words[0])]
        commands += [[name, url] for name in _LINUX_BROWSERS if which(name)]
    return commands


def file_commands(
    path: str, platform: str, environ: Mapping[str, str], which: FindProgram
) -> list[list[str]]:
    """Commands that open a text file in the user's editor; installed programs only."""
    if platform == "darwin":
        return [["/usr/bin/open", "-t", path]]
    commands = [[_WSL_OPENER, path]] if which(_WSL_OPENER) else []
    if has_screen(environ):
        commands += [[*words, path] for words in _LINUX_OPENERS if which(words[0])]
    return commands


def split_browser(entry: str) -> list[str]:
    """One entry of `$BROWSER`, split into arguments; empty if it is malformed."""
    try:
        words = shlex.split(entry)
    except ValueError:
        return []
    return words[:-1] if words[-1:] == ["&"] else words


class SystemBrowser:
    """`page.Browser`. A page with a token is opened through a redirect file; see
    `redirect_page`."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        on_failure: OnFailure = lambda _: None,
    ) -> None:
        self._environ = environ
        self._on_failure = on_failure
        self._home = Path.home()
        self._pages = RedirectPages()
        # One app runs at a time, so earlier files are stale.
        remove_leftovers(environ, self._home)

    def open(self, page: Page) -> None:
        """Returns when the opener has ended, or after a few seconds. Raises `ProblemError`."""
        if urlsplit(page.url).scheme not in ("http", "https"):
            raise ProblemError(_no_browser(page, "not a web address"))
        try:
            target = self._redirect(page) if page.token else page.url
        except OSError as error:
            detail = f"the page that hides the token: {error}"
            raise ProblemError(_no_browser(page, detail)) from error
        if sys.platform == "win32":
            try:
                os.startfile(target)  # noqa: S606 - an address that we made, or one from the file
            except OSError as error:
                raise ProblemError(_no_browser(page, str(error))) from error
        else:
            _launch(
                page_commands(target, sys.platform, self._environ, shutil.which),
                lambda detail: _no_browser(page, detail),
                lambda problem: self._on_failure(replace(problem, title=BROWSER_FAILED)),
            )

    def close(self) -> None:
        """Delete the pages. Never raises; may be called twice."""
        self._pages.close()

    def _redirect(self, page: Page) -> str:
        folder = page_folder(self._environ, self._home, self._default_snap())
        return path_for_others(self._pages.write(folder, page.link)).as_uri()

    def _default_snap(self) -> str | None:
        """The name of the default browser's snap, if it is a snap."""
        words = split_browser(self._environ.get("BROWSER", "").split(os.pathsep)[0])
        if words and words[0].startswith("/snap/bin/"):
            return Path(words[0]).name.partition(".")[0]
        if not (self._home / "snap").is_dir():
            return None
        try:
            command = ["xdg-settings", "get", "default-web-browser"]
            return snap_of(programs.run(command, timeout=_SETTINGS_LIMIT).decode())
        except (programs.ProgramError, UnicodeDecodeError):
            return None


def open_in_editor(
    path: Path,
    environ: Mapping[str, str] = os.environ,
    on_failure: OnFailure = lambda _: None,
) -> None:
    """Open `path` in the desktop's default program. Returns when the opener has ended, or after a
    few seconds. Raises `ProblemError`."""
    target = str(path_for_others(path.absolute()))
    if sys.platform == "win32":
        try:
            os.startfile(target)  # noqa: S606 - our own file
        except OSError:  # no program for this kind of file
            try:
                os.startfile("notepad.exe", arguments=f'"{target}"')  # noqa: S606
            except OSError as error:
                raise ProblemError(_no_editor(target, str(error))) from error
    else:
        _launch(
            file_commands(target, sys.platform, environ, shutil.which),
            lambda detail: _no_editor(target, detail),
            lambda problem: on_failure(replace(problem, title=EDITOR_FAILED)),
        )


def _launch(
    commands: Sequence[Sequence[str]],
    problem: Callable[[str], Problem],
    on_failure: OnFailure,
) -> None:
    """Run the first command that starts; `problem` takes the detail of a failure."""
    failures = []
    for command in commands:
        try:
            programs.launch(command, on_failure=lambda error: on_failure(problem(str(error))))
        except programs.ProgramError as error:
            failures.append(str(error))
        else:
            return
    raise ProblemError(problem("; ".join(failures) or "no program for it was found"))


def _no_browser(page: Page, detail: str) -> Problem:
    return Problem(
        "No browser could be opened",
        f"Open {page.url} in a browser yourself, or set a default browser.",
        detail=detail,
    )


def _no_editor(target: str, detail: str) -> Problem:
    return Problem("No editor could be opened", f"Edit {target} yourself.", detail=detail)
