"""Two opinions on a configuration of SSH: OpenSSH's, and that of our own reader."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from trayconnect.core.cancellation import CancelToken
from trayconnect.ssh.config import reader, ssh_g
from trayconnect.ssh.config.algorithm_lists import KNOWN, SupportedAlgorithms
from trayconnect.ssh.config.files import DiskFiles, Places
from trayconnect.ssh.config.interpret import HostConfig, interpret
from trayconnect.ssh.config.raw_options import Query, RawOptions
from trayconnect.ssh.config.ssh_config import this_user

_OF_KIND = {
    "kexalgorithms": "kex",
    "ciphers": "cipher",
    "macs": "mac",
    "hostkeyalgorithms": "HostKeyAlgorithms",
    "casignaturealgorithms": "sig",
    "pubkeyacceptedalgorithms": "PubkeyAcceptedAlgorithms",
}


def ssh() -> str:
    path = shutil.which("ssh")
    assert path is not None, "openssh-client is not installed"
    return path


@functools.cache
def algorithms() -> dict[str, SupportedAlgorithms]:
    """What this machine's `ssh` knows."""
    return {
        keyword: SupportedAlgorithms(
            tuple(_usual()[keyword][0].split(",")),
            tuple(
                subprocess.run(
                    [ssh(), "-Q", _OF_KIND[keyword]], capture_output=True, text=True, check=True
                ).stdout.split()
            ),
        )
        for keyword in KNOWN
    }


def by_ssh(query: Query, file: Path) -> HostConfig:
    """What `ssh -G` says. Raises `SshConfigError`."""
    return _interpret(ssh_g.ask(ssh(), query, file, _usual(), CancelToken()), query)


@functools.cache
def _usual() -> ssh_g.Settings:
    return ssh_g.defaults_of(ssh(), CancelToken())


def by_reader(query: Query, file: Path) -> HostConfig:
    """What our own reader says. Raises `SshConfigError`."""
    here = this_user()
    said = reader.read(
        query,
        DiskFiles(),
        Places(here.home, file),
        local_user=here.user,
        environment=here.environment,
        known=algorithms(),
    )
    return _interpret(said, query)


def _interpret(said: RawOptions, query: Query) -> HostConfig:
    here = this_user()
    found = interpret(
        said, query, home=here.home, local_user=here.user, environment=here.environment
    )
    # `ssh -G` prints them kind by kind.
    return replace(found, forwards=tuple(sorted(found.forwards, key=lambda one: one.kind)))
