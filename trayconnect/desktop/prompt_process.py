"""Asking through another process, which is ended when the question is withdrawn."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trayconnect.cancel import Cancel
from trayconnect.desktop import programs
from trayconnect.desktop.lifeline import Lifeline
from trayconnect.errors import Problem, ProblemError, Remedy
from trayconnect.ports import Question

ANSWER_LIMIT = 1800.0
"""Seconds after which a question that nobody answers is withdrawn."""


class NotShownError(Exception):
    """The user has not seen the question, so that another way may ask it; the text says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """How the process ended. `output` may hold a secret."""

    status: int
    output: bytes
    complaint: str


def converse(
    argv: Sequence[str],
    environment: dict[str, str],
    told: bytes | None,
    question: Question,
    cancel: Cancel,
    limit: float = ANSWER_LIMIT,
    first_output_limit: float | None = None,
    started: Callable[[Lifeline], object] = lambda _: None,
) -> Result:
    """Run the process to its end. It is ended when `cancel` is set, which raises `Cancelled`, and
    after `limit` seconds, which raises `ProblemError`. When this program is killed, a process that
    watches its stdin ends, too.

    `told`: the first line for it; None for a process that is to be ended by closing its stdin.
    `first_output_limit`: seconds within which it must have written something (not looked at on
    Windows). Raises `NotShownError` if it has not, or cannot be started. `started` is given its
    lifeline, which is closed when this returns."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            creationflags=programs.no_console(),
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        raise NotShownError(f"{argv[0]}: {error}") from error
    line = Lifeline(process)
    end = line.close if told is None else process.kill
    # It may be slow to read; ending it ends the writing.
    writer = threading.Thread(target=line.send, args=[told or b""], name="tc-question", daemon=True)
    with process:
        try:
            if told is not None:
                writer.start()
            started(line)
            with cancel.releasing(end):
                output, complaint = _communicate(process, limit, first_output_limit)
        except subprocess.TimeoutExpired as error:
            raise unanswered(question, limit) from error
        finally:
            end()
            if writer.is_alive():
                writer.join()
            line.close()
    return Result(process.returncode, output, complaint.decode(errors="replace").strip()[-2000:])


def _communicate(
    process: subprocess.Popen[bytes], limit: float, first_output_limit: float | None
) -> tuple[bytes, bytes]:
    # On Windows, communicate does not tell what it has read when it runs out of time.
    if first_output_limit is not None and first_output_limit < limit and sys.platform != "win32":
        try:
            return process.communicate(timeout=first_output_limit)
        except subprocess.TimeoutExpired as error:
            if not error.output:
                raise NotShownError(f"not shown within {first_output_limit:g} s") from error
        return process.communicate(timeout=limit - first_output_limit)  # it goes on
    return process.communicate(timeout=limit)


def unanswered(question: Question, limit: float) -> ProblemError:
    minutes = round(limit / 60)
    waited = f"{minutes} minutes" if minutes > 1 else f"{limit:g} seconds"
    return ProblemError(
        Problem(
            f"{question.server}: nobody answered the question",
            f"It was open for {waited} and has been withdrawn. Connect again to be asked again.",
            Remedy.USER,
            detail=question.title,
        )
    )


def broke(question: Question, detail: str) -> ProblemError:
    """The way of asking broke after the user may have seen the question."""
    return ProblemError(
        Problem(
            f"{question.server}: the window that asks has crashed",
            "Connect again to be asked again. If it keeps crashing, run "
            "`trayconnect run --no-tray` in a terminal and answer there.",
            Remedy.USER,
            detail=detail,
        )
    )
