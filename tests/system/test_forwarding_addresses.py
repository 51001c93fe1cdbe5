"""The addresses that forwards listen on: as OpenSSH's `ssh -L`, and closed to other users."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.carrier import MakeLink
from tests.support.forwarding import (
    LIMIT,
    Service,
    a_server,
    eventually,
    listening,
)
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.whole import Whole, entry
from trayconnect.config.forward_model import Forward, keys_of, spec_of
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import own_address
from trayconnect.config.model import Server
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.forwarding.forwarding import listen

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux's loopback addresses"),
    pytest.mark.usefixtures("leaves_nothing"),
]

NOBODY = 65534
FORMS = ("", "localhost:", "127.0.0.1:", "127.0.0.9:", "[::1]:", "*:", ":", "0.0.0.0:", "[::]:")
"""What may stand before the port, after -L and -D."""


def listeners(port: int) -> set[str]:
    """The addresses on which somebody listens on that port."""
    found = psutil.net_connections("tcp")
    return {
        one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    }


@contextlib.contextmanager
def ssh(sshd: Sshd, key: Path, *options: str) -> Iterator[None]:
    """OpenSSH with forwards, once they are all bound."""
    command = ["ssh", "-N", "-F", "none", "-i", str(key), "-p", str(sshd.port)]
    for option in ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"):
        command += ["-o", option]
    process = subprocess.Popen(
        [*command, *options, f"{sshd.username}@{sshd.host}"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(LIMIT)


def test_they_are_those_of_openssh(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    ports = {(kind, form): free_port() for kind in (Kind.LOCAL, Kind.DYNAMIC) for form in FORMS}
    last = free_port()
    options, forwards = [], []
    for (kind, form), port in ports.items():
        text = f"{form}{port}" + (":localhost:1" if kind is Kind.LOCAL else "")
        options.append(f"-{'L' if kind is Kind.LOCAL else 'D'}{text}")
        keys = keys_of(spec_of(kind, text))
        forwards.append(Forward.model_validate({"name": f"{kind} at {form or 0}", **keys}))
    options.append(f"-L127.0.0.1:{last}:localhost:1")  # they are bound in this order
    with Sshd() as sshd:
        sshd.authorize(key)
        with ssh(sshd, key, *options):
            eventually(lambda: listeners(last), "the last forward of ssh")
            theirs = {name: listeners(port) for name, port in ports.items()}
        server = entry(sshd, key).model_copy(update={"forwards": tuple(forwards)})
        eventually(lambda: not listeners(last), "the end of ssh")
        with Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
            whole.connect()
            whole.until(lambda now: all(forward.is_up for forward in now.forwards))
            ours = {name: listeners(port) for name, port in ports.items()}
            page = listeners(server.local_port)
            whole.off()
    assert ours == theirs
    assert theirs[Kind.LOCAL, ""] == {"127.0.0.1", "::1"}
    assert page == {"127.0.0.1", "::1", own_address(server.local_port)}


def test_every_address_leads_to_the_target(service: Service, link: MakeLink) -> None:
    tool = {"name": "tool", "local_port": free_port(), "port": 1, "open": True}
    plain = {"name": "plain", "local_port": free_port(), "port": 2}
    bokeh = tool | {"name": "bokeh", "local_port": free_port(), "open_as": "localhost"}
    server = a_server(forwards=[tool, plain, bokeh])
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        for port, has_own in (
            (server.local_port, True),
            *((forward.local_port, forward.name == "tool") for forward in server.forwards),
        ):
            assert port is not None
            usual = {"127.0.0.1", "::1"}
            assert listeners(port) == (usual | {own_address(port)} if has_own else usual)
            for address in listeners(port):
                with socket.create_connection((address, port), LIMIT) as client:
                    client.sendall(b"ping")
                    assert client.recv(4) == b"ping"
    assert len(service.asked) == 3 + 3 + 2 + 2
    assert TcpEndpoint("far", 8888) in service.asked


VISIT = """
import encodings.idna, os, socket, sys
if {is_root}:  # after the imports: he may not be let to where they are
    os.setgroups([])
    os.setresuid({uid}, {uid}, {uid})
for place in sys.argv[1:]:
    address, port = place.rsplit(" ", 1)
    try:
        with socket.create_connection((address, int(port)), {limit}) as client:
            client.sendall(b"ping")
            print(client.recv(4) or "nothing")
    except ConnectionError:
        print("refused")
"""


def visit(*places: tuple[str, int], uid: int = NOBODY) -> list[str]:
    """What another user gets there."""
    code = VISIT.format(is_root=os.geteuid() == 0, uid=uid, limit=LIMIT)
    words = [f"{address} {port}" for address, port in places]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=LIMIT)
    return done.stdout.splitlines()


@pytest.mark.parametrize("bind_address", ["localhost", "*", "0.0.0.0", "::"])
def test_another_user_is_refused_at_every_address(
    bind_address: str, service: Service, link: MakeLink
) -> None:
    """As root, the other user is a real one; else the listener takes us for him."""
    server = a_server(bind_address=bind_address)
    port = server.local_port
    every = {"127.0.0.1", own_address(port), "::1"}
    reached = {"localhost": every, "*": every, "0.0.0.0": every - {"::1"}, "::": {"::1"}}
    places = [(address, port) for address in sorted(reached[bind_address])]
    is_root = os.geteuid() == 0
    with listening(server, uid=os.geteuid() + (not is_root)) as forwarding:
        forwarding.attach(link(service.dial))
        assert visit(*places) == ["refused"] * len(places)
        assert service.asked == []
        if is_root:
            for place in places:  # and we are not
                with socket.create_connection(place, LIMIT) as client:
                    client.sendall(b"ping")
                    assert client.recv(4) == b"ping"


HOLD = """
import encodings.idna, os, socket, sys
if {is_root}:
    os.setgroups([])
    os.setresuid({uid}, {uid}, {uid})
listening = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.{family})
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held(address: str, port: int) -> Iterator[str]:
    """Another user's listener; how it is told, if the tests run as root."""
    family = "AF_INET6" if ":" in address else "AF_INET"
    is_root = os.geteuid() == 0
    code = HOLD.format(is_root=is_root, uid=NOBODY, family=family)
    with subprocess.Popen(
        [sys.executable, "-c", code, address, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield f"(PID {process.pid})"
        process.stdin.close()


def test_an_address_that_another_user_has_is_a_refusal_that_names_it() -> None:
    server: Server = a_server(forwards=[{"name": "db", "local_port": free_port(), "port": 5432}])
    port = server.forwards[0].local_port
    assert port is not None
    for taken, address in ((port, "::1"), (server.local_port, own_address(server.local_port))):
        with held(address, taken) as holder, pytest.raises(ProblemError) as caught:
            listen(server)
        title = caught.value.problem.title
        assert title.startswith(f"Local port {taken} of box is taken by ")
        assert holder in title
        assert title.endswith(" on [::1]" if address == "::1" else f" on {address}")
        assert not listeners(server.local_port)
        assert not listeners(port)
