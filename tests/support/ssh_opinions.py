"""Two opinions on a configuration of SSH: OpenSSH's, and that of our own reader."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from trayconnect.cancel import Cancel
from trayconnect.config.openssh import ask_ssh, reader
from trayconnect.config.openssh.algorithm_lists import KNOWN, Known
from trayconnect.config.openssh.files import DiskFiles, Places
from trayconnect.config.openssh.hosts import this_user
from trayconnect.config.openssh.interpret import HostConfig, interpret
from trayconnect.config.openssh.said import Query, Said

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
def algorithms() -> dict[str, Known]:
    """What this machine's `ssh` knows."""
    return {
        keyword: Known(
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
    return _interpret(ask_ssh.ask(ssh(), query, file, _usual(), Cancel()), query)


@functools.cache
def _usual() -> ask_ssh.Settings:
    return ask_ssh.usual(ssh(), Cancel())


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


def _interpret(said: Said, query: Query) -> HostConfig:
    here = this_user()
    found = interpret(
        said, query, home=here.home, local_user=here.user, environment=here.environment
    )
    # `ssh -G` prints them kind by kind.
    return replace(found, forwards=tuple(sorted(found.forwards, key=lambda one: one.kind)))
