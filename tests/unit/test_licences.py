"""A bundle's files have the licence of everything in it."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import pytest

from installers import licences


def test_each_package_that_the_program_requires() -> None:
    ours = distribution("trayconnect").requires or []
    asked = [text for text in ours if "extra ==" not in text]
    parts = licences.python_packages(asked)
    names = {part.name.lower().replace("_", "-") for part in parts}
    assert {"paramiko", "pynacl", "pydantic-core", "pillow", "cffi"} <= names
    assert not names & {"pytest", "jupyterlab", "hypothesis"}
    assert all(len(part.terms) > 500 for part in parts)
    text = licences.overview("Copyright (c) 2026 us\nDo what you want.", parts)
    assert "Do what you want." in text
    for part in parts:
        assert f"  {part.name} {part.version}\n" in text


def test_both_texts_of_the_lgpl() -> None:
    terms = licences.python_package("pystray").terms  # version 3 adds to the GPL
    for name in ("GNU GENERAL PUBLIC LICENSE", "GNU LESSER GENERAL PUBLIC LICENSE"):
        assert f"{name}\n" in terms


def test_a_package_without_its_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "pyobjc-core")
    install(tmp_path, "pyobjc-framework-cocoa", "The MIT licence")
    install(tmp_path, "nobodys")
    monkeypatch.syspath_prepend(tmp_path)
    part = licences.python_package("pyobjc-core")
    assert part.text == "pyobjc-core 1.0\n\nThe MIT licence\n"
    with pytest.raises(licences.NoLicenceError, match="nobodys"):
        licences.python_package("nobodys")


def install(folder: Path, name: str, licence: str = "") -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    (info / "licenses").mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n")
    files = [f"{info.name}/METADATA"]
    if licence:
        (info / "licenses" / "LICENSE.txt").write_text(licence)
        files.append(f"{info.name}/licenses/LICENSE.txt")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_python_and_tcl() -> None:
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in licences.python_itself().text
    assert licences.tcl_tk().text.startswith("Tcl-Tk 8.6.")
