"""The watcher against real files, saved the way editors save them."""

from __future__ import annotations

import errno
import logging
import os
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from trayconnect.config import file_watcher
from trayconnect.config.file_watcher import FileWatcher

SOON = 90.0
"""Seconds that a change may take to be told of, beside a busy processor."""
SETTLED = file_watcher.QUIET_SECONDS * 2.5
"""Seconds after which a call that had to come has come, or did not have to."""


class Calls:
    """Counts, and waits for the next one."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.count = 0
        self.threads: set[str] = set()

    def __call__(self) -> None:
        with self._condition:
            self.count += 1
            self.threads.add(threading.current_thread().name)
            self._condition.notify_all()

    def after(self, act: Callable[[], object]) -> None:
        """Do something, and see that it is told of."""
        with self._condition:
            before = self.count
        act()
        with self._condition:
            assert self._condition.wait_for(partial(self._passed, before), SOON)
        self.settle()

    def settle(self) -> int:
        """Wait until no more calls come; how many there were in all."""
        while True:
            with self._condition:
                before = self.count
                if not self._condition.wait_for(partial(self._passed, before), SETTLED):
                    return self.count

    def _passed(self, count: int) -> bool:
        return self.count > count


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def watching(calls: Calls) -> Iterator[Callable[[Path], FileWatcher]]:
    watchers: list[FileWatcher] = []

    def begin(path: Path) -> FileWatcher:
        watcher = FileWatcher(path, calls)
        watchers.append(watcher)
        watcher.start()
        return watcher

    yield begin
    for watcher in watchers:
        watcher.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("tc-config-watch")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "servers.yaml"
    path.parent.mkdir()
    path.write_text("one")
    return path


Watching = Callable[[Path], FileWatcher]


def replace(path: Path, text: str) -> None:
    """As VS Code, gedit and most programs with atomic saves do."""
    beside = path.with_name(".servers.yaml.tmp")
    beside.write_text(text)
    beside.replace(path)


def save_as_vim(path: Path, text: str) -> None:
    """With 'backupcopy' off: the old file is moved away, the new one written in its place."""
    backup = path.with_name("servers.yaml~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def write_in_pieces(path: Path, text: str) -> None:
    with path.open("w") as file:
        for character in text:
            file.write(character)
            file.flush()


class TestWhatIsNoticed:
    @pytest.mark.parametrize("save", [Path.write_text, replace, save_as_vim, write_in_pieces])
    def test_saves(
        self, save: Callable[[Path, str], object], file: Path, watching: Watching, calls: Calls
    ) -> None:
        watching(file)
        for text in ("two", "three"):
            calls.after(partial(save, file, text))

    def test_a_touch(self, file: Path, watching: Watching, calls: Calls) -> None:
        watching(file)
        calls.after(lambda: os.utime(file, (1, 1)))

    def test_creation_and_deletion(self, tmp_path: Path, watching: Watching, calls: Calls) -> None:
        path = tmp_path / "servers.yaml"
        watching(path)
        calls.after(lambda: path.write_text("one"))
        calls.after(path.unlink)
        calls.after(lambda: path.write_text("one"))

    def test_folders_that_come_later(
        self, tmp_path: Path, watching: Watching, calls: Calls
    ) -> None:
        path = tmp_path / "a" / "b" / "c" / "servers.yaml"
        watching(path)
        path.parent.mkdir(parents=True)
        calls.after(lambda: path.write_text("one"))
        calls.after(lambda: path.write_text("two"))

    def test_a_folder_that_goes_and_comes_back(
        self, file: Path, watching: Watching, calls: Calls
    ) -> None:
        watching(file)
        calls.after(lambda: shutil.rmtree(file.parent))

        def restore() -> None:
            file.parent.mkdir()
            file.write_text("two")

        calls.after(restore)
        calls.after(lambda: file.write_text("three"))

    def test_a_folder_replaced_within_one_burst(
        self, file: Path, watching: Watching, calls: Calls
    ) -> None:
        watching(file)

        def renew() -> None:
            shutil.rmtree(file.parent)
            file.parent.mkdir()
            file.write_text("two")

        calls.after(renew)
        calls.after(lambda: file.write_text("three"))

    def test_what_changed_before_the_start(self, file: Path, calls: Calls) -> None:
        watcher = FileWatcher(file, calls)
        file.write_text("changed")
        calls.after(watcher.start)
        watcher.stop()


class TestLinks:
    """A dotfiles repository: the file elsewhere, a link in its place."""

    def test_the_real_file(self, tmp_path: Path, watching: Watching, calls: Calls) -> None:
        real = tmp_path / "dotfiles" / "servers.yaml"
        link = tmp_path / "config" / "servers.yaml"
        for folder in (real.parent, link.parent):
            folder.mkdir()
        real.write_text("one")
        link.symlink_to(Path("..") / "dotfiles" / "servers.yaml")
        watching(link)
        calls.after(lambda: real.write_text("two"))
        calls.after(lambda: replace(real, "three"))

    def test_a_link_in_between(self, tmp_path: Path, watching: Watching, calls: Calls) -> None:
        paths = [tmp_path / name / "servers.yaml" for name in ("a", "b", "c")]
        for path in paths:
            path.parent.mkdir()
        paths[0].symlink_to(paths[1])
        paths[1].symlink_to(paths[2])
        paths[2].write_text("one")
        other = tmp_path / "other.yaml"
        other.write_text("other")
        watching(paths[0])

        def point_elsewhere() -> None:
            paths[1].unlink()
            paths[1].symlink_to(other)

        calls.after(point_elsewhere)
        calls.after(lambda: other.write_text("more"))
        before = calls.count
        paths[2].write_text("nobody looks here now")
        assert calls.settle() == before

    def test_a_link_to_nowhere(self, tmp_path: Path, watching: Watching, calls: Calls) -> None:
        real, link = tmp_path / "later" / "servers.yaml", tmp_path / "servers.yaml"
        link.symlink_to(real)
        watching(link)
        real.parent.mkdir()
        calls.after(lambda: real.write_text("one"))

    def test_a_link_to_itself(self, tmp_path: Path, watching: Watching, calls: Calls) -> None:
        link = tmp_path / "servers.yaml"
        link.symlink_to(link)
        watching(link)

        def become_a_file() -> None:
            link.unlink()
            link.write_text("one")

        calls.after(become_a_file)


class TestWhatIsNot:
    def test_other_files_and_readers(self, file: Path, watching: Watching, calls: Calls) -> None:
        watching(file)
        for number in range(5):
            file.with_name(f"other {number}").write_text("x")
            file.read_text()
        assert calls.settle() == 0

    def test_a_burst_is_told_once(
        self, file: Path, watching: Watching, calls: Calls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            file_watcher, "QUIET_SECONDS", 1.5
        )  # longer than a busy machine dawdles
        monkeypatch.setattr(file_watcher, "BURST_SECONDS", SOON)
        watching(file)

        def burst() -> None:
            for number in range(20):
                replace(file, str(number))

        calls.after(burst)
        assert calls.count == 1
        assert calls.threads == {"tc-config-watch"}

    def test_a_folder_that_is_never_quiet(
        self, file: Path, watching: Watching, calls: Calls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            file_watcher, "QUIET_SECONDS", 1.5
        )  # longer than a busy machine dawdles
        watching(file)
        quiet = threading.Event()

        def disturb() -> None:
            while not quiet.wait(0.05):
                file.with_name("log").write_text("x")

        noise = threading.Thread(target=disturb)
        noise.start()
        try:
            calls.after(lambda: file.write_text("two"))
        finally:
            quiet.set()
            noise.join()

    def test_a_reader_does_not_wake_it(self, file: Path, watching: Watching) -> None:
        watching(file)
        (own,) = (thread for thread in threading.enumerate() if thread.name == "tc-config-watch")
        switches = at_rest([own])
        file.read_text()
        time.sleep(SETTLED)
        assert voluntary_switches([own]) == switches

    def test_nothing_wakes_up_meanwhile(self, file: Path, watching: Watching) -> None:
        before = set(threading.enumerate())
        watching(file)
        ours = set(threading.enumerate()) - before
        assert len(ours) >= 2
        assert all(thread.name.startswith("tc-config-watch") for thread in ours)
        threads = list(ours)
        switches = at_rest(threads)
        time.sleep(3)  # watchdog's own time limits are of a second
        assert voluntary_switches(threads) == switches


def at_rest(threads: list[threading.Thread]) -> list[int]:
    """How often these threads have given up the processor, once the first look is over."""
    seen = voluntary_switches(threads)
    deadline = time.monotonic() + SOON
    while True:
        time.sleep(SETTLED)
        before, seen = seen, voluntary_switches(threads)
        if seen == before:
            return seen
        assert time.monotonic() < deadline, "they never rest"


def voluntary_switches(threads: list[threading.Thread]) -> list[int]:
    found = []
    for thread in threads:
        status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("voluntary_ctxt"))
        found.append(int(line.split()[1]))
    return found


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class TestTheEnd:
    def test_no_call_comes_after_stop(self, file: Path, watching: Watching, calls: Calls) -> None:
        watcher = watching(file)
        file.write_text("two")
        watcher.stop()
        seen = calls.count
        file.write_text("three")
        assert calls.settle() == seen

    def test_nothing_is_left(self, file: Path, calls: Calls) -> None:
        threads, descriptors = set(threading.enumerate()), open_descriptors()
        for _ in range(3):
            watcher = FileWatcher(file, calls)
            watcher.start()
            watcher.stop()
            watcher.stop()
        assert set(threading.enumerate()) <= threads
        assert open_descriptors() <= descriptors

    def test_stop_before_start(self, file: Path, calls: Calls) -> None:
        FileWatcher(file, calls).stop()

    def test_stop_from_within_the_call(self, file: Path) -> None:
        stopped = threading.Event()

        def stop() -> None:
            watcher.stop()
            stopped.set()

        watcher = FileWatcher(file, stop)
        watcher.start()
        file.write_text("two")
        assert stopped.wait(SOON)
        watcher.stop()

    def test_a_call_that_fails_does_not_end_the_watch(
        self, file: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        turns = Calls()

        def fail() -> None:
            turns()
            raise ZeroDivisionError

        watcher = FileWatcher(file, fail)
        watcher.start()
        turns.after(lambda: file.write_text("two"))
        turns.after(lambda: file.write_text("three"))
        watcher.stop()
        assert "Could not take in the change" in caplog.text


class TestWithoutInotify:
    def test_it_looks_by_itself(
        self,
        file: Path,
        watching: Watching,
        calls: Calls,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def exhausted() -> None:
            raise OSError(errno.EMFILE, "inotify instance limit reached")

        # The limit is that of the user, and so cannot be used up here without harm to others.
        monkeypatch.setattr(file_watcher, "Observer", exhausted)
        monkeypatch.setattr(file_watcher, "POLL_SECONDS", 0.3)
        with caplog.at_level(logging.WARNING):
            watching(file)
            for text in ("two", "three"):
                calls.after(partial(replace, file, text))
        (message,) = (record.getMessage() for record in caplog.records)
        assert message.startswith(f"The system cannot tell of changes to {file}")
        assert message.endswith("looking every 0.3 s")

    def test_it_returns_to_inotify(
        self, file: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_watcher, "POLL_SECONDS", 0.3)
        before = open_descriptors()
        watcher = FileWatcher(file, calls)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            watcher.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        calls.after(lambda: file.write_text("two"))

        def is_back() -> bool:
            return "tc-config-watch events" in [thread.name for thread in threading.enumerate()]

        wait_for(is_back, "inotify")
        watcher.stop()
        assert open_descriptors() <= before
