"""A limit for an attempt that a `CancelToken` ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.threads import deadline


@contextmanager
def limited(cancel: CancelToken, seconds: float, what: str) -> Iterator[CancelToken]:
    """A token that is set with `cancel`, and after so many seconds; what ends by the latter raises
    a `ProblemError`."""
    token = CancelToken()
    with cancel.releasing(token.set), deadline(seconds, token.set):
        try:
            yield token
        except Cancelled as error:
            cancel.check()
            problem = Problem(f"{what} took more than {seconds:g} s", "", Recovery.RETRY)
            raise ProblemError(problem) from error
