"""What is in the package, judged by Debian's own tools."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

import pytest

from tests.deb.conftest import Packages
from trayconnect import __version__
from trayconnect.cli.main import cli

MOST = 45_000_000
"""Bytes."""


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def inside(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inside") / "root"
    said("dpkg-deb", "--extract", str(packages.new), str(folder))
    return folder


def test_the_same_commit_gives_the_same_bytes(packages: Packages) -> None:
    if packages.new.read_bytes() != packages.again.read_bytes():
        compare = ["diffoscope", "--text-color", "never", str(packages.new), str(packages.again)]
        told = subprocess.run(compare, capture_output=True, text=True, check=False, timeout=600)
        pytest.fail(told.stdout[:8000])


def test_it_is_small(packages: Packages) -> None:
    print(f"{packages.new.name}: {packages.new.stat().st_size / 1e6:.1f} MB")
    assert packages.new.stat().st_size < MOST


def test_lintian_has_nothing_to_say(packages: Packages) -> None:
    told = said("lintian", "--allow-root", "--fail-on", "error,warning", str(packages.new))
    assert not re.findall(r"^[EW]: .*", told, re.MULTILINE)


def test_nothing_is_owned_by_the_builder_or_open_to_others(packages: Packages) -> None:
    for line in said("dpkg-deb", "--contents", str(packages.new)).splitlines():
        mode, owner, *_ = line.split()
        assert owner == "root/root", line
        assert mode in ("drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x", "lrwxrwxrwx"), line


def test_it_tells_nothing_of_the_machine_that_made_it(packages: Packages, inside: Path) -> None:
    folders = [str(path.parents[1]).encode() for path in (packages.new, packages.again)]
    for path in inside.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            assert not any(folder in data for folder in folders), path


def test_a_desktop_finds_it(inside: Path) -> None:
    share = inside / "usr/share"
    said("desktop-file-validate", str(share / "applications/trayconnect.desktop"))
    metainfo = share / "metainfo/io.github.trayconnect.metainfo.xml"
    said("appstreamcli", "validate", "--no-net", str(metainfo))
    assert f'version="{__version__}"' in metainfo.read_text()
    hicolor = share / "icons/hicolor"
    assert (hicolor / "scalable/apps/trayconnect.svg").is_file()
    for size in (16, 22, 24, 32, 48, 64, 128, 256, 512):
        data = (hicolor / f"{size}x{size}/apps/trayconnect.png").read_bytes()
        assert data[16:24] == size.to_bytes(4) * 2, "not a PNG of that size"


def test_the_manual_is_that_of_these_commands(inside: Path) -> None:
    page = gzip.decompress((inside / "usr/share/man/man1/trayconnect.1.gz").read_bytes()).decode()
    for name, command in cli.commands.items():
        assert command.hidden or f'.SS "{name.replace("-", chr(92) + "-")}' in page


def test_every_part_has_its_terms(inside: Path) -> None:
    documents = inside / "usr/share/doc/trayconnect"
    text = (documents / "copyright").read_text()
    parts = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert {"Python", "Tcl-Tk", "paramiko", "pystray", "pyinstaller"} <= set(parts)
    assert {path.stem for path in (documents / "licences").iterdir()} == set(parts)
