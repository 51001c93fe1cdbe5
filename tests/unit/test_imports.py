"""What is imported when: slow modules late, and in a bundle early what an upgrade may replace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
sys.frozen = {frozen}
sys.platform = {platform!r}
from trayconnect.core.late_imports import LATE, import_early
before = set(sys.modules)
import_early()
print(*(name for name in LATE if name in sys.modules and name not in before))
"""


def imported(*, frozen: bool, platform: str) -> list[str]:
    program = SCRIPT.format(frozen=frozen, platform=platform)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a running program's files")
def test_a_bundle_imports_early_what_this_system_has() -> None:
    names = imported(frozen=True, platform=sys.platform)
    assert {"encodings.idna", "keyring.backends", "trayconnect.desktop.prompts.terminals"} <= set(
        names
    )


def test_elsewhere_nothing_is_imported() -> None:
    assert imported(frozen=False, platform=sys.platform) == []
    assert imported(frozen=True, platform="win32") == []


ICON = """
import sys
from pathlib import Path
from trayconnect.app.program import App, Options
from trayconnect.tray import display

class Icon:
    is_shown = True
    def show(self, view):
        if view != display.STARTING:
            print("servers", "pydantic" in sys.modules, "paramiko" in sys.modules)
            app.stop()
    def run(self):
        print("icon", *(name for name in ("pydantic", "paramiko", "keyring", "yaml")
                        if name in sys.modules))
        on_shown()
        ended.wait(60)
    def stop(self):
        ended.set()
    def report(self):
        return None

def make_tray(*_, on_shown, **__):
    globals()["on_shown"] = on_shown
    return Icon()

import threading
ended = threading.Event()
display.make_tray = make_tray
home = Path(sys.argv[1])
(home / "run").mkdir(mode=0o700)
app = App(Options(config=home / "servers.yaml", runtime=home / "run", refresh_autostart=False))
app.run()
"""


def test_the_icon_comes_before_the_slow_modules(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ICON, str(tmp_path)],
        capture_output=True, text=True, timeout=120,
        env=os.environ | {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines()[:2] == ["icon", "servers True True"], done.stderr


STATUS = """
import sys
from trayconnect.cli import main
from trayconnect.control.client import ControlClient
from trayconnect.control.protocol import Reply
status = {"servers": [], "file_problem": None}
ControlClient.call = lambda *_: Reply(ok=True, data=status)
code = main.run(["status"])
slow = ("pydantic", "paramiko", "PIL", "keyring", "yaml")
print(code, *(name for name in slow if name in sys.modules))
"""


def test_a_command_that_speaks_to_the_running_app_imports_no_slow_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STATUS],
        capture_output=True, text=True, check=True,
        env=os.environ | {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "0"
