"""Start at login on Linux and BSD: a desktop entry in `~/.config/autostart`.

Sources: Desktop Application Autostart Specification 0.5; Desktop Entry Specification 1.5, "The Exec
key". `X-GNOME-Autostart-enabled` is GNOME's own key to disable an entry. `TryExec` keeps desktops
from starting an entry whose program was removed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trayconnect.core import files
from trayconnect.core.errors import Problem, ProblemError

FILE_NAME = "trayconnect.desktop"

_RESERVED = re.compile(r"""[\s"'\\><~|&;$*?#()`]""")
_GROUP = "[Desktop Entry]"


class DesktopEntry:
    """`entry.Autostart`. The user's entry hides a system-wide one of the same name."""

    def __init__(
        self, command: Callable[[], tuple[str, ...]], environ: Mapping[str, str] = os.environ
    ) -> None:
        self._command = command
        config_home = _folder(environ.get("XDG_CONFIG_HOME")) or _home(environ) / ".config"
        self._path = config_home / "autostart" / FILE_NAME
        folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        self._system_paths = [
            folder / "autostart" / FILE_NAME for folder in map(_folder, folders) if folder
        ]

    def is_on(self) -> bool:
        for path in (self._path, *self._system_paths):
            text = _read(path)
            if text is not None:
                return is_enabled(text)
        return False

    def turn_on(self) -> None:
        """Write a fresh entry. Raises `ProblemError`."""
        files.write_atomically(self._path, entry_text(self._command()).encode())

    def turn_off(self) -> None:
        """Delete the entry. If there is a system-wide one, hide that instead, because deleting
        would uncover it."""
        if any(path.exists() for path in self._system_paths):
            hidden = f"{_GROUP}\nType=Application\nName=trayconnect\nHidden=true\n"
            files.write_atomically(self._path, hidden.encode())
        else:
            files.remove(self._path)

    def refresh(self) -> bool:
        text = _read(self._path)
        if text is None or not is_enabled(text):
            return False
        updated = with_command(text, self._command())
        if updated == text:
            return False
        files.write_atomically(self._path, updated.encode())
        return True


def entry_text(command: Sequence[str]) -> str:
    """The whole file. Raises `ProblemError` for a command that the format cannot express."""
    return (
        f"{_GROUP}\n"
        "Type=Application\n"
        "Version=1.0\n"
        "Name=trayconnect\n"
        "Comment=SSH tunnels to Jupyter servers\n"
        f"Exec={exec_value(command)}\n"
        f"TryExec={_escaped(command[0])}\n"
        "Icon=trayconnect\n"
        "Terminal=false\n"
        "StartupNotify=false\n"
        "X-GNOME-Autostart-enabled=true\n"
    )


def exec_value(command: Sequence[str]) -> str:
    """The command, quoted as the value of an `Exec` key.

    Two layers: the quoting of an argument, then the escapes of a string value, so a dollar sign
    becomes two backslashes and itself. `%` is refused: its escape is `%%`, which some desktops do
    not support. Raises `ProblemError`."""
    for word in command:
        if "%" in word or not word.isprintable():
            raise _unsupported_path(word)
    if "=" in command[0]:  # the specification forbids it in the program's name
        raise _unsupported_path(command[0])
    return _escaped(" ".join(map(_quoted, command)))


def is_enabled(text: str) -> bool:
    """Whether a session would start this entry."""
    keys = dict(_keys(text))
    return (
        bool(keys.get("Exec"))
        and keys.get("Hidden", "false") != "true"
        and keys.get("X-GNOME-Autostart-enabled", "true") != "false"
    )


def with_command(text: str, command: Sequence[str]) -> str:
    """The entry with another `Exec` and `TryExec`, and the other keys unchanged (the user may have
    added some). Raises `ProblemError`."""
    new_keys = [f"Exec={exec_value(command)}", f"TryExec={_escaped(command[0])}"]
    lines = []
    group = ""
    for line in text.splitlines():
        if line.startswith("["):
            group = line.strip()
        key = line.partition("=")[0].strip() if group == _GROUP else ""
        if key == "Exec":
            lines += new_keys
        elif key != "TryExec":
            lines.append(line)
    return "\n".join(lines) + "\n"


def _keys(text: str) -> list[tuple[str, str]]:
    group = ""
    found = []
    for line in text.splitlines():
        if line.startswith("["):
            group = line.strip()
        elif group == _GROUP and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((key.strip(), value.strip()))
    return found


def _quoted(word: str) -> str:
    if word and not _RESERVED.search(word):
        return word
    escaped = re.sub(r'(["`$\\])', r"\\\1", word)
    return f'"{escaped}"'


def _escaped(text: str) -> str:
    """As the value of a key of type string."""
    return text.replace("\\", "\\\\")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _folder(text: str | None) -> Path | None:
    """According to the Base Directory Specification, a path that is not absolute is ignored."""
    return Path(text) if text and Path(text).is_absolute() else None


def _home(environ: Mapping[str, str]) -> Path:
    return _folder(environ.get("HOME")) or Path.home()


def _unsupported_path(word: str) -> ProblemError:
    return ProblemError(
        Problem(
            f"Start at login cannot hold this path: {word!r}",
            "Install trayconnect in a folder without % signs, = signs or control characters.",
        )
    )
