"""The user's configuration of SSH, asked host by host."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trayconnect.core.cancellation import CancelToken
from trayconnect.ssh.config import reader, ssh_g
from trayconnect.ssh.config.files import DiskFiles, Files, usual_places
from trayconnect.ssh.config.interpret import HostConfig, interpret
from trayconnect.ssh.config.raw_options import Query


@dataclass(frozen=True, slots=True)
class Here:
    """This machine's user, as OpenSSH knows him: by the system's list of users, not by HOME."""

    home: Path
    user: str
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


def _find_ssh() -> str | None:
    return shutil.which("ssh")


class SshConfig:
    """What is said of each host, `ssh` itself being asked where it is installed.

    Answers are kept: make one for each attempt. `named` is what follows `ssh -F`; None: the usual
    files."""

    def __init__(
        self,
        named: Path | None = None,
        *,
        find_ssh: Callable[[], str | None] = _find_ssh,
        files: Files | None = None,
        here: Here | None = None,
    ) -> None:
        self._named = named
        self._find_ssh = find_ssh
        self._files = files or DiskFiles()
        self._here = here or this_user()
        self._known: dict[Query, HostConfig] = {}
        self._usual: ssh_g.Settings | None = None

    def host(self, query: Query, cancel: CancelToken) -> HostConfig:
        """Raises `SshConfigError`, `ProblemError` when `ssh` does not answer, and `Cancelled`."""
        found = self._known.get(query)
        if found is None:
            found = self._known[query] = self._look_up(query, cancel)
        return found

    def _look_up(self, query: Query, cancel: CancelToken) -> HostConfig:
        here = self._here
        ssh = self._find_ssh()
        if ssh is not None:
            if self._usual is None:
                self._usual = ssh_g.usual(ssh, cancel)
            said = ssh_g.ask(ssh, query, self._named, self._usual, cancel)
        else:
            said = reader.read(
                query,
                self._files,
                usual_places(here.home, self._named),
                local_user=here.user,
                environment=here.environment,
            )
        return interpret(
            said, query, home=here.home, local_user=here.user, environment=here.environment
        )


if sys.platform == "win32":

    def this_user() -> Here:
        """Whoever runs this program."""
        return Here(Path.home(), getpass.getuser())
else:
    import pwd

    def this_user() -> Here:
        """Whoever runs this program."""
        try:
            entry = pwd.getpwuid(os.getuid())
        except KeyError:
            # Or no descriptor was left to read the accounts with: then this raises OSError.
            os.close(os.open(os.devnull, os.O_RDONLY))
            return Here(Path.home(), getpass.getuser())
        return Here(Path(entry.pw_dir), entry.pw_name)
