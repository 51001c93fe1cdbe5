"""Stopping a Jupyter from the menu: a question first where something would be lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from trayconnect.cancel import Cancel
from trayconnect.errors import Cancelled, ProblemError, unforeseen
from trayconnect.jupyter_orders import JupyterOrders
from trayconnect.ports import Notice, Notifier, Prompter, Question, QuestionKind

logger = logging.getLogger(__name__)

JOIN_LIMIT = 5.0
NAMED = 5
"""Notebooks that the question names."""


@dataclass(frozen=True, slots=True)
class _Stop:
    thread: threading.Thread
    cancel: Cancel


class JupyterStops:
    """One conversation a server, on a thread of its own: a question may stay open for hours, and
    the menu must go on. From any thread."""

    def __init__(self, orders: JupyterOrders, prompter: Prompter, notifier: Notifier) -> None:
        self._orders = orders
        self._prompter = prompter
        self._notifier = notifier
        self._lock = threading.Lock()
        self._under_way: dict[str, _Stop] = {}

    def begin(self, name: str) -> None:
        """Returns at once. While one is under way, its question comes to the front."""
        cancel = Cancel()
        thread = threading.Thread(
            target=self._run, args=(name, cancel), name=f"tc-stop-jupyter {name}", daemon=True
        )
        with self._lock:
            before = self._under_way.get(name)
            asking = before is not None and before.thread.is_alive()
            if not asking:
                self._under_way[name] = _Stop(thread, cancel)
                thread.start()
        if asking:
            self._prompter.bring_to_front()

    def close(self) -> None:
        """Withdraw what is under way, and join the threads."""
        with self._lock:
            stops = tuple(self._under_way.values())
            self._under_way.clear()
        for stop in stops:
            stop.cancel.set()
        for stop in stops:
            stop.thread.join(JOIN_LIMIT)

    def _run(self, name: str, cancel: Cancel) -> None:
        try:
            busy = self._orders.busy_kernels(name, cancel)
            if busy and self._prompter.ask(question(name, busy), cancel) is None:
                return
            self._orders.stop(name, cancel)
        except Cancelled:
            return
        except ProblemError as error:
            problem = error.problem
            logger.warning("%s: %s (%s)", name, problem, problem.detail)
            self._notifier.notify(Notice.of(f"stop {name}", problem, asked=True))
            return
        except Exception as error:
            logger.exception("%s: stopping Jupyter failed in a way nobody foresaw", name)
            self._notifier.notify(Notice.of(f"stop {name}", unforeseen(error), asked=True))
            return
        done = Notice(f"stop {name}", f"Jupyter on {name} was stopped", passing=True, asked=True)
        self._notifier.notify(done)


def question(name: str, busy: Sequence[str]) -> Question:
    """Whether to stop it all the same; the safe answer is no."""
    return Question(
        kind=QuestionKind.CONFIRM,
        server=name,
        title=f"Stop Jupyter on {name}?",
        message=f"{busy_words(busy)}\nWhat they compute will be lost.",
        confirm="Stop Jupyter",
    )


def busy_words(busy: Sequence[str]) -> str:
    """What is busy, in a sentence."""
    named = ", ".join(busy[:NAMED])
    more = f" and {len(busy) - NAMED} more" if len(busy) > NAMED else ""
    count = "A kernel is" if len(busy) == 1 else f"{len(busy)} kernels are"
    return f"{count} busy: {named}{more}."
