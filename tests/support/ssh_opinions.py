"""What OpenSSH's `ssh` says of a host, and what this program makes of it."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from trayconnect.core.cancellation import CancelToken
from trayconnect.ssh.config import ssh_g
from trayconnect.ssh.config.interpret import HostConfig, interpret
from trayconnect.ssh.config.ssh_options import Query, RawOptions

HOME = Path("/home/ada")
"""What `~` stands for where this program expands it."""


def ssh() -> str:
    path = shutil.which("ssh")
    assert path is not None, "openssh-client is not installed"
    return path


def host(
    query: Query | str, text: str = "", environment: Mapping[str, str] | None = None
) -> HostConfig:
    """By a configuration of that text alone. Raises `SshConfigError`."""
    query = Query(query) if isinstance(query, str) else query
    with tempfile.TemporaryDirectory(prefix="tc-sshcfg-") as folder:
        file = Path(folder, "config")
        file.touch(0o600)
        file.write_text(text)
        said = ssh_g.ask(ssh(), query, file, _usual, CancelToken())
    return _interpreted(said, query, environment)


def decided(query: Query, **said: str) -> HostConfig:
    """By what an `ssh` of another version may say; by keyword. Raises `SshConfigError`."""
    values = {"hostname": query.host, "user": query.user or "ada", **said}
    return _interpreted(RawOptions({key: (value,) for key, value in values.items()}), query, None)


def _interpreted(
    said: RawOptions, query: Query, environment: Mapping[str, str] | None
) -> HostConfig:
    environment = os.environ if environment is None else environment
    return interpret(said, query, home=HOME, local_user="ada", environment=environment)


@functools.cache
def _usual() -> ssh_g.Settings:
    return ssh_g.defaults_of(ssh(), CancelToken())
