"""What the wheel installs: the package, and of the pictures those that the program shows."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from trayconnect.tray.icon import icons_folder

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_the_package_and_the_pictures_that_it_shows(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist()]
    assert {name.parts[0].split("-")[0] for name in names} == {"trayconnect"}
    pictures = {name.name for name in names if "icons" in name.parts}
    shown = {path.name for path in (icons_folder() / "tray").iterdir()}
    assert pictures == shown | {"trayconnect.png"}
