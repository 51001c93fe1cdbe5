"""From an entry of the file to a live link: the public interface of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import Hop
from trayconnect.core.progress import NO_PROGRESS, Progress
from trayconnect.core.questions import Ask, ProgressDisplay
from trayconnect.ssh.auth import pasted_key
from trayconnect.ssh.auth.accepted_keys import AcceptedKeys
from trayconnect.ssh.auth.credentials import Credentials
from trayconnect.ssh.auth.identities import UnlockedKeys, default_identity_files
from trayconnect.ssh.auth.passwords import Secrets
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.node import open_node
from trayconnect.ssh.resolved_config import ResolvedConfig, resolve
from trayconnect.ssh.route import Route, open_route
from trayconnect.ssh.ssh_link import SshLink
from trayconnect.ssh.target import keepalive

SESSIONS = 2
"""What a Jupyter needs at once: the search for it, and the owners of its listener."""


class SshConnector:
    """`dependencies.Connector` over SSH.

    `known_hosts` None: OpenSSH's files, and our own. `agent_socket` None: SSH_AUTH_SOCK of the
    environment. `identity_files` None: OpenSSH's default ones. `pasted_keys`: the folder of pasted
    keys. `ssh_config` makes the reader of ssh_config(5) for one attempt. `servers`: the entries of
    the file; their ports take precedence over its forwards."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        known_hosts: KnownHosts | None = None,
        agent_socket: str | None = None,
        identity_files: tuple[Path, ...] | None = None,
        pasted_keys: Path | None = None,
        ssh_config: Callable[[], SshConfig] = SshConfig,
        servers: Callable[[], Iterable[Server]] = tuple,
    ) -> None:
        self._secrets = secrets
        self._known_hosts = known_hosts or KnownHosts.default()
        self._agent_socket = agent_socket
        self._identity_files = identity_files
        self._pasted_keys = pasted_keys or pasted_key.default_folder()
        self._ssh_config = ssh_config
        self._servers = servers
        self._unlocked = UnlockedKeys()
        self._accepted = AcceptedKeys()
        self._reporting_accounts: set[str] = set()
        """Accounts whose servers can report the owners of listeners: see `Ownership`."""
        self._one_session_accounts: set[str] = set()
        """See `RemoteCommands`."""

    def resolve(self, server: Server, cancel: CancelToken) -> ResolvedConfig:
        """See `dependencies.Connector`."""
        return resolve(server, self._servers(), self._ssh_config(), cancel)

    def connect(
        self,
        server: Server,
        *,
        ask: Ask,
        cancel: CancelToken,
        on_lost: Callable[[Problem], None],
        config: ResolvedConfig | None = None,
        display: ProgressDisplay = ProgressDisplay(),  # noqa: B008 - it has no state
        steps: Progress = NO_PROGRESS,
    ) -> SshLink:
        """See `dependencies.Connector`. `on_lost` may be called before this returns; `steps`
        receives the progress."""
        agent = self._agent_socket
        credentials = Credentials(
            secrets=self._secrets,
            unlocked=self._unlocked,
            agent_socket=os.environ.get("SSH_AUTH_SOCK") if agent is None else agent,
            default_identity_files=(
                default_identity_files() if self._identity_files is None else self._identity_files
            ),
            pasted_keys=self._pasted_keys,
            accepted=self._accepted,
        )
        with steps.step("read the SSH configuration") as found:
            config = config or self.resolve(server, cancel)
            found += [target.account for target in config.targets]
        try:
            route = open_route(
                server,
                targets=config.targets,
                known_hosts=self._known_hosts,
                credentials=credentials,
                ask=ask,
                cancel=cancel,
                display=display,
                steps=steps,
                sessions=self._sessions_for(server, config),
            )
        except ProblemError as error:
            error.problem = config.explained(error.problem)
            raise
        return self._begin(server, route, credentials, cancel, on_lost)

    def _begin(
        self,
        server: Server,
        route: Route,
        credentials: Credentials,
        cancel: CancelToken,
        on_lost: Callable[[Problem], None],
    ) -> SshLink:
        def open_hop(
            base: Route, node: Hop, cancel: CancelToken, on_lost: Callable[[Problem], None]
        ) -> SshLink:
            hop = open_node(server, base, node, credentials, cancel)
            return self._begin(server, hop, credentials, cancel, on_lost)

        tunnel = SshLink(
            route,
            keepalive(server, route.target.options),
            on_lost,
            self._reporting_accounts,
            self._one_session_accounts,
            open_hop,
        )
        try:
            tunnel.start()
            cancel.check()
        except BaseException:
            tunnel.close()
            raise
        return tunnel

    def _sessions_for(self, server: Server, config: ResolvedConfig) -> int:
        """How many to request at once."""
        if server.kind != "jupyter":
            return 0
        return 1 if config.targets[-1].account in self._one_session_accounts else SESSIONS

    def forget(self, server: Server) -> None:
        """See `dependencies.Connector`: drops decrypted keys."""
        self._unlocked.forget(server.name)
