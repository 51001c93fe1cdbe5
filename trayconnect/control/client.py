"""A command's end of the control socket, and the start of a second app, which hands over to the
first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trayconnect.control.lock import InstanceLock, owner_pid
from trayconnect.control.protocol import (
    REPLY_MAX,
    ProtocolError,
    Reply,
    VersionError,
    decode_reply,
    encode_request,
)
from trayconnect.control.transport import Transport, default_transport, seconds_left
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.subprocesses import let_come_forward

_RESTART = "Quit it from its menu, and start it again with: trayconnect"


class NotRunningError(ProblemError):
    """There is no running app."""


class ControlClient:
    """Sends commands to the running app of `folder`, each over a connection of its own. From any
    thread."""

    def __init__(self, folder: Path, *, transport: Transport | None = None) -> None:
        self._folder = folder
        self._transport = transport or default_transport()

    def call(self, command: Command, timeout: float = 10) -> Reply:
        """The app's reply, which may hold a problem.

        `timeout` is in seconds, in addition to what the command asks to wait.
        Raises `NotRunningError` when there is no app, and `ProblemError` for everything else."""
        deadline = time.monotonic() + timeout + (command.wait or 0)
        try:
            line = encode_request(command)
        except ProtocolError as error:
            raise _problem(
                "The request cannot be sent", "Check the name and the seconds to wait.", error
            ) from error
        let_come_forward()  # it may open a window for this, or ask a question
        with explained(self._folder):
            return self._exchange(line, deadline)

    def _exchange(self, line: bytes, deadline: float) -> Reply:
        link = self._transport.connect(self._folder, seconds_left(deadline))
        try:
            link.authenticate(seconds_left(deadline))
            link.send(line, seconds_left(deadline))
            return decode_reply(link.receive(REPLY_MAX, seconds_left(deadline)))
        finally:
            link.close()


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Raise what a failed exchange with the running app of `folder` means: a `ProblemError`."""
    try:
        yield
    except VersionError as error:
        title = "The running trayconnect is of another version than this command"
        raise _problem(title, _RESTART, error) from error
    except ProtocolError as error:
        raise _problem(
            "The answer of the running trayconnect makes no sense", _RESTART, error
        ) from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotRunningError(
            Problem("trayconnect is not running", "Start it with: trayconnect")
        ) from error
    except PermissionError as error:
        raise _problem(
            "The control socket belongs to another user",
            f"Remove {folder} and start trayconnect again.",
            error,
        ) from error
    except TimeoutError as error:
        raise _silent(folder, error) from error
    except (EOFError, OSError) as error:
        raise _problem(
            "trayconnect hung up without an answer",
            "It may be quitting, or busy: try again in a moment.",
            error,
            Recovery.RETRY,
        ) from error


def _silent(folder: Path, error: TimeoutError) -> ProblemError:
    pid = owner_pid(folder)
    process = f"process {pid}" if pid else "its process"
    return _problem(
        "trayconnect is running but does not answer",
        f"Try again; if it stays so, end {process} and start it with: trayconnect",
        error,
        Recovery.RETRY,
    )


def _problem(
    title: str, advice: str, error: Exception, recovery: Recovery = Recovery.FIX_FIRST
) -> ProblemError:
    return ProblemError(Problem(title, advice, recovery, detail=str(error)))


SHOW = Command("show")
"""Sent by a second start."""
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
