"""Make one folder with trayconnect and its own Python, for the system that this runs on.

    python3 installers/freeze.py [FOLDER]

It is FOLDER/trayconnect, on macOS also FOLDER/trayconnect.app; FOLDER is dist by default.

PyInstaller runs in an environment of its own with the packages of
`.ci/constraints-installers.txt`, each checked by its hash, and no others, which could end up in the
folder. The environment lies in build/freeze-SYSTEM and is kept until that list changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / f"freeze-{sys.platform}"
PACKAGES = ROOT / ".ci" / "constraints-installers.txt"
SPEC = ROOT / "installers" / "pyinstaller" / "trayconnect.spec"
LICENCES = WORK / "licences"
"""Of all parts; the spec puts it into the bundle."""
EARLIEST = "315532800"
"""1980-01-01, the first time that a zip file can hold: the date in the bundle unless
SOURCE_DATE_EPOCH says another one."""


def main() -> None:
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "dist"
    python = _environment()
    shutil.rmtree(target / "trayconnect", ignore_errors=True)
    shutil.rmtree(LICENCES, ignore_errors=True)
    _run([python, "-m", "installers.licences", str(LICENCES)])
    # The same commit gives the same folder: the order of sets and the dates are fixed.
    environment = {"SOURCE_DATE_EPOCH": EARLIEST, **os.environ, "PYTHONHASHSEED": "0"}
    arguments = ("--noconfirm", "--log-level", "ERROR")
    folders = ("--distpath", str(target), "--workpath", str(WORK / "work"))
    _run([python, "-m", "PyInstaller", *arguments, *folders, str(SPEC)], environment)


def _environment() -> str:
    """The Python of an environment that holds the packages and nothing else."""
    folder = WORK / "environment"
    windows = sys.platform == "win32"
    python = folder / ("Scripts/python.exe" if windows else "bin/python")
    made = folder / "made-of"
    wanted = f"{sys.version}\n{hashlib.sha256(PACKAGES.read_bytes()).hexdigest()}\n"
    if not made.is_file() or made.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        install = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        _run([*install, "--require-hashes", "--requirement", str(PACKAGES)])
        made.write_text(wanted)
    return str(python)


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, cwd=ROOT, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:4])} … ended with {done.returncode}")


if __name__ == "__main__":
    main()
