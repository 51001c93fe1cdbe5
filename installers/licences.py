"""Write the licence of each part of a bundle into a folder, and a README.txt that lists them.

    python -m installers.licences FOLDER

A bundle holds trayconnect, the packages that it requires, Python, Tcl/Tk and PyInstaller's boot
loader. The licences come with the Python that runs this and with its packages; only that of Tcl/Tk
is a file here, because most installations of Python lack it.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
import tkinter
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TCL_TK = HERE / "tcl-tk-licence.txt"
OVERVIEW = "README.txt"
_NAMES = ("licen", "copying", "notice")
"""How the names of files with a licence begin."""
_OF_ONE_PROJECT = {"pyobjc-core": "pyobjc-framework-cocoa"}
"""A package that comes without its licence, and another of its project that has the same."""


class NoLicenceError(Exception):
    """A part of the bundle has no licence text."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    version: str
    page: str
    """Where its source is; may be empty."""
    terms: str

    @property
    def text(self) -> str:
        """The whole file."""
        head = "\n".join(filter(None, (f"{self.name} {self.version}", self.page)))
        return f"{head}\n\n{self.terms.strip()}\n"


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    parts = [
        python_itself(),
        tcl_tk(),
        *python_packages(project["dependencies"]),
        python_package("pyinstaller"),
    ]
    own_terms = (ROOT / "LICENSE").read_text("utf-8")
    (folder / OVERVIEW).write_text(overview(own_terms, parts), "utf-8")
    for part in parts:
        (folder / f"{part.name}.txt").write_text(part.text, "utf-8")


def overview(own_terms: str, parts: Sequence[Part]) -> str:
    """Our licence, and the list of the parts."""
    listed = "".join(f"  {part.name} {part.version}\n" for part in parts)
    return (
        f"trayconnect is under this licence:\n\n{own_terms.strip()}\n\n"
        "It comes with the parts below, each under its own licence. The folder `licences` has a\n"
        "file for each part, with its licence and the address of its source. To use a changed\n"
        "version of a part, install that version into the environment that installers/freeze.py\n"
        "in trayconnect's source makes, and run freeze.py again.\n\n"
        f"{listed}"
    )


def python_packages(requirements: Iterable[str]) -> list[Part]:
    """The packages that these ask for in this environment, directly or not, by name.
    Raises `NoLicenceError`."""
    return [python_package(name) for name in sorted(required(requirements))]


def python_package(name: str) -> Part:
    """Raises `NoLicenceError`."""
    found = distribution(name)
    terms = _terms(found) or _terms(distribution(_OF_ONE_PROJECT.get(name, name)))
    if not terms:
        raise NoLicenceError(name)
    return Part(found.metadata["Name"], found.version, _page(found), terms)


def required(requirements: Iterable[str]) -> set[str]:
    """The canonical names of the packages that these ask for here, directly or not."""
    found: set[str] = set()
    pending = list(requirements)
    while pending:
        requirement = Requirement(pending.pop())
        name = canonicalize_name(requirement.name)
        marker = requirement.marker
        if name in found or (marker is not None and not marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        pending += distribution(name).requires or ()
    return found


def python_itself() -> Part:
    """Raises `NoLicenceError`."""
    folders = (Path(sysconfig.get_path("stdlib")), Path(sys.base_prefix))  # the latter: Windows
    for folder in folders:
        path = folder / "LICENSE.txt"
        if path.is_file():
            version, page = platform.python_version(), "https://www.python.org/"
            return Part("Python", version, page, path.read_text("utf-8"))
    raise NoLicenceError("Python")


def tcl_tk() -> Part:
    version = tkinter.Tcl().eval("info patchlevel")
    return Part("Tcl-Tk", version, "https://www.tcl.tk/", TCL_TK.read_text("utf-8"))


def _terms(found: Distribution) -> str:
    """All its files with a licence; empty if there is none."""
    texts = [
        Path(str(path.locate())).read_text("utf-8")
        for path in sorted(found.files or ())
        if ".dist-info" in path.parts[0] and path.name.lower().startswith(_NAMES)
    ]
    return "\n\n".join(texts)


def _page(found: Distribution) -> str:
    fields = ("Home-page", "Project-URL")
    addresses = [text for field in fields for text in found.metadata.get_all(field, [])]
    return addresses[0].rpartition(",")[2].strip() if addresses else ""


if __name__ == "__main__":
    main()
