"""Asking through another process, which is ended when the question is withdrawn."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from trayconnect.cancel import Cancel
from trayconnect.desktop import programs
from trayconnect.errors import Problem, ProblemError, Remedy
from trayconnect.ports import Question

ANSWER_LIMIT = 1800.0
"""Seconds after which a question that nobody answers is withdrawn."""


@dataclass(frozen=True, slots=True)
class Result:
    """How the process ended. `output` may hold a secret."""

    status: int
    output: bytes
    complaint: str


def converse(
    argv: Sequence[str],
    environment: dict[str, str],
    stdin: bytes,
    question: Question,
    cancel: Cancel,
    limit: float = ANSWER_LIMIT,
) -> Result:
    """Run the process to its end. It is killed and reaped when `cancel` is set, which raises
    `Cancelled`, and after `limit` seconds, which raises `ProblemError`."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            creationflags=programs.no_console(),
        )
    except OSError as error:
        raise cannot_ask(question, f"{argv[0]}: {error.strerror}") from error
    with process:
        try:
            with cancel.releasing(process.kill):
                output, complaint = process.communicate(stdin, timeout=limit)
        except subprocess.TimeoutExpired as error:
            raise unanswered(question) from error
        finally:
            process.kill()
    return Result(process.returncode, output, complaint.decode(errors="replace").strip()[-2000:])


def unanswered(question: Question) -> ProblemError:
    return ProblemError(
        Problem(
            f"{question.server}: nobody answered the question",
            "Connect again to be asked again.",
            Remedy.USER,
            detail=question.title,
        )
    )


def cannot_ask(question: Question, detail: str) -> ProblemError:
    """The way of asking broke."""
    return ProblemError(
        Problem(
            f"{question.server}: the window that asks could not be shown",
            "Log in with a key or an agent, so that nothing needs to be asked; or run "
            "`trayconnect run --no-tray` in a terminal and answer there.",
            Remedy.USER,
            detail=detail,
        )
    )
