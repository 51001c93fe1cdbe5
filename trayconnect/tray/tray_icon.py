"""The tray of any platform: draws a `View` with a pystray icon, and reports clicks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from trayconnect.core.command import Command
from trayconnect.tray.backends.animation import Animation, MakeTimer, ThreadTimer
from trayconnect.tray.backends.choice import BackendKind, TrayReport
from trayconnect.tray.backends.pystray_base import menu_of
from trayconnect.tray.icon import Glyph
from trayconnect.tray.text import tooltip
from trayconnect.tray.view import View

log = logging.getLogger(__name__)


class Backend(Protocol):
    """A `pystray.Icon` that also brings work onto its toolkit's thread."""

    icon: Any
    title: str
    menu: Any
    visible: bool

    def run(self, setup: Callable[[Any], None]) -> None: ...

    def stop(self) -> None: ...

    def notify(self, message: str, title: str) -> None: ...

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` soon on the toolkit's thread; what is posted before `run` waits for it."""
        ...


class Tray(Protocol):
    """The tray of any platform."""

    def show(self, view: View) -> None:
        """Draw it soon; from any thread, also before `run`. A view that is not drawn yet is
        replaced."""
        ...

    def run(self) -> None:
        """Own the calling thread (the main one, for macOS) until `stop`."""
        ...

    def notify(self, message: str, title: str) -> None:
        """Show a notification by the icon, where the toolkit can; soon, and from any thread."""
        ...

    def stop(self) -> None:
        """Remove the icon and let `run` return; from any thread, at any time."""
        ...

    @property
    def is_shown(self) -> bool:
        """Whether a panel shows the icon, as far as is known."""
        ...

    def report(self) -> TrayReport:
        """How the icon is shown now, and why."""
        ...


class TrayIcon:
    """`Tray` over one icon: shows views and reports clicks.

    On the toolkit's thread, `on_command` is called for a click, and must return at once; `on_shown`
    when the icon is visible. `run` may be called once."""

    def __init__(
        self,
        backend: Backend,
        on_command: Callable[[Command], object],
        *,
        label: Callable[[str], str],
        mono: bool = False,
        on_shown: Callable[[], object] = lambda: None,
        make_timer: MakeTimer = ThreadTimer,
    ) -> None:
        self._backend = backend
        self._on_command = on_command
        self._label = label
        self._mono = mono
        self._on_shown = on_shown
        self._animation = Animation(self._post, self._draw_icon, make_timer)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._next: View | None = None
        self._shown: View | None = None
        self._glyph: Glyph | None = None

    def show(self, view: View) -> None:
        with self._lock:
            posted = self._next is not None
            self._next = view
        if not posted:
            self._post(self._draw)

    def run(self) -> None:
        try:
            self._backend.run(self._set_up)
        finally:
            self._animation.stop()

    def notify(self, message: str, title: str) -> None:
        self._post(lambda: self._backend.notify(message, title))

    @property
    def is_shown(self) -> bool:
        return True

    def report(self) -> TrayReport:
        return TrayReport(
            BackendKind.NATIVE, "The system has a place for icons of its own", shown=True
        )

    def activate(self) -> None:
        """The icon was clicked, and the panel opens no menu: do the view's primary action. On the
        toolkit's thread."""
        if self._shown is not None and self._shown.primary is not None:
            self._on_command(self._shown.primary)

    def stop(self) -> None:
        self._stopping.set()
        self._backend.stop()

    def _post(self, job: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                job()
            except Exception:  # a bug of ours, which must not end the tray
                log.exception("the tray could not do a step")

        self._backend.post(guarded)

    def _set_up(self, _icon: object) -> None:
        """On a thread that pystray starts for it, once the toolkit is ready."""
        threading.current_thread().name = "tc-tray-setup"
        self._post(self._appear)
        if self._stopping.is_set():  # asked for when pystray could not yet
            self._backend.stop()

    def _appear(self) -> None:
        self._draw()
        self._backend.visible = True
        self._on_shown()

    def _draw(self) -> None:
        with self._lock:
            view, self._next = self._next, None
        if view is None:
            return
        shown, self._shown = self._shown, view
        self._animation.follow(view.attempt_since)
        self._draw_icon()
        if shown is None or shown.title != view.title:
            self._backend.title = tooltip(view.title)
        if shown is None or shown.items != view.items:
            self._backend.menu = menu_of(view.items, self._on_command, self._label)

    def _draw_icon(self) -> None:
        assert self._shown is not None
        glyph = Glyph(self._shown.icon, self._mono, self._animation.frame)
        if glyph != self._glyph:
            self._glyph = self._backend.icon = glyph
