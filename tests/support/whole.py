"""The whole way from an entry to a page, in this process: the real rooms under a manager, with
the desktop's part played by the test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.forwarding import free_port
from tests.support.scoped import Scoped
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import no_ssh_config
from trayconnect.cancel import Cancel
from trayconnect.config.model import Config, Server
from trayconnect.config.openssh.hosts import SshConfig
from trayconnect.desktop.clock import SystemClock
from trayconnect.forward.forwarding import listen
from trayconnect.jupyter.direct import DirectConnector
from trayconnect.jupyter.examine import Examiner
from trayconnect.jupyter.launch import Launcher
from trayconnect.jupyter.pages import look_at_pages
from trayconnect.ports import Answer, BriefChoices, Connector, NoSecrets, Notice, Page, Question
from trayconnect.session.manager import Manager
from trayconnect.session.runner import Peers
from trayconnect.session.snapshot import Snapshot
from trayconnect.session.state import State
from trayconnect.tunnel.connector import SshConnector
from trayconnect.tunnel.known_hosts_store import KnownHosts

LIMIT = 120.0
"""Seconds to wait for what must happen; a busy machine takes its time."""


class Whole(Scoped):
    """Sessions over the real rooms, for the time of a `with`.

    Questions are answered by `answers`, in order; without one they are declined. Pages that would
    open, notices and questions are noted."""

    def __init__(
        self,
        *servers: Server,
        known_hosts: tuple[str, ...] | list[str] = (),
        answers: tuple[Answer | None, ...] = (),
        agent_socket: str = "",
        ssh_config: Callable[[], SshConfig] = no_ssh_config,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tc-whole-"))
        self.known_hosts = self.folder / "known_hosts"
        self.known_hosts.write_text("".join(f"{line}\n" for line in known_hosts))
        self.questions: list[Question] = []
        self.pages: list[Page] = []
        self.notices: list[Notice] = []
        self.withdrawn: list[str] = []
        self._answers: Iterator[Answer | None] = iter(answers)
        ssh = SshConnector(
            NoSecrets(),
            known_hosts=KnownHosts((), self.known_hosts),
            agent_socket=agent_socket,
            identity_files=(),
            ssh_config=ssh_config,
        )
        direct = DirectConnector()

        def connector(server: Server) -> Connector:
            return direct if server.is_direct else ssh

        self.choices = BriefChoices()
        examine = Examiner(self.choices)
        launcher = Launcher(examine.search_anew)
        peers = Peers(
            connector=connector,
            listen=listen,
            examine=examine,
            launch=launcher,
            how_it_ended=launcher.ended,
            look_at_pages=look_at_pages,
            search_soon=examine.search_soon,
            prompter=self,
            notifier=self,
            browser=self,
            additions=lambda server, cancel: ssh.additions(server, servers, cancel),
        )
        self.manager = Manager(peers, SystemClock())
        self.manager.start()
        self.manager.apply(Config(servers=servers))

    def close(self) -> None:
        ended = self.manager.close(LIMIT)
        shutil.rmtree(self.folder)
        assert ended

    # --- the desktop's part ---

    def bring_to_front(self) -> None:
        pass

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:
        self.questions.append(question)
        return next(self._answers, None)

    def open(self, page: Page) -> None:
        self.pages.append(page)

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)

    def withdraw(self, tag: str) -> None:
        self.withdrawn.append(tag)

    # --- the test's part ---

    def connect(self, name: str = "GPU box") -> None:
        self.manager.connect(name)

    def until(self, done: Callable[[Snapshot], bool], name: str = "GPU box") -> Snapshot:
        """Wait for a session to be so; what it is then."""
        found: list[Snapshot] = []

        def look(all_: Any) -> bool:  # noqa: ANN401
            if name in all_ and done(all_[name]):
                found.append(all_[name])
            return bool(found)

        arrived = self.manager.wait_until(look, LIMIT)
        assert arrived, f"{name} is {self.manager.snapshot(name)}"
        return found[0]

    def until_ready(self, name: str = "GPU box") -> Snapshot:
        return self.until(lambda s: s.is_ready, name)

    def until_state(self, state: State, name: str = "GPU box") -> Snapshot:
        return self.until(lambda s: s.state is state, name)

    def off(self, name: str = "GPU box") -> Snapshot:
        """Disconnect, and wait until nothing is left."""
        self.manager.disconnect(name)
        return self.until_state(State.OFF, name)


def entry(sshd: Sshd, key: Path | None = None, name: str = "GPU box", **changes: Any) -> Server:
    """An entry for a server of the test, on a free local port."""
    fields: dict[str, Any] = {
        "name": name,
        "host": sshd.host,
        "port": sshd.port,
        "username": sshd.username,
        "local_port": free_port(),
        "auth": {"identity_file": str(key)} if key else {},
    }
    return Server.model_validate(fields | changes)
