"""The commands of the program."""

from __future__ import annotations

from pathlib import Path

from tests.windows.environment import PYTHON, copy_prefix, run_wine, windows_path


def test_version(tmp_path: Path) -> None:
    copy_prefix(tmp_path / "prefix")
    words = run_wine(
        [windows_path(PYTHON), "-m", "trayconnect", "--version"],
        tmp_path / "prefix",
        tmp_path,
        limit=60,
    )
    assert words.startswith("trayconnect, version")
