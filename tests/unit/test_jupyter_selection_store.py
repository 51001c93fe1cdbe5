"""What is remembered of the user's choices, over runs and whatever the file holds."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from trayconnect.core.errors import ProblemError
from trayconnect.services.jupyter.selection_store import (
    Choice,
    LastUsed,
    StoredChoices,
    choices_file,
)

THESIS = Choice("/home/ada/thesis", "8888")
USED = LastUsed("/data/“y”", "8889", 7, "1234")
DATA = Choice("/data/“x”", "/run/tc/lab.sock")


def test_it_is_there_in_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "state" / "jupyters.json"
    choices = StoredChoices(path)
    assert choices.get("GPU box") is None
    choices.put("GPU box", THESIS)
    choices.put("Lab", THESIS)
    choices.put("Lab", DATA)
    again = StoredChoices(path)
    assert (again.get("GPU box"), again.get("Lab"), again.get("x")) == (THESIS, DATA, None)
    assert [entry.name for entry in path.parent.iterdir()] == ["jupyters.json"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", "[" * 100_000, "\xff\xfe", '{"GPU box": 1}',
     '{"GPU box": {"root_dir": "/x"}}', '{"GPU box": {"root_dir": 1, "where": "2"}}'],
)  # fmt: skip
def test_a_broken_file_counts_as_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "jupyters.json"
    path.write_bytes(text.encode("latin-1"))
    choices = StoredChoices(path)
    assert choices.get("GPU box") is None
    choices.put("GPU box", THESIS)
    assert StoredChoices(path).get("GPU box") == THESIS


def test_the_one_last_used_is_there_too_until_another_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "jupyters.json"
    choices = StoredChoices(path)
    for used in (LastUsed("/x", "1"), USED):
        choices.note("GPU box", used)
        choices.note("Lab", used)
    choices.put("Lab", THESIS)
    again = StoredChoices(path)
    assert (again.get("GPU box"), again.last("GPU box")) == (None, USED)
    assert (again.get("Lab"), again.last("Lab")) == (THESIS, None)
    again.note("Lab", USED)
    third = StoredChoices(path)
    assert (third.get("Lab"), third.last("Lab")) == (THESIS, USED)
    third.forget("Lab")
    last = StoredChoices(path)
    assert (last.get("Lab"), last.last("Lab"), last.last("GPU box")) == (None, None, USED)


def test_one_that_is_no_choice_does_not_spoil_the_others(tmp_path: Path) -> None:
    path = tmp_path / "jupyters.json"
    StoredChoices(path).put("GPU box", THESIS)
    path.write_text(path.read_text().replace("{", '{"Lab": [], ', 1))
    assert StoredChoices(path).get("GPU box") == THESIS


def test_what_cannot_be_kept_holds_for_this_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    choices = StoredChoices(tmp_path / "file" / "jupyters.json")
    with pytest.raises(ProblemError):
        choices.put("GPU box", THESIS)
    assert choices.get("GPU box") == THESIS
    choices.note("GPU box", USED)
    assert choices.last("GPU box") == USED


def test_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert choices_file().name == "jupyters.json"
