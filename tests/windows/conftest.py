"""A case that wine did not survive is run once more, with a warning that shows the first run.

wine's server asserts now and then (`server/sock.c`, wine 8.0), and everything of that prefix hangs
from then on; now and then, too, a program in it just stands still. Only a wait that came to its
limit is tried again, never a wrong result."""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol

from tests.support.waiting import IN_VAIN
from tests.windows.desk import crashes

LONGEST = 1800
"""Seconds for a case on a busy machine: each of its dozen programs takes half a minute to start."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(LONGEST))


@pytest.hookimpl
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    before = len(crashes)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    words = "\n".join(report.longreprtext for report in reports if report.failed)
    if words and (len(crashes) > before or IN_VAIN in words):
        said = "\n".join(crashes[before:])
        item.warn(pytest.PytestWarning(f"run once more, for wine stood still: {said}\n{words}"))
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
