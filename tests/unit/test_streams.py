"""Whatever is written can be written: to consoles and pipes of any encoding, and to none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.systems import home_variables
from trayconnect.cli import streams
from trayconnect.desktop import programs

LIMIT = 60.0
ARROWS = "← “Gerät” → … ⚠ 東京 \udcff"
PRINT = f"""
import io, json, sys
sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding=sys.argv[1], newline="")
from trayconnect.cli import streams
streams.prepare()
import click
data = {{"name": {ARROWS!r}}}
click.echo(streams.as_json(data) if sys.argv[2] == "json" else data["name"])
"""


def printed(encoding: str, what: str) -> bytes:
    command = [sys.executable, "-c", PRINT, encoding, what]
    return subprocess.run(command, stdout=subprocess.PIPE, timeout=LIMIT, check=True).stdout


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("cp437", '<- "Gerät" -> ... ! ?? ?'),
        ("cp1252", "<- “Gerät” -> … ! ?? ?"),
        ("cp932", "← “Ger?t” → … ! 東京 ?"),
        ("latin-1", '<- "Gerät" -> ... ! ?? ?'),
        ("utf-8", "← “Gerät” → … ⚠ 東京 ?"),
    ],
)
def test_what_an_encoding_lacks_is_written_plainly(encoding: str, expected: str) -> None:
    assert printed(encoding, "text").decode(encoding).strip() == expected


@pytest.mark.parametrize("encoding", ["cp437", "cp1252", "cp932", "ascii", "utf-8"])
def test_json_is_utf8_and_the_same_in_every_encoding(encoding: str) -> None:
    read = json.loads(printed(encoding, "json").decode("utf-8"))
    assert read["name"].rstrip("?\udcff") == ARROWS.rstrip("\udcff")


@given(st.text(), st.sampled_from(["ascii", "cp437", "cp1252", "cp1251", "utf-8", "utf-16-le"]))
def test_every_text_can_be_encoded(text: str, encoding: str) -> None:
    streams.prepare()
    encoded = text.encode(encoding, "trayconnect.plain")
    assert len(encoded.decode(encoding)) >= len(text)


@pytest.mark.parametrize(
    "variables", [{"LANG": ""}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "cp437"}]
)
def test_commands_run_under_any_locale(variables: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "servers.yaml"
    file.write_text("servers:\n  - {name: Gerät → 東京, host: gpu.invalid, 漢: 1}\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-m", "trayconnect", "check", str(file)],
        env={**os.environ, **home_variables(tmp_path), **variables},
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 1
    assert b"servers.yaml:2:" in done.stderr
    assert b"bug" not in done.stderr


def test_a_program_without_streams_goes_on(tmp_path: Path) -> None:
    script = (
        "import sys; sys.stdin = sys.stdout = sys.stderr = None; "
        "from trayconnect.cli.main import run; "
        "sys.exit(run(sys.argv[1].split()))"
    )
    home = {**os.environ, **home_variables(tmp_path), "TRAYCONNECT_RUNTIME_DIR": str(tmp_path)}
    for command, code in (("--help", 0), ("status", 1), ("nonsense", 2), ("stop x", 1),
                          ("import", 0), ("--desktop-helper x", 2)):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", script, command], env=home, timeout=LIMIT, check=False
        )
        assert done.returncode in (code, 1 if command == "import" else code), command


def test_text_goes_to_programs_of_macos_in_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert programs.text_environment()["LC_ALL"] == "en_US.UTF-8"
    monkeypatch.setattr(sys, "platform", "linux")
    assert programs.text_environment()["LC_ALL"] == "C"


def test_what_nobody_reads_ends_no_program() -> None:
    script = (
        "import os, sys; from trayconnect.cli import streams; streams.prepare(); "
        "sys.stdin.read(); [streams.tell(line) for line in 'ab']; print('goes on')"
    )
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writing, text=True,
    ) as process:  # fmt: skip
        os.close(writing)
        os.close(reading)
        said, _ = process.communicate("", timeout=LIMIT)
    assert (process.returncode, said) == (0, "goes on\n")
