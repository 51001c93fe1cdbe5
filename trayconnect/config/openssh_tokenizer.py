"""Splits a line of ssh_config(5) as OpenSSH does."""

from __future__ import annotations

import re
from typing import NamedTuple

WHITESPACE = " \t\r\n"
_KEYWORD = re.compile(r'[ \t\r\n]*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^ \t\r\n"=]*))')
_EQUALS = re.compile(r"[ \t\r\n]*=?[ \t\r\n]*")


class ConfigLine(NamedTuple):
    """`rest` is the unsplit text after the keyword, for keywords that take it so."""

    keyword: str
    rest: str


def split_line(text: str) -> ConfigLine | None:
    """A line's keyword, in lower case, and the rest; None for an empty line or a comment."""
    text = text.rstrip(WHITESPACE + "\f")
    match = _KEYWORD.match(text)
    assert match is not None  # it matches the empty string too
    keyword = match["quoted"] if match["quoted"] is not None else match["plain"]
    if not keyword or keyword.startswith("#"):
        return None
    equals = _EQUALS.match(text, match.end())
    assert equals is not None
    return ConfigLine(keyword.lower(), text[equals.end() :])


def split_words(text: str, *, comments: bool = True) -> tuple[str, ...]:
    """The arguments, without quotes and escapes, up to a comment; as argv_split() of misc.c.

    Raises ValueError for an unclosed quote."""
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position] in " \t":
            position += 1
            continue
        if comments and text[position] == "#":
            break
        word, position = _word(text, position)
        words.append(word)
    return tuple(words)


def _word(text: str, position: int) -> tuple[str, int]:
    found: list[str] = []
    quote = ""
    while position < len(text):
        sign, following = text[position], text[position + 1 : position + 2]
        if sign == "\\" and (following in ("'", '"', "\\") or (not quote and following == " ")):
            position += 1
            found.append(following)
        elif not quote and sign in " \t":
            break
        elif not quote and sign in "\"'":
            quote = sign
        elif quote and sign == quote:
            quote = ""
        else:
            found.append(sign)
        position += 1
    if quote:
        raise ValueError("invalid quotes")
    return "".join(found), position


def split_criteria(text: str) -> tuple[str, ...]:
    """The arguments of a Match line, as strdelim() of misc.c: with `"…"`, and one `=` between two
    of them.

    Raises ValueError for an unclosed quote."""
    words: list[str] = []
    text = text.strip(WHITESPACE)
    while text:
        if text.startswith("#"):
            break
        if text.startswith('"'):
            word, closed, text = text[1:].partition('"')
            if not closed:
                raise ValueError("invalid quotes")
        else:
            end = re.search(r'[ \t\r\n"=]', text)
            word = text[: end.start()] if end else text
            text = text[end.start() :] if end else ""
            separator = _EQUALS.match(text)
            assert separator is not None
            text = text[separator.end() :]
        words.append(word)
        text = text.lstrip(WHITESPACE)
    return tuple(words)
