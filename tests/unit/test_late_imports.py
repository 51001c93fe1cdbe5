"""What is imported early in a bundle, whose files an upgrade may replace."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
sys.frozen = {frozen}
sys.platform = {platform!r}
from trayconnect.core.late_imports import LATE, import_early
before = set(sys.modules)
import_early()
print(*(name for name in LATE if name in sys.modules and name not in before))
"""


def imported(*, frozen: bool, platform: str) -> list[str]:
    program = SCRIPT.format(frozen=frozen, platform=platform)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a running program's files")
def test_a_bundle_imports_early_what_this_system_has() -> None:
    names = imported(frozen=True, platform=sys.platform)
    assert {"encodings.idna", "keyring.backends", "trayconnect.desktop.terminal_posix"} <= set(
        names
    )


def test_elsewhere_nothing_is_imported() -> None:
    assert imported(frozen=False, platform=sys.platform) == []
    assert imported(frozen=True, platform="win32") == []
