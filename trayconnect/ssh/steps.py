"""A coroutine that waits for futures of any thread, and blocks none meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from trayconnect.core.errors import ProblemError, unforeseen

log = logging.getLogger(__name__)

T = TypeVar("T")

Steps = Coroutine["Future[Any]", None, T]
"""`async def` functions that await nothing but `Answer`."""


class Answer(Generic[T]):
    """Await it for the result of a future."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def __await__(self) -> Generator[Future[Any], None, T]:
        if not self._future.done():
            yield self._future
        return self._future.result()


def run(
    steps: Steps[T], on_result: Callable[[T], None], on_error: Callable[[ProblemError], None]
) -> None:
    """Run the steps on this thread up to the first that waits, and each of the others on the thread
    that completes the future before. One of the callbacks is called, where the last step ran."""
    try:
        future = steps.send(None)
    except StopIteration as done:
        on_result(done.value)
    except ProblemError as error:
        on_error(error)
    except Exception as error:
        log.exception("a bug")
        on_error(ProblemError(unforeseen(error)))
    else:
        future.add_done_callback(lambda _: run(steps, on_result, on_error))


def run_blocking(steps: Steps[T], wait: Callable[[Future[Any]], object]) -> T:
    """Run all steps on this thread. `wait` blocks until the future is done, and may raise instead:
    that is raised inside the steps. Raises what they raise."""
    try:
        future = steps.send(None)
        while True:
            try:
                wait(future)
            except Exception as error:  # noqa: BLE001 - the steps decide
                future = steps.throw(error)
            else:
                future = steps.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
