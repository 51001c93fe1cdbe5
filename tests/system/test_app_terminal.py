"""A terminal on a server: the system's terminal program with a real ssh in it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.running import LIMIT, RunningApp
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from trayconnect.desktop.terminal_launcher import open_terminal

TERMINAL = """#!/bin/sh
# As a terminal program: what follows -e runs in it.
[ "$1" = -e ] && shift
[ -x "$1" ] || exit 9
"$@" </dev/null >"$TC_SAID" 2>&1 &
"""


@pytest.mark.parametrize("jumps", [0, 2])
def test_it_logs_in_as_trayconnect_does(tmp_path: Path, jumps: int) -> None:
    """By the key and the host keys that only trayconnect knows, through the jump hosts, too; and
    hostile names run nothing."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "x-terminal-emulator").write_text(TERMINAL)
    (programs / "x-terminal-emulator").chmod(0o755)
    folder = tmp_path / "keys 100% $(touch PWNED) ; touch PWNED"
    folder.mkdir()
    key = make_key(folder)
    said = tmp_path / "said"
    with Sshd(options={"ForceCommand": f"echo arrived >{tmp_path}/arrived"}) as end, Sshd() as gate:
        for sshd in (end, gate):
            sshd.authorize(key)
        hop = f"{gate.username}@{gate.host}:{gate.port}"
        name = "x$(touch PWNED)`touch PWNED`; touch PWNED 'x' \"y\""
        entry = {
            "name": name,
            "host": end.host,
            "port": end.port,
            "username": end.username,
            "jump_hosts": [hop] * jumps,
            "auth": {"identity_file": str(key), "agent": "none"},
        }
        env = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "DISPLAY": ":99",
            "TC_SAID": str(said),
            "XDG_RUNTIME_DIR": str(tmp_path),
        }
        app = RunningApp(json.dumps({"servers": [entry]}), env=env)
        own = app.home / ".local/share/trayconnect/known_hosts"
        own.parent.mkdir(parents=True)
        own.write_text("\n".join((*end.known_hosts_lines(), *gate.known_hosts_lines())) + "\n")
        done = app.run("terminal", name)
        assert (done.returncode, done.stderr) == (0, "")
        wait_for(lambda: (tmp_path / "arrived").exists(), "ssh to arrive", LIMIT)
        wait_for(lambda: not list(tmp_path.glob("trayconnect-terminal-*")), "it to tidy up", LIMIT)
        assert not [path for path in (tmp_path, app.home, Path.cwd()) if (path / "PWNED").exists()]
        app.end()


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_RUNTIME_DIR is Linux's")
def test_a_folder_that_runs_no_programs_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, runtime, said = (tmp_path / name for name in ("programs", "runtime", "said"))
    for folder in (programs, runtime):
        folder.mkdir()
    (programs / "x-terminal-emulator").write_text(TERMINAL)
    (programs / "x-terminal-emulator").chmod(0o755)
    mounted = os.statvfs
    monkeypatch.setattr(
        "trayconnect.desktop.terminal_launcher.os.statvfs",
        lambda path: _Mounted(mounted(path).f_flag | os.ST_NOEXEC),
    )
    path = f"{programs}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("TC_SAID", str(said))
    environ = {"PATH": path, "DISPLAY": ":99", "XDG_RUNTIME_DIR": str(runtime)}
    open_terminal(["sh", "-c", "echo it ran"], environ)
    wait_for(lambda: said.exists() and "it ran" in said.read_text(), "the command", LIMIT)
    assert not list(runtime.iterdir())


@dataclass(frozen=True)
class _Mounted:
    f_flag: int


def test_no_terminal_to_be_had_says_what_to_type(tmp_path: Path) -> None:
    with RunningApp(json.dumps({"servers": [{"name": "GPU box", "host": "gpu"}]})) as app:
        done = app.run("terminal", "GPU box")
        assert done.returncode == 1
        assert "No terminal could be opened" in done.stderr
        assert "-- gpu" in done.stderr
