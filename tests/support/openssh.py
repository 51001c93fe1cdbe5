"""OpenSSH's own client, to see what it would do."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.sshd import Sshd


def ssh_connects(sshd: Sshd, identity: Path, known_hosts: Path, *options: str) -> bool:
    """Whether ssh logs in, without asking anything, when it knows just `known_hosts`."""
    settings = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={known_hosts}",
        "GlobalKnownHostsFile=none",
        "UpdateHostKeys=no",
        "IdentitiesOnly=yes",
        "ConnectTimeout=30",
        *options,
    ]
    command = ["ssh", "-F", "none", "-i", str(identity), "-p", str(sshd.port)]
    for setting in settings:
        command += ["-o", setting]
    done = subprocess.run(
        [*command, sshd.host, "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode == 0
