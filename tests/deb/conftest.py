"""The packages under test: made twice of the last commit, and once as an earlier version."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT = 3600.0
"""Seconds for a build: it takes two minutes on a machine that has nothing else to do."""


@dataclass(frozen=True)
class Packages:
    new: Path
    again: Path
    """The same commit, in another folder by another user's habits."""
    old: Path
    """The same program as version 0.0.9."""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    folder = tmp_path_factory.mktemp("packages")
    first = _clone(folder / "one")
    second = _clone(folder / "another with a longer name")
    (second / "trayconnect/stray.py").write_text("raise AssertionError")
    (second / "README.md").write_text("changed, and not committed")
    habits = {"TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "7", "HOME": str(folder)}
    return Packages(
        new=_make(first, {}, 0o022),
        again=_make(second, habits, 0o077),
        old=_make_old(first / "build/deb/source", folder / "old"),
    )


def _clone(folder: Path) -> Path:
    _run(["git", "clone", "--quiet", str(REPOSITORY), str(folder)])
    return folder


def _make(clone: Path, environment: Mapping[str, str], mask: int) -> Path:
    _run(["installers/linux/make-deb"], clone, environment, mask)
    (package,) = (clone / "dist").glob("*.deb")
    return package


def _make_old(source: Path, output: Path) -> Path:
    """Of the folder that the last build left, with another version in the program."""
    output.mkdir()
    init = source / "trayconnect/__init__.py"
    init.write_text(re.sub(r'(__version__ = )"[^"]+"', r'\1"0.0.9"', init.read_text()))
    python = source / "build/freeze-linux/environment/bin/python"
    environment = {"SOURCE_DATE_EPOCH": "1700000000"}
    _run([str(python), "installers/freeze.py"], source, environment)
    arguments = ("-m", "installers.linux.package", "dist/trayconnect", str(output))
    _run([str(python), *arguments], source, environment)
    (package,) = output.glob("*.deb")
    return package


def _run(
    command: list[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    mask: int = 0o022,
) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(environment or {})}, umask=mask,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-4000:]}"
