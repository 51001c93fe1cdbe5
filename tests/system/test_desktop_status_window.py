"""The status window on a screen, clicked for real."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect.core.command import Button, Command
from trayconnect.core.errors import ProblemError
from trayconnect.desktop import helper_process
from trayconnect.desktop.windows.status import Group, Row, StatusPage, StatusWindow
from trayconnect.tray.icon import icons, icons_folder, picture
from trayconnect.tray.view import IconState

LIMIT = 120.0
TITLE = "trayconnect"


def button(text: str, name: str) -> Button:
    return Button(text, Command(name))


PAGE = StatusPage(
    rows=(
        Row("GPU box", "connected", "up", button("Disconnect", "off 1"), button("Open", "open 1")),
        Row(
            "Lab",
            "retrying at 12:00:00",
            "failed",
            button("Disconnect", "off 2"),
            more=(button("Try now", "retry 2"),),
            problem="Cannot find host lab.invalid",
            advice="Check the name in servers.yaml",
        ),
    ),
    edit=button("Edit servers…", "edit"),
    quit=button("Quit", "quit"),
)


class Opened:
    def __init__(self, screen: XServer) -> None:
        self.screen = screen
        self.clicks: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self.window = StatusWindow(self.clicks.put, icons, icons_folder() / "trayconnect.png")

    def show(self) -> None:
        self.window.show()
        self.screen.wait_focus(self.screen.wait_window(TITLE, LIMIT), LIMIT)

    def press(self, tabs: int) -> str:
        """Press the button that so many steps of the keyboard lead to; the name of its command."""
        self.step(tabs)
        self.screen.key("space")
        return self.clicks.get(timeout=LIMIT).name

    def step(self, tabs: int) -> None:
        """So many steps of the keyboard; each is seen before the next."""
        for _ in range(tabs):
            self.screen.step("Tab", limit=LIMIT)

    def pixels(self) -> bytes:
        return self.screen.screenshot().tobytes()


@pytest.fixture
def opened(screen: XServer) -> Iterator[Opened]:
    opened = Opened(screen)
    opened.window.update(PAGE)
    yield opened
    opened.window.close()
    opened.window.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("tc-")]


def test_buttons_give_their_commands(opened: Opened) -> None:
    opened.show()
    assert opened.press(1) == "off 1", "the toggle comes first"
    assert opened.press(1) == "open 1"
    assert opened.press(1) == "off 2"


def test_it_is_clicked_with_the_mouse_too(opened: Opened) -> None:
    """Quit is in the corner at the bottom right."""
    opened.show()
    opened.screen.wait_still(LIMIT)  # it has its last size
    window = opened.screen.find_window(TITLE)
    assert window is not None
    before = opened.pixels()
    place = window.get_geometry()
    at = window.translate_coords(opened.screen.client.screen().root, 0, 0)
    x, y = -at.x + place.width - 50, -at.y + place.height - 25
    opened.screen.move(x, y)
    wait_for(lambda: opened.pixels() != before, "the button to feel the pointer", LIMIT)
    opened.screen.click(x, y)
    assert opened.clicks.get(timeout=LIMIT).name == "quit"


def test_it_changes_before_the_eyes_and_keeps_the_keyboard(opened: Opened) -> None:
    opened.show()
    assert opened.press(1) == "off 1"
    before = opened.pixels()
    first = replace(PAGE.rows[0], words="off", icon="off", toggle=button("Connect", "on 1"))
    opened.window.update(replace(PAGE, rows=(replace(first, main=None), PAGE.rows[1])))
    wait_for(lambda: opened.pixels() != before, "the change to be seen", LIMIT)
    wait_for(lambda: opened.press(0) == "on 1", "the new command", LIMIT)


def colours(opened: Opened) -> set[object]:
    counted = opened.screen.screenshot().convert("RGB").getcolors(1 << 20) or ()
    return {colour for _, colour in counted}


def test_a_menu_that_is_open_stays_while_things_change(opened: Opened) -> None:
    """Or a click on it would hit what lies below."""
    opened.show()
    opened.step(4)
    opened.screen.key("space")
    wait_for(opened.screen.menus, "the menu", LIMIT)
    failed = picture(IconState.FAILED, 24).convert("RGB").getcolors()
    red = max((count, colour) for count, colour in failed or () if colour != (0, 0, 0))[1]
    assert red in colours(opened)
    gpu, lab = PAGE.rows
    changed = replace(lab, words="off", icon="off", more=(button("Open", "open 2"),))
    before = opened.pixels()
    opened.window.update(replace(PAGE, rows=(replace(gpu, words="off"), changed)))
    wait_for(lambda: opened.pixels() != before, "the other server's change to be seen", LIMIT)
    opened.screen.key("Down")
    opened.screen.key("Return")
    assert opened.clicks.get(timeout=LIMIT).name == "retry 2", "what the menu said"
    wait_for(lambda: not opened.screen.menus(), "the menu to close", LIMIT)
    wait_for(lambda: red not in colours(opened), "the change to be caught up with", LIMIT)


CUT = """
import json, sys, time, tkinter
from trayconnect.desktop.windows import status
from trayconnect.desktop.windows.status_window import StatusView

def walk(widget):
    yield widget
    for child in widget.winfo_children():
        yield from walk(child)

root = tkinter.Tk()
view = StatusView(root, print)
for narrow in (False, True):
    for page in json.loads(sys.stdin.readline()):
        view.show(status.decode_page(page))
        deadline = time.monotonic() + 30  # for the answers of the X server
        while True:
            root.update()
            cut = [
                f"{one} is cut: {one.winfo_width()} of {one.winfo_reqwidth()}"
                for one in walk(root)
                if one.winfo_ismapped() and one.winfo_width() < one.winfo_reqwidth()
            ]
            if not cut:
                break
            if time.monotonic() > deadline:
                sys.exit(cut[0])
        if narrow:
            root.geometry(f"200x{root.winfo_height()}")
            root.update()
"""


def test_nothing_is_cut_when_a_server_gets_more_buttons(screen: XServer) -> None:
    """Also after the user made the window narrow, and with a group's heading."""
    del screen  # DISPLAY names it
    long = replace(PAGE.rows[0], name="A server with a long name", words="connected\n2 kernels")
    off = replace(long, main=None, more=(), toggle=button("Connect", "on"))
    full = replace(long, more=(button("Try now", "x"),), toggle=button("Disconnect", "off"))
    wordy = replace(full, name="W" * 60, problem="It refused " * 20, advice="Ask " * 100)
    group = Group("Lab " * 20, (button("Connect all of these", "all"),))
    pages = [
        StatusPage(rows=(off,)),
        StatusPage(rows=(full,), edit=PAGE.edit, more=PAGE.rows[1].more, quit=PAGE.quit),
        StatusPage(rows=(full, replace(off, name="B", group=group.name)), groups=(group,)),
        StatusPage(rows=tuple(replace(wordy, name=f"{n}{wordy.name}") for n in range(30))),
        StatusPage(rows=(off,)),
    ]
    line = json.dumps([asdict(page) for page in pages])
    done = subprocess.run(
        [sys.executable, "-c", CUT], input=f"{line}\n{line}\n", text=True, timeout=LIMIT,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_an_app_of_another_version_is_named(screen: XServer) -> None:
    """It was left running over an update, and sends what this window cannot read."""
    del screen  # DISPLAY names it
    code = (
        "import tkinter\n"
        "from trayconnect.desktop.windows.status_window import StatusView, take\n"
        "view = StatusView(tkinter.Tk(), print)\n"
        """take(view, b'{"page": {"rows": [{"name": "GPU box"}]}, "front": true}')\n"""
        "print(view._notice.cget('text'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], text=True, timeout=LIMIT, capture_output=True, check=True
    )
    assert "is of another version" in done.stdout


def test_servers_come_and_go(opened: Opened) -> None:
    opened.show()
    before = opened.pixels()
    opened.window.update(replace(PAGE, rows=(), notice="⚠ The server file cannot be used:\n1:1"))
    wait_for(lambda: opened.pixels() != before, "the change to be seen", LIMIT)
    many = tuple(replace(PAGE.rows[1], name=f"Server {n}") for n in range(60))
    opened.window.update(replace(PAGE, rows=many))

    def fits() -> bool:
        window = opened.screen.find_window(TITLE)
        return window is not None and 300 < window.get_geometry().height < 600

    wait_for(fits, "a window that fits on the screen, and scrolls", LIMIT)


def test_it_is_closed_and_shown_again(opened: Opened) -> None:
    for _ in range(2):
        opened.show()
        assert opened.window.is_open
        opened.screen.close_window(TITLE)
        opened.screen.wait_no_window(TITLE, LIMIT)
        wait_for(lambda: not opened.window.is_open, "the end to be noticed", LIMIT)
        opened.window.update(PAGE)  # goes nowhere
    opened.show()
    assert opened.press(1) == "off 1"


CLOSING = """
import json, pathlib, sys
life = pathlib.Path(sys.argv[1])
first = not life.exists()
life.touch()
asked = 0
for line in sys.stdin.buffer:
    if json.loads(line).get("front"):
        asked += 1
        if first and asked == 2:
            break
        sys.stdout.write("in front\\n")
        sys.stdout.flush()
        life.write_text("again" if not first else "")
"""
"""In the place of the window: closed by the user as it is called to the front a second time."""


def test_it_is_shown_again_while_it_closes(screen: XServer, tmp_path: Path) -> None:
    life = tmp_path / "life"
    window = StatusWindow(print, icons, command=[sys.executable, "-c", CLOSING, str(life)])
    try:
        window.show()
        first = window._shown
        assert first is not None
        wait_for(lambda: first._was_seen, "the window", LIMIT)
        window.show()
        wait_for(lambda: life.read_text() == "again", "the window once more", LIMIT)
        assert window.is_open
    finally:
        window.close()


def test_control_c_is_for_the_app(opened: Opened) -> None:
    """It reaches all programs of a terminal."""
    opened.show()
    before = opened.pixels()
    assert opened.window._shown is not None
    opened.window._shown._process.send_signal(signal.SIGINT)
    opened.window.update(replace(PAGE, rows=()))
    wait_for(lambda: opened.pixels() != before, "the change to be seen", LIMIT)
    assert opened.window.is_open


def test_shown_twice_is_one_window_in_front(opened: Opened) -> None:
    opened.show()
    root = opened.screen.client.screen().root
    root.set_input_focus(0, 0)
    opened.show()
    assert [name for _, name in opened.screen.windows()].count(TITLE) == 1


def test_a_window_that_dies_or_hangs_holds_nobody_up(screen: XServer) -> None:
    for code in ("raise SystemExit(3)", "import time; time.sleep(600)", "print('nonsense')"):
        window = StatusWindow(print, icons, command=[sys.executable, "-c", code])
        window.show()
        for number in range(2000):
            window.update(replace(PAGE, notice=f"{number} " * 200))
        window.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("tc-")]


def test_what_is_missing_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(ProblemError, match="X11 screen"):
        StatusWindow(print).show()
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.setattr(helper_process, "has_tkinter", lambda: False)
    with pytest.raises(ProblemError, match="python3-tk"):
        StatusWindow(print).show()
    monkeypatch.undo()
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(ProblemError, match="cannot be started"):
        StatusWindow(print, command=["/nowhere/python"]).show()


def test_it_goes_with_the_app(screen: XServer, tmp_path: Path) -> None:
    """Also with one that had no time to say so."""
    code = (
        "import os, sys\n"
        "from trayconnect.desktop.windows.status import StatusWindow\n"
        "window = StatusWindow(print)\n"
        "window.show()\n"
        "sys.stdin.readline()\n"
        "os._exit(1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as app:
        assert app.stdin is not None
        screen.wait_window(TITLE, LIMIT)
        app.stdin.write(b"\n")
        app.stdin.flush()
    screen.wait_no_window(TITLE, LIMIT)
