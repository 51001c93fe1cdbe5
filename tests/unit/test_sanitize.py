"""What a server says, made fit to be shown."""

from __future__ import annotations

import io
import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.core import logs, sanitize
from trayconnect.core.errors import Problem

TITLE = "\x1b]0;title\x07"
CLIPBOARD = "\x1b]52;c;ZXZpbA==\x07"
ATTACKS = [
    (f"a{TITLE}b", "ab"),
    (f"a{CLIPBOARD}b", "ab"),
    ("a\x9d52;c;ZXZpbA==\x9cb", "ab"),
    ("a\x1bPq#0\x1b\\b", "ab"),
    ("a\x1b[31;1mb\x9b2Jc", "abc"),
    ("a\x1bcb", "acb"),
    ("a\x1b(0b", "ab"),
    ("a\x08\x7f\x00b", "ab"),
    ("a\u202eb\u2066c\u2069\u061c\u200f", "abc"),
    ("a\u200b\u2060\ufeff\u00ad\U000e0041b", "ab"),
    ("a\u3164\u115f\u2800\ufe0fb", "ab"),
    ("a\ud800b", "ab"),
    ("a\u3000b\u00a0c\td", "a b c d"),
    ("\x1b\x1b]x\x07[2J", "[2J"),
]
anything = st.one_of(st.text(), st.binary(), st.text("\x1b[]\x9b\x07\n\r;0m\u202e\ud800 a"))


@pytest.mark.parametrize(("evil", "expected"), ATTACKS)
def test_attacks(evil: str, expected: str) -> None:
    assert sanitize.line(evil) == sanitize.text(evil) == expected
    assert sanitize.exact(evil) == ""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_ends_of_lines(end: str) -> None:
    assert sanitize.line(f"a{end}b") == "a b"
    assert sanitize.text(f"a{end}b") == "a\nb"
    assert sanitize.exact(f"a{end}b") == ""


@given(anything, st.integers(0, 60))
def test_whatever_comes(value: str | bytes, most: int) -> None:
    line, text = sanitize.line(value, most), sanitize.text(value, most)
    assert line.isprintable()
    assert text.replace("\n", "").isprintable()
    assert max(len(line), len(text)) <= most
    assert sanitize.line(line, most).strip() == line.strip()
    if isinstance(value, str):
        assert sanitize.exact(value) in ("", value)


@given(anything)
def test_the_last_lines_of_defence(value: str | bytes) -> None:
    words = value if isinstance(value, str) else value.decode("latin-1")
    problem = Problem(words, words, detail=words)
    for shown in (problem.title, problem.advice, problem.detail, sanitize.escaped(words)):
        assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in shown if c not in "\n\t"), (
            shown
        )
        assert not set(shown) & set("\u202e\u2066\x1b")
    assert "\n" not in problem.title


def test_a_plain_text_stays() -> None:
    for plain in ("naïve café", "日本語", "a  b", "/home/ada/my  work", "👩\u200d💻 box"):
        assert Problem(plain, plain).advice == plain
    assert sanitize.exact("/home/ada/my  work") == "/home/ada/my  work"
    assert sanitize.text("a\n\n  b") == "a\n\n  b"


def test_a_record_of_the_log_stays_one_record() -> None:
    record = logging.LogRecord(
        "x", logging.INFO, "", 0, "%s", (f"a{CLIPBOARD}\n2026-01-01 00:00:00,0 forged",), None
    )
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs._Formatter(logs.FORMAT))
    handler.handle(record)
    first, second, _ = stream.getvalue().split("\n")
    assert first.endswith(r": a\x1b]52;c;ZXZpbA==\x07")
    assert second == "  2026-01-01 00:00:00,0 forged"
