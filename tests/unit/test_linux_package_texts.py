"""What the package for Debian says of itself: out of the program's own words."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace

import click
import pytest

from installers.linux import control
from installers.linux.man_page import man_page
from trayconnect.cli.main import cli

BUILD = control.Build("0.1.0", "amd64", 1_796_000_000)


def fields(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(\S+): (.*(?:\n .*)*)", text, re.MULTILINE))


def test_the_control_file() -> None:
    found = fields(control.control_file(BUILD, "libc6 (>= 2.35), zlib1g", 1234))
    assert found["Package"] == "trayconnect"
    assert (found["Version"], found["Architecture"]) == ("0.1.0", "amd64")
    assert found["Depends"] == "libc6 (>= 2.35), zlib1g"
    assert found["Installed-Size"] == "1234"
    assert "openssh-client" in found["Recommends"].split(", ")
    summary, *lines = found["Description"].splitlines()
    assert len(summary) <= 80
    assert all(line.startswith(" ") and len(line) <= 80 for line in lines)
    assert BUILD.file_name == "trayconnect_0.1.0_amd64.deb"


def test_what_the_bundle_has_itself_is_no_dependency() -> None:
    said = "libc6 (>= 2.35), libpython3.11 (>= 3.11.0), libtcl8.6 (>= 8.6.0), libxft2 (>> 2.1.1)"
    assert control.without(said, {"libtcl8.6"}) == "libc6 (>= 2.35), libxft2 (>> 2.1.1)"


@pytest.mark.parametrize(
    ("python", "debian"),
    [("0.1.0", "0.1.0"), ("1.0rc1", "1.0~rc1"), ("1.2.dev3", "1.2~dev3"), ("2.0.0b1", "2.0.0~b1")],
)
def test_a_candidate_sorts_before_its_release(python: str, debian: str) -> None:
    assert control.debian_version(python) == debian


def test_the_changelog_depends_on_the_commit_alone() -> None:
    first = control.changelog(BUILD)
    assert first == control.changelog(replace(BUILD))
    text = gzip.decompress(first).decode()
    assert text.startswith("trayconnect (0.1.0) stable; urgency=medium\n")
    assert re.search(r"\n -- .+ <\S+@\S+>  \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\n$", text)


def test_the_manual_has_every_command_with_its_options() -> None:
    page = man_page(cli, "0.1.0", "2026-11-30").replace(r"\-", "-")
    sections = dict(re.findall(r'^\.SS "([\w-]+) ?[^\n]*\n((?:(?!\.S[SH]).*\n)*)', page, re.M))
    shown = {name: one for name, one in cli.commands.items() if not one.hidden}
    assert set(sections) == set(shown)
    for name, command in shown.items():
        assert command.help
        assert command.help.split()[0] in sections[name]
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert f"\\fB{option.opts[0]}" in sections[name], (name, option.opts)
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "FILES", "EXIT STATUS"):
        assert f"\n.SH {title}\n" in page


def test_text_that_troff_would_take_for_a_request_stays_text() -> None:
    @click.command(help='.profile and \\back, "quoted"\n\n\'tis')
    def odd() -> None:
        raise AssertionError

    page = man_page(click.Group(commands={"odd": odd}, help="Say it."), "1", "2026-01-01")
    assert "\n\\&.profile and \\eback, \\(dqquoted\\(dq\n.PP\n\\&'tis\n" in page
