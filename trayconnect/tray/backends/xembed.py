"""A pystray backend for X11 panels that have an XEmbed tray and no StatusNotifierItem host.

pystray's own has no menu, hears no click, and docks only into a tray that is there already. This
one docks when a tray appears (its MANAGER message on the root window), again after the tray's
restart, and again when a request went unheard. XEmbed has no menus: a `PopupMenu` draws ours, by
either button. Everything of X happens on the thread of `run`.

Source: https://specifications.freedesktop.org/systemtray-spec/latest/
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import partial
from typing import Any

from Xlib import X
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, DisplayError, XauthError, XError
from Xlib.protocol.event import ClientMessage
from Xlib.xobject.drawable import Window

from trayconnect.desktop.windows.popup_menu import MenuLine, PopupMenu
from trayconnect.tray.backends import pystray_base
from trayconnect.tray.backends.pystray_base import Menu, MenuItem
from trayconnect.tray.backends.xembed_window import TrayWindow
from trayconnect.tray.icon import Glyph

log = logging.getLogger(__name__)

SETTLE = 1.0
"""Seconds between a tray's appearance and our docking: a panel with both kinds of tray then has
its better one up too, and no icon shows twice."""
FIRST_RETRY, LAST_RETRY = 2.0, 60.0
"""Seconds to wait for a tray that does not take the window, doubled from the first to the last."""
REQUEST_DOCK = 0
VERTICAL = 1
UNNAMED = "a panel"
MENU_BUTTONS = (1, 3)

NO_DISPLAY = (DisplayError, XauthError, ConnectionClosedError, OSError)
"""What python-xlib raises where there is no X server for us."""


def manager_of(display: Display) -> Window | None:
    """The window that speaks for the screen's tray."""
    atom = display.intern_atom(f"_NET_SYSTEM_TRAY_S{display.get_default_screen()}")
    owner = display.get_selection_owner(atom)
    return owner if isinstance(owner, Window) else None


def manager_name(environ: Mapping[str, str] = os.environ) -> str | None:
    """The program that has the XEmbed tray of the screen, as far as it has a name; None: there is
    no tray."""
    try:
        with closing(Display(environ.get("DISPLAY", ""))) as display:
            manager = manager_of(display)
            return None if manager is None else _name(manager)
    except (*NO_DISPLAY, XError) as error:
        log.info("no X display: %r", error)
        return None


def _name(manager: Window) -> str:
    with suppress(XError):
        known = manager.get_wm_class() or ()
        return next((name for name in known if name), "") or manager.get_wm_name() or UNNAMED
    return UNNAMED


class XEmbedIcon(pystray_base.Icon):  # type: ignore[misc]  # pystray is not annotated
    """`on_docked` is called on the thread of `run` with the program whose tray has taken the icon,
    and with None when the tray is lost. Without a display, or when that ends, `run` returns."""

    HAS_DEFAULT_ACTION = False
    HAS_NOTIFICATION = False

    def __init__(
        self,
        name: str,
        icon: Glyph,
        title: str,
        *,
        popup: PopupMenu,
        on_docked: Callable[[str | None], object] = lambda _host: None,
    ) -> None:
        super().__init__(name, icon, title)
        self._popup = popup
        self._on_docked = on_docked
        self._lock = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()
        self._waking: socket.socket | None = None
        self._stopping = False
        # The loop's own:
        self._display: Any = None
        self._manager: Window | None = None
        self._embedded: TrayWindow | None = None
        self._vertical = False
        self._host: str | None = None
        """The program whose tray has the icon."""
        self._due: float | None = None
        """When to try to dock; monotonic."""
        self._retry = FIRST_RETRY

    # --- from any thread ----------------------------------------------------------------------

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` on the thread of `run`."""
        with self._lock:
            self._jobs.append(job)
            self._nudge()

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            self._nudge()

    def _nudge(self) -> None:
        if self._waking is not None:
            with suppress(BlockingIOError):  # full: it will wake up anyway
                self._waking.send(b"x")

    # --- for pystray --------------------------------------------------------------------------

    def _run(self) -> None:
        woken, self._waking = socket.socketpair()
        with woken, self._waking:
            woken.setblocking(False)
            self._waking.setblocking(False)
            self._mark_ready()
            try:
                with closing(Display()) as self._display:
                    self._serve(woken)
            except NO_DISPLAY as error:
                log.warning("no X display for a tray icon: %r", error)
            finally:
                with self._lock:
                    self._waking = None
                self._popup.close()
                self._embedded = None  # it went with the display
                self._set_host(None)

    def _show(self) -> None:
        self._due = time.monotonic()

    def _hide(self) -> None:
        self._due = None
        self._undock()

    def _update_icon(self) -> None:
        self._icon_valid = True
        if self._embedded is not None:
            self._embedded.draw(self.icon)

    def _update_title(self) -> None:
        if self._embedded is not None:
            self._embedded.set_title(self.title)

    def _update_menu(self) -> None:
        """It is made anew at each click."""

    # --- the loop -----------------------------------------------------------------------------

    def _serve(self, woken: socket.socket) -> None:
        display = self._display
        display.set_error_handler(lambda error, _request: log.debug("X says: %s", error))
        display.screen().root.change_attributes(event_mask=X.StructureNotifyMask)
        while True:
            while display.pending_events():
                self._guard(partial(self._handle, display.next_event()))
            with self._lock:
                jobs, self._jobs = self._jobs, deque()
                stopping = self._stopping
            for job in jobs:
                self._guard(job)
            if stopping:
                self._undock()
                return
            if self._due is not None and self._due <= time.monotonic():
                self._guard(self._dock)
            display.flush()
            if display.pending_events():
                continue
            left = None if self._due is None else max(0.0, self._due - time.monotonic())
            if woken in select.select([display.fileno(), woken], [], [], left)[0]:
                woken.recv(4096)

    def _guard(self, job: Callable[[], None]) -> None:
        try:
            job()
        except NO_DISPLAY:
            raise
        except XError as error:  # a window of another program has just gone
            log.info("X says: %s", error)
        except Exception:  # our bug, but not one to lose the tray over
            log.exception("the tray could not do a step")

    def _handle(self, event: Any) -> None:  # noqa: ANN401 - one of many
        own = None if self._embedded is None else self._embedded.window.id
        match event.type:
            case X.ClientMessage:
                self._on_message(event)
            case X.DestroyNotify if self._manager and event.window.id == self._manager.id:
                self._manager = None
                self._undock()
                self._due = time.monotonic()  # another may have taken over already
            case X.DestroyNotify if event.window.id == own:
                self._undock()
                self._due = time.monotonic() + SETTLE
            case X.ReparentNotify if event.window.id == own:
                self._on_reparent(event.parent)
            case X.ConfigureNotify if event.window.id == own and self._embedded:
                if self._host is not None:
                    self._embedded.fit(event.width, event.height, vertical=self._vertical)
                self._embedded.draw(self.icon)
            case X.Expose if event.window.id == own and self._embedded:
                self._embedded.draw(self.icon)
            case X.ButtonRelease if event.detail in MENU_BUTTONS:
                # At the release: pressed, X still gives us the pointer, and the menu could not.
                menu, at = self.menu, (event.root_x, event.root_y)
                self._popup.show(_lines(menu), at, partial(self._chosen, menu))

    def _on_message(self, event: Any) -> None:  # noqa: ANN401 - of python-xlib
        display = self._display
        if event.client_type != display.intern_atom("MANAGER"):
            return
        tray = display.intern_atom(f"_NET_SYSTEM_TRAY_S{display.get_default_screen()}")
        if event.data[1][1] == tray and self.visible:
            self._undock()
            self._retry = FIRST_RETRY
            self._due = time.monotonic() + SETTLE

    def _on_reparent(self, parent: Window) -> None:
        if parent.id == self._display.screen().root.id:  # the tray lets it go as it ends
            self._undock()
            self._due = time.monotonic() + SETTLE
            return
        self._due = None
        self._retry = FIRST_RETRY
        self._set_host(_name(self._manager) if self._manager else UNNAMED)

    # --- docking ------------------------------------------------------------------------------

    def _dock(self) -> None:
        """Ask the tray to take a new window; without a tray, wait for one to announce itself."""
        self._undock()
        self._due = None
        display = self._display
        manager = manager_of(display)
        if manager is None:
            return
        manager.change_attributes(event_mask=X.StructureNotifyMask)
        self._manager = manager
        self._vertical = self._number(manager, "_NET_SYSTEM_TRAY_ORIENTATION") == VERTICAL
        visual = self._number(manager, "_NET_SYSTEM_TRAY_VISUAL")
        self._embedded = TrayWindow(display, visual, self.name)
        self._embedded.set_title(self.title)
        opcode = display.intern_atom("_NET_SYSTEM_TRAY_OPCODE")
        data = [X.CurrentTime, REQUEST_DOCK, self._embedded.window.id, 0, 0]
        manager.send_event(ClientMessage(window=manager, client_type=opcode, data=(32, data)))
        self._due = time.monotonic() + self._retry
        self._retry = min(LAST_RETRY, self._retry * 2)

    def _number(self, manager: Window, name: str) -> int:
        """A property of the tray; 0 where it is silent."""
        found = manager.get_full_property(self._display.intern_atom(name), X.AnyPropertyType)
        return int(found.value[0]) if found is not None and len(found.value) else 0

    def _undock(self) -> None:
        embedded, self._embedded = self._embedded, None
        if embedded is not None:
            embedded.close()
        self._set_host(None)

    def _set_host(self, host: str | None) -> None:
        if host == self._host:
            return
        self._host = host
        if host is None:
            log.info("the XEmbed tray has lost the icon")
        else:
            log.info("the XEmbed tray of %s shows the icon", host)
        self._on_docked(host)

    # --- the menu -----------------------------------------------------------------------------

    def _chosen(self, shown: Menu | None, keys: tuple[str, ...]) -> None:
        """On the popup's thread."""
        self.post(partial(self._choose, shown, keys))

    def _choose(self, shown: Menu | None, keys: tuple[str, ...]) -> None:
        """An open menu does not change on the screen. So a line does what it said when the menu was
        opened, and nothing if the present menu has no such line."""
        line, now = _find(shown, keys), _find(self.menu, keys)
        if line is not None and now is not None and now.enabled and not line.submenu:
            line(self)


def _find(menu: Menu | None, keys: tuple[str, ...]) -> MenuItem | None:
    """The line that these keys lead to, from the outermost."""
    line = None
    for key in keys:
        line = next((item for item in menu or () if getattr(item, "key", None) == key), None)
        menu = None if line is None else line.submenu
    return line


def _lines(menu: Menu | None) -> tuple[MenuLine, ...]:
    return tuple(_line(number, item) for number, item in enumerate(menu or ()))


def _line(number: int, item: MenuItem) -> MenuLine:
    if item is Menu.SEPARATOR:
        return MenuLine(f"separator {number}", separator=True)
    return MenuLine(
        key=getattr(item, "key", ""),
        text=item.text,
        enabled=bool(item.enabled),
        checked=item.checked,
        children=_lines(item.submenu),
    )
