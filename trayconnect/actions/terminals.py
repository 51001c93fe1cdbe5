"""Opens the system's terminal program with ssh to a server."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from trayconnect.config.model import Server, require_ssh
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.subprocesses import path_for_others
from trayconnect.desktop.default_programs import OnFailure
from trayconnect.desktop.terminal_launcher import open_terminal
from trayconnect.ssh.auth import pasted_key
from trayconnect.ssh.config.command_line import SshClient, ssh_command
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts


def terminal_command(server: Server, ssh_config: Path | None) -> list[str]:
    """The ssh command for a server. Raises `ProblemError`."""
    require_ssh(server)
    ssh = shutil.which("ssh")
    if ssh is None:
        advice = "Install OpenSSH's client (on Debian and Ubuntu: apt install openssh-client)."
        raise ProblemError(Problem("The program ssh is not installed", advice))
    kept = pasted_key.place(pasted_key.default_folder(), server.name)
    known_hosts = KnownHosts.default().own
    means = SshClient(
        ssh=ssh,
        config=path_for_others(ssh_config) if ssh_config is not None else None,
        keys=(path_for_others(kept),) if kept.is_file() else (),
        known_hosts=path_for_others(known_hosts)
        if known_hosts is not None and known_hosts.is_file()
        else None,
        has_posix_shell=sys.platform != "win32",
    )
    return ssh_command(server, means)


def open_terminal_on(
    server: Server, ssh_config: Path | None, on_failure: OnFailure = lambda _: None
) -> None:
    """Open a window. Raises `ProblemError`."""
    open_terminal(terminal_command(server, ssh_config), on_failure=on_failure)
