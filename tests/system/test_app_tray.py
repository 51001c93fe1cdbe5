"""The program in a real panel: its icon, its menu, its prompts, and the page in Chromium."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from Xlib.xobject.drawable import Window

from tests.support.chromium import Chromium
from tests.support.desktop import Desktop, find_icon
from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.running import LIMIT, RunningApp
from tests.support.servers import make_server
from tests.support.snapshots import snap
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for
from trayconnect.config.local_addresses import own_address
from trayconnect.config.model import Server
from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.desktop.prompts.guard import GUARD
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.protocol import Level
from trayconnect.sessions.state import State
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.view import IconState, Item

HOST_KEY = "GPU box: host key – trayconnect"
PASSPHRASE = "GPU box: passphrase – trayconnect"
LOG = "GPU box: log"
PROBLEM = "GPU box: what went wrong"


@pytest.fixture
def bare_desktop() -> Iterator[Desktop]:
    """A screen without a panel."""
    with Desktop() as running:
        yield running


@pytest.fixture
def desktop(bare_desktop: Desktop) -> Desktop:
    bare_desktop.start_panel()
    return bare_desktop


def shown(*states: State) -> tuple[Item, ...]:
    """The lines of the menu when the servers are in these states, and problems are none."""
    jupyter = FoundJupyter("8888", "/", "/", "2.0", kernels=0, in_use=True)
    snapshots = [
        snap(
            server=make_server("GPU box" if number == 0 else "Lab"),
            state=state,
            level=Level.LOGGED_IN if state is State.UP else None,
            page=Page("http://127.0.0.1/", "t0ken") if state is State.UP else None,
            jupyters=(jupyter,) if state is State.UP else (),
        )
        for number, state in enumerate(states)
    ]
    return build_view(snapshots, MenuFacts(autostart=False)).items


def test_a_click_asks_logs_in_and_shows_jupyter_in_chromium_and_another_ends_it(
    desktop: Desktop, tmp_path: Path
) -> None:
    key = make_key(tmp_path, passphrase="open sesame")
    with (
        JupyterServer() as jupyter,
        Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={jupyter.runtime_dir}"}) as sshd,
    ):
        sshd.authorize(key)
        port = free_port()
        servers = (
            f"servers:\n  - name: GPU box\n    host: {sshd.host}\n    port: {sshd.port}\n"
            f"    username: {sshd.username}\n    local_port: {port}\n"
            f"    auth: {{identity_file: {key}}}\n"
            f"  - {{name: Lab, host: lab.example.org}}\n"
        )
        chromium = Chromium(tmp_path)
        app = RunningApp(servers, tray=True, env=desktop.env)
        app.env["BROWSER"] = str(chromium.command)
        try:
            with app:
                click_through(desktop, app, chromium, jupyter, port)
        finally:
            chromium.close()


def read(desktop: Desktop, window: Window) -> None:
    """Look at a question for as long as its guard against stray keys lasts."""
    desktop.screen.wait_focus(window, LIMIT)
    desktop.screen.wait_seen(window)
    time.sleep(2 * GUARD)  # nothing tells that it is over


def colours(desktop: Desktop) -> int:
    """How many colours the browser's page has; a blank one has few."""
    page = desktop.screenshot().crop((400, 200, 1024, 600))
    return len(page.getcolors(1 << 20) or ())


def click_through(
    desktop: Desktop, app: RunningApp, chromium: Chromium, jupyter: JupyterServer, port: int
) -> None:
    desktop.open_menu(IconState.OFF)
    desktop.choose(shown(State.OFF, State.OFF), "server GPU box")

    # The host key: the safe answer has the keyboard, so one step leads to the other.
    desktop.wait_icon(IconState.NEEDS_YOU)
    question = desktop.screen.wait_window(HOST_KEY, LIMIT)
    read(desktop, question)
    desktop.screen.step("Tab", "Shift_L", limit=LIMIT)
    desktop.screen.key("space")
    desktop.screen.wait_gone(question, LIMIT)

    passphrase = desktop.screen.wait_window(PASSPHRASE, LIMIT)
    read(desktop, passphrase)
    desktop.screen.type("open sesame")
    desktop.screen.key("Return")

    desktop.wait_icon(IconState.UP)
    assert app.status()["reached"] == "logged_in"
    url = wait_for(
        lambda: next((url for title, url in chromium.pages() if "JupyterLab" in title), ""),
        "JupyterLab in Chromium",
        LIMIT,
    )
    assert url.startswith(f"http://{own_address(port)}:{port}/lab")
    wait_for(
        lambda: all("token" not in url for _, url in chromium.pages()), "a clean address", LIMIT
    )
    assert jupyter.token not in Path(f"/proc/{app.pid}/cmdline").read_text()

    wait_for(lambda: colours(desktop) > 100, "JupyterLab to be drawn", LIMIT)
    desktop.open_menu(IconState.UP)
    desktop.choose(shown(State.UP, State.OFF), "more GPU box", "copy")
    link = wait_for(lambda: desktop.screen.selection("CLIPBOARD"), "the link", LIMIT)
    assert link == f"http://{own_address(port)}:{port}/lab?token={jupyter.token}"

    desktop.open_menu(IconState.UP)
    desktop.choose(shown(State.UP, State.OFF), "more GPU box", "diagnostics")
    # In between, the clipboard is empty.
    report = wait_for(
        lambda: now if (now := desktop.screen.selection("CLIPBOARD")) != link else "",
        "the diagnostics",
        LIMIT,
    )
    assert "state: up, reached logged_in" in report
    assert jupyter.token not in report

    desktop.open_menu(IconState.UP)
    desktop.choose(shown(State.UP, State.OFF), "more GPU box", "log")
    desktop.screen.focus(desktop.screen.wait_window(LOG, LIMIT))
    desktop.screen.close_window(LOG)
    desktop.screen.wait_no_window(LOG, LIMIT)

    before = app.status()["attempt"]
    desktop.open_menu(IconState.UP)
    desktop.choose(shown(State.UP, State.OFF), "more GPU box", "reconnect")
    # The icon is drawn a little later than the status changes: it may still be the old one.
    wait_for(
        lambda: (now := app.status())["attempt"] > before and now["reached"] == "logged_in",
        "a new tunnel",
        LIMIT,
    )
    desktop.wait_icon(IconState.UP)

    desktop.open_menu(IconState.UP)
    desktop.choose(shown(State.UP, State.OFF), "server GPU box")
    desktop.wait_icon(IconState.OFF)
    wait_for(lambda: app.status()["state"] == "off", "off", LIMIT)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), LIMIT)

    desktop.open_menu(IconState.OFF)
    desktop.choose(shown(State.OFF, State.OFF), "quit")
    assert app.wait() == 0
    desktop.wait_no_icon(IconState.OFF)


def test_a_problem_in_a_group_is_shown_in_a_window(desktop: Desktop) -> None:
    grouped = make_server("GPU box", group="Lab")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        servers = (
            f"servers:\n  - {{name: GPU box, group: Lab, host: 127.0.0.1, local_port: {port}}}\n"
        )
        with RunningApp(servers, tray=True, env=desktop.env) as app:
            desktop.open_menu(IconState.OFF)
            desktop.choose(lines(app, grouped), "group Lab", "connect-group")
            desktop.open_menu(IconState.FAILED)
            desktop.choose(lines(app, grouped), "group Lab", "problem GPU box")
            desktop.screen.wait_window(PROBLEM, LIMIT)
            desktop.screen.close_window(PROBLEM)
            desktop.screen.wait_no_window(PROBLEM, LIMIT)
            desktop.open_menu(IconState.FAILED)
            desktop.choose(lines(app, grouped), "group Lab", "disconnect-group")
            wait_for(lambda: app.status()["state"] == "off", "off", LIMIT)


def lines(app: RunningApp, server: Server) -> tuple[Item, ...]:
    """The lines of the menu as it is now, with that server in it."""
    status = app.status()
    problem = status["problem"]
    snapshot = snap(
        server=server,
        state=State(status["state"]),
        problem=Problem(**problem) if problem else None,
    )
    return build_view([snapshot], MenuFacts(autostart=False)).items


def test_start_at_login_is_a_tick_that_the_system_remembers(desktop: Desktop) -> None:
    with RunningApp("servers: []\n", tray=True, env=desktop.env) as app:
        items = build_view([], MenuFacts(autostart=False)).items
        entry = Path(app.env["XDG_CONFIG_HOME"]) / "autostart" / "trayconnect.desktop"
        for expected in (True, False):
            desktop.open_menu(IconState.OFF)
            desktop.choose(items, "autostart")
            wait_for(lambda expected=expected: entry.exists() is expected, "the entry", LIMIT)  # type: ignore[misc]


def test_a_broken_file_shows_in_the_menu_and_a_mended_one_goes_on(desktop: Desktop) -> None:
    def height() -> int:
        desktop.open_menu(IconState.OFF)
        _, top, _, bottom = desktop.menus()[0]
        desktop.close_menu()
        return bottom - top

    with RunningApp("servers: []\n", tray=True, env=desktop.env) as app:
        before = height()
        app.file.write_text("servers:\n  - nam: x\n")
        app.run("reload")
        wait_for(lambda: height() > before, "more lines", LIMIT)
        app.file.write_text("servers: []\n")
        wait_for(lambda: height() == before, "as before", LIMIT)


UNREACHABLE = "servers:\n  - {name: GPU box, host: 127.0.0.1, port: 1}\n"


def test_without_a_panel_a_window_has_what_the_menu_has(bare_desktop: Desktop) -> None:
    screen = bare_desktop.screen
    with RunningApp(UNREACHABLE, tray=True, env=bare_desktop.env) as app:
        for again in (False, True):  # by itself; and when it is started a second time
            if again:
                assert app.run("run").returncode == 0
            window = screen.wait_window("trayconnect", LIMIT)
            screen.wait_focus(window, LIMIT)
            if not again:
                wait_for(lambda: "A window shows your servers" in app.output, "word of it", LIMIT)
            screen.close_window("trayconnect")
            screen.wait_gone(window, LIMIT)
            assert app.status()["state"] == "off", "closing it ends nothing"
        app.run("run")
        window = screen.wait_window("trayconnect", LIMIT)
        screen.wait_focus(window, LIMIT)
        screen.step("Tab", limit=LIMIT)
        screen.key("space")
        wait_for(lambda: app.status()["state"] == "waiting", "the attempt to fail", LIMIT)
        # The button means Disconnect once the window has changed, too.
        wait_for(
            lambda: find_icon(screen.screenshot(), IconState.CONNECTING, height=600),
            "the window to show it",
            LIMIT,
        )
        screen.key("space")
        wait_for(lambda: app.status()["state"] == "off", "off", LIMIT)
        screen.step("Tab", "Shift_L", limit=LIMIT)  # backwards to the last button
        screen.key("space")
        assert app.wait() == 0
        screen.wait_no_window("trayconnect", LIMIT)


def test_a_panel_with_an_xembed_tray_only(bare_desktop: Desktop) -> None:
    bare_desktop.start_xembed_tray()
    with RunningApp("servers: []\n", tray=True, env=bare_desktop.env) as app:
        bare_desktop.open_menu(IconState.OFF)
        bare_desktop.choose(build_view([], MenuFacts(autostart=False)).items, "quit")
        assert app.wait() == 0
        bare_desktop.wait_no_icon(IconState.OFF)
