"""Keys that were meant for another window do not answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.desktop.prompts.guard import KeyGuard

GUARD = 0.5


@pytest.mark.parametrize(
    ("keys", "stray"),
    [
        ([10.0], [True]),
        ([10.49], [True]),
        ([10.5], [False]),
        ([10.1, 10.5, 10.9, 11.3], [True] * 4),  # one run, begun before the window came
        ([10.1, 10.7], [True, False]),  # a pause ends it
        ([10.1, 11.0, 11.2], [True, False, False]),
        ([12.0, 12.1], [False, False]),
    ],
)
def test_a_run_of_keys_from_before_is_stray(keys: list[float], stray: list[bool]) -> None:
    guard = KeyGuard(GUARD)
    guard.focused(10.0)
    assert [guard.key(now) for now in keys] == stray


def test_only_the_first_focus_counts() -> None:
    guard = KeyGuard(GUARD)
    guard.focused(10.0)
    guard.focused(20.0)
    assert not guard.key(20.1)


def test_a_key_before_any_focus_is_stray() -> None:
    guard = KeyGuard(GUARD)
    assert guard.key(10.0)
    assert not guard.key(10.6)


def test_a_click_that_comes_too_early() -> None:
    guard = KeyGuard(GUARD)
    assert guard.click(9.0)
    guard.focused(10.0)
    assert guard.click(10.4)
    assert not guard.click(10.6)


@given(st.lists(st.floats(0, 100)).map(sorted))
def test_after_a_pause_any_key_answers(keys: list[float]) -> None:
    guard = KeyGuard(GUARD)
    guard.focused(0.0)
    for now in keys:
        guard.key(now)
    assert not guard.key(max([0.0, *keys]) + 2 * GUARD)


@given(st.lists(st.floats(0, 100)).map(sorted))
def test_without_a_guard_every_key_answers(keys: list[float]) -> None:
    guard = KeyGuard(0.0)
    guard.focused(0.0)
    assert not any(guard.key(now) or guard.click(now) for now in keys)
