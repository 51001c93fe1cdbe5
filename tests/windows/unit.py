"""Runs the unit tests with the Python of Windows, under wine:

    python -m tests.windows.unit [FILE of tests/unit…]

The files are shared out over a few prefixes, two at a time: wine 8 loses a whole prefix now and
then (an assertion of its server). A group that ended so is run once more.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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

GROUPS = 10
AT_ONCE = 2
LIMIT = 400.0
"""Seconds for a group."""
WINE_CANNOT = (
    # There, a shutdown of a socket wakes no thread that reads from it, or sends to it.
    "tests/unit/test_http_client.py",
    "tests/unit/test_forwarding_pump.py",
    "tests/unit/test_forwarding.py::test_a_stalled_connection_holds_up_no_other",
    "tests/unit/test_forwarding_incoming.py::test_the_end_of_the_tunnel_ends_it",
)
"""Tests that hang; what the system itself lacks is skipped by `tests.support.systems`, with its
reason."""
_FAILED, _NOTHING = 1, 5
"""Exit codes of pytest: some tests failed; none was there, or all of a file are skipped."""


def run(files: list[Path]) -> int:
    """Print what pytest says of each group; 0 if all is well."""
    groups = [group for n in range(GROUPS) if (group := files[n::GROUPS])]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(_run_group, range(1, len(groups) + 1), groups))
    return 1 if any(codes) or not codes else 0


def _run_group(number: int, files: list[Path]) -> int:
    began = time.monotonic()
    code, said = _pytest(files)
    if code not in (0, _FAILED, _NOTHING):
        print(f"Group {number} ended with {code}, and is run again:\n{said[-1000:]}", flush=True)
        code, said = _pytest(files)
    took = time.monotonic() - began
    print(f"== unit tests under wine, group {number}: {took:.0f} s\n{said.strip()}", flush=True)
    return 0 if code == _NOTHING else code


def _pytest(files: list[Path]) -> tuple[int, str]:
    """The exit code, and what it said; -1 where it had to be ended."""
    loader = wine()
    assert loader is not None
    # Beside the prepared prefix: copies of its files are links.
    with tempfile.TemporaryDirectory(prefix="unit-", dir=PREPARED.resolve()) as folder:
        prefix, home = Path(folder, "prefix"), Path(folder, "home")
        copy_prefix(prefix)
        home.mkdir()
        names = [str(file.relative_to(ROOT)) for file in files]
        options = [
            "-v",
            "--timeout=120",
            "-n0",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "--tb=short",
        ]
        options += [word for name in WINE_CANNOT for word in ("--deselect", name)]
        process = subprocess.Popen(
            [loader, str(PYTHON), "-m", "pytest", *options, *names],
            cwd=ROOT,
            env=wine_environment(prefix, home)
            | {"PYTHONPATH": windows_path(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # wine gives Python no file for a stream
            stderr=subprocess.STDOUT,
        )
        said: list[bytes] = []
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: said.extend(process.stdout or ()))
        reader.start()
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            code = -1
            process.kill()
        finally:  # a service of Windows may still have the pipe
            end_wine(prefix, home)
            reader.join(LIMIT)
    return code, b"".join(said).decode("utf-8", "replace").replace("\r", "")


def main() -> int:
    wanted = [Path(name).resolve() for name in sys.argv[1:]]
    return run(wanted or sorted((ROOT / "tests" / "unit").glob("test_*.py")))


if __name__ == "__main__":
    sys.exit(main())
