"""Detects an account with an expired password on a server that accepted the login all the same.

sshd then forwards nothing, and runs nothing but the change of the password, for which it wants a
terminal (OpenSSH's auth-pam.c and session.c)."""

from __future__ import annotations

from trayconnect.core.errors import ProblemError
from trayconnect.core.link import Completed
from trayconnect.ssh.execute import execute
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.ssh_transport import SshTransport

_SIGN = b"Password change required"
_SECONDS = 5.0


def is_reported(completed: Completed) -> bool:
    """Whether a command was refused because the password has expired."""
    return completed.status != 0 and _SIGN in completed.stderr


def found(transport: SshTransport, target: LoginTarget) -> bool:
    """Whether the password has expired; runs a command to find out."""
    try:
        return is_reported(execute(transport, target, "exit 0", b"", _SECONDS))
    except ProblemError:
        return False
