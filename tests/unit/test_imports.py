"""What is imported when: slow modules late, and in a bundle early what an upgrade may replace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trayconnect.control.lock import InstanceLock
from trayconnect.control.server import ControlServer
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command

SCRIPT = """
import sys
sys.frozen = {frozen}
sys.platform = {platform!r}
from trayconnect.app.late_imports import LATE, import_early
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


COMMAND = """
import atexit, sys
slow = ("pydantic", "paramiko", "PIL", "yaml", "keyring", "psutil", "pystray", "jeepney")
atexit.register(lambda: print("imported:", *(name for name in slow if name in sys.modules)))
sys.argv = ["trayconnect", *sys.argv[1:]]
from trayconnect.__main__ import main
main()
"""
SERVER = {"name": "GPU box", "state": "up", "words": "connected", "url": None, "problem": None}


@pytest.fixture(scope="module")
def asked() -> list[Command]:
    """What the app of `runtime` was asked."""
    return []


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory, asked: list[Command]) -> Iterator[Path]:
    """A runtime folder with an app that has a reply for each command."""
    folder = tmp_path_factory.mktemp("run")
    folder.chmod(0o700)

    def answer(command: Command, _cancel: CancelToken) -> JSON:
        asked.append(command)
        return {
            "servers": 1 if command.name == "reload" else [SERVER],
            "file": str(folder / "servers.yaml"),
            "link": "http://127.0.0.1:8888", "why": "", "lines": ["8888"], "log": "",
            "losses": "", "identity": "1", "label": "",
        }  # fmt: skip

    lock = InstanceLock(folder)
    assert lock.acquire()
    server = ControlServer(lock, answer)
    server.start()
    yield folder
    server.stop()
    lock.release()


@pytest.mark.parametrize(
    "command",
    [
        "status", "status --json", "reload", "quit", "connect GPU", "connect GPU --wait 1",
        "disconnect GPU", "open GPU", "link GPU", "start GPU", "servers GPU", "stop GPU",
        "restart GPU", "log GPU", "choose GPU 8888", "run", "", "run --connect GPU",
    ],
)  # fmt: skip
def test_a_command_for_the_running_app_imports_nothing_slow(runtime: Path, command: str) -> None:
    env = os.environ | {"HOME": str(runtime), "TRAYCONNECT_RUNTIME_DIR": str(runtime)}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *command.split()],
        capture_output=True, text=True, timeout=60, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


QUICK = {
    ("connect", "GPU box"): "GPU box  connected\n",
    ("open", "GPU “b\\ox”"): "GPU box  connected\n",
    ("disconnect", "GPU box"): "GPU box is disconnected.\n",
    ("status",): "GPU box  connected\n",
}
HEAVY = ("click.core", "typing", "dataclasses", "pathlib", "logging", "ctypes", "platformdirs")


@pytest.mark.parametrize("words", QUICK)
def test_the_commands_that_the_user_waits_for_import_next_to_nothing(
    runtime: Path, asked: list[Command], words: tuple[str, ...]
) -> None:
    """They send and print the same as with the parser, which options need."""
    env = os.environ | {"HOME": str(runtime), "TRAYCONNECT_RUNTIME_DIR": str(runtime)}
    asked.clear()
    sent = []
    for options in ((), ("--config", str(runtime / "servers.yaml"))):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "trayconnect", *options, *words],
            capture_output=True, text=True, timeout=60, env=env | {"PYTHONUTF8": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == QUICK[words]
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert ("click.core" in imported) is bool(options)
        # On Windows, the socket is a pipe, which takes more.
        assert options or sys.platform == "win32" or imported.isdisjoint(HEAVY)
        sent.append([command for command in asked if command.name != "ping"])
        asked.clear()
    assert sent[0] == sent[1] != []
    assert sent[0][0].server == "".join(words[1:])


@pytest.mark.parametrize("words", [("connect",), ("connect", "--help"), ("open", "a", "b")])
def test_an_unusual_command_line_is_parsed(tmp_path: Path, words: tuple[str, ...]) -> None:
    env = os.environ | {"HOME": str(tmp_path), "TRAYCONNECT_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "trayconnect", *words],
        capture_output=True, text=True, timeout=60, env=env,
    )  # fmt: skip
    assert done.returncode == (0 if "--help" in words else 2)
    assert "Usage: trayconnect" in done.stdout + done.stderr


def test_a_quick_command_reports_a_problem_as_every_other(tmp_path: Path) -> None:
    env = os.environ | {"HOME": str(tmp_path), "TRAYCONNECT_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "trayconnect", "connect", "GPU box"],
        capture_output=True, text=True, timeout=60, env=env,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "trayconnect is not running\n  Start it with: trayconnect\n"
