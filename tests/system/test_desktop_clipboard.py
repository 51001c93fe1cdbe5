"""A link on a real X11 clipboard."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect.core.errors import ProblemError
from trayconnect.desktop.clipboard import Clipboard

LINK = "http://127.0.0.1:18888/lab?token=s3cret-ünï"


def command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def owner_processes() -> list[str]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [pid for task in tasks for pid in task.read_text().split()]


def test_our_own_helper_serves_the_text_until_closed(screen: XServer) -> None:
    before = owner_processes()
    clipboard = Clipboard({"DISPLAY": screen.display}, which=lambda _: None)
    clipboard.copy(LINK)
    assert screen.selection("CLIPBOARD") == LINK
    clipboard.copy("another")
    assert screen.selection("CLIPBOARD") == "another"
    assert len(owner_processes()) == len(before) + 1
    clipboard.close()
    clipboard.close()
    assert owner_processes() == before
    wait_for(lambda: screen.selection("CLIPBOARD") == "", "the text to be gone")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tc-")]


def test_our_own_helper_ends_when_something_else_is_copied(screen: XServer) -> None:
    clipboard = Clipboard({"DISPLAY": screen.display}, which=lambda _: None)
    clipboard.copy(LINK)
    owner = clipboard._owner
    assert owner is not None
    screen.own_selection("CLIPBOARD")
    wait_for(lambda: owner.poll() is not None, "the helper to end")
    assert owner.returncode == 0
    clipboard.close()


def test_xclip_serves_the_text_and_no_token_is_on_a_command_line(screen: XServer) -> None:
    clipboard = Clipboard({"DISPLAY": screen.display}, which=shutil.which)
    clipboard.copy(LINK)
    # The process that we started ends before its child has told the X server.
    wait_for(lambda: screen.selection("CLIPBOARD") == LINK, "xclip to own the selection")
    assert "s3cret-ünï" not in command_lines()
    clipboard.close()


@pytest.mark.parametrize("has_xclip", [True, False])
def test_a_dead_display_is_a_problem(monkeypatch: pytest.MonkeyPatch, has_xclip: bool) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    which = shutil.which if has_xclip else lambda _: None
    with pytest.raises(ProblemError, match="could not be copied") as caught:
        Clipboard({"DISPLAY": ":4711"}, which=which).copy(LINK)
    assert "s3cret" not in str(caught.value.problem) + caught.value.problem.detail


def test_no_display_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(ProblemError, match="could not be copied"):
        Clipboard({}, which=shutil.which).copy(LINK)
