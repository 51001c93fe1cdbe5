"""Orders are carried out at once, also where the server hangs and a connection to it is just being
opened."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forwarding import no_leaks
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.whole import LIMIT, Whole, entry
from trayconnect.config.model import Config
from trayconnect.core.command import Command
from trayconnect.core.link import Completed
from trayconnect.forwarding import forwarding
from trayconnect.sessions.state import State
from trayconnect.ssh.ssh_link import SshLink


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("key"))


@pytest.fixture
def sshd(key: Path) -> Iterator[Sshd]:
    with Sshd() as server:
        server.authorize(key)
        yield server
        server.thaw()


@pytest.mark.parametrize("order", ["disconnect", "reconnect", "quit", "change"])
def test_a_frozen_server_holds_up_no_order(
    sshd: Sshd,
    key: Path,
    tmp_path: Path,
    order: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forwarding, "_JOIN_LIMIT", 2 * LIMIT)
    execute, granted = SshLink.execute, list[float]()

    def noted(link: SshLink, command: str, stdin: bytes, timeout: float) -> Completed:
        if "rm -f" in command:  # the others are cancelled, with the link
            granted.append(timeout)
        return execute(link, command, stdin, timeout)

    monkeypatch.setattr(SshLink, "execute", noted)
    asked, carry_own = threading.Event(), SshLink.carry_own

    def carrying(link: SshLink, *arguments: Any, **options: Any) -> None:
        carry_own(link, *arguments, **options)
        asked.set()

    monkeypatch.setattr(SshLink, "carry_own", carrying)
    path = str(tmp_path / "hook")
    hook = {"name": "hook", "kind": "remote", "remote_socket": path, "port": free_port()}
    server = entry(sshd, key, jupyter={"port": free_port()}, forwards=[hook])
    with no_leaks(), Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        up = whole.until(lambda s: s.state is State.UP and s.forwards[0].is_up)
        sshd.freeze()
        granted.clear()
        asked.clear()
        with socket.create_connection(("127.0.0.1", server.local_port), LIMIT) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            # It waits for the server to say who listens there, or to open its channel.
            assert asked.wait(LIMIT)
            began = time.monotonic()
            match order:
                case "disconnect":
                    whole.manager.do(Command("disconnect", "GPU box"))
                case "reconnect":
                    whole.manager.do(Command("reconnect", "GPU box"))
                case "quit":
                    assert whole.manager.close(LIMIT)
                case "change":
                    changed = server.model_copy(update={"connect_timeout": 60.0})
                    whole.manager.apply(Config(servers=(changed,)))
            whole.until(lambda s: s.attempt > up.attempt and s.state is not State.CLOSING)
            # Neither for the channel nor, for long, for the command that removes the socket.
            assert time.monotonic() - began < LIMIT
            assert sum(granted) < 2.5
        whole.manager.do(Command("disconnect", "GPU box"))
    assert "still being opened" not in caplog.text
