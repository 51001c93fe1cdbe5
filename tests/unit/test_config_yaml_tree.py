"""The tree that PyYAML's events make, with libyaml and without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.config.file_problems import ConfigError, FileReport
from trayconnect.config.yaml_tree import MAX_DEPTH, Mapping, Node, Sequence, compose

LOADERS = [yaml.SafeLoader, yaml.CSafeLoader]


def outline(node: Node | None) -> object:
    if isinstance(node, Mapping):
        return {key: outline(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [outline(item) for item in node.items]
    return (node.text, node.tag, node.quoted) if node else None


def problems(text: str, loader: type[Any]) -> list[str]:
    report = FileReport(Path("f"))
    compose(text, report, loader)
    with pytest.raises(ConfigError) as caught:
        report.raise_if_any()
    return [str(problem).removeprefix("f:") for problem in caught.value.problems]


def places(node: Node | None) -> list[tuple[int, int, str]]:
    """Where each key and word is, in the order of the text."""
    if isinstance(node, Mapping):
        found = []
        for key, entry in node.entries.items():
            found += [(*entry.mark, key), *places(entry.value)]
        return found
    if isinstance(node, Sequence):
        return [place for item in node.items for place in places(item)]
    return [(*node.mark, node.text)] if node else []


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_places_are_counted_in_characters(loader: type[Any], end: str) -> None:
    text = end.join(["# ☃", "a:", "  - é: 'x'  # 😀", "    😀: [b, c]", "d: |", "  e", "f: g", ""])
    tree = compose(text, FileReport(Path("f")), loader)
    assert places(tree) == [
        (2, 1, "a"),
        (3, 5, "é"),
        (3, 8, "x"),
        (4, 5, "😀"),
        (4, 9, "b"),
        (4, 12, "c"),
        (5, 1, "d"),
        (5, 4, "e\n"),
        (7, 1, "f"),
        (7, 4, "g"),
    ]


@pytest.mark.parametrize("loader", LOADERS)
def test_the_size_counts_what_aliases_repeat(loader: type[Any]) -> None:
    tree = compose("[&a [x, y], *a, {k: *a}]", FileReport(Path("f")), loader)
    assert tree is not None
    assert tree.size == 1 + 3 + 3 + (1 + 1 + 3)


SYNTAX = [
    ("a: 'x\nb: c", "1:4: this quote is never closed"),
    ("a: 'b\n---\nc'", "1:4: this quote is not closed before a line of '---'"),
    ("a: [1, 2\nb: 3", "1:4: this bracket is not closed, or a comma is missing"),
    ("a: {b: 1", "1:4: this bracket is not closed, or a comma is missing"),
    ("a: [b}", "1:4: this bracket is not closed, or a comma is missing"),
    ("a:\n\tb: 1", "2:1: a tab: YAML indents with spaces only"),
    ("a:\n  b: 1\n \tc: 2", "3:2: a tab: YAML indents with spaces only"),
    ("a: b\n\tc: d", "2:1: a tab: YAML indents with spaces only"),
    ("a: b\n\t\nc: d", "2:1: a tab: YAML indents with spaces only"),
    (
        "a: b: c",
        (
            "1:5: no ':' is allowed here: check the indentation, and put text that contains a ':' "
            "in quotes"
        ),
    ),
    (
        "a: b\n  c: d",
        (
            "2:4: no ':' is allowed here: check the indentation, and put text that contains a ':' "
            "in quotes"
        ),
    ),
    ("a: - b", "1:4: a list begins on a line of its own"),
    ("a: @b", "1:4: text cannot begin with '@': put it in quotes"),
    ("a: `b", "1:4: text cannot begin with '`': put it in quotes"),
    ("a: %b", "1:4: text cannot begin with '%': put it in quotes"),
    ("a: ]", "1:4: a value is missing here, or a bracket is one too many"),
    ("a: &\n", "1:5: '&' and '*' have a meaning in YAML: put the text in quotes"),
    ("a: >x\n b", "1:5: nothing may follow '|' or '>' on its line"),
    (
        "a: 'x'y",
        "1:7: this does not fit the lines above it: check the indentation and the quotes",
    ),
    (
        "a:\n  - b\n c: d",
        "3:2: this does not fit the lines above it: check the indentation and the quotes",
    ),
    (
        "  a: 1\n b: 2",
        "2:2: this does not fit the lines above it: check the indentation and the quotes",
    ),
    ("%YAML 3.0\n--- a", "1:1: remove this line: a line that begins with '%' has a meaning"),
    ("a: !x!y z", "1:4: '!' begins a YAML tag, which is not supported: put the text in quotes"),
    ("a: 1\n---\nb: 2", "2:1: a second document begins here: remove the line of '---'"),
    (
        "a: *b",
        (
            "1:4: '*' repeats an earlier '&' of the same name, and there is none. If it is text, "
            "put it in quotes"
        ),
    ),
]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(("text", "expected"), SYNTAX)
def test_syntax(text: str, expected: str, loader: type[Any]) -> None:
    assert problems(text, loader) == [expected]


@pytest.mark.parametrize("loader", LOADERS)
def test_escapes(loader: type[Any]) -> None:
    # The two count the columns of an escape differently.
    for text in ('a: "C:\\Users"', 'a: "\\xZZ"'):
        (found,) = problems(text, loader)
        assert found.endswith("in double quotes '\\' begins an escape: use single quotes")


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 50_000, "? " * 50_000])
def test_deep_nesting(text: str, loader: type[Any]) -> None:
    (found,) = problems(text, loader)
    assert found.endswith("nested too deeply")


@pytest.mark.parametrize("loader", LOADERS)
def test_the_deepest_that_is_taken(loader: type[Any]) -> None:
    report = FileReport(Path("f"))
    assert compose("[" * MAX_DEPTH + "]" * MAX_DEPTH, report, loader) is not None
    report.raise_if_any()


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("form", ["[{}]", "{{k: [{}]}}"])
def test_aliases_that_multiply(form: str, loader: type[Any]) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 20):
        repeated = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {form.format(repeated)}")
    (found,) = problems("\n".join(lines), loader)
    assert found.endswith("too much for a server file")


@given(st.text("ab:-?[]{},&*!|>'\"%@`# \n\t0.~<", max_size=60))
def test_libyaml_and_pyyaml_agree_on_what_is_there(text: str) -> None:
    found = []
    for loader in LOADERS:
        report = FileReport(Path("f"))
        tree = compose(text, report, loader)
        try:
            report.raise_if_any()
        except ConfigError:
            return
        # The two place what is not there differently.
        found.append((outline(tree), [place for place in places(tree) if place[2]]))
    assert found[0] == found[1]
