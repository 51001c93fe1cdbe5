"""The folder of the start script for sockets, where another account was first with its name."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trayconnect.services import jupyter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the server's side")

UID = 4_200_000_123
"""Nobody's: the folders of a real account are left alone."""
USUAL = Path(f"/tmp/tc-{UID}")


def function(name: str) -> str:
    scripts = "".join(path.read_text() for path in Path(jupyter.__path__[0]).glob("*.sh"))
    found = re.search(rf"^{name}\(\) \{{\n.*?^\}}\n", scripts, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    for folder in Path("/tmp").glob(f"{USUAL.name}*"):
        if folder.is_symlink() or not folder.is_dir():
            folder.unlink()
        else:
            shutil.rmtree(folder)


def made() -> Path:
    script = function("is_only_ours") + function("make_socket_folder")
    script += f'uid={UID}; umask 0; make_socket_folder 2>/dev/null && printf %s "$sockets"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return Path(done.stdout)


def test_the_usual_one() -> None:
    assert made() == made() == USUAL
    assert stat.S_IMODE(USUAL.stat().st_mode) == 0o700


@pytest.mark.parametrize("squatter", ["open", "link", "file"])
def test_another_where_that_is_taken(squatter: str, tmp_path: Path) -> None:
    if squatter == "link":
        USUAL.symlink_to(tmp_path)
    elif squatter == "file":
        USUAL.touch()
    else:
        USUAL.mkdir()
        USUAL.chmod(0o777)
    folder = made()
    assert folder.name.startswith(f"{USUAL.name}.")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert made() == folder
