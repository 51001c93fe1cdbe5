"""The server file while the program runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from trayconnect.config.server_file import SHOWN, ServerFile

GOOD = "servers:\n  - {name: GPU box, host: gpu.example.org}\n"
BROKEN = "servers:\n  - nam: GPU box\n    host: gpu\n    port: 99999\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "servers.yaml"


def test_a_broken_file_keeps_the_last_good_one_in_force(path: Path) -> None:
    file = ServerFile(path)
    path.write_text(GOOD)
    assert file.read()
    good = file.config
    assert (file.problems, file.problem) == ((), None)
    path.write_text(BROKEN)
    assert not file.read()
    assert file.config is good
    assert file.problem is not None
    assert "still using the last working version" in file.problem.title
    assert f"{path}:2:5: " in file.problem.advice
    assert any(problem.startswith("line 2: ") for problem in file.problems)
    path.write_text(GOOD)
    assert file.read()
    assert file.problem is None


def test_a_file_that_is_broken_from_the_start_does_not_claim_a_good_one(path: Path) -> None:
    path.write_text(BROKEN)
    file = ServerFile(path)
    assert not file.read()
    assert not file.is_loaded
    assert file.problem is not None
    assert "last working" not in file.problem.title


def test_faults_beyond_the_first_five_are_counted(path: Path) -> None:
    path.write_text("servers:\n" + "".join(f"  - {{nam{n}: x}}\n" for n in range(7)))
    file = ServerFile(path)
    assert not file.read()
    assert file.problem is not None
    *faults, last = file.problem.advice.splitlines()
    assert all(fault.startswith(f"{path}:") for fault in faults)
    more = len(file.problems) - SHOWN
    assert (len(faults), last) == (SHOWN, f"and {more} more; see all with: trayconnect check")


def test_what_is_wrong_with_the_whole_file_names_no_line(path: Path) -> None:
    file = ServerFile(path)
    assert not file.read()
    assert file.problems == ("there is no such file",)


def test_the_sample_is_written_once(path: Path) -> None:
    file = ServerFile(path)
    assert file.create()
    assert not file.create()
    assert file.read()
    assert file.config.servers == ()


def test_a_file_that_was_emptied_is_no_wish_to_lose_every_server(tmp_path: Path) -> None:
    path = tmp_path / "servers.yaml"
    path.write_text("servers:\n  - {name: GPU box, host: gpu.example.org}\n")
    file = ServerFile(path)
    assert file.read()
    path.write_text("")
    assert not file.read()
    assert file.problem is not None
    assert [server.name for server in file.config.servers] == ["GPU box"]
    path.write_text("servers: []\n")
    assert file.read()
    assert file.config.servers == ()
