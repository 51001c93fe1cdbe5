"""Scripts as command lines, by real shells."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trayconnect.core.remote_script import command

SHELLS = ("sh", "dash", "bash", "zsh", "mksh", "busybox sh", "fish", "tcsh", "bsd-csh")
"""Login shells; those that this computer lacks are left out."""
SCRIPT = r"""
# A comment, 'not said'.
read -r line
printf '%s|' "$line" it\'s "a!b" 'back\slash' '\\' "\$HOME" '*' '%s' "$(printf '\101\n')" `echo x`
    # Another one.
case "a b" in [!c]*) printf 'tab	and ~ # no comment\n' ;; esac
"""
SAID = "input|it's|a!b|back\\slash|\\\\|$HOME|*|%s|A|x|tab\tand ~ # no comment\n"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the shells are those of servers")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_runs_the_script(shell: str) -> None:
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{shell} is missing")
    done = subprocess.run(
        [*words, "-c", command(SCRIPT)],
        input="input\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, SAID, "")


LINES = st.lists(
    st.text(st.characters(min_codepoint=9, max_codepoint=0x7E, exclude_characters="\n"))
)


@given(LINES)
@example(["!!", "'\\0101\\n\\\\'$(x)`y`%s", "#", "\t"])
def test_any_text_arrives_unchanged(lines: list[str]) -> None:
    text = "".join(f"line {line}\n" for line in lines)
    quoted = "'" + text.replace("'", "'\\''") + "'"
    done = subprocess.run(
        ["sh", "-c", command(f"printf '%s' {quoted}\n")],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.decode() == text
