"""Whose work the package holds, and the terms of each part.

The bundle holds what trayconnect requires, a Python and Tcl/Tk. Each of them brings its licence
along; none of it is written here by hand.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PLACE = "/usr/share/doc/trayconnect/licences"
_NAMES = ("licen", "copying", "notice")
"""How the names of files with terms begin."""


class NoLicenceError(Exception):
    """A part of the bundle without its terms."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    version: str
    page: str
    """Where it comes from; may be empty."""
    terms: str

    @property
    def text(self) -> str:
        """The file of this part, below `PLACE`."""
        head = "\n".join(filter(None, (f"{self.name} {self.version}".strip(), self.page)))
        return f"{head}\n\n{self.terms.strip()}\n"


def copyright_file(own_terms: str, parts: Sequence[Part]) -> str:
    """Debian's copyright file: our terms whole, and where those of each part are."""
    listed = "".join(f"  {part.name} {part.version}".rstrip() + "\n" for part in parts)
    return (
        f"trayconnect is under these terms:\n\n{own_terms.strip()}\n\n"
        f"The package holds the following parts, each under its own terms, which are in\n"
        f"{PLACE}/, with copyright notices:\n\n{listed}"
    )


def python_packages(requirements: Iterable[str]) -> list[Part]:
    """What these ask for in this interpreter's environment, and what that asks for, by name.
    Raises `NoLicenceError`."""
    return [python_package(name) for name in sorted(required(requirements))]


def python_package(name: str) -> Part:
    """Raises `NoLicenceError`."""
    found = distribution(name)
    texts = [
        Path(str(path.locate())).read_text("utf-8")
        for path in sorted(found.files or ())
        if ".dist-info" in path.parts[0] and path.name.lower().startswith(_NAMES)
    ]
    if not texts:
        raise NoLicenceError(name)
    return Part(found.metadata["Name"], found.version, _page(found), "\n\n".join(texts))


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


def python_itself(version: str) -> Part:
    """Raises `NoLicenceError`."""
    places = (
        Path(sysconfig.get_path("stdlib")) / "LICENSE.txt",
        Path(f"/usr/share/doc/python{sysconfig.get_python_version()}/copyright"),
    )
    for path in places:
        if path.is_file():
            return Part("Python", version, "https://www.python.org/", path.read_text("utf-8"))
    raise NoLicenceError("Python")


def debian_package(name: str, version: str) -> Part:
    """Raises `NoLicenceError`."""
    path = Path(f"/usr/share/doc/{name}/copyright")
    if not path.is_file():
        raise NoLicenceError(name)
    return Part(name, version, f"https://packages.debian.org/{name}", path.read_text("utf-8"))


def _page(found: Distribution) -> str:
    fields = ("Home-page", "Project-URL")
    addresses = [text for field in fields for text in found.metadata.get_all(field, [])]
    return addresses[0].rpartition(",")[2].strip() if addresses else ""
