"""What tests of the tunnel share: a connector with nothing of this machine's, and its user."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.nulls import NoSecrets
from tests.support.threads import our_threads
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, problem_of
from trayconnect.core.questions import Answer, Question, QuestionKind
from trayconnect.ssh.auth.passwords import Secrets
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.connector import SshConnector
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.ssh_link import SshLink
from trayconnect.ssh.target import LoginTarget, targets

WAIT = 90.0
"""Seconds that a thing may take which should happen soon; only a failing test waits as long."""


def no_ssh_config() -> SshConfig:
    """Nothing of this machine's; as after `ssh -F`."""
    return SshConfig(Path("none"))


class User:
    """Answers questions from a script, and remembers them. None declines."""

    def __init__(self, *answers: Answer | None) -> None:
        self.questions: list[Question] = []
        self._answers = list(answers)

    def __call__(self, question: Question) -> Answer:
        self.questions.append(question)
        answer = self._answers.pop(0) if self._answers else None
        if answer is None:
            raise Cancelled
        return answer

    @property
    def kinds(self) -> list[QuestionKind]:
        return [question.kind for question in self.questions]


def says(*values: str, remember: bool = False) -> Answer:
    return Answer(values, remember)


YES = Answer()


class MemorySecrets:
    """`keyring.Secrets` for a test; `broken` makes every call fail."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise ProblemError(Problem("The keyring is locked", "Unlock it."))

    def get(self, server: str, account: str) -> str | None:
        self._check()
        return self.kept.get((server, account))

    def set(self, server: str, account: str, secret: str) -> None:
        self._check()
        self.kept[server, account] = secret

    def delete(self, server: str, account: str) -> None:
        self._check()
        self.kept.pop((server, account), None)


class Losses:
    """Collects what `on_lost` reports."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._arrived = threading.Event()

    def __call__(self, problem: Problem) -> None:
        self.problems.append(problem)
        self._arrived.set()

    def wait(self, timeout: float = WAIT) -> Problem:
        assert self._arrived.wait(timeout), "the loss was not reported"
        return self.problems[0]


class Kit:
    """A connector with its files in `folder`."""

    def __init__(self, folder: Path, secrets: Secrets | None = None, **options: Any) -> None:
        self.user_file = folder / "user_known_hosts"
        self.own_file = folder / "data" / "known_hosts"
        settings: dict[str, Any] = {
            "agent_socket": "",
            "identity_files": (),
            "pasted_keys": folder / "keys",
            "ssh_config": no_ssh_config,
        }
        self.connector = SshConnector(
            secrets or NoSecrets(),
            known_hosts=KnownHosts((self.user_file,), self.own_file),
            **settings | options,
        )

    def trust(self, lines: Sequence[str]) -> None:
        with self.user_file.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def connect(
        self,
        server: Server,
        user: User | None = None,
        *,
        cancel: CancelToken | None = None,
        losses: Losses | None = None,
    ) -> SshLink:
        return self.connector.connect(
            server,
            ask=user or User(),
            cancel=cancel or CancelToken(),
            on_lost=losses or Losses(),
        )

    @contextlib.contextmanager
    def tunnel(
        self, server: Server, user: User | None = None, losses: Losses | None = None
    ) -> Iterator[SshLink]:
        tunnel = self.connect(server, user, losses=losses)
        try:
            yield tunnel
        finally:
            tunnel.close()

    def problem(self, server: Server, user: User | None = None) -> Problem:
        """The problem that connecting ends with, as a session sees it."""
        try:
            tunnel = self.connect(server, user)
        except ProblemError as error:
            return problem_of(error)
        tunnel.close()
        raise AssertionError("it connected")


def entry(port: int, *, identity_file: Path | None = None, **options: Any) -> Server:
    """A server of the file, on loopback."""
    auth = options.pop("auth", {}) | (
        {"identity_file": str(identity_file)} if identity_file else {}
    )
    base = {"name": "GPU box", "host": "127.0.0.1", "port": port, "local_port": 18888}
    return Server.model_validate(base | {"auth": auth, "connect_timeout": 10} | options)


def give_options(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Have every SSH server reached with these options of ssh_config(5)."""

    def given(*arguments: Any) -> tuple[LoginTarget, ...]:
        found = targets(*arguments)
        return tuple(replace(t, options=replace(t.options, **options)) for t in found)

    monkeypatch.setattr("trayconnect.ssh.resolved_config.targets", given)


def until(condition: Callable[[], bool], timeout: float = WAIT) -> bool:
    """Poll for what has no event to wait for."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def open_descriptors() -> dict[str, str]:
    """Open descriptors of this process and what they are (Linux)."""
    found = {}
    for entry_ in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[entry_.name] = str(entry_.readlink())
    return found


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Assert that no thread of ours and no socket outlives the block."""
    before = open_descriptors()
    yield
    assert until(lambda: not our_threads()), our_threads()

    def leaked() -> set[str]:
        fresh = set(open_descriptors().items()) - set(before.items())
        return {what for _, what in fresh if what.startswith(("socket:", "anon_inode:", "pipe:"))}

    assert until(lambda: not leaked()), leaked()
