"""Runs the unit tests with the Python of Windows, under wine:

    python -m tests.windows.unit [ARGUMENT of pytest…]

What wine itself cannot do is skipped there by name (`tests.support.wine`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
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

LIMIT = 1500.0
"""Seconds for all of them."""


def run(arguments: list[str], limit: float = LIMIT) -> int:
    """Print what they say, and return their exit code."""
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
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # wine gives Python no file for a stream
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        guard = threading.Timer(limit, end_wine, [prefix, home])
        guard.start()
        try:
            for line in process.stdout:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
        finally:
            guard.cancel()
            guard.join()
            end_wine(prefix, home)
        return process.wait()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:] or ["-q", "-n", "2", "tests/unit"]))
