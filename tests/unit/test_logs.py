"""The log on a terminal that is asked on."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trayconnect.core import logs


class Console(io.StringIO):
    """stderr, as a terminal or not."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.fixture(params=[True, False], ids=["terminal", "pipe"])
def console(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Console]:
    console = Console(request.param)
    monkeypatch.setattr(sys, "stderr", console)
    monkeypatch.setattr(logs.logger, "propagate", True)  # set_up turns it off
    level = logs.logger.level
    monkeypatch.setattr(logs, "log_file", lambda: tmp_path / "trayconnect.log")
    logs.set_up(to_stderr=True)
    yield console
    logs.shut_down()
    logs.logger.setLevel(level)


def test_it_waits_while_a_question_stands(console: Console, tmp_path: Path) -> None:
    log = logging.getLogger("trayconnect.test")
    log.info("before")
    with logs.quiet(), logs.quiet():
        log.info("during %d", 1)
        log.info("during %d", 2)
        assert ("during" in console.getvalue()) is not console.isatty()
        assert "during 2" in (tmp_path / "trayconnect.log").read_text()
    log.info("after")
    words = [line.partition(": ")[2] for line in console.getvalue().splitlines()]
    assert words == ["before", "during 1", "during 2", "after"]


def test_it_does_not_keep_lines_without_end(console: Console) -> None:
    log = logging.getLogger("trayconnect.test")
    with logs.quiet():
        for number in range(logs.HELD + 10):
            log.info("line %d.", number)
    assert ("line 0." in console.getvalue()) is not console.isatty()
    assert f"line {logs.HELD + 9}." in console.getvalue()


@pytest.fixture
def log_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Small files, in it."""
    monkeypatch.setattr(logs, "log_file", lambda: tmp_path / "trayconnect.log")
    monkeypatch.setattr(logs, "SIZE", 2000)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    level = logs.logger.level
    yield tmp_path
    logs.shut_down()
    logs.logger.setLevel(level)


def lines(folder: Path) -> list[str]:
    return [
        line
        for file in sorted(folder.glob("trayconnect.log*"), reverse=True)
        for line in file.read_text("utf-8").splitlines()
    ]


def test_two_processes_turn_the_log_over_and_lose_nothing(
    log_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(to_stderr=False)
    logs.set_up(to_stderr=False)  # as a command does beside the app
    for number in range(30):
        logging.getLogger("trayconnect.test").info("line %d.", number)
    logs.shut_down()
    assert logs.logger.propagate  # else whoever listens next thinks that a log is kept
    assert len(list(log_folder.glob("trayconnect.log*"))) > 1
    # In order, since neither goes on in a file that the other has renamed.
    numbers = [int(line.rpartition(" ")[2].rstrip(".")) for line in lines(log_folder)]
    assert numbers == [number for number in range(30) for _ in range(2)]
    assert capsys.readouterr().err == ""


def test_a_log_that_cannot_be_renamed_goes_on(
    log_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows, any program that has it open may forbid that."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "The process cannot access the file")

    logs.set_up(to_stderr=False)
    log = logging.getLogger("trayconnect.test")
    with monkeypatch.context() as patch:
        patch.setattr("os.rename", refuse)
        for number in range(60):
            log.info("line %d.", number)
    assert [f"line {n}." in line for n, line in enumerate(lines(log_folder))] == [True] * 60
    for number in range(60, 70):
        log.info("line %d.", number)
    assert "line 69." in lines(log_folder)[-1]
    assert len(list(log_folder.glob("trayconnect.log*"))) == 2
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_costs_the_record_and_nothing_else(
    log_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: str) -> int:
        return os.open("/dev/full", os.O_WRONLY)

    logs.set_up(to_stderr=False)
    with monkeypatch.context() as patch:
        patch.setattr(logs, "_open_to_append", full)
        (log_folder / "trayconnect.log").unlink()  # it is opened again
        for number in range(3):
            logging.getLogger("trayconnect.test").info("line %d.", number)
    logs.shut_down()
    assert capsys.readouterr().err == ""
