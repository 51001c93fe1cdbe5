"""What goes into the folder that has its own Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trayconnect
from trayconnect.services.batch.relay import program

ROOT = Path(trayconnect.__file__).parents[1]
SPEC = ROOT / "installers" / "pyinstaller" / "trayconnect.spec"


def test_the_texts_that_are_sent_to_servers_are_files_there() -> None:
    """Of a module, it has no source."""
    text = SPEC.read_text("utf-8").partition("analysis = ")[0]
    spec: dict[str, Any] = {"SPECPATH": str(SPEC.parent)}
    exec(compile(text, SPEC, "exec"), spec)
    names = {path.relative_to(ROOT).as_posix() for path in spec["package_data"]()}
    relay = "trayconnect/services/batch/relay"
    assert {f"{relay}/{part}.py" for part in program._PARTS} <= names
    assert {"trayconnect/services/batch/job.sh", "trayconnect/services/jupyter/find.sh"} <= names
    assert {name for name in names if name.endswith(".py")} <= {
        f"{relay}/{part}.py" for part in program._PARTS
    }
