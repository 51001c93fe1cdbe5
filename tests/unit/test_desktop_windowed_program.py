"""The two programs of Windows, with a console and without."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trayconnect.cli import main, run_command, streams
from trayconnect.control.protocol import Reply
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop import windows_console
from trayconnect.desktop.programs import ProgramError


@pytest.mark.parametrize(
    ("started", "is_console"),
    [
        ("trayconnect.exe", True),
        ("TRAYCONNECT.EXE", True),
        ("trayconnect", True),  # a script of pip's
        ("trayconnectw.exe", False),
        ("trayconnectw", False),
        ("__main__.py", False),  # python -m trayconnect
        ("python.exe", False),
    ],
)
def test_only_the_program_with_a_console_has_one_without(
    tmp_path: Path, started: str, is_console: bool
) -> None:
    assert windows_console.beside(tmp_path / started) is None
    other = tmp_path / "trayconnectw.exe"
    other.touch()
    assert windows_console.beside(tmp_path / started) == (other if is_console else None)


def test_a_program_that_ends_at_once_gives_its_exit_code() -> None:
    assert windows_console.start([sys.executable, "-c", "raise SystemExit(3)"], lambda: False) == 3


WAITS = """
import pathlib, sys, time
up, end = map(pathlib.Path, sys.argv[1:])
up.touch()
while not end.exists(): time.sleep(0.05)
"""


@pytest.mark.parametrize("answers", [True, False])
def test_a_program_that_goes_on_is_left_alone(
    tmp_path: Path, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    up, end = tmp_path / "up", tmp_path / "end"
    command = [sys.executable, "-c", WAITS, str(up), str(end)]
    try:
        if answers:
            assert windows_console.start(command, up.exists) is None
        else:
            monkeypatch.setattr(windows_console, "START_LIMIT", 0.3)
            with pytest.raises(ProgramError, match="did not answer"):
                windows_console.start(command, lambda: False)
    finally:
        end.touch()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="could not be started"):
        windows_console.start([str(tmp_path / "gone")], lambda: False)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What the console program starts, of which none runs yet."""
    calls: list[list[str]] = []
    monkeypatch.setenv("TRAYCONNECT_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(windows_console, "windowed_program", lambda: Path("C:/tc/trayconnectw.exe"))
    monkeypatch.setattr(windows_console, "start", lambda command, _: calls.append(list(command)))
    return calls


def test_the_app_runs_in_the_program_without_a_console(
    started: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "servers.yaml"
    file.write_text("servers: []\n")
    program = str(Path("C:/tc/trayconnectw.exe"))
    assert main.run([]) == 0
    assert main.run(["run", "--config", str(file), "--connect", "a", "--connect", "b"]) == 0
    assert started == [
        [program, "run"],
        [program, "run", "--config", str(file), "--connect", "a", "--connect", "b"],
    ]
    assert "trayconnect is running." in capsys.readouterr().out


def test_one_that_runs_is_shown_and_none_started(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_command, "_reply", lambda _: Reply(ok=True))
    assert main.run([]) == 0
    assert started == []
    assert "running already" in capsys.readouterr().out


def test_one_that_does_not_start_is_a_problem(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(windows_console, "start", lambda *_: main.MENDABLE)
    assert main.run([]) == main.MENDABLE
    assert "did not start" in capsys.readouterr().err


def test_one_that_cannot_be_started_is_a_problem(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise ProgramError("C:/tc/trayconnectw.exe could not be started: Access is denied")

    monkeypatch.setattr(windows_console, "start", refused)
    assert main.run([]) == main.MENDABLE
    assert "Access is denied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], True),
        (["run"], True),
        (["--verbose", "run", "--connect", "status"], True),
        (["connect", "run"], False),  # a server's name
        (["status"], False),  # of a script, maybe, which cannot answer a window
        (["--config", "servers.yaml", "check"], False),
        (["--nonsense"], False),
    ],
)
def test_where_nothing_is_seen_the_app_tells_its_problem_in_a_window(
    arguments: list[str], shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ProblemError(Problem("It does not work", "Do this."))

    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(streams, "lacks", lambda name: name == "stderr")
    monkeypatch.setattr(main, "show_message", lambda title, advice: seen.append((title, advice)))
    for command in main.cli.commands.values():
        monkeypatch.setattr(command, "callback", fails)
    assert main.run(arguments) == (main.USAGE if arguments == ["--nonsense"] else main.MENDABLE)
    assert seen == ([("It does not work", "Do this.")] if shown else [])
