"""An X server of the test's own: windows are seen, screenshots taken, keys and clicks sent."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageGrab
from Xlib import XK, X, Xatom
from Xlib.display import Display
from Xlib.error import XError
from Xlib.ext import xtest
from Xlib.protocol.event import ClientMessage, SelectionNotify
from Xlib.xobject.drawable import Window

from tests.support.scoped import Scoped
from tests.support.waiting import wait_for

START_LIMIT = 90.0
LIMIT = 120.0
"""Seconds to wait for anything: a machine may be very busy."""
_KEYSYMS = {
    " ": "space",
    "-": "minus",
    ".": "period",
    "/": "slash",
    ":": "colon",
    "_": "underscore",
}


class XServer(Scoped):
    """Xvfb on a display number that it picks itself, and a client to look and act with.

    No window manager runs in it. Use as a context manager; leaving it ends the server.
    """

    def __init__(self, screen: str = "1024x600x24", dpi: int = 96) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", screen, "-dpi", str(dpi),
                 "-nolisten", "tcp", "-noreset"],
                pass_fds=(writing,), stdout=self._log, stderr=self._log, start_new_session=True,
            )  # fmt: skip
            os.close(writing)
            try:
                self.display = ":" + self._read_number(reading)
                """The name of the display, as for `DISPLAY`."""
            except BaseException:
                self._end_process()
                raise
        finally:
            os.close(reading)
        self._client: Display | None = None
        self._pings = itertools.count(1)

    def close(self) -> None:
        """End the server and reap it; may be called twice."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._end_process()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def client(self) -> Display:
        """A python-xlib `Display`, made on first use. For one thread at a time."""
        if self._client is None:
            self._client = Display(self.display)
        return self._client

    # --- looking ----------------------------------------------------------------------------

    def screenshot(self, path: Path | None = None) -> Image.Image:
        """The whole screen; also written to `path` if given."""
        image = ImageGrab.grab(xdisplay=self.display).convert("RGB")
        if path is not None:
            image.save(path)
        return image

    def windows(self) -> Iterator[tuple[Window, str]]:
        """Every mapped window and its title, where it has one."""
        pending = [self.client.screen().root]
        while pending:
            window = pending.pop()
            try:
                if window.get_attributes().map_state == X.IsViewable:
                    title = self.title(window)
                    if title:
                        yield window, title
                pending.extend(window.query_tree().children)
            except XError:
                continue  # it went away while we looked

    def find_window(self, title: str) -> Window | None:
        """The mapped window of exactly that title, or None."""
        return next((window for window, name in self.windows() if name == title), None)

    def menus(self) -> list[tuple[int, int, int, int]]:
        """Left, top, right, bottom of the open menus."""
        kinds = {
            self.client.intern_atom(f"_NET_WM_WINDOW_TYPE_{kind}")
            for kind in ("MENU", "POPUP_MENU", "DROPDOWN_MENU")
        }
        found = []
        for window in self.client.screen().root.query_tree().children:
            with contextlib.suppress(XError):  # it went away while we looked
                if self._is_menu(window, kinds):
                    place = window.get_geometry()
                    right, bottom = place.x + place.width, place.y + place.height
                    found.append((place.x, place.y, right, bottom))
        return found

    def _is_menu(self, window: Window, kinds: set[int]) -> bool:
        if window.get_attributes().map_state != X.IsViewable:
            return False
        atom = self.client.intern_atom("_NET_WM_WINDOW_TYPE")
        kind = window.get_full_property(atom, X.AnyPropertyType)
        return kind is not None and bool(kinds & set(kind.value))

    def title(self, window: Window) -> str:
        """As a window manager shows it; "" without one."""
        atom = self.client.intern_atom("_NET_WM_NAME")
        found = window.get_full_property(atom, X.AnyPropertyType)
        if found is not None:
            return bytes(found.value).decode(errors="replace")
        return window.get_wm_name() or ""

    def wait_window(self, title: str, limit: float = LIMIT) -> Window:
        return wait_for(lambda: self.find_window(title), f"a window titled {title!r}", limit)

    def wait_no_window(self, title: str, limit: float = LIMIT) -> None:
        wait_for(lambda: self.find_window(title) is None, f"{title!r} to close", limit)

    def has_focus(self, window: Window) -> bool:
        """Whether keys go to `window`, or to a part of it."""
        focus = self.client.get_input_focus().focus
        try:
            while not isinstance(focus, int):
                if focus == window:
                    return True
                focus = focus.query_tree().parent
        except XError:
            pass  # the focus moved while we looked
        return False

    def wait_focus(self, window: Window, limit: float = LIMIT) -> None:
        """Until keys go to `window`; a key pressed before would be lost."""
        wait_for(lambda: self.has_focus(window), "the window to have the keyboard", limit)

    def wait_seen(self, window: Window, limit: float = LIMIT) -> None:
        """Until the program of `window` has taken in all that has happened to it so far, such as
        that it has the keyboard: then it answers a ping (EWMH, _NET_WM_PING)."""
        root = self.client.screen().root
        protocols, ping = (self.client.intern_atom(a) for a in ("WM_PROTOCOLS", "_NET_WM_PING"))
        number = next(self._pings)
        root.change_attributes(event_mask=X.SubstructureNotifyMask)
        data = (32, [ping, number, window.id, 0, 0])
        window.send_event(ClientMessage(window=window, client_type=protocols, data=data))
        self.client.sync()

        def is_answered() -> bool:
            while self.client.pending_events():
                event = self.client.next_event()
                if event.type == X.ClientMessage and list(event.data[1][:2]) == [ping, number]:
                    return True
            return False

        wait_for(is_answered, "the window's program to answer", limit)
        root.change_attributes(event_mask=X.NoEventMask)

    def wait_still(self, limit: float = LIMIT) -> None:
        """Until nothing has changed for half a second. A window that has just come up may yet take
        the keyboard from the part of it that has it."""
        deadline = time.monotonic() + limit
        before, since = b"", time.monotonic()
        while time.monotonic() < since + 0.5:
            assert time.monotonic() < deadline, "the screen never stood still"
            now = self.screenshot().tobytes()
            if now != before:
                before, since = now, time.monotonic()
            time.sleep(0.05)

    def step(self, key: str, modifier: str | None = None, limit: float = LIMIT) -> None:
        """Move the keyboard's ring, and see it move."""
        self.wait_still(limit)
        before = self.screenshot().tobytes()
        self.key(key, *([modifier] if modifier else []))
        wait_for(lambda: self.screenshot().tobytes() != before, "the ring to move", limit)

    def wait_gone(self, window: Window, limit: float = LIMIT) -> None:
        """Until that very window is no longer shown."""

        def is_gone() -> bool:
            return all(found != window for found, _ in self.windows())

        wait_for(is_gone, "a window to go", limit)

    def property(self, title: str, name: str) -> object | None:
        """The value of a property of the window of that title, or None."""
        atom = self.client.intern_atom(name)
        for window, found in self.windows():
            if found == title:
                value = window.get_full_property(atom, X.AnyPropertyType)
                if value is not None:
                    return value.value  # type: ignore[no-any-return]
        return None

    def selection(self, name: str, limit: float = LIMIT) -> str:
        """What the owner of a selection ("PRIMARY", "CLIPBOARD") offers; "" without an owner."""
        client = self.client
        selection, target, slot = (
            client.intern_atom(atom) for atom in (name, "UTF8_STRING", "TC_SELECTION")
        )
        asker = client.screen().root.create_window(0, 0, 1, 1, 0, 0)
        try:
            asker.convert_selection(selection, target, slot, X.CurrentTime)
            client.sync()
            event = wait_for(lambda: self._selection_event(asker), f"the owner of {name}", limit)
            if event is None or event.property == X.NONE:
                return ""
            return bytes(asker.get_full_property(slot, target).value).decode()
        finally:
            asker.destroy()
            client.sync()

    # --- acting -----------------------------------------------------------------------------

    def key(self, name: str, *modifiers: str) -> None:
        """Press and release a key by its keysym name ("Return"), with modifiers ("Control_L")."""
        codes = [self._keycode(modifier) for modifier in modifiers]
        keysym = XK.string_to_keysym(name)
        code = self._keycode(name)
        plain, shifted = (self.client.keycode_to_keysym(code, index) for index in (0, 1))
        if keysym != plain and keysym == shifted:
            codes.append(self._keycode("Shift_L"))
        for pressed in (*codes, code):
            xtest.fake_input(self.client, X.KeyPress, pressed)
        for released in (code, *reversed(codes)):
            xtest.fake_input(self.client, X.KeyRelease, released)
        self.client.sync()

    def type(self, text: str) -> None:
        """Type letters, digits and the punctuation of `_KEYSYMS`."""
        for character in text:
            self.key(_KEYSYMS.get(character, character))

    def move(self, x: int, y: int) -> None:
        xtest.fake_input(self.client, X.MotionNotify, x=x, y=y)
        self.client.sync()

    def click(self, x: int, y: int, button: int = 1) -> None:
        self.move(x, y)
        xtest.fake_input(self.client, X.ButtonPress, button)
        xtest.fake_input(self.client, X.ButtonRelease, button)
        self.client.sync()

    def focus(self, window: Window) -> None:
        """Give the keyboard to a window, as a window manager would."""

        def has_it() -> bool:
            # Again: the server refuses it for a window that is not viewable just now.
            window.set_input_focus(X.RevertToParent, X.CurrentTime)
            return self.has_focus(window)

        wait_for(has_it, "the window to take the keyboard", LIMIT)

    def raise_window(self, window: Window) -> None:
        """Have the window manager put it on top and give it the keyboard, as a click in a taskbar
        does (EWMH, _NET_ACTIVE_WINDOW with the source "pager")."""
        active = self.client.intern_atom("_NET_ACTIVE_WINDOW")
        event = ClientMessage(
            window=window, client_type=active, data=(32, [2, X.CurrentTime, 0, 0, 0])
        )
        mask = X.SubstructureRedirectMask | X.SubstructureNotifyMask
        self.client.screen().root.send_event(event, event_mask=mask)
        self.client.sync()

    def own_selection(self, name: str) -> None:
        """Become the owner of a selection, as when something is copied in another program."""
        selection = self.client.intern_atom(name)
        owner = self.client.screen().root.create_window(0, 0, 1, 1, 0, 0)
        owner.set_selection_owner(selection, X.CurrentTime)
        self.client.sync()

    def close_window(self, title: str) -> None:
        """Ask a window to close, as the button in its frame does (ICCCM, WM_DELETE_WINDOW)."""
        protocols, delete = (
            self.client.intern_atom(name) for name in ("WM_PROTOCOLS", "WM_DELETE_WINDOW")
        )
        for window, name in self.windows():
            if name == title and delete in (window.get_wm_protocols() or ()):
                data = (32, [delete, X.CurrentTime, 0, 0, 0])
                event = ClientMessage(window=window, client_type=protocols, data=data)
                window.send_event(event)
                self.client.sync()
                return
        raise AssertionError(f"no window {title!r} that can be closed")

    def set_resources(self, text: str) -> None:
        """Set the X resources, as xrdb(1) does."""
        root = self.client.screen().root
        root.change_property(Xatom.RESOURCE_MANAGER, Xatom.STRING, 8, text.encode())
        self.client.sync()

    # --- within -----------------------------------------------------------------------------

    def _read_number(self, descriptor: int) -> str:
        deadline = time.monotonic() + START_LIMIT
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(descriptor, 16) if ready else b""
            if not chunk:
                self._log.seek(0)
                log = self._log.read().decode(errors="replace")
                raise AssertionError(f"Xvfb did not start:\n{log}")
            text += chunk
        return text.decode().strip()

    def _end_process(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        self._log.close()

    def _selection_event(self, asker: Window) -> SelectionNotify | None:
        while self.client.pending_events():
            event = self.client.next_event()
            if event.type == X.SelectionNotify and event.requestor == asker:
                return event
        return None

    def _keycode(self, name: str) -> int:
        keysym = XK.string_to_keysym(name)
        code: int = self.client.keysym_to_keycode(keysym)
        if not keysym or not code:
            raise ValueError(f"no key {name!r}")
        return code
