"""The switch that stops blocked work."""

from __future__ import annotations

import pytest

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled


def fail() -> None:
    raise OSError("a release that fails")


def test_it_releases_the_newest_first_and_once() -> None:
    cancel = CancelToken()
    released: list[str] = []
    with (
        pytest.raises(Cancelled),
        cancel.releasing(lambda: released.append("outer")),
        cancel.releasing(lambda: released.append("inner")),
    ):
        cancel.set()
    cancel.set()
    assert released == ["inner", "outer"]


def test_a_release_that_fails_keeps_no_other_from_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cancel = CancelToken()
    released: list[str] = []
    with (
        pytest.raises(Cancelled),
        cancel.releasing(lambda: released.append("outer")),
        cancel.releasing(fail),
    ):
        cancel.set()
    assert released == ["outer"]
    assert "a release that fails" in caplog.text


def test_once_set_nothing_begins() -> None:
    cancel = CancelToken()
    cancel.set()
    released: list[str] = []
    with pytest.raises(Cancelled), cancel.releasing(lambda: released.append("late")):
        raise AssertionError("must not begin")
    assert released == ["late"]
    assert cancel.wait(0)


def test_what_is_over_is_not_released() -> None:
    cancel = CancelToken()
    released: list[str] = []
    with cancel.releasing(lambda: released.append("over")):
        pass
    cancel.set()
    assert released == []
