"""An account whose password has expired, on a server that let its owner in all the same.

sshd then forwards nothing, and runs nothing but the change of the password, for which it wants a
terminal (OpenSSH's auth-pam.c and session.c)."""

from __future__ import annotations

from trayconnect.errors import ProblemError
from trayconnect.ports import Completed
from trayconnect.tunnel.execute import execute
from trayconnect.tunnel.target import Target
from trayconnect.tunnel.transport import SshTransport

_SIGN = b"Password change required"
_SECONDS = 5.0


def said(completed: Completed) -> bool:
    """Whether a command was refused for it."""
    return completed.status != 0 and _SIGN in completed.stderr


def found(transport: SshTransport, target: Target) -> bool:
    """Whether it is so; runs a command to find out."""
    try:
        return said(execute(transport, target, "exit 0", b"", _SECONDS))
    except ProblemError:
        return False
