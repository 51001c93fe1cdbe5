"""The files of ssh_config(5): words, the hosts they name, and whether they change anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from trayconnect.config.openssh_syntax import split_criteria, split_line, split_words
from trayconnect.ssh.config.config_files import (
    MAX_BYTES,
    Places,
    aliases,
    first_that_matters,
    lines,
    usual_places,
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    return Places(tmp_path / "home", system=tmp_path / "etc" / "ssh_config")


def write(places: Places, **files: str) -> None:
    """Into ~/.ssh; `system` is the system's file."""
    for name, text in files.items():
        path = places.home / ".ssh" / name
        if name == "system":
            assert places.system is not None
            path = places.system
        path.write_text(text)


def test_the_hosts_to_choose_from(places: Places) -> None:
    write(
        places,
        config="Host gpu gate *.lab !x\nInclude more no*\nMatch originalhost y,z* user ada\n"
        "Host gpu\nHost 'a b\nInclude config\nInclude 'open\n",
        more="Host inner\nInclude ~/.ssh/far\n",
        far="Host far\n",
        system="Host other\n",
    )
    assert aliases(places) == ("gpu", "gate", "inner", "far", "y")


def test_a_user_without_a_file_names_no_host(places: Places) -> None:
    assert aliases(places) == ()
    assert aliases(Places(places.home, Path("none"))) == ()


@pytest.mark.parametrize(
    ("text", "matters"),
    [
        ("", False),
        ("# Port 7\n\nHost *\n  SendEnv LANG LC_*\n  HashKnownHosts yes\n", False),
        ("Host gpu\n  User ada\n", True),
        ("Host gpu\n  Include none\n", False),
        ("Host gpu\n  Include more\n", True),
        ("Host gpu\n  NoSuchKeyword x\n", True),
    ],
)
def test_whether_a_file_changes_anything(places: Places, text: str, matters: bool) -> None:
    write(places, more="Port 7\n")
    for name, path in (("config", places.user), ("system", places.system)):
        write(places, **{name: text.replace("more", str(places.home / ".ssh" / "more"))})
        assert first_that_matters(places) == (path if matters else None)
        assert path is not None
        path.unlink()


def test_a_file_that_cannot_be_read_may_change_anything(places: Places) -> None:
    assert places.user is not None
    places.user.mkdir()
    assert first_that_matters(places) == places.user
    assert aliases(places) == ()


def test_a_named_file_takes_the_place_of_the_usual_two(places: Places, tmp_path: Path) -> None:
    write(places, config="Port 7\n", system="Port 8\n")
    named = tmp_path / "named"
    assert first_that_matters(Places(places.home, named, places.system)) is None
    named.write_text("Port 9\n")
    assert first_that_matters(Places(places.home, named, places.system)) == named
    assert first_that_matters(Places(places.home, Path("none"), places.system)) is None


def test_odd_files(places: Places) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no pipes among its files")
    write(places, big="#" * (MAX_BYTES + 1))
    os.mkfifo(places.home / ".ssh" / "pipe")
    (places.home / ".ssh" / "latin").write_bytes(b"Host \xe9\n")
    write(places, config="Include *\nHost last\n")
    assert set(aliases(places)) == {"\udce9", "last"}
    with pytest.raises(OSError, match="larger"):
        list(lines(places.home / ".ssh" / "big", places))


def test_the_usual_files(tmp_path: Path) -> None:
    assert usual_places(tmp_path).user == tmp_path / ".ssh" / "config"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  Port=22 ", ("port", "22")),
        ('"Port" = 22', ("port", "22")),
        ("Port\t \t22\r\f", ("port", "22")),
        ("Port == 22", ("port", "= 22")),
        ("# x", None),
        (" \t", None),
        ("Port", ("port", "")),
    ],
)
def test_lines(text: str, line: tuple[str, str] | None) -> None:
    assert split_line(text) == line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ("a", "b")),
        ('"a b" c', ("a b", "c")),
        ("'a \"b' c#d # e", ('a "b', "c#d")),
        (r"a\ b \"c\" \\d \x", ("a b", '"c"', r"\d", r"\x")),
        ('""', ("",)),
        ('a"b c"d', ("ab cd",)),
    ],
)
def test_words(text: str, words: tuple[str, ...]) -> None:
    assert split_words(text) == words


def test_criteria() -> None:
    assert split_criteria('host="a b" user = x # y') == ("host", "a b", "user", "x")
