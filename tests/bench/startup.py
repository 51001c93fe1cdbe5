"""How long the icon takes: `python -m tests.bench.startup [RUNS]`.

From the start of the process to the picture in a real panel, beside an interpreter that starts
and imports the large packages, which the program imports only after its icon is shown."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.lab import run
from tests.support.desktop import Desktop
from trayconnect.tray.view import IconState

IMPORTS = "import paramiko, PIL.Image, pydantic, yaml"


def icon_seconds(desktop: Desktop) -> float:
    with tempfile.TemporaryDirectory() as folder:
        env = desktop.env | {
            "TRAYCONNECT_RUNTIME_DIR": f"{folder}/run",
            "TRAYCONNECT_CONFIG": f"{folder}/servers.yaml",
            "TRAYCONNECT_SSH_CONFIG": "none",
        }
        begin = time.monotonic()
        app = subprocess.Popen((sys.executable, "-m", "trayconnect"), env=env)
        try:
            desktop.wait_icon(IconState.OFF)
            return time.monotonic() - begin
        finally:
            app.terminate()
            app.wait(30)
            desktop.wait_no_icon(IconState.OFF)


def import_seconds() -> float:
    begin = time.monotonic()
    subprocess.run((sys.executable, "-c", IMPORTS), check=True, env=os.environ, timeout=60)
    return time.monotonic() - begin


def main(runs: int) -> None:
    assert Path("/proc").exists(), "this needs Linux"
    with Desktop() as desktop:
        desktop.start_panel()
        icon_seconds(desktop)  # a warm-up
        pairs = [(icon_seconds(desktop), import_seconds()) for _ in range(runs)]
    icons, imports = zip(*pairs, strict=True)
    print(f"to the icon: median {statistics.median(icons):.2f} s of {runs} runs")
    print(f"the imports alone: median {statistics.median(imports):.2f} s")


if __name__ == "__main__":
    run(lambda: main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
