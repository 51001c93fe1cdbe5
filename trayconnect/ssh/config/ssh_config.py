"""The user's SSH configuration, queried host by host."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from trayconnect.core.cancellation import CancelToken
from trayconnect.ssh.config import ssh_g
from trayconnect.ssh.config.config_files import first_that_matters, usual_places
from trayconnect.ssh.config.interpret import HostConfig, interpret
from trayconnect.ssh.config.ssh_options import Query, RawOptions


@dataclass(frozen=True, slots=True)
class LocalUser:
    """The local user, as OpenSSH determines it: from the system's user database, not from HOME."""

    home: Path
    user: str
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


def _find_ssh() -> str | None:
    return shutil.which("ssh")


INSTALL = "Install OpenSSH's client to use it{}; entries that name host, user and port need no ssh"
_PACKAGE = {
    "linux": " (on Debian and Ubuntu: apt install openssh-client)",
    "win32": " (Settings > System > Optional features)",
}


def install_advice() -> str:
    """Advice for a user with an SSH configuration, but without OpenSSH."""
    return INSTALL.format(_PACKAGE.get(sys.platform, ""))


_DEFAULTS = ssh_g.Defaults()


class SshConfig:
    """The options of each host, from `ssh -G`. Without OpenSSH, only the entry counts, and the user
    is informed about the `unused` file.

    Answers are cached: make one instance for each attempt. `named` is the argument of `ssh -F`;
    None: the default files."""

    def __init__(
        self,
        named: Path | None = None,
        *,
        find_ssh: Callable[[], str | None] = _find_ssh,
        user: LocalUser | None = None,
        defaults: ssh_g.Defaults = _DEFAULTS,
    ) -> None:
        self._named = named
        self._find_ssh = find_ssh
        self._user = user or this_user()
        self._known: dict[Query, HostConfig] = {}
        self._defaults = defaults

    @cached_property
    def unused(self) -> Path | None:
        """The file with settings for connections that no OpenSSH can read."""
        if self._find_ssh() is not None:
            return None
        return first_that_matters(usual_places(self._user.home, self._named))

    def host(self, query: Query, cancel: CancelToken) -> HostConfig:
        """Raises `SshConfigError`, `ProblemError` when `ssh` does not answer, and `Cancelled`."""
        found = self._known.get(query)
        if found is None:
            found = self._known[query] = self._look_up(query, cancel)
        return found

    @property
    def note(self) -> str:
        """Text for the user about the `unused` file, if there is one."""
        return f"{self.unused} is not used. {install_advice()}" if self.unused else ""

    def _look_up(self, query: Query, cancel: CancelToken) -> HostConfig:
        user = self._user
        ssh = self._find_ssh()
        if ssh is not None:
            with self._defaults.of(ssh, cancel) as defaults:
                raw = ssh_g.ask(ssh, query, self._named, defaults, cancel)
        else:
            asked = {"user": query.user or "", "port": str(query.port or "")}
            raw = RawOptions(
                {keyword: (value,) for keyword, value in asked.items() if value},
                notes=(self.note,) if self.note else (),
            )
        return interpret(
            raw, query, home=user.home, local_user=user.user, environment=user.environment
        )


if sys.platform == "win32":

    def this_user() -> LocalUser:
        """The user who runs this program."""
        return LocalUser(Path.home(), getpass.getuser())
else:
    import pwd

    def this_user() -> LocalUser:
        """The user who runs this program."""
        try:
            entry = pwd.getpwuid(os.getuid())
        except KeyError:
            # Without a free descriptor, the user database cannot be read: this raises OSError then.
            os.close(os.open(os.devnull, os.O_RDONLY))
            return LocalUser(Path.home(), getpass.getuser())
        return LocalUser(Path(entry.pw_dir), entry.pw_name)
