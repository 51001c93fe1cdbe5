"""Scripts on standard input, by real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from trayconnect.core.remote_script import COMMAND, stdin

SHELLS = ("sh", "dash", "bash", "zsh", "mksh", "busybox sh", "rbash", "fish", "tcsh", "bsd-csh")
"""Login shells; those that this computer lacks are left out."""
SCRIPT = r"""
# A comment, 'not said'.
printf '%s|' it\'s "a!b" 'back\slash' '\\' "\$HOME" '*' '%s' "$(printf '\101\n')" `echo x`
case "a b" in [!c]*) printf 'tab	and ~ # no comment\n' ;; esac
(exit 3)
"""
SAID = "it's|a!b|back\\slash|\\\\|$HOME|*|%s|A|x|tab\tand ~ # no comment\n"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the shells are those of servers")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_runs_the_script_to_its_end(shell: str) -> None:
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{shell} is missing")
    running = subprocess.Popen(
        [*words, "-c", COMMAND],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    with running:
        running.stdin.write(stdin(SCRIPT).decode())
        running.stdin.flush()  # it stays open
        assert running.wait(60) == 3
        assert (running.stdout.read(), running.stderr.read()) == (SAID, "")


def test_the_shell_of_git_for_windows_is_none() -> None:
    """It would report that nothing runs on that computer."""
    done = subprocess.run(
        ["sh"], input=stdin("echo found none"), env={**os.environ, "OSTYPE": "msys"},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Windows" in done.stderr
