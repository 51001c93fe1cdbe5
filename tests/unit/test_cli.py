"""The commands that need no running app, and what the others say when there is none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from trayconnect import __version__, cli


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user that has nothing yet."""
    for variable in [name for name in os.environ if name.startswith(("XDG_", "TRAYCONNECT_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TRAYCONNECT_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def good(folder: Path) -> Path:
    file = folder / "servers.yaml"
    file.write_text("servers:\n  - {name: GPU box, host: gpu.example.org}\n")
    return file


def test_check_counts_what_is_good(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = good(home)
    assert cli.run(["check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: 1 server, no problems\n"


def test_check_prints_every_problem_with_its_place(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "servers.yaml"
    file.write_text("servers:\n  - nam: GPU box\n    host: gpu\n    port: 99999\n")
    assert cli.run(["check", str(file)]) == cli.MENDABLE
    errors = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"{file}:2:5: ") and "name" in line for line in errors)
    assert any(line.startswith(f"{file}:4:11: ") for line in errors)


def test_check_reads_the_file_that_the_environment_or_an_option_names(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = good(home)
    monkeypatch.setenv("TRAYCONNECT_CONFIG", str(file))
    assert cli.run(["check"]) == 0
    monkeypatch.delenv("TRAYCONNECT_CONFIG")
    assert cli.run(["--config", str(file), "check"]) == 0
    assert capsys.readouterr().out.count("1 server") == 2


def test_check_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize(
    "arguments",
    [
        ["connect", "GPU box"],
        ["connect", "GPU box", "--wait", "1"],
        ["disconnect", "GPU box"],
        ["open", "GPU box"],
        ["reload"],
        ["quit"],
        ["status"],
        ["status", "--json"],
    ],
)
def test_without_a_running_app_a_command_says_so(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == cli.MENDABLE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "trayconnect is not running\n  Start it with: trayconnect\n"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["connect"], ["connect", "a", "--wait", "0"], ["autostart", "maybe"]],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert cli.run(arguments) == cli.USAGE


def test_a_defect_leaves_a_log_and_no_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(_option: object) -> Path:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("trayconnect.config.places.config_file", explode)
    assert cli.run(["check"]) == cli.BUG
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    log = Path(errors.rsplit(": ", 1)[1].strip())
    assert log.is_relative_to(home)
    assert "ZeroDivisionError: a defect" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_autostart_goes_on_and_off(capsys: pytest.CaptureFixture[str]) -> None:
    for what, answer in [("status", "off"), ("on", "on"), ("status", "on"), ("off", "off")]:
        assert cli.run(["autostart", what]) == 0
        assert capsys.readouterr().out == f"{answer}\n"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
