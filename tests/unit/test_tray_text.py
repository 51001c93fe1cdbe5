"""Texts for menus and tooltips."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.tray.text import (
    LINE_LIMIT,
    TOOLTIP_LIMIT,
    dbusmenu_label,
    one_line,
    tooltip,
    windows_label,
)

ANY_TEXT = st.text(st.characters(codec=None), max_size=300)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GPU box", "GPU box"),
        ("    indented", "    indented"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("a NUL \0 here", "a NUL   here"),
        ("lone \udc80 surrogate", "lone   surrogate"),
        ("evil \u202egnp.exe", "evil gnp.exe"),
        ("ünï ☃ 日本 👩‍💻", "ünï ☃ 日本 👩‍💻"),
        ("x" * LINE_LIMIT, "x" * LINE_LIMIT),
        ("x" * (LINE_LIMIT + 1), "x" * (LINE_LIMIT - 1) + "…"),
        ("", ""),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown


@pytest.mark.parametrize(
    ("text", "dbusmenu", "windows"),
    [
        ("my_box", "my__box", "my_box"),
        ("R & D", "R & D", "R && D"),
        ("_a_&&", "__a__&&", "_a_&&&&"),
    ],
)
def test_access_keys_are_escaped(text: str, dbusmenu: str, windows: str) -> None:
    assert dbusmenu_label(text) == dbusmenu
    assert windows_label(text) == windows


@given(ANY_TEXT)
def test_any_text_can_be_sent_and_shown(text: str) -> None:
    shown = one_line(text)
    shown.encode("utf-8")
    assert len(shown) <= LINE_LIMIT
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in shown)
    assert one_line(shown) == shown


@given(ANY_TEXT | st.text("💻x", min_size=100, max_size=200))
def test_a_tooltip_fits_its_field(text: str) -> None:
    assert len(tooltip(text).encode("utf-16-le")) // 2 <= TOOLTIP_LIMIT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GPU box: connected\nLab: off", "GPU box: connected\nLab: off"),
        ("a tab\tand a NUL\0", "a tab and a NUL "),
        ("x" * TOOLTIP_LIMIT, "x" * TOOLTIP_LIMIT),
        ("x" * 100 + "\n" + "y" * 100, "x" * 100 + "\n" + "y" * 25 + "…"),
    ],
)
def test_a_tooltip_keeps_its_lines(text: str, shown: str) -> None:
    assert tooltip(text) == shown
