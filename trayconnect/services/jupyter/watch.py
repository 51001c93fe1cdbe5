"""Watching the kernels of a Jupyter that takes our token.

Nothing that is asked counts as activity there, so that an idle server still shuts itself down:
`no_track_activity` of jupyter_server, and `/api/status`, which never counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from trayconnect.services.jupyter import kernels
from trayconnect.services.jupyter.dial import ProbeError
from trayconnect.services.jupyter.probe import Response
from trayconnect.services.model import Kernels, Memory

CLOCK_NOISE = 10.0
"""Seconds: an answer may take as long on its way, and its Date has no fractions."""

Get = Callable[[str], Response]
"""GETs a path below the base URL, logged in. Raises `ProbeError` and `Cancelled`."""

_UNTRACKED = "?no_track_activity=1"


class KernelWatch:
    """What is known of one server's kernels beside their state. For one thread at a time."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._nameless: frozenset[str] = frozenset()
        """Kernels of which no session told a name."""
        self._tells_memory = True

    def look(self, get: Get, status: bytes) -> Kernels | None:
        """What runs there now; `status` is what `/api/status` said. None where it does not tell.

        One request where kernels run, and one more for the memory where it is told; the names are
        asked for when there is a new kernel. Raises `Cancelled`."""
        if kernels.kernel_count(status) == 0:
            self._names = {}
            return Kernels()
        answer = _answer(get, f"api/kernels{_UNTRACKED}")
        if answer is None:
            return None
        ahead = clock_ahead(answer, time.time())
        running = kernels.kernels(answer.body, self._names, ahead)
        if running is None:
            return None
        ids = frozenset(kernel.id for kernel in running)
        if ids - self._names.keys() - self._nameless:
            sessions = _answer(get, f"api/sessions{_UNTRACKED}")
            self._names = {} if sessions is None else kernels.notebooks(sessions.body)
            running = kernels.kernels(answer.body, self._names, ahead) or ()
            self._nameless = ids - self._names.keys()
        return Kernels(running, self._memory(get))

    def _memory(self, get: Get) -> Memory | None:
        """Of the extension jupyter-resource-usage, which is asked once whether it is there."""
        if not self._tells_memory:
            return None
        try:
            answer = get(f"api/metrics/v1{_UNTRACKED}")
        except ProbeError:
            return None
        self._tells_memory = answer.status != HTTPStatus.NOT_FOUND
        return kernels.memory(answer.body) if answer.status == HTTPStatus.OK else None


def clock_ahead(answer: Response, now: float) -> float:
    """Seconds that the server's clock is ahead of ours, by the Date of its answer (RFC 9110, whole
    seconds); 0 where they agree as far as that tells."""
    try:
        ahead = parsedate_to_datetime(answer.headers.get("date", "")).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0
    return ahead if abs(ahead) > CLOCK_NOISE else 0.0


def _answer(get: Get, path: str) -> Response | None:
    try:
        answer = get(path)
    except ProbeError:
        return None
    return answer if answer.status == HTTPStatus.OK else None
