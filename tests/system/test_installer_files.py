"""The files of the installers, read by the programs that desktops and Debian check them with."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from configparser import ConfigParser
from pathlib import Path

from installers.linux.man_page import man_page
from trayconnect import __version__
from trayconnect.cli.main import cli

INSTALLERS = Path(__file__).resolve().parents[2] / "installers"
FOLDER = INSTALLERS / "linux"
ENTRY = FOLDER / "trayconnect.desktop"
METAINFO = FOLDER / "io.github.trayconnect.metainfo.xml"


def said(*command: str, text: str | None = None) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_desktop_entry() -> None:
    assert said("desktop-file-validate", str(ENTRY)) == ""
    parser = ConfigParser(interpolation=None)
    parser.read(ENTRY, encoding="utf-8")
    assert parser["Desktop Entry"]["Exec"] == parser["Desktop Entry"]["TryExec"] == "trayconnect"


def test_the_metainfo_names_the_desktop_entry(tmp_path: Path) -> None:
    text = METAINFO.read_text("utf-8")
    filled = text.replace("@VERSION@", __version__).replace("@DATE@", "2026-11-30")
    assert "@" not in filled
    copy = tmp_path / METAINFO.name
    copy.write_text(filled, "utf-8")
    said("appstreamcli", "validate", "--no-net", str(copy))
    root = ET.fromstring(filled)
    assert root.findtext("launchable") == ENTRY.name


def test_the_manual_is_formatted_without_a_warning() -> None:
    page = man_page(cli, __version__, "2026-11-30")
    formatted = said("groff", "-man", "-Tutf8", "-ww", "-b", "-z", text=page)
    assert formatted == ""


def test_the_image_for_a_mac_is_made_on_a_mac_only() -> None:
    script = INSTALLERS / "macos/make-dmg"
    done = subprocess.run([script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "make dmg runs on a Mac only: it needs codesign and hdiutil.\n"
