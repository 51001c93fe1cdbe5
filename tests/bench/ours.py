"""The arm of trayconnect: its tunnel and its forward in a process of their own.

`python -m tests.bench.ours HOST PORT USER KEY KNOWN_HOSTS LOCAL_PORT REMOTE_PORT [proven]`: a plain
forward, or one like Jupyter's, whose listener must be proven the account's own each time."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.support.nulls import NoSecrets
from tests.support.ports import free_port
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Problem
from trayconnect.core.link import Own
from trayconnect.core.questions import Answer, Question
from trayconnect.forwarding.forwarding import LocalForwarding, listen
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.connector import SshConnector
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.ssh_link import SshLink


def never_ask(question: Question) -> Answer:
    raise AssertionError(question.title)


def lost(problem: Problem) -> None:
    print(problem.title, file=sys.stderr)


def forward(
    host: str, port: str, user: str, key: str, known: str, local: str, remote: str, how: str = ""
) -> tuple[SshLink, LocalForwarding]:
    """Connect, and forward from now on."""
    plain = {"name": "plain", "local_port": int(local), "host": "127.0.0.1", "port": int(remote)}
    server = Server.model_validate(
        {
            "name": "bench",
            "host": host,
            "port": int(port),
            "username": user,
            "auth": {"identity_file": key},
            "local_port": int(local) if how else free_port(),
            "forwards": [] if how else [plain],
        }
    )
    connector = SshConnector(
        NoSecrets(),
        known_hosts=KnownHosts((), Path(known)),
        agent_socket="",
        identity_files=(),
        ssh_config=lambda: SshConfig(Path("none")),
    )
    link = connector.connect(server, ask=never_ask, cancel=CancelToken(), on_lost=lost)
    forwarding = listen(server)
    forwarding.set_target(Own(TcpEndpoint("127.0.0.1", int(remote)), named=False))
    forwarding.attach(link)
    return link, forwarding


if __name__ == "__main__":
    held = forward(*sys.argv[1:])
    threading.Event().wait()
