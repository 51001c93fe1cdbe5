"""Which programs open pages and files, and which take a copied text."""

from __future__ import annotations

import pytest

from tests.support.systems import has_posix_paths
from trayconnect.desktop.clipboard import clipboard_command
from trayconnect.desktop.default_programs import (
    file_commands,
    page_commands,
    split_browser,
)
from trayconnect.desktop.terminal_launcher import terminal_commands

pytestmark = has_posix_paths

URL = "http://127.0.0.1:18888/lab?a=1&b=2"
X11 = {"DISPLAY": ":0"}
WAYLAND = {"WAYLAND_DISPLAY": "wayland-0"}


def have(*names: str) -> dict[str, str]:
    return {name: f"/usr/bin/{name}" for name in names}


@pytest.mark.parametrize(
    ("platform", "environ", "programs", "expected"),
    [
        ("linux", X11, ("xdg-open", "firefox"), [["xdg-open", URL], ["firefox", URL]]),
        ("linux", WAYLAND, ("gio",), [["gio", "open", URL]]),
        ("linux", {}, ("xdg-open", "firefox"), []),
        ("linux", X11, (), []),
        ("linux", {"BROWSER": "code-open"}, ("code-open", "xdg-open"), [["code-open", URL]]),
        ("linux", {"BROWSER": "gone:b --new %s"}, ("b",), [["b", "--new", URL]]),
        ("linux", {"BROWSER": "a b=%s &:'"}, ("a",), [["a", f"b={URL}"]]),
        (
            "linux",
            {**X11, "BROWSER": "b"},
            ("b", "xdg-open"),
            [["b", URL], ["xdg-open", URL]],
        ),
        ("linux", {}, ("wslview",), [["wslview", URL]]),
        ("darwin", {}, (), [["/usr/bin/open", URL]]),
    ],
)
def test_pages(
    platform: str, environ: dict[str, str], programs: tuple[str, ...], expected: list[list[str]]
) -> None:
    assert page_commands(URL, platform, environ, have(*programs).get) == expected


@pytest.mark.parametrize(
    ("platform", "environ", "programs", "expected"),
    [
        ("linux", X11, ("xdg-open",), [["xdg-open", "/f"]]),
        ("linux", {"BROWSER": "b"}, ("b", "xdg-open"), []),
        ("linux", {}, ("wslview",), [["wslview", "/f"]]),
        ("darwin", {}, (), [["/usr/bin/open", "-t", "/f"]]),
    ],
)
def test_files(
    platform: str, environ: dict[str, str], programs: tuple[str, ...], expected: list[list[str]]
) -> None:
    assert file_commands("/f", platform, environ, have(*programs).get) == expected


@pytest.mark.parametrize(
    ("entry", "words"), [("", []), ("a &", ["a"]), ("'a b' c", ["a b", "c"]), ("'broken", [])]
)
def test_browser_words(entry: str, words: list[str]) -> None:
    assert split_browser(entry) == words


@pytest.mark.parametrize(
    ("platform", "environ", "programs", "expected"),
    [
        ("linux", {**X11, **WAYLAND}, ("wl-copy", "xclip"), "wl-copy"),
        ("linux", {**X11, **WAYLAND}, ("xclip", "xsel"), "xclip"),
        ("linux", X11, ("wl-copy", "xsel"), "xsel"),
        ("linux", X11, (), None),
        ("linux", {}, ("wl-copy", "xclip", "xsel"), None),
        ("darwin", {}, (), "/usr/bin/pbcopy"),
        ("win32", {}, (), "clip.exe"),
    ],
)
def test_clipboard_programs(
    platform: str, environ: dict[str, str], programs: tuple[str, ...], expected: str | None
) -> None:
    command = clipboard_command(platform, environ, have(*programs).get)
    assert (command[0] if command else None) == expected


@pytest.mark.parametrize(
    ("platform", "environ", "programs", "expected"),
    [
        ("linux", X11, ("xterm",), [["xterm", "-e", "S"]]),
        (
            "linux",
            {**WAYLAND, "XDG_CURRENT_DESKTOP": "ubuntu:GNOME"},
            ("xterm", "konsole", "gnome-terminal", "x-terminal-emulator"),
            [
                ["x-terminal-emulator", "-e", "S"],
                ["gnome-terminal", "--", "S"],
                ["konsole", "-e", "S"],
                ["xterm", "-e", "S"],
            ],
        ),
        ("linux", {**X11, "TERMINAL": "foot"}, ("foot", "kitty"), [["foot", "S"], ["kitty", "S"]]),
        ("linux", {**X11, "TERMINAL": "mine"}, ("mine",), [["mine", "-e", "S"]]),
        ("linux", {}, ("xterm",), []),
        ("darwin", {}, (), [["/usr/bin/open", "S"]]),
    ],
)
def test_terminals(
    platform: str, environ: dict[str, str], programs: tuple[str, ...], expected: list[list[str]]
) -> None:
    assert terminal_commands("S", platform, environ, have(*programs).get) == expected
