"""For all tests: neither a busy machine nor how the tests were started is what is tested."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.support.carrier import MakeLink
    from tests.support.forwarding import Service

# Failed assertions of the helpers tell the values, too; so none is imported before this.
pytest.register_assert_rewrite("tests.support")

# As where trayconnect is installed: without bytecode, every program that a test starts would
# compile all its modules, and every worker all the tests.
if sys.platform != "win32":  # under wine the files of Linux would be taken for its own
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The same examples in each run, so that a change fails for its own faults only; `make test-long`
# takes the thorough profile, which tries more examples, and others each time.
for name, examples in (("quick", 25), ("thorough", 500)):
    settings.register_profile(
        name,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        max_examples=examples,
        derandomize=name == "quick",
    )
settings.load_profile("quick")

if sys.platform == "darwin":
    # A socket's path has at most 103 bytes; the usual folder of temporary files takes 60 of them.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/private/tmp")

# Started in the background or by nohup, the tests would ignore these, and so would the programs
# that they start and signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What was collected stays to the end: neither these nor the collections of garbage during
    tests need to go through thousands of tests each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def ends_its_threads() -> Iterator[None]:
    """Fail the very test that leaves a thread of ours running, and name the thread."""
    from tests.support.threads import wait_for_threads

    before = set(threading.enumerate())
    yield
    wait_for_threads(before)


@pytest.fixture
def leaves_nothing() -> Iterator[None]:
    """Fail a test that leaves a descriptor open."""
    from tests.support.forwarding import no_leaks

    with no_leaks():
        yield


@pytest.fixture
def service() -> Iterator[Service]:
    """A service on loopback that echoes."""
    from tests.support.forwarding import Service, echo

    with Service(echo) as running:
        yield running


@pytest.fixture
def link() -> Iterator[MakeLink]:
    """Makes links that carry over plain TCP, and ends them."""
    from tests.support.carrier import TcpCarrier

    with ExitStack() as ends:
        yield lambda dial: ends.enter_context(TcpCarrier(dial))


_LONGEST_FIRST = (
    "test_jupyter_start",
    "test_browser_jupyter",
    "test_batch_slurm",
    "test_batch_service",
    "test_app_tray",
    "test_demo_setup",
    "test_jupyter_health",
    "test_app_open",
    "test_jupyter_start_script",
    "test_tray_xembed",
    "test_jupyter_kept",
    "test_add_key",
    "test_app",
    "test_doctor",
    "test_batch_reach",
    "test_desktop_prompt_window",
    "test_batch_command_line",
    "test_frozen_jump_host",
    "test_owners",
    "test_ssh_hostkeys_openssh",
    "test_click_round_trips",
    "test_ssh_proxy_wait",
    "test_app_jupyters",
    "test_whole_way",
    "test_tray_panel",
    "test_config_file_watcher",
    "test_batch_home",
    "test_batch_gridengine",
)
"""The files that take longest: where workers share the suite, none of them should begin last."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order, which is a random one, but for those files."""
    order = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


_LONGEST_ID = 40


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Keep what is long or made by chance, such as a key, out of a test's name: every worker must
    collect the same names."""
    if isinstance(val, int | str | bytes) and len(str(val)) > _LONGEST_ID:
        return argname
    return None
