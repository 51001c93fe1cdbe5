"""Make dist/trayconnect-VERSION-setup.exe on Linux: `make setup-exe`.

The Windows of `make test-windows` (tests/windows/build.py) gives wine and CPython; freeze.py runs
in a copy of its prefix, on packages that were downloaded here, each checked by its hash; then NSIS
packs what it made. With the folder of a bundle as argument (made by freeze.py on a real Windows),
only that is packed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.version import Version
from PIL import Image

from tests.windows import build as windows
from tests.windows.environment import PYTHON, copy_prefix, run_wine, windows_path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / ".ci" / "constraints-installers.txt"
ICONS = ROOT / "icons"
BUNDLE = ROOT / "dist" / "windows" / "trayconnect"
FREEZE_LIMIT = 1800.0
"""Seconds; it takes about 250 on two cores that are free."""
SYSTEM = {
    "sys_platform": "win32",
    "platform_system": "Windows",
    "python_full_version": windows.VERSION,
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
}


def main() -> None:
    if shutil.which("makensis") is None:
        raise SystemExit("make setup-exe needs NSIS: on Debian and Ubuntu, apt-get install nsis")
    if len(sys.argv) > 1:
        pack(Path(sys.argv[1]).resolve())
        return
    windows.main()
    freeze()
    pack(BUNDLE)


def freeze() -> None:
    """Run freeze.py in Windows."""
    with tempfile.TemporaryDirectory(prefix="tc-freeze-") as scratch:
        folder = Path(scratch)
        wheels = folder / "wheels"
        wanted = folder / "wanted.txt"
        wanted.write_text(for_windows(PACKAGES.read_text()))
        windows.pip(
            "download", "--no-deps", "--only-binary", ":all:", "--require-hashes",
            "--platform", "win_amd64", "--implementation", "cp",
            "--python-version", windows.VERSION, "--dest", wheels, "--requirement", wanted,
        )  # fmt: skip
        copy_prefix(folder / "prefix")
        command = [PYTHON, ROOT / "installers" / "freeze.py", BUNDLE.parent]
        more = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": windows_path(wheels)}
        if "SOURCE_DATE_EPOCH" in os.environ:
            more["SOURCE_DATE_EPOCH"] = os.environ["SOURCE_DATE_EPOCH"]
        print("Freezing: this takes some minutes ...", flush=True)
        paths: list[str | Path] = [windows_path(path) for path in command]
        run_wine(paths, folder / "prefix", folder, limit=FREEZE_LIMIT, more=more)


def for_windows(pins: str) -> str:
    """Of a list for all systems what Windows takes: pip would ask the system that it runs on."""
    kept = []
    for block in pins.replace("\\\n", "\0").splitlines():
        requirement = block.partition("\0")[0]
        _, _, marker = requirement.partition(" ; ")
        if not marker or Marker(marker).evaluate(SYSTEM):
            kept.append(block.replace(f" ; {marker}", " ").replace("\0", "\\\n"))
    return "\n".join(kept) + "\n"


def pack(bundle: Path) -> None:
    """Compile the installer of a bundle."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    output = ROOT / "dist" / f"trayconnect-{version}-setup.exe"
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    output.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tc-pack-") as folder:
        side = Path(folder) / "side.bmp"
        side_picture().save(side)
        defined = {
            "VERSION": version,
            "NUMBERS": ".".join(map(str, numbers(version))),
            "BUNDLE": bundle,
            "SIZE": size // 1024,
            "ICONS": ICONS,
            "SIDE": side,
            "OUTPUT": output,
        }
        options = [f"-D{name}={value}" for name, value in defined.items()]
        script = Path(__file__).with_name("setup.nsi")
        subprocess.run(["makensis", "-V2", "-WX", *options, script], check=True, timeout=600)
    print(f"{output.relative_to(ROOT)}: {output.stat().st_size / 1e6:.0f} MB")


def numbers(version: str) -> tuple[int, ...]:
    """The four that Windows has for a version; a candidate has those of its release."""
    return (*Version(version).release, 0, 0, 0)[:4]


def side_picture() -> Image.Image:
    """Our icon, in the size that NSIS wants beside the text."""
    side = Image.new("RGB", (164, 314), "#e8f1f8")
    with Image.open(ICONS / "trayconnect.png") as icon:
        small = icon.convert("RGBA").resize((112, 112), Image.Resampling.LANCZOS)
    side.paste(small, (26, 64), small)
    return side


if __name__ == "__main__":
    main()
