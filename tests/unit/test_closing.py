"""One step of a close that fails: the rest is closed all the same."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.carrier import NoCarrier
from tests.support.forwarding import LIMIT, a_server, dial, read_all
from tests.support.servers import make_server
from trayconnect.core.closing import do_all
from trayconnect.core.threads import Timer
from trayconnect.desktop.bus_connection import BusConnection
from trayconnect.desktop.notifications.freedesktop import NotificationClient
from trayconnect.desktop.windows.popup_menu import MenuLine, NoPopupMenu, TkPopupMenu
from trayconnect.desktop.windows.status import _Shown
from trayconnect.forwarding.conversations import Conversation, Conversations, Wanted
from trayconnect.forwarding.forwarding import listen
from trayconnect.services.webpage import pages
from trayconnect.ssh.proxy_command import ProxyCommand
from trayconnect.ssh.route import Route
from trayconnect.ssh.ssh_link import SshLink
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.ssh_transport import SshTransport

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
TARGET = LoginTarget("GPU box", "gpu", 22, "ada")


def bug(*_: object) -> None:
    raise ZeroDivisionError("a bug")


def no_thread(*_: object) -> None:
    raise RuntimeError("can't start new thread")


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", no_thread)


def test_all_steps_are_done_in_their_order() -> None:
    done: list[int] = []
    steps = [lambda number=number: done.append(number) for number in range(3)]
    with pytest.raises(ZeroDivisionError):
        do_all(steps[0], bug, steps[1], bug, steps[2])
    assert done == [0, 1, 2]
    do_all()


# --- of a link ------------------------------------------------------------------------------------


class Hop:
    """A transport that is only closed."""

    def __init__(self) -> None:
        self.is_aborted = False

    def send_disconnect(self) -> None:
        raise ZeroDivisionError("a bug")

    def abort(self) -> None:
        self.is_aborted = True
        raise ZeroDivisionError("a bug")

    def is_alive(self) -> bool:
        return False


@pytest.mark.parametrize("end", [Route.close, Route.abort])
def test_each_server_of_a_route(end: Callable[[Route], None]) -> None:
    hops = [Hop(), Hop()]
    with pytest.raises(ZeroDivisionError):
        end(Route([(TARGET, cast(SshTransport, hop)) for hop in hops]))
    assert all(hop.is_aborted for hop in hops)


STEPS = ["own_channels", "commands", "heartbeat", "route", "ownership", "jobs"]


@pytest.mark.parametrize("broken", STEPS)
def test_a_link(broken: str) -> None:
    done: list[str] = []

    def step(name: str) -> Callable[..., None]:
        def run(*_: object) -> None:
            done.append(name)
            if name == broken:
                bug()

        return run

    link = object.__new__(SshLink)
    parts: Any = link
    parts._lock = threading.Lock()
    parts._own_channels = SimpleNamespace(close=step("own_channels"))
    ownership = SimpleNamespace(join=step("ownership"))
    parts._commands = SimpleNamespace(close=step("commands"), ownership=ownership)
    parts._heartbeat = SimpleNamespace(stop=step("heartbeat"))
    parts._route = SimpleNamespace(close=step("route"))
    parts._jobs = SimpleNamespace(join=step("jobs"))
    with pytest.raises(ZeroDivisionError):
        link.close()
    assert done == STEPS


@pytest.fixture
def ends() -> Iterator[tuple[SshTransport, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield SshTransport(ours, name="test"), theirs


@pytest.mark.parametrize(
    "part", ["multiplexer.end", "packetizer.end", "multiplexer._listening.end"]
)
def test_a_transport_that_has_ended(
    ends: tuple[SshTransport, socket.socket], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    transport, theirs = ends
    ended = threading.Event()
    transport.on_end = ended.set
    *path, name = part.split(".")
    owner: Any = transport
    for each in path:
        owner = getattr(owner, each)
    end = getattr(owner, name)

    def end_badly() -> None:
        end()
        bug()

    monkeypatch.setattr(owner, name, end_badly)
    transport.start_client(event=threading.Event())
    theirs.shutdown(socket.SHUT_RDWR)
    assert ended.wait(LIMIT)
    transport.join(LIMIT)
    assert transport.sock.fileno() < 0


def test_a_bug_in_what_gets_an_answer_ends_no_link(
    ends: tuple[SshTransport, socket.socket],
) -> None:
    transport, _ = ends
    transport.ask("x", bug)
    transport._replied(None)
    transport.abort()


# --- of forwards ----------------------------------------------------------------------------------


class BadCarrier(NoCarrier):
    def release(self) -> None:
        bug()


def test_the_ports_of_a_session() -> None:
    server = a_server()
    forwarding = listen(server)
    forwarding.attach(BadCarrier())
    with pytest.raises(ZeroDivisionError):
        forwarding.close()
    with pytest.raises(ConnectionRefusedError):
        dial(server)
    forwarding.close()


def test_each_conversation_with_a_client() -> None:
    begun = threading.Semaphore(0)

    def talk(client: socket.socket, end: Callable[[], object]) -> Conversation[None]:
        begun.release()
        try:
            yield Wanted(1, time.monotonic() + LIMIT)
        finally:
            end()

    conversations = Conversations("box")
    clients = []
    for end in (bug, lambda: None):
        near, far = socket.socketpair()
        far.setblocking(False)
        conversations.begin(far, talk(far, end))
        clients.append(near)
    for _ in clients:
        assert begun.acquire(timeout=LIMIT)
    conversations.close(LIMIT)
    for client in clients:
        client.settimeout(LIMIT)
        with client, suppress(ConnectionError):
            assert not read_all(client)


def test_each_request_over_the_session_bus() -> None:
    bus = BusConnection(cast(NotificationClient, None))
    told: list[object] = []
    bus._waiting = {1: bug, 2: told.append}
    bus._close()
    assert told == [None]


# --- what is started, when the system has no thread for it ----------------------------------------


class Stream:
    """A channel that says nothing."""

    is_over = False

    def __init__(self) -> None:
        self.is_closed = False

    def recv(self, size: int) -> bytes:
        return b""

    def sendall(self, data: bytes | memoryview) -> None:
        pass

    def shutdown_write(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.usefixtures("no_threads")
def test_without_a_timer_the_channel_of_a_check_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timer, "set", no_thread)
    server = make_server(
        forwards=[{"name": "board", "local_port": 20_000, "port": 6006, "ready": "/"}]
    )
    stream = Stream()
    with pytest.raises(RuntimeError):
        pages._answers(server, server.forwards[0], stream, LIMIT)
    assert stream.is_closed


@pytest.mark.usefixtures("no_threads")
def test_without_threads_no_popup_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popup = TkPopupMenu(SLEEPS)
    note_processes(monkeypatch, started)
    popup.show((MenuLine("one", "One"),), (0, 0), lambda _: pytest.fail("nothing was chosen"))
    popup.close()
    assert [process.returncode is not None for process in started] == [True]


@pytest.mark.usefixtures("no_threads")
def test_without_threads_no_status_window_stays() -> None:
    process = subprocess.Popen(SLEEPS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process, pytest.raises(RuntimeError):
        _Shown(process, bytes, bug, bug)
    assert process.returncode is not None


@pytest.mark.usefixtures("no_threads")
@pytest.mark.skipif(sys.platform == "win32", reason="the command is for sh")
@pytest.mark.parametrize("pipes", [False, True])
def test_without_threads_no_proxy_command_stays(
    monkeypatch: pytest.MonkeyPatch, pipes: bool
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    note_processes(monkeypatch, started)
    with pytest.raises(RuntimeError):
        ProxyCommand(TARGET, "sleep 600", pipes=pipes)
    assert [process.returncode is not None for process in started] == [True]


def note_processes(monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]) -> None:
    init = subprocess.Popen.__init__

    def noted(self: subprocess.Popen[bytes], *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        started.append(self)

    monkeypatch.setattr(subprocess.Popen, "__init__", noted)


@pytest.mark.skipif(sys.platform != "linux", reason="the tray of Linux")
def test_without_threads_no_icon_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    from trayconnect.tray.backends import linux

    fallback = linux.Fallback("test", bug, NoPopupMenu())
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(RuntimeError):
        fallback.begin()
    fallback.stop()
    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(linux, "has_tkinter", lambda: False)
    fallback.begin()
    fallback.stop()
    assert fallback._last is not None
    assert not fallback._last.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="rtnetlink(7)")
@pytest.mark.usefixtures("no_threads")
def test_without_threads_the_network_is_not_watched() -> None:
    from trayconnect.desktop.events.network import NetlinkWatcher

    watcher = NetlinkWatcher(bug)
    watcher.start()
    watcher.stop()
