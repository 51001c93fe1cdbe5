"""The program itself: its files under an open umask, its memory, and what a killed run left."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.support.running import PROGRAM, RunningApp

pytestmark = pytest.mark.skipif("sys.platform == 'win32'", reason="modes are of POSIX")

SERVERS = "servers:\n  - {name: a, host: 127.0.0.1, port: 1}\n"


def command(app: RunningApp, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PROGRAM, *words], env=app.env, input=given, capture_output=True, check=False, timeout=60
    )


def test_every_file_is_private_under_an_open_umask() -> None:
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    before = os.umask(0)
    try:
        with RunningApp(None) as app:
            assert command(app, "add", "ssh nowhere.invalid").returncode == 0
            assert command(app, "add-key", "nowhere.invalid", given=key).returncode == 0
            ours = {"output", "opened", "browser", ".ssh"}  # of the test
            made = [
                each
                for each in app.home.rglob("*")
                if each.relative_to(app.home).parts[0] not in ours
            ]
            assert {"servers.yaml", "instance.lock", "control.sock", "trayconnect.log"} <= {
                each.name for each in made
            }
            for each in made:
                assert stat.S_IMODE(each.lstat().st_mode) & 0o077 == 0, each
    finally:
        os.umask(before)


@pytest.mark.skipif("sys.platform == 'darwin'", reason="other folders")
def test_folders_from_before_are_closed_and_no_link_in_them_is_followed(tmp_path: Path) -> None:
    app = RunningApp(SERVERS)
    folders = [app.home / ".local/share/trayconnect", app.home / ".local/state/trayconnect"]
    folders.append(folders[1] / "log")
    for folder in folders:
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    other = tmp_path / "other"
    other.write_text("kept")
    other.chmod(0o644)
    (folders[-1] / "trayconnect.log").symlink_to(other)
    # Whichever comes first tells: the app, or the command by which the test waits for it.
    told = command(app, "check").stderr.decode()
    for folder in folders:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert f"Other users could write to {folder}.\n" in told
    with app:
        assert "No log file" in app.output
        assert (other.read_text(), stat.S_IMODE(other.stat().st_mode)) == ("kept", 0o644)
        assert b"Other users" not in command(app, "check").stderr


@pytest.mark.skipif("sys.platform != 'linux'", reason="/proc")
def test_no_core_is_dumped_and_a_killed_run_leaves_no_page() -> None:
    with RunningApp(SERVERS) as app:
        status = Path(f"/proc/{app.pid}/limits").read_text()
        (limit,) = [line for line in status.splitlines() if line.startswith("Max core file size")]
        assert limit.split()[4] == "0"
        page = app.home / ".cache/trayconnect/pages" / f"open-{app.pid}-x.html"
        page.parent.mkdir(parents=True)
        page.write_text("token")
        assert command(app, "status").returncode == 0
        assert page.exists()
        app.end(signal.SIGKILL)
        assert command(app, "check").returncode == 0
        assert not page.exists()


def test_a_server_file_that_others_can_write_is_told() -> None:
    with RunningApp(SERVERS) as app:
        app.file.chmod(0o666)
        done = command(app, "check")
        assert done.returncode == 0
        assert f"chmod go-w {app.file}" in done.stderr.decode()
        assert "1 warning" in done.stdout.decode()
