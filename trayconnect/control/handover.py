"""A start of the program: become the running app, or hand over to the one there is."""

from __future__ import annotations

import time

from trayconnect.control.client import ControlClient, NotRunningError
from trayconnect.control.lock import InstanceLock, owner_pid
from trayconnect.control.protocol import Reply
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError, Recovery

SHOW = Command("show")
"""A second start shows what the first one does."""
_PAUSE_SECONDS = 0.05


def claim(
    lock: InstanceLock,
    client: ControlClient,
    command: Command = SHOW,
    timeout: float = 10,
) -> Reply | None:
    """None: `lock` is held now, and this process is the app. Else the reply of the app that runs
    already to `command`.

    An owner that has the lock but isn't listening is just starting, or quitting: it is waited for
    up to `timeout` seconds, and followed when it goes. Raises `ProblemError`.
    """
    deadline = time.monotonic() + timeout
    while True:
        if lock.acquire():
            return None
        is_late = time.monotonic() + _PAUSE_SECONDS >= deadline
        try:
            reply = client.call(command, max(_PAUSE_SECONDS, deadline - time.monotonic()))
        except NotRunningError as error:
            if is_late:
                raise _stuck(lock) from error
        except ProblemError as error:
            if is_late or error.problem.recovery is not Recovery.RETRY:
                raise
        else:
            if is_late or not _is_quitting(reply):
                return reply
        time.sleep(_PAUSE_SECONDS)


def _is_quitting(reply: Reply) -> bool:
    return reply.problem is not None and reply.problem.recovery is Recovery.RETRY


def _stuck(lock: InstanceLock) -> ProblemError:
    pid = owner_pid(lock.folder)
    process = f"process {pid}" if pid else "its process"
    return ProblemError(
        Problem(
            "trayconnect is running but cannot be reached",
            f"End {process}, and start it again with: trayconnect",
        )
    )
