"""The options of one host, before they are interpreted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from trayconnect.config.forward_syntax import ForwardSpec
from trayconnect.core.errors import Problem, ProblemError


@dataclass(frozen=True, slots=True)
class Query:
    """The requested host, as after `ssh -l USER -p PORT HOST`. `direct`: ignore ProxyJump and
    ProxyCommand."""

    host: str
    user: str | None = None
    port: int | None = None
    direct: bool = False


@dataclass(frozen=True, slots=True)
class RawOptions:
    """Values by keyword, in lower case; a keyword that was not set is absent.

    OpenSSH has expanded the tokens of HostName, IdentityAgent, UserKnownHostsFile and LocalForward.
    `notes` are shown to the user."""

    values: Mapping[str, tuple[str, ...]]
    forwards: tuple[ForwardSpec, ...] = ()
    notes: tuple[str, ...] = ()
    algorithms: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Final lists."""

    def first(self, keyword: str) -> str | None:
        """The one value, or None."""
        values = self.values.get(keyword)
        return values[0] if values else None


class SshConfigError(ProblemError):
    """An unusable SSH configuration; `ssh` itself would refuse it."""


def broken(place: str, message: str, detail: str = "") -> SshConfigError:
    """`place` is a file, with the line number if it is known."""
    return SshConfigError(
        Problem(
            title=f"{place}: {message}",
            advice="ssh itself refuses this file, too. Correct it, and connect again.",
            detail=detail,
        )
    )
