"""Real programs, started, waited for and reaped."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from trayconnect.desktop import programs
from trayconnect.desktop.programs import ProgramError


def test_output_and_input() -> None:
    assert programs.run(["cat"], stdin=b"a\0b", timeout=30) == b"a\0b"


def test_a_failure_quotes_what_the_program_said() -> None:
    with pytest.raises(ProgramError, match="sh ended with status 3: no luck"):
        programs.run(["sh", "-c", "echo no luck >&2; exit 3"], timeout=30)


def test_a_program_that_hangs_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(ProgramError, match="did not finish"):
        programs.run(["sh", "-c", f"echo $$ >{pid}; exec sleep 60"], timeout=5)
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


@pytest.mark.parametrize("start", [lambda a: programs.run(a, timeout=5), programs.launch])
def test_a_missing_program(start: object) -> None:
    assert callable(start)
    with pytest.raises(ProgramError, match="could not be started"):
        start(["/nowhere/program"])


def test_a_launched_program_that_fails_at_once_is_noticed() -> None:
    with pytest.raises(ProgramError, match="status 4"):
        programs.launch(["sh", "-c", "exit 4"], grace=30)


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[queue.SimpleQueue[str]]:
    monkeypatch.setattr(programs, "_POLL_SECONDS", 0.05)
    yield queue.SimpleQueue()
    programs.stop_watching()
    assert not [thread.name for thread in threading.enumerate() if thread.name == "tc-timers"]


def launch_for_long(tmp_path: Path, script: str, failures: queue.SimpleQueue[str]) -> int:
    """Launch a program that stays, and then does what the script says; its PID."""
    pid = tmp_path / "pid"
    begin = f"echo $$ >{pid}.new; mv {pid}.new {pid}; "
    programs.launch(
        ["sh", "-c", begin + script],
        grace=0.05,
        on_failure=lambda error: failures.put(str(error)),
    )
    wait_for(pid.exists, "the program to start")
    return int(pid.read_text())


def test_a_launched_program_that_stays_is_a_success_and_reaped_later(
    tmp_path: Path, failures: queue.SimpleQueue[str]
) -> None:
    number = launch_for_long(tmp_path, "exec sleep 60", failures)
    assert os.getsid(number) == number  # a signal to our terminal does not reach it
    os.kill(number, signal.SIGTERM)
    wait_for(lambda: not Path(f"/proc/{number}").exists(), "the program to be reaped")
    assert failures.empty()


def test_a_launched_program_that_fails_late_is_noticed(
    tmp_path: Path, failures: queue.SimpleQueue[str]
) -> None:
    go = tmp_path / "go"
    launch_for_long(tmp_path, f"while ! [ -e {go} ]; do sleep 0.05; done; exit 4", failures)
    go.touch()
    assert failures.get(timeout=60) == "sh ended with status 4"


def test_text_goes_in_over_a_pipe(tmp_path: Path) -> None:
    told = tmp_path / "told"
    programs.launch(["sh", "-c", f"cat >{told}"], stdin=b"s3cret", grace=30)
    assert told.read_bytes() == b"s3cret"


def test_a_program_that_does_not_read_is_no_error() -> None:
    programs.launch(["true"], stdin=b"x" * 60_000, grace=30)


def test_programs_get_the_library_path_from_before_we_were_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environ = {"LD_LIBRARY_PATH": "/bundle", "LD_LIBRARY_PATH_ORIG": "/own", "A": "b"}
    assert programs.clean_environment(environ) == environ
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert programs.clean_environment(environ) == {"LD_LIBRARY_PATH": "/own", "A": "b"}
    del environ["LD_LIBRARY_PATH_ORIG"]
    assert programs.clean_environment(environ) == {"A": "b"}
