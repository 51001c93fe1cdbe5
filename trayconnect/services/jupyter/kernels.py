"""Reads what Jupyter's REST API says of its kernels; what is malformed is skipped.

The answers are those of jupyter_server, which notebook 6 has too, and of the extension
jupyter-resource-usage. No request counts as activity, so that an idle server still shuts itself
down: `no_track_activity` of jupyter_server, and `/api/status`, which never counts."""

from __future__ import annotations

import json
import posixpath
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from trayconnect.core import sanitize
from trayconnect.services.dialling import ProbeError
from trayconnect.services.http_client import Response
from trayconnect.services.jupyter.model import Kernel, Kernels, KernelState, Memory

NAME_LENGTH = 80
"""Characters; the path of a notebook may be much longer."""


def kernel_count(status: bytes) -> int | None:
    """How many kernels run, by `GET /api/status`; None if unknown."""
    count = _mapping(_decoded(status)).get("kernels")
    return count if isinstance(count, int) else None


def kernels(
    answer: bytes, names: Mapping[str, str], ahead: float = 0.0
) -> tuple[Kernel, ...] | None:
    """The kernels of `GET /api/kernels`. `names`: those of notebooks, by kernel id; `ahead`:
    seconds that the server's clock is ahead of ours. None if it is not a list."""
    said = _decoded(answer)
    if not isinstance(said, list):
        return None
    return tuple(_kernels(said, names, ahead))


def notebooks(answer: bytes) -> dict[str, str]:
    """The names of notebooks and consoles by kernel id, of `GET /api/sessions`."""
    said = _decoded(answer)
    names = {}
    for session in said if isinstance(said, list) else ():
        entry = _mapping(session)
        kernel = _text(_mapping(entry.get("kernel")), "id")
        # The path of a console is random; the name of a notebook may be empty.
        path = _text(entry, "path") or _text(_mapping(entry.get("notebook")), "path")
        name = _text(entry, "name") or posixpath.basename(path)
        if kernel and name:
            names[kernel] = sanitize.line(name, NAME_LENGTH)
    return names


def memory(answer: bytes) -> Memory | None:
    """Memory of the server and its kernels, of `GET /api/metrics/v1`."""
    said = _mapping(_decoded(answer))
    # PSS counts shared pages once; not every system has it.
    used = _size(said.get("pss")) or _size(said.get("rss"))
    if used is None:
        return None
    limits = _mapping(_mapping(said.get("limits")).get("memory"))
    return Memory(used, _size(limits.get("pss")) or _size(limits.get("rss")))


def _kernels(said: list[Any], names: Mapping[str, str], ahead: float) -> Iterator[Kernel]:
    for item in said:
        entry = _mapping(item)
        name = sanitize.exact(entry.get("id"))
        if name:
            active = _time(_text(entry, "last_activity"))
            yield Kernel(
                id=name,
                name=names.get(name) or sanitize.line(_text(entry, "name"), NAME_LENGTH),
                state=_STATES.get(_text(entry, "execution_state"), KernelState.OTHER),
                last_activity=None if active is None else active - ahead,
            )


_STATES = {"busy": KernelState.BUSY, "idle": KernelState.IDLE}


def _decoded(answer: bytes) -> object:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _size(value: object) -> int | None:
    """A whole number of bytes above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**62:
        return None
    return int(value)


def _time(text: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 time such as 2026-11-25T22:56:58.123456Z."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


CLOCK_NOISE = 10.0
"""Seconds: an answer may be as late as that, and its Date has no fractions."""

Get = Callable[[str], Response]
"""GETs a path below the base URL, logged in. Raises `ProbeError` and `Cancelled`."""

_UNTRACKED = "?no_track_activity=1"
_KERNELS, _SESSIONS, _MEMORY = (
    f"{path}{_UNTRACKED}" for path in ("api/kernels", "api/sessions", "api/metrics/v1")
)
PATHS = (_KERNELS, _SESSIONS, _MEMORY)
"""What the first check of a server asks for while kernels run."""


class KernelWatch:
    """What is known of the kernels of one server. For one thread at a time."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._nameless: frozenset[str] = frozenset()
        """Kernels without a session."""
        self._tells_memory = True

    def check(self, get: Get, status: bytes) -> Kernels | None:
        """What runs there now; `status` is the answer of `/api/status`. None if unknown.

        Sends one request while kernels run, one more for the memory if the server has it, and one
        for names after a new kernel. Raises `Cancelled`."""
        if kernel_count(status) == 0:
            self._names = {}
            return Kernels()
        answer = _answer(get, _KERNELS)
        if answer is None:
            return None
        ahead = clock_ahead(answer, time.time())
        running = kernels(answer.body, self._names, ahead)
        if running is None:
            return None
        ids = frozenset(kernel.id for kernel in running)
        if ids - self._names.keys() - self._nameless:
            sessions = _answer(get, _SESSIONS)
            self._names = {} if sessions is None else notebooks(sessions.body)
            running = kernels(answer.body, self._names, ahead) or ()
            self._nameless = ids - self._names.keys()
        return Kernels(running, self._memory(get))

    def _memory(self, get: Get) -> Memory | None:
        """Of the extension jupyter-resource-usage; a server without it is asked once."""
        if not self._tells_memory:
            return None
        try:
            answer = get(_MEMORY)
        except ProbeError:
            return None
        self._tells_memory = answer.status != HTTPStatus.NOT_FOUND
        return memory(answer.body) if answer.status == HTTPStatus.OK else None


def clock_ahead(answer: Response, now: float) -> float:
    """Seconds that the server's clock is ahead of ours, by the Date of its answer (RFC 9110, whole
    seconds); 0 within `CLOCK_NOISE`."""
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
