"""Runs the unit tests with the Python of Windows, under wine:

    python -m tests.windows.unit [ARGUMENT of pytest…]

What wine itself cannot do is skipped there by name (`tests.support.wine`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.windows.environment import (
    PREPARED,
    PYTHON,
    ROOT,
    copy_prefix,
    end_wine,
    windows_path,
    wine,
    wine_environment,
)

LIMIT = 600.0
"""Seconds for all of them."""


def run(arguments: list[str], limit: float = LIMIT) -> int:
    """Their exit code; 124 when they took too long."""
    loader = wine()
    assert loader is not None
    # Beside the prepared prefix: copies of its files are links.
    with tempfile.TemporaryDirectory(prefix="unit-", dir=PREPARED.resolve()) as folder:
        prefix, home = Path(folder, "prefix"), Path(folder, "home")
        copy_prefix(prefix)
        home.mkdir()
        environment = wine_environment(prefix, home) | {
            "PYTHONPATH": windows_path(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [loader, str(PYTHON), "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        try:
            with subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ) as process:
                output, _ = process.communicate(timeout=limit)
                status = process.returncode
        except subprocess.TimeoutExpired as error:
            process.kill()
            output, status = error.output or b"", 124
        finally:
            end_wine(prefix, home)
    os.write(1, output)
    return status


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:] or ["-q", "-n", "2", "tests/unit"]))
