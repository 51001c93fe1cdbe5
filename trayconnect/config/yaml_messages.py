"""Plain messages for syntax errors of libyaml and PyYAML.

They repeat single characters of the file at most: the text may hold a secret."""

from __future__ import annotations

import re
from typing import Protocol

import yaml

from trayconnect.config.file_problems import Location

_NOT_PRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ufeff\ue000-\ufffd\U00010000-\U0010ffff]"
)
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # lines as YAML 1.1 counts them
_TAB = "a tab: YAML indents with spaces only"

# The first pattern that matches the library's message decides. "opening": show the start of the
# construct rather than the place where its end is missing.
_MESSAGES: tuple[tuple[str, str, str], ...] = (
    ("unexpected end of stream", "opening", "this quote is never closed"),
    ("unexpected document", "opening", "this quote is not closed before a line of '---'"),
    ("expected ',' or '[]}]'", "opening", "this bracket is not closed, or a comma is missing"),
    (
        "mapping values are not allowed",
        "",
        "no ':' is allowed here: check the indentation, and put text that contains a ':' in quotes",
    ),
    ("tab character", "", _TAB),
    ("escape|hexa?decimal", "", "in double quotes '\\' begins an escape: use single quotes"),
    ("tag", "", "'!' begins a YAML tag, which is not supported: put the text in quotes"),
    ("sequence entries are not allowed", "", "a list begins on a line of its own"),
    ("node content", "", "a value is missing here, or a bracket is one too many"),
    ("alphabetic or numeric", "", "'&' and '*' have a meaning in YAML: put the text in quotes"),
    ("line break|chomping", "", "nothing may follow '|' or '>' on its line"),
    ("incompatible|directive", "", "remove this line: a line that begins with '%' has a meaning"),
    (
        "expected (key|<block end>|'-'|<document start>|'<document start>')",
        "",
        "this does not fit the lines above it: check the indentation and the quotes",
    ),
)


def forbidden_character(text: str) -> tuple[Location, str] | None:
    """The first character that YAML forbids, if any."""
    match = _NOT_PRINTABLE.search(text)
    if match is None:
        return None
    message = f"a character that no text file may contain (U+{ord(match[0]):04X}): remove it"
    return mark_of_offset(text, match.start()), message


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[Location, str]:
    """The location of a syntax error in `text`, and what to do."""
    found = mark(error.problem_mark)
    problem = error.problem or ""
    if "cannot start any token" in problem:
        line = _line(text, found.line)
        character = line[found.column - 1 : found.column]
        if character == "\t":
            return found, _TAB
        return found, f"text cannot begin with '{character}': put it in quotes"
    for pattern, place, message in _MESSAGES:
        if re.search(pattern, problem):
            if place == "opening" and error.context_mark is not None:
                found = mark(error.context_mark)
            return found, message
    return found, "this is not YAML: check the indentation and the quotes"


class _LibraryMark(Protocol):
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


def mark(at: _LibraryMark | None) -> Location:
    """PyYAML counts from 0."""
    return Location(at.line + 1, at.column + 1) if at else Location(1, 1)


def mark_of_offset(text: str, offset: int) -> Location:
    """The location of a character."""
    breaks = [match.end() for match in _LINE_BREAK.finditer(text, 0, offset)]
    return Location(len(breaks) + 1, offset - (breaks[-1] if breaks else 0) + 1)


def _line(text: str, number: int) -> str:
    lines = _LINE_BREAK.split(text)
    return lines[number - 1] if number <= len(lines) else ""
