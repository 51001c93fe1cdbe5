from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.control import PATIENCE, nothing_left, serving, short_folder
from trayconnect.control.client import SHOW, ControlClient, claim
from trayconnect.control.lock import InstanceLock
from trayconnect.control.protocol import Reply
from trayconnect.control.server import STOPPING, ControlServer, Handler
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import Problem, ProblemError


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path, nothing_left():
        yield path


def echo(command: Command, cancel: CancelToken) -> JSON:
    return [command.name, command.server]


def start(folder: Path, command: Command = SHOW, timeout: float = PATIENCE) -> Reply | None:
    """As a second start would: its reply, or None having taken (and given back) the lock."""
    lock = InstanceLock(folder)
    try:
        return claim(lock, ControlClient(folder), command, timeout)
    finally:
        lock.release()


def refusing(reply: Reply) -> Handler:
    def handler(command: Command, cancel: CancelToken) -> JSON:
        assert reply.problem is not None
        raise ProblemError(reply.problem)

    return handler


def test_the_first_start_owns_the_place(folder: Path) -> None:
    lock = InstanceLock(folder)
    assert claim(lock, ControlClient(folder)) is None
    assert lock.held
    lock.release()


def test_the_second_start_hands_over(folder: Path) -> None:
    with serving(folder, echo):
        assert start(folder) == Reply(ok=True, data=["show", ""])
        command = Command("connect", "GPU box")
        assert start(folder, command) == Reply(ok=True, data=["connect", "GPU box"])


def test_a_refusal_of_the_first_is_the_answer(folder: Path) -> None:
    refusal = Reply(ok=False, problem=Problem("No server is called x", "See the menu."))
    with serving(folder, refusing(refusal)):
        assert start(folder) == refusal


class Starting(threading.Thread):
    """A second start in the background, seen to be under way."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.reply: Reply | None = STOPPING
        self.start()
        self.join(0.2)
        assert self.is_alive()

    def run(self) -> None:
        self.reply = start(self._folder)

    def ended(self) -> Reply | None:
        self.join(PATIENCE)
        assert not self.is_alive()
        return self.reply


def test_one_that_is_only_starting_is_waited_for(folder: Path) -> None:
    lock = InstanceLock(folder)
    assert lock.acquire()
    second = Starting(folder)
    server = ControlServer(lock, echo)
    server.start()
    assert second.ended() == Reply(ok=True, data=["show", ""])
    server.stop()
    lock.release()


def test_one_that_is_quitting_is_followed(folder: Path) -> None:
    with serving(folder, refusing(STOPPING)) as server:
        second = Starting(folder)
        server.stop()
        second.join(0.1)
        assert second.is_alive()
    assert second.ended() is None


def test_one_that_cannot_be_reached_is_named(folder: Path) -> None:
    lock = InstanceLock(folder)
    assert lock.acquire()
    with pytest.raises(ProblemError, match="cannot be reached") as caught:
        start(folder, timeout=0.2)
    assert f"process {os.getpid()}" in caught.value.problem.advice
    lock.release()
