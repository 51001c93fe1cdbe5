"""What only shows in a process of its own: other users, and no descriptors left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.carrier import MakeLink
from tests.support.forwarding import (
    Service,
    a_server,
    echo,
    held,
    listening,
)

pytestmark = pytest.mark.usefixtures("leaves_nothing")

NOBODY = 65534
# The shell's own sockets: a user without rights may not be able to read our Python.
ASK = "exec 3<>/dev/tcp/127.0.0.1/$0 && printf ping >&3 && head -c 4 <&3"


def ask_from_another_process(port: int, *prefix: str) -> bool:
    """Whether the forward serves a client that runs behind `prefix`."""
    command = [*prefix, "bash", "-c", ASK, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout == "ping"


def stranger() -> tuple[int, list[str]]:
    """A user to serve, and how to run a program that is not that user's."""
    if os.geteuid() == 0:
        return 0, ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return os.geteuid() + 1, []  # then it is us who are strange


def test_another_user_of_the_computer_is_refused(
    caplog: pytest.LogCaptureFixture, link: MakeLink
) -> None:
    server = a_server()
    uid, prefix = stranger()
    with Service(echo) as service:
        with listening(server, uid=uid) as forwarding:
            forwarding.attach(link(service.dial))
            assert not ask_from_another_process(server.local_port, *prefix)
            assert service.asked == []
        with listening(server) as forwarding:
            forwarding.attach(link(service.dial))
            assert ask_from_another_process(server.local_port)
    assert "refused a connection of another user" in caplog.text


def test_a_stranger_is_not_held_either() -> None:
    server = a_server(hold_seconds=600)
    uid, prefix = stranger()
    with listening(server, uid=uid) as forwarding:
        assert not ask_from_another_process(server.local_port, *prefix)  # returns at once
        held(forwarding, 0)


def test_an_open_bind_address_serves_no_stranger_of_this_computer(link: MakeLink) -> None:
    server = a_server(bind_address="0.0.0.0")
    uid, prefix = stranger()
    with Service(echo) as service, listening(server, uid=uid) as forwarding:
        forwarding.attach(link(service.dial))
        assert not ask_from_another_process(server.local_port, *prefix)


STARVED = """
import resource, socket, threading
from tests.support.carrier import TcpCarrier
from tests.support.forwarding import (
    Service, a_server, dial, echo, held, listening
)

server = a_server()
with (
    Service(echo) as service, TcpCarrier(service.dial) as link, listening(server) as forwarding
):
    with dial(server) as client:  # whatever is loaded late is loaded now
        held(forwarding, 1)
    clients = [socket.socket() for _ in range(10)]
    for client in clients:
        client.settimeout(30)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    hoard = []
    try:
        while True:
            hoard.append(open("/dev/null"))
    except OSError:
        pass
    for client in clients:  # the kernel takes them, the process cannot
        client.connect(("127.0.0.1", server.local_port))
        client.sendall(b"ping")
    clients[0].settimeout(1)
    try:
        clients[0].recv(4)
    except TimeoutError:
        print("waits")
    clients[0].settimeout(30)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    forwarding.attach(link)
    print(*(client.recv(4).decode() for client in clients))
    for each in (*clients, *hoard):
        each.close()
print([t.name for t in threading.enumerate() if t.name.startswith("tc-")])
"""


def test_no_descriptors_left_delays_connections_and_loses_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARVED],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["waits", " ".join(["ping"] * 10), "[]"]
    assert done.stderr.count("new local connections have to wait") == 1
