"""What logins can use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from trayconnect.ssh.auth.accepted_keys import AcceptedKeys
from trayconnect.ssh.auth.identities import UnlockedKeys
from trayconnect.ssh.auth.passwords import Secrets


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that a login can use. `agent_socket` None: the platform's agent, if any."""

    secrets: Secrets
    unlocked: UnlockedKeys
    agent_socket: str | None
    default_identity_files: tuple[Path, ...]
    pasted_keys: Path
    """The folder of `pasted_key`."""
    accepted: AcceptedKeys = field(default_factory=AcceptedKeys)
