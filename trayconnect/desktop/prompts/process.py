"""Asks through another process, which is ended when the question is withdrawn."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.questions import Question
from trayconnect.desktop import programs
from trayconnect.desktop.helper_process import Lifeline

ANSWER_LIMIT = 1800.0
"""Seconds after which an unanswered question is withdrawn."""


class NotShownError(Exception):
    """The user has not seen the question, so another backend may ask it; the text says why."""


@dataclass(frozen=True, slots=True)
class HelperResult:
    """The result of the process. `output` may hold a secret."""

    status: int
    output: bytes = field(repr=False)
    complaint: str


def converse(
    argv: Sequence[str],
    environment: dict[str, str],
    first_line: bytes | None,
    question: Question,
    cancel: CancelToken,
    limit: float = ANSWER_LIMIT,
    first_output_limit: float | None = None,
    started: Callable[[Lifeline], object] = lambda _: None,
) -> HelperResult:
    """Run the process to its end. It is ended when `cancel` is set, which raises `Cancelled`; after
    `limit` seconds, which raises `ProblemError`; and when the app ends, if it watches its lifeline.

    `first_line`: the first line of its input; None for a process that ends with its stdin.
    `first_output_limit`: seconds within which it must have written something (not checked on
    Windows). Raises `NotShownError` if it has not, or cannot be started. `started` gets its
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
    end = line.close if first_line is None else process.kill
    # It may read slowly; ending it ends the write.
    writer = threading.Thread(
        target=line.send, args=[first_line or b""], name="tc-question", daemon=True
    )
    with process:
        try:
            if first_line is not None:
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
    return HelperResult(
        process.returncode, output, complaint.decode(errors="replace").strip()[-2000:]
    )


def _communicate(
    process: subprocess.Popen[bytes], limit: float, first_output_limit: float | None
) -> tuple[bytes, bytes]:
    # On Windows, communicate loses the output at a timeout.
    if first_output_limit is not None and first_output_limit < limit and sys.platform != "win32":
        try:
            return process.communicate(timeout=first_output_limit)
        except subprocess.TimeoutExpired as error:
            if not error.output:
                raise NotShownError(f"not shown within {first_output_limit:g} s") from error
        return process.communicate(timeout=limit - first_output_limit)  # still running
    return process.communicate(timeout=limit)


def unanswered(question: Question, limit: float) -> ProblemError:
    minutes = round(limit / 60)
    waited = f"{minutes} minutes" if minutes > 1 else f"{limit:g} seconds"
    return ProblemError(
        Problem(
            f"{question.server}: nobody answered the question",
            f"It was open for {waited} and has been withdrawn. Connect again to be asked again.",
            Recovery.USER_ACTION,
            detail=question.title,
        )
    )


def broke(question: Question, detail: str) -> ProblemError:
    """The backend failed after the user may have seen the question."""
    return ProblemError(
        Problem(
            f"{question.server}: the window that asks has crashed",
            "Connect again to be asked again. If it keeps crashing, run "
            "`trayconnect run --no-tray` in a terminal and answer there.",
            Recovery.USER_ACTION,
            detail=detail,
        )
    )
