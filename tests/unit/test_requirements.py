"""What is installed is what was looked at: exact versions with hashes, and no versions with known
holes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LISTS = sorted((ROOT / ".ci").glob("constraints*.txt"))
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?P<marker> ; .*)?")

HOLES = {
    "cryptography": ["44.0.0", "46.0.6", "49.0.0"],
    "pillow": ["10.2.0", "11.2.1", "12.2.0"],
    "paramiko": ["3.3.1", "4.0.0"],
    "pydantic": ["2.3.0"],
    "pyyaml": ["5.3.1"],
    "asyncssh": ["2.14.0", "2.23.0"],
    "jupyterlab": ["4.2.4", "4.5.9", "4.6.1"],
    "jupyter-server": ["2.14.0", "2.17.0"],
    "tornado": ["6.4.2", "6.5.6"],
    "notebook": ["7.2.1", "7.5.5"],
    "pytest": ["9.0.2"],
}
"""Versions that have published holes, by package."""


def pins(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=\S)", path.read_text().strip()):
        first, *hashes = [line.removesuffix(" \\").strip() for line in block.splitlines()]
        match = _LINE.fullmatch(first)
        assert match is not None, first
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), first
        found[canonicalize_name(match["name"])] = match["version"]
    return found


@pytest.mark.parametrize("path", LISTS, ids=[path.name for path in LISTS])
def test_every_version_is_exact_and_has_hashes(path: Path) -> None:
    assert len(pins(path)) > 40


def asked() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for group in (project["dependencies"], *extras) for text in group]


def test_what_is_asked_for_is_in_the_list_and_has_no_known_hole() -> None:
    listed = pins(ROOT / ".ci" / "constraints.txt")
    for requirement in asked():
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(listed[name]), requirement
        for version in HOLES.get(name, ()):
            assert not requirement.specifier.contains(version), (requirement, version)


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_a_workflow_gives_others_nothing(path: Path) -> None:
    """Actions by commit, no kept credentials, rights and a limit for each job; zizmor looks for
    more."""
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for use in re.findall(r"uses: (.+)", text):
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v[\d.]+", use), use
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
        writes = [right for right in job.get("permissions", {}).values() if right == "write"]
        assert not writes or "checkout" not in str(job["steps"])


def test_a_tag_makes_the_files_of_every_system() -> None:
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    steps = [step for job in release["jobs"].values() for step in job["steps"]]
    kept = str([step["with"]["path"] for step in steps if "upload-artifact" in str(step)])
    assert all(kind in kept for kind in ("*.whl", "*.tar.gz", "*.deb", "*.exe", "*.dmg"))
    last = release["jobs"]["publish"]
    assert last["permissions"] == dict.fromkeys(("attestations", "contents", "id-token"), "write")
    uses = [step.get("uses", step.get("run", "")) for step in last["steps"]]
    assert [use.split("@")[0].split(" $")[0] for use in uses] == [
        "actions/download-artifact",
        "actions/attest-build-provenance",
        'gh release create "$GITHUB_REF_NAME" --verify-tag --generate-notes files/*',
    ]
