"""Make trayconnect_VERSION_ARCHITECTURE.deb of the folder that installers/freeze.py made.

    python -m installers.linux.package dist/trayconnect OUTPUT_FOLDER

SOURCE_DATE_EPOCH is the date of everything in it. The same folder gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from icons import svg
from installers.licences import OVERVIEW
from installers.linux import control
from installers.linux.man_page import man_page
from trayconnect import __version__
from trayconnect.cli.main import cli

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
METAINFO = "io.github.trayconnect.metainfo.xml"
ICON_SIZES = (16, 22, 24, 32, 48, 64, 128, 256, 512)
LIBRARY = Path("usr/lib/trayconnect")
_PYTHON, _TK = "libpython", ("libtcl", "libtk")
"""Libraries that belong to exactly the Python in the bundle, and to its scripts of Tcl; the system
may have other versions."""
_OF_INSTALLATION = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""What pip wrote about the machine that built the bundle."""


def main() -> None:
    bundle, output = map(Path, sys.argv[1:])
    seconds = int(os.environ["SOURCE_DATE_EPOCH"])
    architecture = _said("dpkg", "--print-architecture").strip()
    build = control.Build(control.debian_version(__version__), architecture, seconds)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder) / "stage"
        bundled = _fill(stage, bundle, build)
        _describe(stage, build, bundled)
        _same_each_time(stage, seconds)
        package = output / build.file_name
        options = ("--root-owner-group", "-Zxz", "-z6")
        os.environ["DPKG_DEB_THREADS_MAX"] = "1"  # more would leave their number in the file
        _said("dpkg-deb", *options, "--build", str(stage), str(package))
    print(f"{package}: {package.stat().st_size / 1e6:.1f} MB")


def _fill(stage: Path, bundle: Path, build: control.Build) -> set[str]:
    """Everything but the DEBIAN folder. Returns what `leave_to_debian` does."""
    library = stage / LIBRARY
    shutil.copytree(bundle, library, symlinks=True)
    bundled = leave_to_debian(library / "_internal")
    for program in _programs(library):
        _trim(program)
    for path in (library / "_internal").glob("*.dist-info/*"):
        if path.name in _OF_INSTALLATION:
            path.unlink()
    command = stage / "usr/bin/trayconnect"
    command.parent.mkdir(parents=True)
    command.symlink_to("../lib/trayconnect/trayconnect")
    share = stage / "usr/share"
    date = f"{build.made:%Y-%m-%d}"
    _write(share / "applications/trayconnect.desktop", (HERE / "trayconnect.desktop").read_bytes())
    metainfo = (HERE / METAINFO).read_text("utf-8")
    metainfo = metainfo.replace("@VERSION@", __version__).replace("@DATE@", date)
    _write(share / "metainfo" / METAINFO, metainfo.encode())
    page = man_page(cli, __version__, date)
    _write(share / "man/man1/trayconnect.1.gz", control.compressed(page.encode()))
    _icons(share / "icons/hicolor")
    _documents(share / "doc/trayconnect", library / "_internal/licences", build)
    overrides = (HERE / "lintian-overrides").read_bytes()
    _write(share / "lintian/overrides/trayconnect", overrides)
    return bundled


def leave_to_debian(internal: Path) -> set[str]:
    """Delete the libraries that packages of the system have, so that its updates fix them.
    Returns the packages whose libraries stay."""
    kept = set()
    for path in sorted(internal.glob("lib*.so*")):
        package = None if path.is_symlink() else _owner(path.name)
        if package is None or path.name.startswith(_PYTHON):
            continue
        if path.name.startswith(_TK):
            kept.add(package.partition(":")[0])
        else:
            path.unlink()
    return kept


def _owner(library: str) -> str | None:
    """The installed package of the system that has a library of this name."""
    found = subprocess.run(
        ["dpkg-query", "--search", f"/lib/*/{library}", f"/usr/lib/*/{library}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.partition(": ")[0] or None


def _trim(program: Path) -> None:
    """Take out what only debuggers read, and the folders of the machine that built its Python."""
    said = _said("readelf", "--wide", "--section-headers", "--dynamic", str(program))
    if ".symtab" in said:
        _said("strip", "--strip-unneeded", str(program))
    if re.search(r"R(UN)?PATH\).*\[/", said):
        _said("chrpath", "--delete", str(program))


def _programs(folder: Path) -> list[Path]:
    """Everything of the ELF kind."""
    return [path for path in _files(folder) if _begins_as_elf(path)]


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*"))
    return [path for path in found if path.is_file() and not path.is_symlink()]


def _begins_as_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _icons(hicolor: Path) -> None:
    drawing = svg.load(ROOT / "icons/app.svg")
    _write(hicolor / "scalable/apps/trayconnect.svg", (ROOT / "icons/app.svg").read_bytes())
    for size in ICON_SIZES:
        path = hicolor / f"{size}x{size}/apps/trayconnect.png"
        path.parent.mkdir(parents=True)
        svg.draw(drawing, size).save(path, optimize=True)


def _documents(folder: Path, licences: Path, build: control.Build) -> None:
    _write(folder / "changelog.gz", control.changelog(build))
    changes = (ROOT / "CHANGELOG.md").read_bytes()
    _write(folder / "CHANGELOG.md.gz", control.compressed(changes))
    shutil.move(licences, folder)
    (folder / "licences" / OVERVIEW).rename(folder / "copyright")


def _describe(stage: Path, build: control.Build, bundled: Collection[str]) -> None:
    """The DEBIAN folder."""
    (stage / "DEBIAN").mkdir()  # by which dpkg-shlibdeps knows the root
    size = sum(path.stat().st_size for path in _files(stage)) // 1024
    text = control.control_file(build, control.without(_depends(stage), bundled), size)
    _write(stage / "DEBIAN/control", text.encode())
    _write(stage / "DEBIAN/md5sums", _md5sums(stage).encode())
    shutil.copy(HERE / "prerm", stage / "DEBIAN/prerm")


def _depends(stage: Path) -> str:
    """The packages whose libraries the bundle's programs load, with the least versions."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "debian/control"  # dpkg-shlibdeps does not start without one
        _write(source, b"Source: trayconnect\n\nPackage: trayconnect\nArchitecture: any\n")
        programs = [f"-e{path}" for path in _programs(stage)]
        options = ("-O", f"-S{stage}", f"-l{stage / LIBRARY / '_internal'}")
        answer = _said("dpkg-shlibdeps", *options, *programs, folder=Path(folder))
    return answer.partition("shlibs:Depends=")[2].strip()


def _md5sums(stage: Path) -> str:
    return "".join(
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {inside}\n"
        for path in _files(stage)
        if not (inside := str(path.relative_to(stage))).startswith("DEBIAN/")
    )


def _same_each_time(stage: Path, seconds: int) -> None:
    """Fixed permissions and dates, whatever umask and clock were."""
    for path in (stage, *stage.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or _may_run(path) else 0o644)
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def _may_run(path: Path) -> bool:
    """Libraries are loaded, not run."""
    return bool(path.stat().st_mode & 0o100) and ".so" not in path.name


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _said(*command: str, folder: Path | None = None) -> str:
    """The output of a program. Ends this one where it fails."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
