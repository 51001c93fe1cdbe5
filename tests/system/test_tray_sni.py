"""The Linux tray on a real session bus, with a host that has no screen."""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from jeepney import MessageType

from tests.support.desktop import SessionBus
from tests.support.sni_host import ITEM, MENU, SniHost
from tests.support.waiting import wait_for
from trayconnect.core.command import Command
from trayconnect.core.errors import ProblemError
from trayconnect.desktop import bus_connection
from trayconnect.tray.backends import sni, watcher
from trayconnect.tray.backends.backend import make_tray
from trayconnect.tray.icon import FRAMES, Glyph, picture
from trayconnect.tray.text import dbusmenu_label
from trayconnect.tray.tray_icon import TrayIcon
from trayconnect.tray.view import IconState, Item, View

LIMIT = 90.0
CONNECT = Command("connect", "GPU box")
ITEMS = (
    Item("gpu", "GPU box: off", CONNECT, checked=False),
    Item("line", separator=True),
    Item("lab", "Lab", children=(Item("open", "Open", Command("open", "Lab")),)),
    Item("quit", "Quit", Command("quit")),
)
VIEW = View(IconState.OFF, "nothing connected", ITEMS, primary=CONNECT)


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionBus]:
    """A session bus that this process takes for its own; and no screen."""
    with SessionBus() as bus:
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)
        for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
            monkeypatch.setenv(name, bus.env[name])
        yield bus


@pytest.fixture
def host(bus: SessionBus) -> Iterator[SniHost]:
    with make_host(bus) as host:
        yield host


def make_host(bus: SessionBus) -> SniHost:
    return SniHost(bus.env["DBUS_SESSION_BUS_ADDRESS"])


class Running:
    """A tray on a thread, and the actions that came out of it."""

    def __init__(self) -> None:
        self.actions: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self.registered: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.icon = sni.SniIcon(
            "trayconnect", Glyph(IconState.OFF), "", on_registered=self.registered.put
        )
        self.tray = TrayIcon(self.icon, self.actions.put, label=dbusmenu_label)
        self.icon.on_activate = self.tray.activate
        self.tray.show(VIEW)
        self.thread = threading.Thread(target=self.tray.run, name="tc-test-tray")
        self.thread.start()

    def drawn(self) -> None:
        """Wait until what was shown has been drawn."""
        event = threading.Event()
        self.icon.post(event.set)
        assert event.wait(LIMIT)

    def stop(self) -> None:
        self.tray.stop()
        self.thread.join(LIMIT)
        assert not self.thread.is_alive()


@contextmanager
def running() -> Iterator[Running]:
    descriptors = set(Path("/proc/self/fd").iterdir())
    run = Running()
    try:
        yield run
    finally:
        run.stop()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("tc-")]
    assert set(Path("/proc/self/fd").iterdir()) <= descriptors


def test_it_registers_under_its_unique_name(host: SniHost) -> None:
    with running():
        item = host.wait_item()
        assert item.startswith(":")
        assert host.properties(item)["Status"] == "Active"
    assert host.registered == [item]


def test_it_registers_once(host: SniHost) -> None:
    with running() as run:
        item = host.wait_item()
        run.icon.post(run.icon._register)  # as when it appears while the bus answers
        run.drawn()
        host.call(item, "org.freedesktop.DBus.Peer", "Ping")
        assert host.registered == [item]


def _nothing(_icon: object) -> None: ...


def test_it_does_not_register_before_it_can_be_seen(host: SniHost) -> None:
    icon = sni.SniIcon("trayconnect", Glyph(IconState.OFF), "")
    thread = threading.Thread(target=icon.run, args=(_nothing,), name="tc-test-tray")
    thread.start()
    try:
        wait_for(lambda: icon._link.unique_name, "the session bus")
        assert host.properties(icon._link.unique_name)["Status"] == "Passive"
        assert host.registered == []
        icon.post(partial(setattr, icon, "visible", True))
        assert host.wait_item() == icon._link.unique_name
    finally:
        icon.stop()
        thread.join(LIMIT)
    assert not thread.is_alive()


def test_what_the_item_says(host: SniHost) -> None:
    with running():
        said = host.properties(host.wait_item())
    assert said["Id"] == "trayconnect"
    assert said["Title"] == said["ToolTip"][2] == "nothing connected"
    assert said["Menu"] == "/MenuBar"
    assert said["ItemIsMenu"] is True
    assert [(width, height) for width, height, _ in said["IconPixmap"]] == [
        (size, size) for size in (16, 22, 24, 32, 44, 48, 64, 96)
    ]
    for width, _, pixels in said["IconPixmap"]:
        rgba = picture(IconState.OFF, width).tobytes()
        assert pixels[0::4] == rgba[3::4], "alpha comes first"
        assert pixels[1::4] == rgba[0::4]
        assert pixels[3::4] == rgba[2::4]


def test_clicks(host: SniHost) -> None:
    with running() as run:
        item = host.wait_item()
        lines = host.lines(item)
        assert list(lines) == ["GPU box: off", "Lab", "Open", "Quit"]
        host.click(item, lines["GPU box: off"])
        assert run.actions.get(timeout=LIMIT) == CONNECT
        host.click(item, lines["Open"])
        assert run.actions.get(timeout=LIMIT) == Command("open", "Lab")


def test_activate_is_the_primary_action(host: SniHost) -> None:
    with running() as run:
        item = host.wait_item()
        assert host.call(item, ITEM, "Activate", "ii", (10, 20)).body == ()
        assert run.actions.get(timeout=LIMIT) == CONNECT
        run.tray.show(replace(VIEW, primary=None))
        run.drawn()
        host.call(item, ITEM, "Activate", "ii", (10, 20))
        host.click(item, host.lines(item)["Quit"])
        assert run.actions.get(timeout=LIMIT) == Command("quit"), "nothing came before"


def test_live_changes(host: SniHost) -> None:
    with running() as run:
        item = host.wait_item()
        lines = host.lines(item)
        assert host.call(item, MENU, "AboutToShow", "i", (0,)).body == (False,)

        changed = (replace(ITEMS[0], text="GPU box: connected", checked=True), *ITEMS[1:])
        run.tray.show(View(IconState.UP, "GPU box is connected", changed))
        updated, removed = host.wait_signal("ItemsPropertiesUpdated")
        id_ = lines["GPU box: off"]
        news = {"label": ("s", "GPU box: connected"), "toggle-state": ("i", 1)}
        assert (updated, removed) == ([(id_, news)], [])
        assert host.lines(item)["GPU box: connected"] == id_
        said = host.properties(item)
        assert said["Title"] == "GPU box is connected"
        assert said["IconPixmap"][0][2] != sni._pixmaps(Glyph(IconState.OFF))[0][2]

        run.tray.show(View(IconState.UP, "GPU box is connected", ITEMS[1:]))
        revision, parent = host.wait_signal("LayoutUpdated")
        assert (revision, parent) == (3, 0)
        assert not set(host.lines(item).values()) & set(lines.values())
        host.click(item, id_)
        host.click(item, host.lines(item)["Quit"])
        assert run.actions.get(timeout=LIMIT) == Command("quit"), "the late click did nothing"


class OneLevelHost:
    """KDE's way: it asks for one level, and for a submenu when it is told of that, or opens it."""

    def __init__(self, host: SniHost, item: str) -> None:
        self.host, self.item = host, item
        self.known: dict[int, list[tuple[int, str]]] = {}
        self.asked: list[int] = []

    def fetch(self, parent: int) -> None:
        self.asked.append(parent)
        reply = self.host.call(self.item, MENU, "GetLayout", "iias", (parent, 1, ["label"]))
        _, (_, _, children) = reply.body
        self.known[parent] = [
            (id_, properties.get("label", ("s", ""))[1]) for _, (id_, properties, _) in children
        ]

    def follow(self) -> None:
        """Ask again for whatever it is told of, until nothing more comes."""
        while True:
            self.host.call(self.item, "org.freedesktop.DBus.Peer", "Ping")
            told = [body[1] for name, body in self.host.signals if name == "LayoutUpdated"]
            self.host.signals.clear()
            if not told:
                return
            for parent in told:
                self.fetch(parent)

    def labels(self) -> set[str]:
        return {label for children in self.known.values() for _, label in children}


def test_a_host_that_asks_for_one_level_knows_all_before_it_opens_a_submenu(host: SniHost) -> None:
    deep = Item("group", "Group", children=(Item("more", "More", children=(ITEMS[3],)),))
    with running() as run:
        item = host.wait_item()
        panel = OneLevelHost(host, item)
        run.tray.show(replace(VIEW, items=(*ITEMS, deep)))
        run.drawn()
        host.call(item, "org.freedesktop.DBus.Peer", "Ping")
        host.signals.clear()
        panel.fetch(0)
        assert panel.labels() == {"GPU box: off", "", "Lab", "Quit", "Group"}
        panel.follow()
        assert {"Open", "More"} <= panel.labels()
        assert len(panel.asked) == len(set(panel.asked)) == 4

        changed = replace(deep, children=(Item("new", "New"), *deep.children))
        panel.asked.clear()
        run.tray.show(replace(VIEW, items=(*ITEMS, changed)))
        run.drawn()
        panel.follow()
        (group,) = (id_ for id_, label in panel.known[0] if label == "Group")
        assert panel.asked[0] == group
        assert 0 not in panel.asked, "an open menu is not renewed"
        assert [label for _, label in panel.known[group]] == ["New", "More"]


def test_each_change_is_signalled(host: SniHost) -> None:
    with running() as run:
        host.wait_item()
        for view, expected in (
            (replace(VIEW, icon=IconState.FAILED), {"NewIcon"}),
            (replace(VIEW, icon=IconState.FAILED, title="x"), {"NewTitle", "NewToolTip"}),
        ):
            run.drawn()
            host.call(host.registered[0], "org.freedesktop.DBus.Peer", "Ping")
            host.signals.clear()
            run.tray.show(view)
            run.drawn()
            host.call(host.registered[0], "org.freedesktop.DBus.Peer", "Ping")
            assert {name for name, _ in host.signals} == expected


def test_frames_are_signalled_until_it_stands_still(host: SniHost) -> None:
    def pixels() -> bytes:
        found: bytes = host.properties(item)["IconPixmap"][0][2]
        return found

    with running() as run:
        item = host.wait_item()
        at_rest = pixels()
        run.tray.show(replace(VIEW, icon=IconState.CONNECTING, attempt_since=1.0))
        seen = {at_rest}  # the first signal may still be of that picture
        while len(seen) <= FRAMES:  # a busy machine may miss some
            host.wait_signal("NewIcon")
            seen.add(pixels())
        for _ in range(FRAMES):
            host.wait_signal("NewIcon")
            assert pixels() in seen
        run.tray.show(replace(VIEW, icon=IconState.CONNECTING))
        run.drawn()
        assert pixels() == sni._pixmaps(Glyph(IconState.CONNECTING))[0][2]
        assert not [t for t in threading.enumerate() if t.name == "tc-tray-animation"]


@pytest.mark.parametrize(
    ("interface", "method", "signature", "body"),
    [
        (ITEM, "Activate", "s", ("x",)),
        (ITEM, "ContextMenu", "ii", (0, 0)),
        (MENU, "GetLayout", "iias", (4711, -1, [])),
        (MENU, "GetLayout", "s", ("x",)),
        ("org.example", "Nothing", "", ()),
    ],
)
def test_calls_that_make_no_sense_get_an_error(
    host: SniHost, interface: str, method: str, signature: str, body: tuple[object, ...]
) -> None:
    with running():
        item = host.wait_item()
        reply = host.call(item, interface, method, signature, body)
        assert reply.header.message_type is MessageType.error
        assert host.properties(item)


def test_texts_that_a_bus_would_not_carry(host: SniHost) -> None:
    with running() as run:
        item = host.wait_item()
        run.tray.show(View(IconState.UP, "\0\udc80", (Item("a", "bad \0 \udc80 under_score"),)))
        run.drawn()
        assert list(host.lines(item)) == ["bad     under__score"]
        assert host.registered == [item]


def test_it_starts_before_the_host(bus: SessionBus) -> None:
    with running() as run:
        run.drawn()
        with make_host(bus) as host:
            assert host.wait_item().startswith(":")


def test_the_host_restarts(bus: SessionBus) -> None:
    with running():
        names = set()
        for _ in range(3):
            with make_host(bus) as host:
                names.add(host.wait_item())
                assert host.lines(host.registered[0])
        assert len(names) == 1


def test_stop_removes_it_at_once(host: SniHost) -> None:
    with running():
        item = host.wait_item()
    host.wait(lambda: item in host.gone, "the item to leave the bus")


def test_the_bus_dies_and_comes_back(
    bus: SessionBus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bus_connection, "FIRST_RETRY", 0.05)
    caplog.set_level(logging.INFO)
    with running() as run:
        with make_host(bus) as host:
            host.wait_item()
            bus.stop_bus()
        wait_for(lambda: "no session bus" in caplog.text, "the loss to be noticed")
        run.tray.show(replace(VIEW, title="changed meanwhile"))
        run.drawn()
        bus.start_bus()
        with make_host(bus) as host:
            assert host.properties(host.wait_item())["Title"] == "changed meanwhile"


def test_it_stops_while_there_is_no_bus(bus: SessionBus, caplog: pytest.LogCaptureFixture) -> None:
    with running():
        bus.stop_bus()
        wait_for(lambda: "no session bus" in caplog.text, "the loss to be noticed")


@pytest.mark.parametrize("shows", [True, None])
def test_it_tells_whether_a_watcher_has_it(bus: SessionBus, shows: bool | None) -> None:
    with running() as run:
        assert run.registered.get(timeout=LIMIT) is False
        with make_host(bus) as host:
            host.shows = shows
            host.wait_item()
            host.wait(lambda: not run.registered.empty(), "it to be told")
            assert run.registered.get(timeout=LIMIT) is True
        assert run.registered.get(timeout=LIMIT) is False
    assert run.registered.empty()


def test_a_watcher_without_a_panel_shows_nothing(bus: SessionBus, host: SniHost) -> None:
    host.shows = False
    with running() as run:
        assert run.registered.get(timeout=LIMIT) is False
        item = host.wait_item()
        host.call(item, "org.freedesktop.DBus.Peer", "Ping")
        for shows in (True, False, True):
            host.tell_host(shows=shows)
            host.wait(lambda: not run.registered.empty(), "it to be told")
            assert run.registered.get(timeout=LIMIT) is shows
        assert host.registered == [item]


@contextmanager
def frozen(bus: SessionBus) -> Iterator[None]:
    assert bus.daemon is not None
    bus.daemon.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        bus.daemon.send_signal(signal.SIGCONT)


def test_a_frozen_bus_holds_nobody_up(bus: SessionBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_connection, "STEP_LIMIT", 0.3)
    with running() as run:
        run.drawn()
        with frozen(bus):
            assert watcher.probe_bus(bus.env) == watcher.Bus()
            for number in range(5000):  # more than the socket holds
                run.tray.show(replace(VIEW, title=f"{number}" * 20))
                run.drawn()
            run.stop()


def test_a_bus_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bus_connection, "STEP_LIMIT", 0.2)
    path = str(tmp_path / "bus")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={path}")
        with running():
            wait_for(lambda: "said nothing" in caplog.text, "it to be given up")


@pytest.mark.parametrize("words", [b"REJECTED EXTERNAL\r\n", b"\0\xff\r\n", b"x" * 9000, b""])
def test_a_bus_that_talks_nonsense_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, words: bytes
) -> None:
    path = str(tmp_path / "bus")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(LIMIT)
        listener.bind(path)
        listener.listen()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={path}")
        with running():
            with listener.accept()[0] as peer:
                peer.sendall(words)
            wait_for(lambda: "no session bus" in caplog.text, "it to be given up")


@pytest.mark.long
def test_ten_thousand_updates_do_not_grow_it(host: SniHost) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def update(run: Running, count: int) -> None:
        states = list(IconState)
        for number in range(count):
            first = replace(ITEMS[0], text=f"GPU box: {number} s", checked=number % 2 == 0)
            rest = ITEMS[1:] if number % 10 else ITEMS[2:]
            state = states[number % len(states)]
            run.tray.show(View(state, f"{number}", (first, *rest)))
            run.drawn()

    with running() as run:
        host.wait_item()
        host.close()  # nobody reads: the signals go nowhere
        update(run, 1000)
        before = resident()
        update(run, 10_000)
        assert resident() - before < 4 << 20


# --- whether there can be a tray ----------------------------------------------------------------


def this_program() -> str:
    return Path("/proc/self/comm").read_text().strip()


def test_no_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    with pytest.raises(ProblemError) as caught:
        make_tray(print)
    assert "no session bus" in caught.value.problem.title
    assert "--no-tray" in caught.value.problem.advice


def test_a_bus_but_no_screen(bus: SessionBus) -> None:
    assert watcher.probe_bus(bus.env) == watcher.Bus(is_there=True, watcher=None)
    with pytest.raises(ProblemError) as caught:
        make_tray(print)
    assert "no desktop" in caught.value.problem.title


@pytest.mark.parametrize("variable", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_a_panel_may_yet_come(
    bus: SessionBus, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, ":0")
    make_tray(print)


def test_a_host_needs_no_screen(bus: SessionBus, host: SniHost) -> None:
    found: list[watcher.Bus] = []
    looking = threading.Thread(target=lambda: found.append(watcher.probe_bus(bus.env)))
    looking.start()
    host.wait(lambda: found, "the look")
    looking.join(LIMIT)
    assert found == [watcher.Bus(is_there=True, watcher=this_program(), host=True)]
    make_tray(print)


def test_it_is_made_without_x_or_gtk(bus: SessionBus) -> None:
    """Where pystray's own import would open a display, or fail for want of one."""
    code = (
        "import os, sys\n"
        "from trayconnect.tray.backends.backend import make_tray\n"
        "make_tray(print)\n"
        "assert not {'Xlib', 'gi'} & set(sys.modules), 'a toolkit was loaded'\n"
        "assert 'PYSTRAY_BACKEND' not in os.environ\n"
    )
    environment = bus.env | {"DISPLAY": ":98765"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
