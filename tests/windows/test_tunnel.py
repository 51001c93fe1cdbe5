"""Tunnels: their forwards, used from outside; a saved file; a killed session; a kept secret."""

from __future__ import annotations

from pathlib import Path

from tests.support.forwarding import by_socks
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from tests.windows.desk import LIMIT, Windows
from tests.windows.kit import NAME, answer, entry, get, http_target, talk, trust
from trayconnect.tray.view import IconState


def test_forwards_carry_a_saved_file_is_applied_and_a_killed_session_comes_back(
    tmp_path: Path,
) -> None:
    key = make_key(tmp_path)
    local, dynamic, later = (free_port() for _ in range(3))
    with http_target(b"here I am") as port, Sshd() as sshd:
        sshd.authorize(key)

        def servers(*more: str) -> str:
            return entry(
                sshd,
                key,
                "forwards:",
                f"  - -L {local}:127.0.0.1:{port}",
                f"  - -D {dynamic}",
                *more,
            )

        with Windows(servers()) as desk:
            trust(desk, sshd)
            desk.start("--connect", NAME, icon=IconState.SILENT)
            assert get(local) == b"here I am"
            assert talk(by_socks(dynamic, ("127.0.0.1", port))).endswith(b"here I am")

            before = sshd.session_pids()
            desk.file.write_text(servers(f"  - -L {later}:127.0.0.1:{port}"))
            wait_for(lambda: _answers(later), "the forward that was added", LIMIT)
            assert get(local) == b"here I am"

            sshd.kill_sessions()
            wait_for(lambda: sshd.session_pids() - before, "a new session", LIMIT)
            desk.wait_icon(IconState.SILENT)
            assert get(local) == b"here I am"
            assert "Traceback" not in desk.output


def _answers(port: int) -> bool:
    try:
        return get(port) == b"here I am"
    except OSError:
        return False


def test_a_passphrase_that_is_kept_is_asked_for_once(tmp_path: Path) -> None:
    key = make_key(tmp_path, passphrase="open sesame")
    with Sshd() as sshd:
        sshd.authorize(key)
        servers = entry(sshd, key).replace("auth: {", "auth: {password: keyring, ")
        with Windows(servers) as desk:
            trust(desk, sshd)
            desk.start("--connect", NAME, icon=IconState.NEEDS_YOU)
            keys = (("Tab",), ("space",), ("Return",))  # tick: remember it
            answer(desk, f"{NAME}: passphrase – trayconnect", *keys, text="open sesame")
            desk.wait_icon(IconState.SILENT)
            desk.command("quit")
            desk.wait_end()

            desk.start("--connect", NAME, icon=IconState.SILENT)
            assert desk.status()["state"] == "up"
