"""The whole way from an entry to a page, in this process: the real rooms under a manager, with
the desktop's part played by the test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.nulls import NoSecrets
from tests.support.ports import free_port
from tests.support.scoped import Scoped
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import no_ssh_config
from trayconnect.alerts.scheduler import AlertScheduler
from trayconnect.config.model import Config, Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Command
from trayconnect.core.notices import Notice
from trayconnect.core.page import Page
from trayconnect.core.questions import Answer, Question
from trayconnect.forwarding.forwarding import listen
from trayconnect.services.jupyter.selection_store import BriefChoices
from trayconnect.services.jupyter.service import JupyterService, over_links
from trayconnect.services.kinds import KINDS, Services
from trayconnect.services.protocol import Desktop
from trayconnect.sessions.dependencies import Dependencies
from trayconnect.sessions.manager import Manager
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.connector import SshConnector
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts

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
        self.texts: list[str] = []
        self._answers: Iterator[Answer | None] = iter(answers)
        ssh = SshConnector(
            NoSecrets(),
            known_hosts=KnownHosts((), self.known_hosts),
            agent_socket=agent_socket,
            identity_files=(),
            ssh_config=ssh_config,
            servers=lambda: servers,
        )
        self.choices = BriefChoices()
        peers = Dependencies(
            connector=lambda server: KINDS[server.kind].connector or ssh,
            listen=listen,
            prompter=self,
            browser=self,
            services=Services(Desktop(self, self, self, self.show_text), over_links(self.choices)),
        )
        self.manager = Manager(peers, AlertScheduler(self))
        self.manager.start()
        self.manager.apply(Config(servers=servers))

    def close(self) -> None:
        ended = self.manager.close(LIMIT)
        shutil.rmtree(self.folder)
        assert ended

    # --- the desktop's part ---

    def bring_to_front(self) -> None:
        pass

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        self.questions.append(question)
        return next(self._answers, None)

    def open(self, page: Page) -> None:
        self.pages.append(page)

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)

    def withdraw(self, tag: str) -> None:
        self.withdrawn.append(tag)

    def show_text(self, title: str, text: str) -> None:
        self.texts.append(text)

    # --- the test's part ---

    def connect(self, name: str = "GPU box") -> None:
        self.manager.do(Command("connect", name))

    @property
    def jupyter(self) -> JupyterService:
        return self.jupyter_of("GPU box")

    def jupyter_of(self, name: str) -> JupyterService:
        assert self.manager.settle(LIMIT)
        service = self.manager.service(name)
        assert isinstance(service, JupyterService)
        return service

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
        self.manager.do(Command("disconnect", name))
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


class Patient(Whole):
    """Its questions stay open until they are answered or withdrawn."""

    answer: Answer | None = None

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        self.questions.append(question)
        while self.answer is None:
            if cancel.wait(0.01):
                return None
        return self.answer
