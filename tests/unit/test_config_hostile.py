"""Whatever a file holds, and whatever it is: an answer, or a `ConfigError`."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.systems import has_links
from trayconnect.config.file_problems import ConfigError, FileProblem
from trayconnect.config.model import Config, Server
from trayconnect.config.yaml_file import MAX_BYTES, load, parse

HERE = Path("servers.yaml")

KEYS = st.sampled_from(
    [*Server.model_fields, "servers", "defaults", "interval", "password", "usr", "<<", "", "[x]"]
)
WORDS = st.one_of(
    st.sampled_from(
        [
            "22:30",
            "0123",
            "0x_",
            "0b_",
            "1_0",
            "no",
            "2026-01-31",
            "~",
            "",
            "=",
            "<<",
            ".inf",
            ".nan",
            "-0",
            "1e5",
            "!!int x",
            "!!float 1:2",
            "!!bool x",
            "!!int 1__",
            "'a'",
            "*a",
            "&a b",
            "auto",
            "ask",
            "http://[",
            "http://h",
            "a@b:70000",
            "::1",
            "~x/y",
            '"\\0"',
        ]
    ),
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(str),
)
VALUES = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(KEYS, inner), max_size=5).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=12,
)


def outcome(text: str) -> tuple[FileProblem, ...]:
    """What is wrong with a text; if nothing is, then what it says is sound."""
    try:
        config = parse(text, HERE)
    except ConfigError as error:
        return error.problems
    assert isinstance(config, Config)
    ports = [server.local_port for server in config.servers]
    assert len(set(ports)) == len(ports)
    return ()


def check(text: str) -> None:
    lines = len(re.split("[\r\n\x85\u2028\u2029]", text))
    problems = outcome(text)
    places = [(problem.line, problem.column) for problem in problems]
    assert places == sorted(places)
    for problem in problems:
        assert 1 <= problem.line <= lines + 1
        assert problem.column >= 1
        assert problem.message.isprintable()
        assert "pydantic" not in problem.message
        assert "something else" not in problem.message


@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@given(st.text("servr:- []{}&*!'\"#|>%@\n\t ab0.", max_size=200))
def test_text_made_of_signs(text: str) -> None:
    check(text)


@given(st.lists(st.tuples(KEYS, VALUES), max_size=8), st.lists(st.tuples(KEYS, VALUES), max_size=4))
def test_servers_with_any_values(
    pairs: list[tuple[str, str]], shared: list[tuple[str, str]]
) -> None:
    entry = "".join(f"    {key}: {value}\n" for key, value in pairs)
    defaults = "".join(f"  {key}: {value}\n" for key, value in shared)
    check(f"servers:\n  -\n{entry}defaults:\n{defaults}")


@given(st.binary(max_size=100))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with suppress(ConfigError):
        load(path)


def whole(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (0, 0)
    assert str(problem) == f"{path}: {problem.message}"
    return problem.message


def test_no_file(tmp_path: Path) -> None:
    assert whole(tmp_path / "none") == "there is no such file"
    assert whole(tmp_path / "none" / "none") == "there is no such file"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none")
    assert "Start trayconnect" in caught.value.problem.advice


def test_not_a_file(tmp_path: Path) -> None:
    assert whole(tmp_path)
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        assert whole(tmp_path / "pipe") == whole(tmp_path) == "not a regular file"
        assert whole(Path("/dev/zero")) == "not a regular file"


@has_links
def test_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    assert whole(tmp_path / "a").startswith("cannot be read: ")


def test_a_name_with_a_nul() -> None:
    assert whole(Path("a\0b")).startswith("cannot be read: ")


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert whole(path) == "larger than 1024 KiB, too much for servers"
    path.write_bytes(b"#" * MAX_BYTES)
    assert load(path) == Config()


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"a: \xff", (1, 4)), (b"# \xc3\xa9\r\n\xe9", (2, 1)), (b"\xef\xbb\xbfab\xff", (1, 3))],
)
def test_not_utf8(tmp_path: Path, data: bytes, place: tuple[int, int]) -> None:
    path = tmp_path / "servers.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == place
    assert problem.message == "not UTF-8: save the file in the encoding UTF-8"


def test_utf16(tmp_path: Path) -> None:
    path = tmp_path / "servers.yaml"
    path.write_text("servers: []", encoding="utf-16")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(path)


@pytest.mark.parametrize(
    "text",
    [
        "servers:\n" + "- {name: x, host: h}\n" * 10_000,
        "servers:\n" + "".join(f"- {{name: s{n}, host: h}}\n" for n in range(6_000)),
        "servers:\n" + "-\n" * 50_000,
        "servers:\n- " + "".join(f"k{n}: v\n  " for n in range(5_000)),
        "defaults: {jump_hosts: [" + "a, " * 5_000 + "]}\nservers:\n" + "- {name: x}\n" * 2_000,
        "a" * MAX_BYTES,
        "'" * (MAX_BYTES - 1),
        "#" * MAX_BYTES + "#",
    ],
    ids=[
        "alike",
        "many",
        "empty",
        "unknown keys",
        "defaults times servers",
        "word",
        "quotes",
        "long",
    ],
)
def test_much(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text, HERE)
