"""Which programs open a page or a file on this system, the best first."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping

Which = Callable[[str], str | None]

_LINUX_OPENERS = (
    ("xdg-open",),
    ("gio", "open"),
)
_LINUX_BROWSERS = ("x-www-browser", "firefox", "chromium", "google-chrome")
_WSL_OPENER = "wslview"


def has_screen(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def page_commands(
    url: str, platform: str, environ: Mapping[str, str], which: Which
) -> list[list[str]]:
    """Commands that open `url`; only programs that exist.

    `$BROWSER` comes first, as for Python's `webbrowser`: programs between path separators, `%s`
    standing for the page. It counts without a display, too: remote editors set it to a program
    that reaches the user's desk."""
    commands = []
    for entry in environ.get("BROWSER", "").split(os.pathsep):
        words = browser_words(entry)
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
    path: str, platform: str, environ: Mapping[str, str], which: Which
) -> list[list[str]]:
    """Commands that open a text file in the user's editor; only programs that exist."""
    if platform == "darwin":
        return [["/usr/bin/open", "-t", path]]
    commands = [[_WSL_OPENER, path]] if which(_WSL_OPENER) else []
    if has_screen(environ):
        commands += [[*words, path] for words in _LINUX_OPENERS if which(words[0])]
    return commands


def browser_words(entry: str) -> list[str]:
    """One entry of `$BROWSER` as words; none when it cannot be read."""
    try:
        words = shlex.split(entry)
    except ValueError:
        return []
    return words[:-1] if words[-1:] == ["&"] else words
