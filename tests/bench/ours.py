"""The arm of trayconnect: its tunnel and its forward in a process of their own.

`python -m tests.bench.ours HOST PORT USER KEY KNOWN_HOSTS LOCAL_PORT REMOTE_PORT`; says `ready`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.support.nulls import NoSecrets
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem
from trayconnect.core.questions import Answer, Question
from trayconnect.forwarding.forwarding import listen
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.connector import SshConnector
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts


def never_ask(question: Question) -> Answer:
    raise AssertionError(question.title)


def lost(problem: Problem) -> None:
    print(problem, file=sys.stderr)


def main(host: str, port: str, user: str, key: str, known: str, local: str, remote: str) -> None:
    server = Server.model_validate(
        {
            "name": "bench",
            "host": host,
            "port": int(port),
            "username": user,
            "auth": {"identity_file": key},
            "local_port": int(local),
            "jupyter": {"port": int(remote)},
        }
    )
    connector = SshConnector(
        NoSecrets(),
        known_hosts=KnownHosts((), Path(known)),
        agent_socket="",
        identity_files=(),
        ssh_config=lambda: SshConfig(Path("none")),
    )
    tunnel = connector.connect(server, ask=never_ask, cancel=CancelToken(), on_lost=lost)
    forwarding = listen(server)
    forwarding.attach(tunnel)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
