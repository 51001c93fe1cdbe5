"""Commands that need no running program, and those that speak with it over the named pipe."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from tests.windows.desk import LIMIT, Windows
from tests.windows.environment import PYTHON, windows_path
from tests.windows.kit import NAME, entry, trust
from trayconnect.tray.view import IconState

RUN_KEY = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run"
SERVERS = f"servers:\n  - {{name: {NAME}, host: gpu.example.org}}\n"
SECRET = "Grüße → 日本"
KEEP = f"""
import sys
from trayconnect.desktop.secrets import KeyringSecrets
secrets = KeyringSecrets(time_limit=100)  # a busy machine
if sys.argv[1] == "set":
    secrets.set("GPU box", "ada@gpu", {SECRET!a})
print(ascii(secrets.get("GPU box", "ada@gpu")))
"""


def test_commands_need_no_running_program() -> None:
    with Windows(SERVERS) as desk:
        assert desk.command("--version").startswith("trayconnect, version")
        assert "is not running" in desk.command("status", code=1)
        assert desk.command("check")
        desk.file.write_text(SERVERS + "    colour: green\n")
        assert "servers.yaml:3:" in desk.command("check", code=1)


def test_doctor_finds_no_problem() -> None:
    with Windows(SERVERS) as desk:
        words = desk.command("doctor")
        assert "PROBLEM" not in words, words
        for part in ("tray", "questions", "keyring"):
            assert f"ok       {part}" in words, words


def test_start_at_login_is_an_entry_in_the_registry() -> None:
    with Windows(SERVERS) as desk:
        assert desk.command("autostart", "status") == "off\n"
        assert desk.command("autostart", "on") == "on\n"
        shown = desk.run("reg", "query", RUN_KEY, "/v", "trayconnect").stdout.decode()
        program = shown.partition("REG_SZ")[2].strip().strip('"')
        assert Path(program.removeprefix("Z:").replace("\\", "/")).is_file(), shown
        assert desk.command("autostart", "status") == "on\n"
        assert desk.command("autostart", "off") == "off\n"
        assert desk.run("reg", "query", RUN_KEY, "/v", "trayconnect").returncode


def test_windows_keeps_secrets_of_any_letters() -> None:
    with Windows(SERVERS) as desk:
        for order in ("set", "get"):
            done = desk.python("-c", KEEP, order)
            assert done.stdout.decode().strip() == ascii(SECRET), done


def test_commands_speak_with_the_running_program(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    with Sshd() as sshd, Windows(entry(sshd, key)) as desk:
        sshd.authorize(key)
        trust(desk, sshd)
        desk.start()
        desk.command("connect", NAME)
        wait_for(lambda: desk.status()["state"] == "up", "the tunnel", LIMIT)

        assert NAME in desk.command("status")
        python = f"{windows_path(PYTHON)} -m trayconnect"
        kept = desk.prefix / "drive_c" / "out.txt"
        for arguments in ("status", "status --json"):
            done = desk.run("cmd", "/c", f"{python} {arguments} >C:\\out.txt 2>&1")
            assert done.returncode == 0, done
            assert NAME in kept.read_text("cp1252")
        assert json.loads(kept.read_bytes())["servers"][0]["state"] == "up"

        desk.command("disconnect", NAME)
        desk.wait_icon(IconState.OFF)
        desk.file.write_text(desk.file.read_text().replace(NAME, SECRET), "utf-8")
        desk.command("reload")
        assert wait_for(lambda: desk.status(SECRET), "the other name", LIMIT)["state"] == "off"
        assert "Grüße -> ??" in desk.command("status")  # what the encoding of the pipe has

        desk.command("quit")
        desk.wait_end()
        assert "Traceback" not in desk.output + desk.log
