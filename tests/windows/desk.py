"""A Windows desktop of a test's own: a prefix, a screen with a taskbar, and the program in it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from PIL import Image
from Xlib import X
from Xlib.error import XError
from Xlib.xobject.drawable import Window

from tests.support.tray_colours import plate_colour
from tests.support.waiting import wait_for
from tests.support.window_manager import window_manager
from tests.support.xvfb import XServer
from tests.windows import menu_lines
from tests.windows.environment import (
    PREPARED,
    PYTHON,
    ROOT,
    copy_prefix,
    end_wine,
    processes,
    windows_path,
    wine,
    wine_environment,
)
from trayconnect.tray.display import STARTING
from trayconnect.tray.view import IconState, View

LIMIT = 300.0
"""Seconds to wait for anything: on a busy machine a program of Windows takes a minute to start."""
HEARD_LIMIT = 60.0
"""Seconds until the program, which runs, has heard of a click on its menu."""
WIDTH, HEIGHT = 1200, 800
TASKBAR = 20
DESKTOP = "shell - Wine desktop"
NOTE_LENGTH = 6000
crashes: list[str] = []
"""What wine itself said as it crashed, in the cases so far."""
Point = tuple[int, int]
Box = tuple[int, int, int, int]


class Windows:
    """One prefix with a home; commands run in it. With `start`, the program and its icon, too.

    Leaving it ends every process of the prefix, and fails if one is left after that."""

    programs_of = ("python",)
    """How the names of the program's executables begin."""

    def __init__(self, servers: str | None = None, env: Mapping[str, str] | None = None) -> None:
        # Beside the prepared prefix, of which it has links.
        self._temporary = tempfile.TemporaryDirectory(prefix="case-", dir=PREPARED.resolve())
        self.folder = Path(self._temporary.name)
        self.prefix = self.folder / "prefix"
        self.file = self.folder / "servers.yaml"
        if servers is not None:
            self.file.write_text(servers)
        self._opened = self.folder / "opened"
        self._log = self.folder / "output"
        self._env = {
            "PYTHONPATH": windows_path(ROOT),
            "TRAYCONNECT_CONFIG": windows_path(self.file),
            "TRAYCONNECT_SSH_CONFIG": "none",
            "OPENED": windows_path(self._opened),
            **(env or {}),
        }
        self._stack = contextlib.ExitStack()
        self.screen: XServer
        self._process: subprocess.Popen[bytes] | None = None
        self._desktop: Window | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._temporary.cleanup)
            copy_prefix(self.prefix)
            self._register_browser()
            self.screen = stack.enter_context(XServer(f"{WIDTH}x{HEIGHT}x24"))
            # Without one, wine's windows never get the keyboard.
            stack.enter_context(window_manager(self.screen, self.folder))
            stack.enter_context(self._awake())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            if error is not None:
                error.add_note(self._circumstances())
        finally:
            self._stack.close()

    def _circumstances(self) -> str:
        """For a case that failed: what is on the screen, what runs, what the program said."""
        self.picture("failed")
        windows = [f"{box} {title!r}" for box, title, _ in self.windows()]
        parts = (*windows, *self.programs(), self.output[-NOTE_LENGTH:])
        return "\n".join(parts)

    # --- files ------------------------------------------------------------------------------------

    @property
    def home(self) -> Path:
        """The folder of the user within Windows."""
        (found,) = (
            folder
            for folder in (self.prefix / "drive_c" / "users").iterdir()
            if folder.name != "Public"
        )
        return found

    @property
    def output(self) -> str:
        """All that the program has printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def data(self) -> Path:
        """%LOCALAPPDATA%\\trayconnect."""
        return self.home / "AppData" / "Local" / "trayconnect"

    @property
    def known_hosts(self) -> Path:
        """Those that the program has learned."""
        return self.data / "known_hosts"

    @property
    def log(self) -> str:
        file = self.data / "Logs" / "trayconnect.log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def opened(self) -> list[str]:
        """What the browser was given."""
        return self._opened.read_text().splitlines() if self._opened.exists() else []

    # --- processes --------------------------------------------------------------------------------

    @property
    def env(self) -> dict[str, str]:
        return {
            **wine_environment(self.prefix, self.folder),
            **self._env,
            "DISPLAY": self.screen.display,
        }

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        """A program of Windows, to its end; its output comes by pipes."""
        loader = wine()
        assert loader is not None
        return subprocess.run(
            [loader, *arguments], env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=LIMIT, check=False,
        )  # fmt: skip

    def python(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return self.run(windows_path(PYTHON), *arguments)

    def command(self, *arguments: str, code: int = 0) -> str:
        """What a command of trayconnect prints, in the encoding of Windows, lines ended as here."""
        done = self.python("-m", "trayconnect", *arguments)
        assert done.returncode == code, (done.stdout, done.stderr, self.output)
        return (done.stdout + done.stderr).decode("cp1252").replace("\r\n", "\n")

    def status(self, name: str = "GPU box") -> dict[str, Any]:
        """What `status --json` says of a server."""
        servers: list[dict[str, Any]] = json.loads(self.command("status", "--json"))["servers"]
        return next((server for server in servers if server["name"] == name), {})

    def start(self, *arguments: str, icon: IconState = IconState.OFF) -> None:
        """Start the program on a desktop with a taskbar; wait for its icon, and until it answers
        commands."""
        key = self.data / "control.key"
        key.unlink(missing_ok=True)
        command = (
            str(wine()), "explorer", f"/desktop=shell,{WIDTH}x{HEIGHT}",
            windows_path(PYTHON), "-m", "trayconnect", "--verbose", "run", *arguments,
        )  # fmt: skip
        with self._log.open("wb") as log:
            # Windows' Python takes no file for a stream.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", '"$@" 2>&1 | cat', "sh", *command],
                env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.wait_icon(icon)
        wait_for(key.exists, "the program to answer commands", LIMIT)

    def wait_end(self) -> None:
        """Until the program has ended by itself."""
        assert self._process is not None
        self._process.wait(LIMIT)
        self._process = None
        wait_for(lambda: not self.programs(), "the program's processes to end", LIMIT)

    def kill(self) -> None:
        """End the program, not what it started, as a crash would."""
        for pid, line in processes(self.prefix).items():
            if " --verbose run" in line and "explorer" not in line:
                os.kill(pid, signal.SIGKILL)

    def programs(self) -> list[str]:
        """The command lines of the program's processes."""
        return [
            line
            for line in processes(self.prefix).values()
            if any(name in line for name in self.programs_of)
        ]

    @contextlib.contextmanager
    def _awake(self) -> Iterator[None]:
        """A shell that waits for its end. Without any program Windows shuts down, and the next
        command has to wait for its start."""
        with (
            tempfile.TemporaryFile() as words,
            subprocess.Popen(
                [str(wine()), "cmd"], env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=words, start_new_session=True,
            ) as shell,
        ):  # fmt: skip
            try:
                assert shell.stdout is not None
                ready, _, _ = select.select([shell.stdout], [], [], LIMIT)
                assert ready, "wine does not start"
                yield
            finally:
                try:
                    self._end_all()
                finally:  # a wine that crashed may not end
                    shell.kill()
                    words.seek(0)
                    said = words.read().decode(errors="replace")
                    if "Assertion" in said:
                        crashes.append(said)

    def _end_all(self) -> None:
        end_wine(self.prefix, self.folder)
        if self._process is not None:
            self._process.wait(LIMIT)
        wait_for(lambda: not processes(self.prefix), "the end of all processes", LIMIT)

    def _register_browser(self) -> None:
        python, script = PYTHON.with_name("pythonw.exe"), Path(__file__).with_name("opened.py")
        command = f'\\"{windows_path(python)}\\" \\"{windows_path(script)}\\" \\"%1\\"'
        command = command.replace("\\", "\\\\").replace('\\\\"', '\\"')
        lines = [r"[Software\\Classes\\.html]", '@="tc-page"', ""]
        for kind in ("http", "https", "tc-page"):
            lines += [
                rf"[Software\\Classes\\{kind}\\shell\\open\\command]",
                f'@="{command}"',
                "",
            ]
        with (self.prefix / "system.reg").open("a") as file:
            file.write("\n" + "\n".join(lines))

    # --- looking ----------------------------------------------------------------------------------

    def find_icon(self, state: IconState) -> Point | None:
        """The middle of the icon of that state in the taskbar, by the colour of its plate."""
        wanted = plate_colour(state)
        left, top = WIDTH // 2, HEIGHT - TASKBAR
        # No more than that of the screen: this is asked all the time.
        root = self.screen.client.screen().root
        taken = root.get_image(left, top, WIDTH - left, TASKBAR, X.ZPixmap, 0xFFFFFFFF)
        strip = Image.frombytes("RGB", (WIDTH - left, TASKBAR), taken.data, "raw", "BGRX")
        colours = strip.getcolors(strip.width * strip.height) or []
        near = {
            colour
            for _, colour in colours
            if isinstance(colour, tuple)
            and all(abs(a - b) <= 6 for a, b in zip(colour, wanted, strict=True))
        }
        if sum(count for count, colour in colours if colour in near) < 20:
            return None
        pixels = strip.load()
        assert pixels is not None
        places = [
            (x, y) for x in range(strip.width) for y in range(TASKBAR) if pixels[x, y] in near
        ]
        xs, ys = zip(*places, strict=True)
        return left + sum(xs) // len(xs), top + sum(ys) // len(ys)

    def wait_icon(self, state: IconState) -> Point:
        def look() -> Point | None:
            assert self._process is None or self._process.poll() is None, self.output
            return self.find_icon(state)

        try:
            place = wait_for(look, f"the icon {state.value}", LIMIT)
        except AssertionError as error:
            self.picture(f"no-{state.value}")
            error.add_note(self.output)
            raise
        assert place is not None
        return place

    def windows(self) -> Iterator[tuple[Box, str, Window]]:
        """The windows of the program on the desktop: place, title. Wine may map a window before it
        has its size, so a place is good for one look only."""
        try:  # looking for the desktop among all windows takes long
            children = self._desktop.query_tree().children if self._desktop else []
        except XError:
            children = []
        if not children:
            self._desktop = self.screen.find_window(DESKTOP)
            children = self._desktop.query_tree().children if self._desktop else []
        for window in children:
            with contextlib.suppress(XError):  # it went away while we looked
                kind = window.get_wm_class()
                visible = window.get_attributes().map_state == X.IsViewable
                if visible and kind and kind[0].startswith(self.programs_of):
                    place = window.get_geometry()
                    box = (place.x, place.y, place.x + place.width, place.y + place.height)
                    yield box, self.screen.title(window), window

    def menus(self) -> list[Box]:
        """Left, top, right, bottom of the open menus; they have no title."""
        return [box for box, title, _ in self.windows() if not title]

    def find_window(self, title: str) -> Box | None:
        return next((box for box, found, _ in self.windows() if found == title), None)

    def wait_window(self, title: str) -> None:
        wait_for(lambda: self.find_window(title), f"a window titled {title!r}", LIMIT)

    def wait_drawn(self, title: str) -> None:
        """Until the window of that title is there, with something in it."""

        def has_content() -> bool:
            left, top, right, bottom = self.find_window(title) or (0, 0, 0, 0)
            if right - left < 100 or bottom - top < 100:
                return False
            inside = (left + 10, top + 30, right - 10, bottom - 10)
            picture = self.screen.screenshot().crop(inside)
            return len(picture.getcolors(picture.width * picture.height) or ()) > 10

        wait_for(has_content, f"the content of {title!r}", LIMIT)

    def wait_no_window(self, title: str) -> None:
        wait_for(lambda: self.find_window(title) is None, f"{title!r} to close", LIMIT)

    def wait_focus(self, title: str) -> None:
        """Until keys go to the window of that title, and its program knows."""

        def find() -> Window | None:
            return next(
                (
                    window
                    for _, found, window in self.windows()
                    if found == title and self.screen.has_focus(window)
                ),
                None,
            )

        window = wait_for(find, f"{title!r} to have the keyboard", LIMIT)
        assert window is not None
        self.screen.wait_seen(window, LIMIT)

    # --- acting -----------------------------------------------------------------------------------

    def click(self, x: int, y: int, button: int = 1) -> None:
        """A click as a hand does it: the pointer arrives before the button goes down."""
        self.screen.move(x - 2, y)
        self.screen.click(x, y, button=button)

    def open_menu(self, view: View) -> None:
        """Open the menu; again where it says no more than that the program starts."""
        whole, starting = (menu_lines.height(each.items) for each in (view, STARTING))

        def is_whole() -> bool:
            self.click(*self.wait_icon(view.icon), 3)
            _, top, _, bottom = self._wait_menu(1, whole, starting)
            if bottom - top == whole:
                return True
            wait_for(is_left, "the menu to close", LIMIT)
            return False

        def is_left() -> bool:
            if not self.menus():
                return True
            self.click(WIDTH // 4, HEIGHT // 4)  # elsewhere
            return False

        wait_for(is_whole, "the whole menu", LIMIT)

    def choose(self, view: View, verb: str, server: str = "") -> None:
        """Choose the line of `view` that does this; once more if wine closes the menu and the
        program hears of nothing, as a hand would."""
        heard = f"chosen: {verb} {server}"
        before = self.output.count(heard)

        def is_heard() -> bool:
            self._click_through(view, verb, server)
            return self._is_soon(lambda: self.output.count(heard) > before)

        if not is_heard():
            self.picture(f"lost-{verb}")
            warnings.warn(f"wine lost a click on {verb}", stacklevel=2)
            assert is_heard(), f"two clicks on {verb} were lost"

    def _is_soon(self, condition: Callable[[], bool]) -> bool:
        try:
            return wait_for(condition, "it", HEARD_LIMIT)
        except AssertionError:
            return False

    def _click_through(self, view: View, verb: str, server: str) -> None:
        """Open the menu of `view` and click the line that does this, through submenus."""
        self.open_menu(view)
        items = view.items
        for depth, item in enumerate(menu_lines.path(items, verb, server), start=1):
            left, top, right, _ = self._wait_menu(depth, menu_lines.height(items))
            self.picture(f"menu-{verb}-{depth}")
            self.click((left + right) // 2, top + menu_lines.line(items, item))
            items = item.children
        wait_for(lambda: not self.menus(), "the menu to close", LIMIT)

    def _wait_menu(self, depth: int, *heights: int) -> Box:
        """Until so many menus are open, and the last of them has one of these heights."""

        def look() -> Box | None:
            found = self.menus()
            left, top, right, bottom = found[-1] if len(found) == depth else (0, 0, 0, 0)
            return (left, top, right, bottom) if bottom - top in heights else None

        try:
            box = wait_for(look, f"menu {depth}, {heights} pixels high", LIMIT)
        except AssertionError as error:
            self.picture("other-menu")
            error.add_note(str(self.menus()))
            raise
        assert box is not None
        return box

    def picture(self, name: str) -> Image.Image:
        """A screenshot; kept in the folder of the variable PICTURES, where that is set."""
        folder = os.environ.get("PICTURES")
        return self.screen.screenshot(Path(folder) / f"{name}.png" if folder else None)
