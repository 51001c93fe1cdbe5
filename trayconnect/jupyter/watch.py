"""Watching the kernels of a Jupyter that takes our token.

Nothing that is asked counts as activity there, so that an idle server still shuts itself down:
`no_track_activity` of jupyter_server, and `/api/status`, which never counts.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from trayconnect.jupyter import kernels
from trayconnect.jupyter.dial import ProbeError
from trayconnect.jupyter.probe import Response
from trayconnect.ports import Kernels, Memory

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
        answer = _body(get, f"api/kernels{_UNTRACKED}")
        running = None if answer is None else kernels.kernels(answer, self._names)
        if answer is None or running is None:
            return None
        ids = frozenset(kernel.id for kernel in running)
        if ids - self._names.keys() - self._nameless:
            sessions = _body(get, f"api/sessions{_UNTRACKED}")
            self._names = {} if sessions is None else kernels.notebooks(sessions)
            running = kernels.kernels(answer, self._names) or ()
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


def _body(get: Get, path: str) -> bytes | None:
    try:
        answer = get(path)
    except ProbeError:
        return None
    return answer.body if answer.status == HTTPStatus.OK else None
