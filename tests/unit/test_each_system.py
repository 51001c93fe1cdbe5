"""What belongs to one system is imported on that system alone, and every command runs without it.

Here the other systems are pretended (see `tests.support.other_system`): macOS well enough to run
the commands, Windows only to import; the suite in tests/windows runs them there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.other_system import SYSTEMS
from tests.support.systems import home_variables

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 120.0


def on_system(system: str, *arguments: str, **environment: str) -> Any:  # noqa: ANN401 - JSON
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.other_system", system, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment},
        stdout=subprocess.PIPE,
        timeout=LIMIT,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_module_is_imported_without_what_other_systems_have(system: str) -> None:
    if sys.platform not in ("linux", system):
        pytest.skip("it lacks what the other systems have, which cannot be pretended")
    failed = on_system(system, "import")
    assert failed == {}


HERE = ["darwin", "linux"] if sys.platform == "linux" else [sys.platform]


@pytest.mark.parametrize("system", HERE)
def test_the_commands_run_without_what_other_systems_have(system: str, tmp_path: Path) -> None:
    file = tmp_path / "servers.yaml"
    file.write_text("servers:\n  - {name: GPU box, host: gpu.invalid, username: ada}\n")
    config = ["--config", str(file)]
    commands = (
        ("1 server", [*config, "check"]),
        ("server", [*config, "doctor"]),
        ("not running", ["status", "--json"]),
        ("off", ["autostart", "status"]),
        ("", ["import"]),
        ("lab.invalid", ["add", "ssh -L 8888:localhost:8888 ada@lab.invalid", "--dry-run"]),
        ('"servers"', ["check", "--schema"]),
        ("Commands:", ["--help"]),
        ("version", ["--version"]),
    )
    places = home_variables(tmp_path) | {
        **dict.fromkeys(("SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), ""),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    told = on_system(system, "run", json.dumps([command for _, command in commands]), **places)
    for (words, command), (code, output) in zip(commands, told, strict=True):
        assert words in output, command
        assert "could not be checked" not in output
        assert code in (0, 1), output
