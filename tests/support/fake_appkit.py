"""An AppKit of the test's own, below pystray: its objects know the main thread.

pystray's real `_darwin` runs on it. A method of any object that is called on another thread is
noted in `wrong`; recent systems kill the process for it. There is one Mac at a time.
"""

from __future__ import annotations

import importlib
import io
import queue
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar, Self

import pytest
from PIL import Image

LIMIT = 90.0


class Mac:
    """The state of that system; the thread that makes it is the main thread."""

    def __init__(self) -> None:
        self.main = threading.current_thread()
        self.wrong: list[str] = []
        self.jobs: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self.app = NSApplication()
        self.bar = NSStatusBar()
        self.thickness = 24.0
        self.appeared = threading.Event()

    def mind(self, what: str) -> None:
        here = threading.current_thread()
        if here is not self.main:
            self.wrong.append(f"{what} on {here.name}")


class Minded(type):
    """Methods of the class itself, as alloc."""

    mac: Mac

    def __getattribute__(cls, name: str) -> Any:  # noqa: ANN401 - whatever it has
        found = super().__getattribute__(name)
        if not name.startswith("_") and callable(found):
            Minded.mac.mind(f"{cls.__name__}.{name}")
        return found


class NSObject(metaclass=Minded):
    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - whatever it has
        found = object.__getattribute__(self, name)
        if not name.startswith("_") and callable(found):
            Minded.mac.mind(f"{type(self).__name__}.{name}")
        return found

    @classmethod
    def alloc(cls) -> Self:
        return cls()

    def init(self) -> Self:
        return self


class NSApplication(NSObject):
    def __init__(self) -> None:
        self._policy: int | None = None
        self._stopped = self._woken = False

    @classmethod
    def sharedApplication(cls) -> NSApplication:
        return Minded.mac.app

    def setActivationPolicy_(self, policy: int) -> None:
        self._policy = policy

    def run(self) -> None:
        """stop_ sets a flag, at which the loop looks after the next event."""
        while not (self._stopped and self._woken):
            Minded.mac.jobs.get(timeout=LIMIT)()

    def stop_(self, _sender: object) -> None:
        self._stopped = True

    def postEvent_atStart_(self, _event: object, _at_start: bool) -> None:
        self._woken = True


class NSEvent(NSObject):
    @classmethod
    def otherEventWithType_location_modifierFlags_timestamp_windowNumber_context_subtype_data1_data2_(  # noqa: E501
        cls, *_arguments: Any
    ) -> NSEvent:
        return cls()


class NSStatusBar(NSObject):
    def __init__(self) -> None:
        self._items: list[NSStatusItem] = []

    @classmethod
    def systemStatusBar(cls) -> NSStatusBar:
        return Minded.mac.bar

    def statusItemWithLength_(self, _length: float) -> NSStatusItem:
        self._items.append(NSStatusItem())
        return self._items[-1]

    def removeStatusItem_(self, item: NSStatusItem) -> None:
        self._items.remove(item)

    def thickness(self) -> float:
        return Minded.mac.thickness


class NSStatusItem(NSObject):
    def __init__(self) -> None:
        self._button = NSStatusBarButton()
        self._menu: NSMenu | None = None

    def button(self) -> NSStatusBarButton:
        return self._button

    def setMenu_(self, menu: NSMenu | None) -> None:
        self._menu = menu


class NSStatusBarButton(NSObject):
    def __init__(self) -> None:
        self._image: NSImage | None = None
        self._images: list[NSImage] = []
        self._tip: str | None = None

    def setTarget_(self, target: object) -> None: ...

    def setAction_(self, action: object) -> None: ...

    def setToolTip_(self, text: str) -> None:
        self._tip = text

    def setImage_(self, image: NSImage) -> None:
        self._image = image
        self._images.append(image)

    def setHidden_(self, hidden: bool) -> None:
        if not hidden:
            Minded.mac.appeared.set()


class NSImage(NSObject):
    _made: ClassVar[int] = 0

    def initWithData_(self, data: bytes) -> NSImage:
        NSImage._made += 1
        self._picture = Image.open(io.BytesIO(data))
        return self

    def setSize_(self, size: tuple[int, int]) -> None:
        self._size = size

    def setTemplate_(self, template: bool) -> None:
        self._template = template

    def setAccessibilityDescription_(self, text: str) -> None:
        self._description = text


class NSData(NSObject):
    @classmethod
    def dataWithBytes_length_(cls, data: bytes, length: int) -> bytes:
        assert len(data) == length
        return data


class NSMenu(NSObject):
    def initWithTitle_(self, _title: str) -> NSMenu:
        self._items: list[NSMenuItem] = []
        self._is_tracked = True
        return self

    def cancelTracking(self) -> None:
        self._is_tracked = False

    def setAutoenablesItems_(self, automatic: bool) -> None:
        assert not automatic

    def addItem_(self, item: NSMenuItem) -> None:
        self._items.append(item)


class NSMenuItem(NSObject):
    def __init__(self) -> None:
        self._title = ""
        self._target: Any = None
        self._tag = 0

    @classmethod
    def separatorItem(cls) -> NSMenuItem:
        return cls()

    def initWithTitle_action_keyEquivalent_(self, title: str, _action: bytes, _k: str) -> Self:
        self._title = title
        return self

    def setSubmenu_(self, menu: NSMenu) -> None: ...

    def setAction_(self, action: bytes) -> None: ...

    def setTarget_(self, target: object) -> None:
        self._target = target

    def setTag_(self, tag: int) -> None:
        self._tag = tag

    def tag(self) -> int:
        return self._tag

    def setState_(self, state: int) -> None: ...

    def setEnabled_(self, enabled: bool) -> None: ...

    def _click(self) -> None:
        """The user's, on the main thread."""
        self._target.activate_menu_item(self)


def install(monkeypatch: pytest.MonkeyPatch) -> tuple[Mac, ModuleType]:
    """That Mac, and pystray's module over it, for the time of a test."""
    appkit, foundation, objc = (ModuleType(n) for n in ("AppKit", "Foundation", "objc"))
    for kind in (NSApplication, NSEvent, NSStatusBar, NSImage, NSMenu, NSMenuItem):
        setattr(appkit, kind.__name__, kind)
    vars(appkit).update(
        NSVariableStatusItemLength=-1.0,
        NSApplicationDefined=15,
        NSPoint=lambda x, y: (x, y),
        NSOnState=1,
        NSOffState=0,
    )
    vars(foundation).update(NSObject=NSObject, NSData=NSData)
    vars(objc).update(namedSelector=lambda _selector: lambda function: function)
    tools, helper, signals = (  # pystray imports the last one, which we do without
        ModuleType(f"PyObjCTools{n}") for n in ("", ".AppHelper", ".MachSignals")
    )
    mac = Minded.mac = Mac()
    NSImage._made = 0
    vars(helper).update(callAfter=mac.jobs.put)
    vars(tools).update(AppHelper=helper, MachSignals=signals)
    for module in (appkit, foundation, objc, tools, helper, signals):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "pystray._darwin", ModuleType("pystray._darwin"))
    del sys.modules["pystray._darwin"]
    return mac, importlib.import_module("pystray._darwin")
