"""The programs that open a page or a file on this system, the best first."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping

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


_TERMINALS: Mapping[str, tuple[str, ...]] = {
    "xdg-terminal-exec": (),
    "x-terminal-emulator": ("-e",),
    "gnome-terminal": ("--",),
    "ptyxis": ("--",),
    "kgx": ("--",),
    "konsole": ("-e",),
    "xfce4-terminal": ("-x",),
    "mate-terminal": ("-x",),
    "qterminal": ("-e",),
    "lxterminal": ("-e",),
    "tilix": ("-e",),
    "terminator": ("-x",),
    "kitty": (),
    "alacritty": ("-e",),
    "foot": (),
    "wezterm": ("start", "--"),
    "ghostty": ("-e",),
    "urxvt": ("-e",),
    "st": ("-e",),
    "xterm": ("-e",),
}
"""Terminal programs, and the options between their name and the command to run."""
_OF_DESKTOPS = (
    ("GNOME", ("gnome-terminal", "ptyxis", "kgx")),
    ("KDE", ("konsole",)),
    ("XFCE", ("xfce4-terminal",)),
    ("MATE", ("mate-terminal",)),
    ("LXQt", ("qterminal",)),
    ("LXDE", ("lxterminal",)),
)


def terminal_commands(
    script: str, platform: str, environ: Mapping[str, str], which: FindProgram
) -> list[list[str]]:
    """Commands that open a terminal which runs a sh script; installed programs only.

    The script's path is the only argument, because some terminals join several arguments to a line
    for a shell."""
    if platform == "darwin":
        return [["/usr/bin/open", script]]  # Terminal, or its replacement, opens a .command
    if not has_screen(environ):
        return []
    preferred = environ.get("TERMINAL", "")
    desktop = environ.get("XDG_CURRENT_DESKTOP", "").split(":")
    own = [name for key, names in _OF_DESKTOPS if key in desktop for name in names]
    names = dict.fromkeys(
        [preferred, "xdg-terminal-exec", "x-terminal-emulator", *own, *_TERMINALS]
    )
    return [
        [name, *_TERMINALS.get(name.rpartition("/")[2], ("-e",)), script]
        for name in names
        if name and which(name)
    ]


def split_browser(entry: str) -> list[str]:
    """One entry of `$BROWSER`, split into arguments; empty if it is malformed."""
    try:
        words = shlex.split(entry)
    except ValueError:
        return []
    return words[:-1] if words[-1:] == ["&"] else words
