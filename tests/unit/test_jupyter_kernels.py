"""What is asked of a Jupyter about its kernels, and what its answers come to."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.services.dialling import Failure, ProbeError
from trayconnect.services.http_client import Response
from trayconnect.services.jupyter import kernels
from trayconnect.services.jupyter.kernels import KernelWatch, clock_ahead
from trayconnect.services.jupyter.model import Kernel, Kernels, KernelState, Memory

BUSY = {
    "id": "k1",
    "name": "python3",
    "last_activity": "2026-11-25T22:56:58.500000Z",
    "execution_state": "busy",
    "connections": 1,
}
IDLE = BUSY | {"id": "k2", "execution_state": "idle"}
SESSIONS = [
    {"path": "a/train.ipynb", "name": "train.ipynb", "kernel": {"id": "k1"}},
    {"path": "b/plot.ipynb", "name": "", "kernel": {"id": "k2"}},
]
WHEN = 1795647418.5
STATUS = json.dumps({"kernels": 2}).encode()
KERNELS, NAMES, METRICS = "api/kernels", "api/sessions", "api/metrics/v1"


class Far:
    """A Jupyter that answers from a table; a path that is not in it is 404, None hangs up."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {KERNELS: [BUSY, IDLE], NAMES: SESSIONS}
        self.asked: list[str] = []

    def get(self, path: str) -> Response:
        path, _, query = path.partition("?")
        assert query == "no_track_activity=1"
        self.asked.append(path)
        if path not in self.pages:
            return Response(404, "Not Found", b"{}")
        if self.pages[path] is None:
            raise ProbeError(Failure.CLOSED, "hung up")
        return Response(200, "OK", json.dumps(self.pages[path]).encode())


def test_kernels_by_the_names_of_their_notebooks() -> None:
    seen = KernelWatch().check(Far().get, STATUS)
    assert seen == Kernels(
        (
            Kernel("k1", "train.ipynb", KernelState.BUSY, WHEN),
            Kernel("k2", "plot.ipynb", KernelState.IDLE, WHEN),
        )
    )


def test_one_request_a_look_once_the_names_are_known() -> None:
    far, watch = Far(), KernelWatch()
    for _ in range(3):
        watch.check(far.get, STATUS)
    assert far.asked == [KERNELS, NAMES, METRICS, KERNELS, KERNELS]
    far.pages[KERNELS] = [BUSY, IDLE, IDLE | {"id": "k3"}]
    for _ in range(3):
        seen = watch.check(far.get, STATUS)
    # It has no session, and is not asked for again.
    assert far.asked[5:] == [KERNELS, NAMES, KERNELS, KERNELS]
    assert seen is not None
    assert [kernel.name for kernel in seen.running] == ["train.ipynb", "plot.ipynb", "python3"]


def test_none_running_costs_nothing() -> None:
    far = Far()
    assert KernelWatch().check(far.get, b'{"kernels": 0}') == Kernels()
    assert far.asked == []


def test_memory_where_it_is_told() -> None:
    far, watch = Far(), KernelWatch()
    far.pages[METRICS] = {"rss": 3000, "limits": {"memory": {"rss": 9000}}}
    for _ in range(2):
        seen = watch.check(far.get, STATUS)
        assert seen is not None
        assert seen.memory == Memory(3000, 9000)
    assert far.asked.count(METRICS) == 2


@pytest.mark.parametrize("answer", [None, {"message": "Forbidden"}, "x"])
def test_an_answer_that_is_no_list_of_kernels(answer: object) -> None:
    far = Far()
    far.pages[KERNELS] = answer
    assert KernelWatch().check(far.get, STATUS) is None


def test_names_and_memory_may_fail() -> None:
    far = Far()
    far.pages |= {NAMES: None, METRICS: None}
    seen = KernelWatch().check(far.get, STATUS)
    assert seen is not None
    assert [kernel.name for kernel in seen.running] == ["python3", "python3"]
    assert seen.memory is None


@pytest.mark.parametrize(
    ("said", "memory"),
    [
        ({"rss": 5, "pss": 3}, Memory(3)),
        ({"rss": 5, "limits": {"memory": {"rss": 0}}}, Memory(5)),
        ({"rss": 5, "limits": []}, Memory(5)),
        ({"rss": -5}, None),
        ({"rss": True}, None),
        ({}, None),
        ([], None),
    ],
)
def test_memory(said: object, memory: Memory | None) -> None:
    assert kernels.memory(json.dumps(said).encode()) == memory


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"execution_state": "dead"}, Kernel("k1", "python3", KernelState.OTHER, WHEN)),
        ({"execution_state": 7}, Kernel("k1", "python3", KernelState.OTHER, WHEN)),
        ({"last_activity": "yesterday"}, Kernel("k1", "python3", KernelState.BUSY)),
        ({"last_activity": "2026-11-25T22:56:58"}, Kernel("k1", "python3", KernelState.BUSY)),
        ({"name": "a\nb"}, Kernel("k1", "a b", KernelState.BUSY, WHEN)),
    ],
)
def test_odd_kernels(change: dict[str, object], expected: Kernel) -> None:
    assert kernels.kernels(json.dumps([BUSY | change]).encode(), {}) == (expected,)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
fields = st.sampled_from(["id", "name", "kernel", "path", "notebook", "limits", "memory", "rss"])


@given(st.lists(st.dictionaries(fields, anything) | anything) | anything)
def test_whatever_is_said_is_read_or_skipped(said: object) -> None:
    text = json.dumps(said).encode()
    for read in (kernels.kernel_count, kernels.notebooks, kernels.memory):
        read(text)
    kernels.kernels(text, {})


@given(st.binary())
def test_what_is_no_json_is_skipped(text: bytes) -> None:
    assert kernels.kernels(b"\xff" + text, {}) is None
    assert kernels.notebooks(b"\xff" + text) == {}


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Thu, 01 Jan 1970 00:16:40 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:16:37 GMT", 0.0),
        ("Thu, 01 Jan 1970 01:16:40 GMT", 3600.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", -1000.0),
        ("yesterday", 0.0),
        ("", 0.0),
    ],
)
def test_how_far_the_servers_clock_is_ahead(date: str, ahead: float) -> None:
    assert clock_ahead(Response(200, "OK", b"", {"date": date}), 1000.0) == ahead


def test_times_are_by_our_clock_whatever_the_servers_says() -> None:
    """It is an hour slow: a cell that began just now does not count as long."""
    now = time.time()

    def get(path: str) -> Response:
        last = datetime.fromtimestamp(now - 3600, UTC).isoformat()
        running = {"id": "a", "execution_state": "busy", "last_activity": last}
        headers = {"date": formatdate(now - 3600, usegmt=True)}
        return Response(200, "OK", json.dumps([running]).encode(), headers)

    watched = KernelWatch().check(get, b'{"kernels": 1}')
    assert watched is not None
    (kernel,) = watched.running
    assert kernel.last_activity == pytest.approx(now, abs=5)
