"""Every text that the program reads or writes names its encoding: the default is the locale's,
which is cp1252 on Windows and ASCII for an app that starts at login on macOS."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import trayconnect

FOLDER = Path(trayconnect.__file__).parent
PLACES = {"read_text": 0, "write_text": 1}
"""Where the encoding is among the arguments."""
MODES = set("rwaxt+")


def without_encoding(code: str) -> Iterator[int]:
    """The lines of calls that leave the encoding to the locale."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        named = {word.arg: word.value for word in node.keywords}
        if "encoding" in named:
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        is_text = name in PLACES and len(node.args) <= PLACES[name]
        if name in ("open", "fdopen"):
            modes = [*node.args[:2], *(named[key] for key in ("mode",) if key in named)]
            is_text = isinstance(called, ast.Name) or any(
                isinstance(mode, ast.Constant) and str(mode.value) and set(str(mode.value)) <= MODES
                for mode in modes
            )
            is_text &= not any(isinstance(m, ast.Constant) and "b" in str(m.value) for m in modes)
        texts = (named.get("text"), named.get("universal_newlines"))
        if is_text or any(isinstance(one, ast.Constant) and one.value is True for one in texts):
            yield node.lineno


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("path.read_text()", True),
        ('path.read_text("utf-8")', False),
        ("path.write_text(text)", True),
        ('path.write_text(text, encoding="utf-8")', False),
        ("open(path)", True),
        ('open(path, "rb")', False),
        ('path.open("a")', True),
        ('path.open(mode="w", encoding="utf-8")', False),
        ('os.fdopen(descriptor, "w")', True),
        ('transport.open("session", 5)', False),
        ("subprocess.run(command, text=True)", True),
        ('subprocess.run(command, encoding="oem", text=True)', False),
    ],
)
def test_what_is_looked_for(call: str, found: bool) -> None:
    assert list(without_encoding(call)) == [1] * found


def test_every_text_has_an_encoding() -> None:
    found = {
        str(path.relative_to(FOLDER)): lines
        for path in FOLDER.rglob("*.py")
        if (lines := list(without_encoding(path.read_text("utf-8"))))
    }
    assert found == {}
