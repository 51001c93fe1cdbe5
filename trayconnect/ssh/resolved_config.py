"""The user's SSH configuration for one attempt, as a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem
from trayconnect.ssh.config.configured_forwards import ConfiguredForwards, additions
from trayconnect.ssh.config.interpret import HostConfig
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.config.ssh_options import Query
from trayconnect.ssh.target import LoginTarget, targets


@dataclass(frozen=True, slots=True)
class ResolvedConfig:
    """The combined settings of an entry and ssh_config(5)."""

    targets: tuple[LoginTarget, ...]
    """The servers to log in to, in order; the last is the server itself."""
    additions: ConfiguredForwards
    """What ssh_config(5) adds to the entry."""
    note: str = ""
    """Text for the user about a configuration that is not used."""

    def explained(self, problem: Problem) -> Problem:
        """A problem of connecting, with a note if the unused configuration may be the reason."""
        if not self.note:
            return problem
        advice = problem.advice.rstrip(".")
        return replace(problem, advice=f"{advice}. {self.note}." if advice else f"{self.note}.")


def resolve(
    server: Server, others: Iterable[Server], ssh_config: SshConfig, cancel: CancelToken
) -> ResolvedConfig:
    """`others`: the other entries of the file. Raises `ProblemError` and `Cancelled`."""

    def asked(query: Query) -> HostConfig:
        return ssh_config.host(query, cancel)

    return ResolvedConfig(targets(server, asked), additions(server, others, asked), ssh_config.note)
