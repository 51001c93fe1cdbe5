"""The desktop entry that starts the app at login."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.systems import has_posix_paths
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop.autostart.xdg import (
    DesktopEntry,
    entry_text,
    exec_value,
    is_enabled,
    with_command,
)

pytestmark = has_posix_paths

COMMAND = ("/opt/a b/trayconnect",)


def read_exec(value: str) -> list[str]:
    """An independent reading of `Exec` by the Desktop Entry Specification: first the escapes of
    a string, then the quoting of arguments."""
    plain = ""
    characters = iter(value)
    for character in characters:
        plain += next(characters) if character == "\\" else character
    words: list[str] = []
    word: str | None = None
    quoted = False
    characters = iter(plain)
    for character in characters:
        if character == '"':
            quoted = not quoted
            word = word or ""
        elif quoted and character == "\\":
            word = (word or "") + next(characters)
        elif character == " " and not quoted:
            if word is not None:
                words.append(word)
            word = None
        else:
            assert quoted or character not in "\t\n\"'\\><~|&;$*?#()`", character
            word = (word or "") + character
    assert not quoted
    return words if word is None else [*words, word]


printable = st.text(st.characters(codec="utf-8", exclude_characters="%=")).filter(str.isprintable)


@given(st.lists(printable, min_size=1, max_size=4))
def test_exec_reads_back(words: list[str]) -> None:
    assert read_exec(exec_value(words)) == words


def test_exec_of_the_worst_words() -> None:
    assert exec_value(["/a b/c"]) == '"/a b/c"'
    assert exec_value(["/a", "$x"]) == r'/a "\\$x"'
    assert exec_value(["/a", "\\"]) == r'/a "\\\\"'
    assert exec_value(["/a", ""]) == '/a ""'


@pytest.mark.parametrize("program", ["/a%b", "/a=b", "/a\nb", "/a\x07b"])
def test_what_an_entry_cannot_hold_is_refused(program: str) -> None:
    with pytest.raises(ProblemError, match="cannot hold this path"):
        exec_value([program])


@pytest.mark.parametrize(
    ("change", "enabled"),
    [
        (("", ""), True),
        (("Terminal=false", "Hidden=true"), False),
        (("Terminal=false", "Hidden=false"), True),
        (("X-GNOME-Autostart-enabled=true", "X-GNOME-Autostart-enabled=false"), False),
        (("X-GNOME-Autostart-enabled=true", "X-GNOME-Autostart-enabled = false"), False),
        (("X-GNOME-Autostart-enabled=true", ""), True),
        (("[Desktop Entry]", "[Other]"), False),
        (("Terminal=false", "[Desktop Action x]\nHidden=true"), True),
    ],
)
def test_what_the_desktops_write_to_switch_an_entry_off(
    change: tuple[str, str], enabled: bool
) -> None:
    assert is_enabled(entry_text(COMMAND).replace(*change)) is enabled


def test_an_empty_file_is_off() -> None:
    assert not is_enabled("")


@pytest.mark.parametrize("before", ["", "TryExec=/gone\n"])
def test_another_command_leaves_the_rest_as_it_was(before: str) -> None:
    """Entries of earlier versions have no TryExec."""
    text = "# mine\n[Desktop Entry]\n{}X-Delay=3\n[Desktop Action a]\nExec=/other\n"
    changed = with_command(text.format(f"Exec = /old\n{before}"), ("/new", "run"))
    assert changed == text.format("Exec=/new run\nTryExec=/new\n")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_CONFIG_DIRS": f"{tmp_path / 'etc'}:relative",
    }


def entry_of(environ: dict[str, str]) -> Path:
    return Path(environ["XDG_CONFIG_HOME"]) / "autostart" / "trayconnect.desktop"


def test_on_and_off(environ: dict[str, str]) -> None:
    entry = DesktopEntry(lambda: COMMAND, environ)
    assert not entry.is_on()
    entry.turn_on()
    assert entry.is_on()
    assert entry_of(environ).read_text() == entry_text(COMMAND)
    entry.turn_off()
    entry.turn_off()
    assert not entry.is_on()
    assert list(entry_of(environ).parent.iterdir()) == []


def test_without_xdg_config_home(tmp_path: Path) -> None:
    DesktopEntry(
        lambda: COMMAND, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "not/absolute"}
    ).turn_on()
    assert (tmp_path / ".config/autostart/trayconnect.desktop").is_file()


def test_a_system_wide_entry_is_hidden_rather_than_uncovered(environ: dict[str, str]) -> None:
    system = Path(environ["XDG_CONFIG_DIRS"].split(":")[0]) / "autostart/trayconnect.desktop"
    system.parent.mkdir(parents=True)
    system.write_text(entry_text(COMMAND))
    entry = DesktopEntry(lambda: COMMAND, environ)
    assert entry.is_on()
    entry.turn_off()
    assert not entry.is_on()
    assert system.exists()
    entry.turn_on()
    assert entry.is_on()


def test_refresh_follows_a_moved_installation(environ: dict[str, str]) -> None:
    DesktopEntry(lambda: ("/old/trayconnect",), environ).turn_on()
    path = entry_of(environ)
    path.write_text(path.read_text() + "X-GNOME-Autostart-Delay=5\n")
    entry = DesktopEntry(lambda: COMMAND, environ)
    assert entry.refresh()
    assert path.read_text() == entry_text(COMMAND) + "X-GNOME-Autostart-Delay=5\n"
    assert not entry.refresh()


def test_refresh_switches_nothing_on(environ: dict[str, str]) -> None:
    entry = DesktopEntry(lambda: COMMAND, environ)
    assert not entry.refresh()
    path = entry_of(environ)
    path.parent.mkdir(parents=True)
    disabled = entry_text(("/old",)).replace("Terminal=false", "Hidden=true")
    path.write_text(disabled)
    assert not entry.refresh()
    assert path.read_text() == disabled


def test_refresh_of_a_copy_that_is_not_installed_says_so(environ: dict[str, str]) -> None:
    DesktopEntry(lambda: COMMAND, environ).turn_on()

    def not_installed() -> tuple[str, ...]:
        raise ProblemError(Problem("not installed", ""))

    with pytest.raises(ProblemError, match="not installed"):
        DesktopEntry(not_installed, environ).refresh()
    assert entry_of(environ).read_text() == entry_text(COMMAND)


def test_a_folder_that_cannot_be_made_is_a_problem(environ: dict[str, str]) -> None:
    Path(environ["XDG_CONFIG_HOME"]).write_text("a file where a folder should be")
    entry = DesktopEntry(lambda: COMMAND, environ)
    with pytest.raises(ProblemError, match="Cannot write"):
        entry.turn_on()
    assert not entry.is_on()


def test_a_name_that_is_not_utf8_is_a_problem(environ: dict[str, str]) -> None:
    with pytest.raises(ProblemError, match="cannot hold"):
        DesktopEntry(lambda: ("/a\udcff",), environ).turn_on()
