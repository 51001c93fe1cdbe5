"""The icon in the taskbar, its menu, its questions and its windows."""

from __future__ import annotations

from pathlib import Path

from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from tests.windows.desk import LIMIT, Windows
from tests.windows.kit import NAME, answer, entry, view
from trayconnect.sessions.state import State
from trayconnect.tray.view import IconState

SERVERS = f"servers:\n  - {{name: {NAME}, host: gpu.example.org}}\n"


def test_it_shows_its_icon_and_quit_ends_it_and_all_its_processes() -> None:
    with Windows(SERVERS) as desk:
        desk.start()
        desk.picture("icon")
        desk.choose(view(State.OFF), "quit")
        desk.wait_end()
        assert "Traceback" not in desk.output + desk.log


def test_a_click_asks_logs_in_and_opens_jupyter_and_another_ends_it(tmp_path: Path) -> None:
    key = make_key(tmp_path, passphrase="open sesame")
    with (
        JupyterServer() as jupyter,
        Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as sshd,
        Windows(entry(sshd, key)) as desk,
    ):
        sshd.authorize(key)
        desk.start()
        desk.choose(view(State.OFF), "connect", NAME)
        desk.wait_icon(IconState.NEEDS_YOU)
        # The safe answer has the keyboard.
        answer(desk, f"{NAME}: host key – trayconnect", ("Tab", "Shift_L"), ("space",))
        answer(desk, f"{NAME}: passphrase – trayconnect", ("Return",), text="open sesame")
        desk.wait_icon(IconState.UP)
        desk.picture("up")
        assert desk.status()["reached"] == "logged_in"
        assert sshd.known_host_name in desk.known_hosts.read_text()

        # The page goes to the browser by a file, which keeps the token from other users.
        (page,) = wait_for(lambda: desk.opened, "the page", LIMIT)
        assert page.endswith(".html")
        assert f"token={jupyter.token}" in desk.command("link", NAME)

        desk.choose(view(State.UP), "open", NAME)
        wait_for(lambda: len(desk.opened) == 2, "the page again", LIMIT)
        desk.choose(view(State.UP), "disconnect", NAME)
        desk.wait_icon(IconState.OFF)


def test_escape_trusts_no_host_key(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    with Sshd() as sshd, Windows(entry(sshd, key)) as desk:
        sshd.authorize(key)
        desk.start("--connect", NAME, icon=IconState.NEEDS_YOU)
        answer(desk, f"{NAME}: host key – trayconnect", ("Escape",))
        desk.wait_icon(IconState.OFF)
        assert not desk.known_hosts.exists()


def test_a_question_ends_with_the_program_that_was_killed(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    with Sshd() as sshd, Windows(entry(sshd, key)) as desk:
        desk.start("--connect", NAME, icon=IconState.NEEDS_YOU)
        desk.wait_window(f"{NAME}: host key – trayconnect")
        desk.kill()
        wait_for(lambda: not desk.programs(), "the question to end", LIMIT)


def test_it_opens_its_windows_and_the_editor() -> None:
    with Windows(SERVERS) as desk:
        desk.start()
        desk.choose(view(State.OFF), "show-log", NAME)
        desk.wait_drawn(f"{NAME}: log")
        desk.picture("log")
        desk.wait_focus(f"{NAME}: log")
        desk.screen.key("Escape")
        desk.wait_no_window(f"{NAME}: log")

        desk.choose(view(State.OFF), "show-status")
        desk.wait_drawn("trayconnect")
        desk.picture("window")
        desk.screen.close_window("trayconnect")
        desk.wait_no_window("trayconnect")
        desk.command()  # started again, it hands over to the first one
        desk.wait_drawn("trayconnect")
        desk.screen.close_window("trayconnect")
        desk.wait_no_window("trayconnect")
        desk.wait_icon(IconState.OFF)

        desk.choose(view(State.OFF), "edit-servers")
        wait_for(
            lambda: any("servers.yaml" in title for _, title in desk.screen.windows()),
            "an editor with the server file",
            LIMIT,
        )
        desk.picture("editor")
        assert "Traceback" not in desk.output + desk.log
