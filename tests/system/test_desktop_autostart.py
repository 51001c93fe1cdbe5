"""The autostart entry, judged and launched by the desktop's own tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from trayconnect.desktop.autostart.xdg import DesktopEntry

# Debian's python3-gi lives with Debian's interpreter.
LAUNCH = """
import sys
from gi.repository import Gio
entry = Gio.DesktopAppInfo.new_from_filename(sys.argv[1])
assert entry is not None, "GLib does not accept the entry"
assert entry.launch([], None)
"""


@pytest.mark.parametrize("folder", ["plain", "a b", 'quo"te', "$HOME `x` \\ & ;'*?#~", "ünï"])
def test_the_entry_is_valid_and_starts_the_program(tmp_path: Path, folder: str) -> None:
    program = tmp_path / folder / "trayconnect"
    program.parent.mkdir()
    told = tmp_path / "told"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >"{told}.new"\nmv "{told}.new" "{told}"\n')
    program.chmod(0o755)
    arguments = ("run", "a b", "$x", '"', "\\", "")
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    entry = DesktopEntry(lambda: (str(program), *arguments), environ)
    entry.turn_on()
    path = tmp_path / ".config" / "autostart" / "trayconnect.desktop"

    judged = subprocess.run(
        ["desktop-file-validate", str(path)], capture_output=True, text=True, check=False
    )
    assert (judged.returncode, judged.stdout) == (0, "")
    command = ["/usr/bin/python3", "-c", LAUNCH, str(path)]
    subprocess.run(command, env={"PATH": "/usr/bin:/bin", **environ}, timeout=60, check=True)
    wait_for(told.exists, "the program to be started")
    assert tuple(told.read_text().removesuffix("\n").split("\n")) == arguments

    program.unlink()  # as when the package is removed
    gone = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", **environ}, timeout=60, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "constructor returned NULL" in gone.stderr
