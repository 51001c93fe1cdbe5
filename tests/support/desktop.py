"""A desktop of the test's own: a session bus, and xfce4-panel in an Xvfb, clicked for real.

GTK draws a menu itself and offers nothing to ask about its lines, so a line is chosen as a user
without a mouse would: with the arrow keys, one for each line that can be chosen before it in the
`View`. Every key must be seen to move the highlight before the next one is sent.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from tests.support.scoped import Scoped
from tests.support.tray_colours import plate_colour
from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect.tray.view import IconState, Item

LIMIT = 120.0
"""Seconds to wait for anything: a machine may be very busy."""
PANEL_HEIGHT = 40
Point = tuple[int, int]

_PANEL = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="true"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="{height}"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
      <property name="icon-size" type="int" value="22"/>
    </property>
  </property>
</channel>
"""
_LXQT_PANEL = """[General]
panels=panel1
[panel1]
plugins=statusnotifier
position={position}
panelSize={height}
iconSize=22
alignment=-1
[statusnotifier]
alignment=Left
type=statusnotifier
"""
_LEFT_OUT = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XAUTHORITY")


class SessionBus(Scoped):
    """A private dbus-daemon with a home folder; whatever it activates ends with it.

    `env` is the environment of a program on this bus."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="tc-desktop-"))
        self.socket = self.home / "bus"
        runtime = self.home / "run"
        runtime.mkdir(mode=0o700)
        self.env = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
        self.env |= {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_DATA_HOME": str(self.home / ".local/share"),
            "XDG_STATE_HOME": str(self.home / ".local/state"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.socket}",
            "GSETTINGS_BACKEND": "memory",
            "NO_AT_BRIDGE": "1",
            "GTK_A11Y": "none",
            "GTK_THEME": "Adwaita",
            "LC_ALL": "C.UTF-8",
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self.daemon: subprocess.Popen[bytes] | None = None
        try:
            self.start_bus()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything that was started here, and what that started; may be called twice."""
        for process in reversed(self._processes):
            _end(process)
        self._processes.clear()
        for pid in self._strays():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    def start_bus(self) -> None:
        """Start the daemon, again after `stop_bus` at the same address."""
        self.socket.unlink(missing_ok=True)
        self.daemon = self.spawn(
            "dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1",
            f"--address=unix:path={self.socket}", piped=True,
        )  # fmt: skip
        output = self.daemon.stdout
        assert output is not None
        with output:
            ready, _, _ = select.select([output], [], [], LIMIT)
            assert ready, "dbus-daemon did not start"
            assert output.readline(), self.log("dbus-daemon")

    def stop_bus(self) -> None:
        assert self.daemon is not None
        self.end(self.daemon)

    def spawn(self, *command: str, piped: bool = False) -> subprocess.Popen[bytes]:
        """Start a program on the bus; what it prints goes to `log` (stdout to a pipe, if so)."""
        with self._log_file(command[0]).open("ab") as log:
            process = subprocess.Popen(
                command, env=self.env, start_new_session=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        _end(process)
        self._processes.remove(process)

    def log(self, program: str) -> str:
        return self._log_file(program).read_text(errors="replace")

    def _log_file(self, program: str) -> Path:
        return self.home / f"{Path(program).name}.log"

    def _strays(self) -> Iterator[int]:
        """Programs that the bus activated: they carry our home folder in their environment."""
        mark = f"HOME={self.home}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)


class Desktop(SessionBus):
    """A session bus and a screen, with a panel when one is started."""

    def __init__(self) -> None:
        self.screen = XServer()
        self.display = self.screen.display
        self._panel: subprocess.Popen[bytes] | None = None
        try:
            super().__init__()
        except BaseException:
            self.screen.close()
            raise
        self.env |= {"DISPLAY": self.display, "XDG_SESSION_TYPE": "x11"}

    def close(self) -> None:
        super().close()
        self.screen.close()

    # --- the panel ----------------------------------------------------------------------------

    def start_panel(self) -> None:
        """Start xfce4-panel, with nothing but a tray in it, along the top; wait until it shows."""
        folder = self.home / ".config/xfce4/xfconf/xfce-perchannel-xml"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "xfce4-panel.xml").write_text(panel_settings())
        self._panel = self.spawn("xfce4-panel", "--disable-wm-check")
        wait_for(self._panel_shows, "the panel", LIMIT)

    def start_lxqt_panel(self, *, bottom: bool = False) -> subprocess.Popen[bytes]:
        """Start lxqt-panel, with nothing but StatusNotifierItems in it, along the top or the
        bottom."""
        file = self.home / ".config/lxqt/panel.conf"
        file.parent.mkdir(parents=True, exist_ok=True)
        position = "Bottom" if bottom else "Top"
        file.write_text(_LXQT_PANEL.format(height=PANEL_HEIGHT, position=position))
        return self.spawn("lxqt-panel", "--config", str(file))

    def start_xembed_tray(self, *options: str, height: int = PANEL_HEIGHT) -> None:
        """Start trayer, which has an XEmbed tray and knows no StatusNotifierItem, along the top;
        wait until it is there."""
        self._panel = self.spawn(
            "trayer", "--edge", "top", "--align", "left", "--widthtype", "percent",
            "--width", "50", "--heighttype", "pixel", "--height", str(height), *options,
        )  # fmt: skip
        tray = self.screen.client.intern_atom("_NET_SYSTEM_TRAY_S0")
        wait_for(lambda: self.screen.client.get_selection_owner(tray), "the tray", LIMIT)

    def stop_panel(self) -> None:
        """Kill it, as a crash would."""
        assert self._panel is not None
        os.killpg(self._panel.pid, signal.SIGKILL)
        self._panel.wait(LIMIT)
        self.end(self._panel)

    def _panel_shows(self) -> bool:
        return any(name == "xfce4-panel" for _, name in self.screen.windows())

    # --- looking ------------------------------------------------------------------------------

    def screenshot(self, path: Path | None = None) -> Image.Image:
        return self.screen.screenshot(path)

    def find_icon(self, state: IconState, height: int = PANEL_HEIGHT) -> Point | None:
        """The middle of the icon of that state in the panel, by the colour of its plate."""
        return find_icon(self.screenshot(), state, height)

    def wait_icon(self, state: IconState, height: int = PANEL_HEIGHT) -> Point:
        place = wait_for(lambda: self.find_icon(state, height), f"the icon {state.value}", LIMIT)
        assert place is not None
        return place

    def wait_no_icon(self, state: IconState) -> None:
        wait_for(lambda: self.find_icon(state) is None, f"{state.value} to go", LIMIT)

    def menus(self) -> list[tuple[int, int, int, int]]:
        """Left, top, right, bottom of the open menus."""
        return self.screen.menus()

    def look_at_menus(self) -> list[bytes]:
        """The pixels of the open menus, to compare."""
        screen = self.screenshot()
        return [screen.crop(box).tobytes() for box in self.menus()]

    # --- acting -------------------------------------------------------------------------------

    def click(self, at: Point, button: int = 1) -> None:
        """A click as a hand does it: the pointer arrives before the button goes down."""
        self.screen.move(at[0] - 2, at[1])
        self.screen.click(*at, button=button)

    def open_menu(self, state: IconState, button: int = 3) -> None:
        """Click the icon of that state, and wait until its menu has stopped changing."""
        self.click(self.wait_icon(state), button)
        wait_for(self.menus, "the menu to open", LIMIT)
        self.settle(0.5)  # a program that has just started may yet change it

    def close_menu(self) -> None:
        """Leave the menus, one Escape for each that is open."""
        while self.menus():
            self._press("Escape")

    def settle(self, seconds: float = 0.1) -> None:
        """Wait until menus look the same for so long (GTK may still be laying them out)."""
        before, since = self.look_at_menus(), time.monotonic()
        deadline = since + LIMIT
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = self.look_at_menus()
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() >= since + seconds:
                return
        raise AssertionError("the menu never stops changing")

    def choose(self, items: tuple[Item, ...], *keys: str) -> None:
        """In the open menu, which shows `items`, choose the line of that key, or of a path of
        keys through submenus."""
        for depth, key in enumerate(keys):
            # A submenu that is opened with a key has its first line chosen already.
            for _ in range(_steps(items, key) + (depth == 0)):
                self._press("Down")
            item = next(item for item in items if item.key == key)
            if item.children:
                self._press("Right")
                items = item.children
        self.screen.key("Return")
        wait_for(lambda: not self.menus(), "the menu to close after a choice", LIMIT)

    def _press(self, key: str) -> None:
        """Send a key to the menu; again if nothing has come of it (its grab may come late)."""
        before = self.look_at_menus()
        for _ in range(4):
            self.screen.key(key)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: self.look_at_menus() != before, f"{key} to be seen", LIMIT / 4)
                self.settle()
                return
        raise AssertionError(f"the menu does not take {key}")


def find_icon(screen: Image.Image, state: IconState, height: int = PANEL_HEIGHT) -> Point | None:
    """The middle of the icon of that state in a panel along the top of the screen."""
    wanted = plate_colour(state)
    strip = screen.crop((0, 0, 1024, height))
    found = [
        (index % strip.width, index // strip.width)
        for index, pixel in enumerate(_pixels(strip.tobytes()))
        if all(abs(a - b) <= 6 for a, b in zip(pixel, wanted, strict=True))
    ]
    if len(found) < 20:
        return None
    return (
        sum(x for x, _ in found) // len(found),
        sum(y for _, y in found) // len(found),
    )


def panel_settings(height: int = PANEL_HEIGHT) -> str:
    """The file xfce4-panel.xml of a panel with nothing but a tray, along the top."""
    return _PANEL.format(height=height)


def _steps(items: tuple[Item, ...], key: str) -> int:
    """How many lines that can be chosen stand before the one of that key."""
    choosable = [item.key for item in items if item.enabled and not item.separator]
    return choosable.index(key)


def _pixels(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The pixels of an RGB picture."""
    return zip(data[::3], data[1::3], data[2::3], strict=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group, kindly first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what it left behind
