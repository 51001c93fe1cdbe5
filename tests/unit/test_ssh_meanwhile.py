"""What another thread does in the middle of a login."""

from __future__ import annotations

import socket
import threading
from collections import deque
from typing import Any

import pytest

from tests.support.forwarding import LIMIT, read_all
from trayconnect.ssh.auth import agent
from trayconnect.ssh.auth.agent import Agent
from trayconnect.ssh.sessions_ahead import SessionsAhead
from trayconnect.ssh.tcp_dial import _Attempts


class Server:
    """A transport whose server opens a session when the test wants it."""

    name = "box"

    def __init__(self) -> None:
        self.may_open = threading.Semaphore(0)
        self.opened: list[Session] = []

    def open(self, kind: str, timeout: float) -> Session:
        assert self.may_open.acquire(timeout=LIMIT)
        self.opened.append(Session())
        return self.opened[-1]


class Session:
    closed = False


@pytest.mark.parametrize("last", [False, True])
def test_a_session_that_opens_late_serves_the_next_command(last: bool) -> None:
    """It would stay open unused, and count for MaxSessions, until the link ends."""
    server: Any = Server()
    ahead = SessionsAhead(2)
    ahead.request(server)
    assert ahead.take(0.0, last=last) is None
    server.may_open.release(2)
    taken = {ahead.take(LIMIT, last=last), ahead.take(LIMIT)}
    assert taken == set(server.opened)
    assert len(taken) == 2
    assert ahead.take(LIMIT) is None


def test_late_sessions_of_a_refused_login_are_dropped() -> None:
    server: Any = Server()
    ahead = SessionsAhead(1)
    ahead.request(server)
    assert ahead.take(0.0) is None
    ahead.drop()
    assert ahead.take(LIMIT) is None
    server.may_open.release()


def test_an_agent_that_is_found_too_late_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The login was cancelled while the agent was connected: nothing would wake it."""
    found: list[Agent] = []
    ours, theirs = socket.socketpair()

    def connect(place: str) -> socket.socket:
        if place == "first":
            raise OSError("not there")
        found[0].close()
        return ours

    class Early(Agent):
        def _connect_next(self) -> None:
            found.append(self)
            super()._connect_next()

    monkeypatch.setattr(agent, "_connect", connect)
    monkeypatch.setattr(agent, "_places", lambda _: deque(("first", "second")))
    with theirs:
        made = Early(None)
        assert not made.is_there
        theirs.settimeout(LIMIT)
        assert read_all(theirs) == b""
        assert made.keys() == []
        made.close()


def test_a_wake_that_comes_after_the_end_is_nothing() -> None:
    attempts = _Attempts({})
    attempts.close()
    attempts.wake()
