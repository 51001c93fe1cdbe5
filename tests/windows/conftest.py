"""A case that wine itself did not survive is run once more: its server asserts now and then
(`server/sock.c`, wine 8.0), and everything of that prefix hangs from then on."""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol

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
    if len(crashes) > before and any(report.failed for report in reports):
        item.warn(pytest.PytestWarning(f"run once more, since wine crashed: {crashes[-1]}"))
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
