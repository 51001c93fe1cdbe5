"""Patterns of known_hosts files."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trayconnect.ssh.hostkeys.patterns import matches

ALPHABET = st.sampled_from("ab*?")


@given(st.text(st.sampled_from("ab"), max_size=8), st.text(ALPHABET, max_size=8))
def test_patterns_as_their_definition_has_it(text: str, pattern: str) -> None:
    def slowly(text: str, pattern: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return slowly(text, pattern[1:]) or bool(text and slowly(text[1:], pattern))
        return bool(text) and pattern[0] in ("?", text[0]) and slowly(text[1:], pattern[1:])

    assert matches(text, pattern) == slowly(text, pattern)


def test_many_stars_take_no_time() -> None:
    assert not matches("a" * 255, "*a" * 100 + "b")
    assert matches("a" * 255, "*a" * 100 + "*")
