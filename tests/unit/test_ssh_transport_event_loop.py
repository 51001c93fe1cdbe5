"""The loop of a transport's thread."""

from __future__ import annotations

import pytest

from trayconnect.ssh.transport.event_loop import EventLoop


def test_jobs_that_wait_at_its_end_run_and_find_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    """A client whose channel was to be opened must hear of the end."""
    loop = EventLoop()
    ran: list[str] = []

    def carry() -> None:
        if not loop.run(lambda: ran.append("carried")):
            ran.append("refused")

    def buggy() -> None:
        raise ZeroDivisionError

    loop.enter()
    for job in (carry, buggy, carry):
        assert loop.call(job)
    loop.close()
    loop.close()
    assert ran == ["refused", "refused"]
    assert not loop.call(carry)
    assert "a bug" in caplog.text
