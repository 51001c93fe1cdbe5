"""The program's own life, without an icon or a server: beginning, reloading, ending."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from unittest.mock import Mock

import pytest

from tests.support.systems import move_home
from trayconnect.app.ending import Ending
from trayconnect.app.program import App, Options
from trayconnect.control.client import ControlClient
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop.windows.status import StatusWindow
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.tray.display import Display

LIMIT = 90.0
GOOD = "servers:\n  - {name: GPU box, host: gpu.example.org}\n"
BROKEN = "servers:\n  - nam: GPU box\n"


@dataclass
class Stage:
    """A user's home, and what the app tells there."""

    home: Path
    said: list[str] = field(default_factory=list)
    on_say: Callable[[str], None] = lambda _: None
    on_change: Callable[[tuple[Snapshot, ...]], None] = lambda _: None
    first_said: threading.Event = field(default_factory=threading.Event)
    changed: threading.Event = field(default_factory=threading.Event)

    @property
    def file(self) -> Path:
        return self.home / "servers.yaml"

    @property
    def client(self) -> ControlClient:
        return ControlClient(self.home / "run")

    def save(self, text: str) -> None:
        self.file.write_text(text)

    def app(self, *connect: str, tray: bool = False, refresh_autostart: bool = True) -> App:
        return App(
            Options(
                config=self.file,
                runtime=self.home / "run",
                tray=tray,
                browser=False,
                connect=connect,
                refresh_autostart=refresh_autostart,
                on_change=self._changed,
                say=self._say,
            )
        )

    def _changed(self, snapshots: tuple[Snapshot, ...]) -> None:
        self.on_change(snapshots)
        self.changed.set()

    def _say(self, line: str) -> None:
        self.said.append(line)
        self.on_say(line)
        self.first_said.set()


def no_tray(*_: object, **__: object) -> NoReturn:
    """The tests show no icon on the desktop that they are run on."""
    raise ProblemError(Problem("There is no way to show an icon", ""))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for variable in [name for name in os.environ if name.startswith(("XDG_", "TRAYCONNECT_"))]:
        monkeypatch.delenv(variable)
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "no-session"))
    move_home(monkeypatch, tmp_path)
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setattr("trayconnect.tray.display.make_tray", no_tray)
    before = threading.enumerate()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield Stage(tmp_path)
    assert [t.name for t in threading.enumerate() if t not in before] == []
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert after == handlers


def run(app: App, until: threading.Event) -> bool:
    """Run it; what `until` waits for ends it. Whether that came to pass."""
    came: list[bool] = []

    def end() -> None:
        came.append(until.wait(LIMIT))
        app.stop()

    ender = threading.Thread(target=end)
    ender.start()
    try:
        assert app.run() is None
    finally:
        ender.join(LIMIT)
    return came == [True]


def test_it_may_be_stopped_before_it_runs(stage: Stage) -> None:
    app = stage.app()
    app.stop()
    assert app.run() is None


def test_nothing_starts_once_the_end_has_begun(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = stage.app()
    begun = threading.Event()
    monkeypatch.setattr(Display, "remove_icon", lambda _: begun.set())
    start = app._clicks.start

    def start_later() -> None:
        assert begun.wait(LIMIT)
        start()

    monkeypatch.setattr(app._clicks, "start", start_later)
    app.stop()
    assert app.run() is None
    assert stage.said == []
    assert not stage.file.exists()


def test_the_users_session_may_end_while_it_starts(stage: Stage) -> None:
    """Windows calls for that end on the icon's thread, whatever the other one has started."""
    app = stage.app()
    stage.on_say = lambda _: app._end_now()
    assert run(app, stage.first_said)
    assert str(stage.file) in stage.said[0]


def test_a_file_that_is_saved_while_it_starts_is_noticed(stage: Stage) -> None:
    noticed = threading.Event()
    stage.on_say = lambda _: stage.save(GOOD)  # between reading and watching
    stage.on_change = lambda snapshots: noticed.set() if snapshots else None
    assert run(stage.app(), noticed)


@pytest.mark.parametrize(
    ("options", "follows"),
    [
        ({"tray": True}, True),
        ({"tray": True, "refresh_autostart": False}, False),
        ({"tray": False}, False),  # it was started for once, in a terminal
    ],
)
def test_an_entry_to_start_at_login_follows_unless_told_otherwise(
    stage: Stage, options: dict[str, bool], follows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed: list[object] = []
    monkeypatch.setattr("trayconnect.app.wiring.refresh_quietly", refreshed.append)
    stage.save(GOOD)
    assert run(stage.app(**options), stage.changed)
    assert len(refreshed) == follows


@pytest.mark.parametrize(
    "name",
    [n for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, n)],
)
def test_a_signal_ends_it(stage: Stage, name: str) -> None:
    number = signal.Signals[name]
    stage.save(GOOD)
    sent: list[int] = []

    def send(_: tuple[Snapshot, ...]) -> None:
        if not sent:
            sent.append(number)
            if sys.platform == "win32":
                signal.raise_signal(number)
            else:  # to the main thread, which waits: raising it here would not wake that
                os.kill(os.getpid(), number)

    stage.on_change = send
    assert stage.app().run() is None
    assert sent == [number]


def test_a_signal_that_does_not_wake_the_main_thread_ends_it() -> None:
    """Sent to another thread here; elsewhere one that comes as the main thread begins its wait."""
    if sys.platform == "win32":
        pytest.skip("signals to a thread are of POSIX")
    ending = Ending(lambda: None)
    with ending.handling():
        sender = threading.Thread(
            target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        )
        sender.start()
        ending.wait()
        sender.join(LIMIT)


def test_a_command_ends_it_and_one_for_the_window_that_it_lacks_is_refused(stage: Stage) -> None:
    app = stage.app()
    stage.save(GOOD)
    answered = threading.Event()
    refused = []

    def ask() -> None:
        while not answered.is_set():
            try:
                refused.append(stage.client.call(Command("show-status")).problem)
                assert stage.client.call(Command("quit")).ok
            except ProblemError:
                continue  # it is just starting
            answered.set()

    asking = threading.Thread(target=ask)
    asking.start()
    assert app.run() is None
    answered.set()
    asking.join(LIMIT)
    assert refused[-1] is not None
    assert refused[-1].title == "This trayconnect has no window to show"


def test_the_status_window_goes_before_the_manager_that_its_clicks_wait_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed: list[bool] = []

    def close(_window: StatusWindow) -> None:
        managed.append("tc-manager" in [thread.name for thread in threading.enumerate()])

    monkeypatch.setattr(StatusWindow, "close", close)
    stage.save(GOOD)
    assert run(stage.app(tray=True), stage.changed)
    assert managed == [True]


def test_the_system_is_told_while_a_server_is_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    is_on = threading.Event()

    class Activity:
        def hold(self, wanted: bool) -> None:
            held.append(wanted)
            if wanted:
                is_on.set()

    monkeypatch.setattr("trayconnect.app.wiring.make_activity", Activity)
    stage.save("servers:\n  - {name: GPU box, host: 127.0.0.1, port: 1}\n")
    assert run(stage.app("GPU box"), is_on)
    assert held[-1] is False


def test_the_end_of_the_users_session_waits_for_the_servers(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed: list[bool] = []
    has_begun = threading.Event()

    def make_tray(*_: object, on_session_end: Callable[[], object], **__: object) -> Mock:
        def on_message() -> None:
            on_session_end()  # while the program starts: there is nothing to disconnect yet
            assert has_begun.wait(LIMIT)
            for _ in range(2):
                managed.append("tc-manager" in [thread.name for thread in threading.enumerate()])
                on_session_end()

        return Mock(is_shown=True, run=on_message)

    monkeypatch.setattr("trayconnect.tray.display.make_tray", make_tray)
    stage.save(GOOD)
    stage.on_change = lambda _: has_begun.set()
    assert stage.app(tray=True).run() is None
    assert managed == [True, False]


class Icon:
    """An icon of its own, in place of the desktop's."""

    def __init__(self) -> None:
        self.show = Mock()
        self.is_gone = threading.Event()

    def run(self) -> None:
        self.is_gone.wait(LIMIT)

    def stop(self) -> None:
        self.is_gone.set()


def test_an_icon_whose_program_cannot_be_read_goes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    icon = Icon()
    monkeypatch.setattr("trayconnect.tray.display.make_tray", lambda *_, **__: icon)
    monkeypatch.setattr("trayconnect.app.program.ICON_LIMIT", 0.0)
    monkeypatch.setitem(sys.modules, "trayconnect.app.wiring", None)
    with pytest.raises(ImportError):
        stage.app(tray=True).run()
    assert icon.is_gone.is_set()


def test_a_misspelt_name_ends_it_before_anything_begins(stage: Stage) -> None:
    stage.save(GOOD)
    changes: list[object] = []
    stage.on_change = changes.append
    with pytest.raises(ProblemError, match="Did you mean “GPU box”"):
        stage.app("GPU bos").run()
    assert changes == []


@pytest.mark.parametrize(("tray", "connect"), [(False, ()), (True, ("GPU box",))])
def test_a_broken_file_ends_a_start_that_cannot_do_without_it(
    stage: Stage, tray: bool, connect: tuple[str, ...]
) -> None:
    stage.save(BROKEN)
    with pytest.raises(ProblemError, match=r"servers\.yaml:2:5") as raised:
        stage.app(*connect, tray=tray).run()
    assert "last working" not in raised.value.problem.title


def test_a_broken_file_is_said_at_a_start_with_an_icon_and_a_mended_one_goes_on(
    stage: Stage,
) -> None:
    stage.save(BROKEN)
    noticed = threading.Event()
    stage.on_say = lambda line: stage.save(GOOD) if "2:5" in line else None
    stage.on_change = lambda snapshots: noticed.set() if snapshots else None
    assert run(stage.app(tray=True), noticed)


class Notices:
    """A desktop's notifications, of which only the texts matter."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.arrived = threading.Event()

    def notify(self, *notice: object) -> None:
        self.texts.append(str(notice))
        self.arrived.set()

    def withdraw(self, tag: str) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_key_that_cannot_log_in_is_told_when_the_file_is_saved(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices = Notices()
    monkeypatch.setattr(
        "trayconnect.desktop.notifications.notifier.make_notifier", lambda *_: notices
    )
    keyed = "servers:\n  - {name: GPU box, host: gpu, auth: {identity_file: ~/NAME}}\n"
    stage.save(keyed.replace("NAME", "of-before"))
    stage.on_change = lambda _: stage.save(keyed.replace("NAME", "of-now"))
    assert run(stage.app(), notices.arrived)
    (text,) = set(notices.texts)
    assert "of-now does not exist" in text
    assert "of-before" not in text
