"""Starting: what is sent, what is read from the answer, and a failure in words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.servers import make_server
from tests.support.systems import has_shell
from trayconnect.core import remote_script
from trayconnect.core.errors import Recovery
from trayconnect.core.link import Completed
from trayconnect.services.jupyter.start import (
    StartResult,
    assignments,
    become,
    parse,
    script,
    session_name,
    start,
)
from trayconnect.services.jupyter.start_errors import failure, launcher_text

SHELLS = [
    pytest.param(
        shell,
        marks=pytest.mark.skipif(
            sys.platform == "darwin" and shutil.which(shell.split()[0]) is None,
            reason="macOS comes without it",
        ),
    )
    for shell in ("sh", "dash", "bash", "busybox sh", "zsh")
]

words = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30
) | st.text("'\"\\$`!*~#&;|<>(){}[] \n\t-=", max_size=30)


@has_shell
@pytest.mark.parametrize("shell", SHELLS)
@given(values=st.lists(words, min_size=1, max_size=12))
def test_every_value_arrives_as_it_is(shell: str, values: list[str]) -> None:
    named = {f"v{number}": value for number, value in enumerate(values)}
    show = "".join(f'printf "%s\\0" "${name}"\n' for name in named)
    done = subprocess.run(
        shell.split(),
        input=(assignments(named) + show).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.decode().split("\0")[:-1] == values


def test_a_nul_is_left_out() -> None:
    assert assignments({"a": "x\0y"}) == "a='xy'\n"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a jupyter-lab that shows its arguments."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "jupyter-lab").write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    (folder / "jupyter-lab").chmod(0o755)
    return folder


@has_shell
@pytest.mark.parametrize("shell", SHELLS)
@given(options=st.lists(words, max_size=6))
@example(options=["=0", "~", "{a,b}"])
def test_options_arrive_as_they_are(lab: Path, shell: str, options: list[str]) -> None:
    done = subprocess.run(
        shell.split(),
        input=f"app=lab\n{become(options)}become --first\n".encode(),
        env={"PATH": f"{lab}:{os.environ['PATH']}"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.decode().split("\0")[:-1] == ["--first", *options]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GPU box", "trayconnect-gpu-box-426dfe4c"),
        ("gpu BOX", "trayconnect-gpu-box-426dfe4c"),
        ("計算機", "trayconnect-"),
        ("a" * 80, "trayconnect-" + "a" * 24 + "-"),
    ],
)
def test_a_session_is_named_for_its_entry(name: str, expected: str) -> None:
    found = session_name(make_server(name))
    assert found.startswith(expected)
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert "--" not in found


def test_two_names_are_two_sessions() -> None:
    assert session_name(make_server("GPU.box")) != session_name(make_server("GPU-box"))


def test_a_fixed_port_and_a_socket_are_passed_on() -> None:
    assert "\nport='9000'\n" in script(make_server(jupyter={"port": 9000}), 60)
    assert "\nport='0'\n" in script(make_server(), 60)
    assert "\nsock='/run/lab.sock'\n" in script(
        make_server(jupyter={"socket": "/run/lab.sock"}), 60
    )


def test_nothing_of_it_is_an_argument() -> None:
    asked: list[str] = []

    def execute(command: str, stdin: bytes, timeout: float) -> Completed:
        asked.append(command)
        assert timeout > 60
        return Completed(0, b"\n@@trayconnect start 1\n@@way tmux\n@@ready 7\n@@end\n", b"")

    assert start(execute, make_server(), 60).pid == 7
    assert asked == [remote_script.COMMAND]


# --- what is read ---------------------------------------------------------------------------------

HELLO = "Welcome!\r\n@@ready 3\n\n@@trayconnect start 1\n"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", StartResult()),
        ("This account is currently not available.\n", StartResult()),
        (HELLO, StartResult(answered=True)),
        (HELLO + "@@way tmux\n@@ready 12\n@@end\n", StartResult(True, 12, way="tmux")),
        (
            HELLO + "@@running\n@@way nohup\n@@ready 12\n@@end\n",
            StartResult(True, 12, True, "nohup"),
        ),
        (HELLO + "@@following\n@@way x\n@@ready 1\n@@end\n", StartResult(True, 1, True, "x")),
        (HELLO + "@@ready x\n", StartResult(True)),
        (HELLO + "@@sock /tmp/x y.sock\n@@ready 1\n", StartResult(True, 1, socket="/tmp/x y.sock")),
        (
            HELLO + "@@failed 127\n@@looked /a:/b::/a\n@@log\nno lab\n\n@@end\n",
            StartResult(True, status=127, looked=("/a", "/b"), log="no lab"),
        ),
        (
            HELLO + "@@timeout\n@@log\nhttp://h/lab?token=abc&x\n@@end\n",
            StartResult(True, timed_out=True, log="http://h/lab?token=…&x"),
        ),
        (
            HELLO + "@@failed 1\n@@log\n@@end\n@@ready 5\nlast\n@@end\n",
            StartResult(True, status=1, log="@@end\n@@ready 5\nlast"),
        ),
    ],
)
def test_what_is_read(output: str, expected: StartResult) -> None:
    assert parse(output) == expected


@given(st.text(max_size=200))
def test_anything_is_read(text: str) -> None:
    parse(HELLO + text)


# --- in words -------------------------------------------------------------------------------------

TRACE = "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'yaml'"
TAKEN = "[C ServerApp] ERROR: the port 9000 is already in use.\nplease try --port"


def said(status: int, log: str = "", looked: tuple[str, ...] = (), **start: Any) -> str:
    started = StartResult(True, status=status, log=log, looked=looked)
    server = make_server(start=start or True)
    problem = failure(started, server, 120)
    assert problem.recovery is Recovery.FIX_FIRST
    assert str(status) in problem.detail
    assert log in problem.detail
    return str(problem)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            said(127, "jupyter-lab was not found", ("/usr/bin", "/opt/conda/bin")),
            ["jupyter-lab was not found on gpu.example.org", "Looked in /usr/bin, /opt/conda/bin."],
        ),
        (
            said(127, looked=tuple(f"/{n}" for n in range(12)), app="notebook"),
            ["jupyter-notebook was not found", "/7, and 4 more"],
        ),
        (said(127, environment={"venv": "~/v"}), ["not found in the virtual environment ~/v"]),
        (said(126, "run.sh: Permission denied"), ["may not be run", "Permission denied"]),
        (said(70, "mkdir: Disk quota exceeded"), ["Nothing can be written", "quota exceeded"]),
        (said(71, folder="~/thesis"), ["The folder ~/thesis on gpu.example.org cannot be entered"]),
        (
            said(72, looked=("/opt/conda/envs/ml",), environment={"conda": "mi"}),
            ["The conda environment mi cannot be used", "There are: /opt/conda/envs/ml."],
        ),
        (said(73, socket="always"), ["no safe place for a UNIX socket", "socket: never"]),
        (said(74), ["No program can be left running"]),
        (said(137, "Killed"), ["was killed", "memory ran out", "Killed"]),
        (said(139), ["was ended on gpu.example.org by SIGSEGV"]),
        (said(1, TRACE), ["Jupyter is broken", "No module named 'yaml'"]),
        (said(1, TAKEN), ["Port 9000 on gpu.example.org is taken"]),
        (said(1, "OSError: [Errno 28] No space left on device"), ["Check whether its disk"]),
        (said(1, "lab: error: unrecognized arguments: --x"), ["does not take its options", "--x"]),
        (said(1, "PermissionError: [Errno 13] '/x'"), ["may not do what it needs", "'/x'"]),
        (said(3, "a\nb\nc\nd"), ["ended on gpu.example.org with exit status 3", "b\nc\nd"]),
        (said(0), ["as soon as it began", "Its log is empty"]),
    ],
)
def test_a_failure_in_words(text: str, parts: list[str]) -> None:
    for part in parts:
        assert part in text


def test_a_slow_start_may_still_come_to_something() -> None:
    problem = failure(
        StartResult(True, timed_out=True, log="Loading"), make_server(start=True), 120
    )
    assert problem.recovery is Recovery.RETRY
    assert "within 120 s" in problem.title
    assert "Loading" in problem.advice


def test_an_account_without_a_shell_is_said() -> None:
    problem = failure(StartResult(), make_server(start=True), 120)
    assert "cannot be started" in problem.title


def test_what_it_runs_in() -> None:
    assert launcher_text(StartResult(True, 1, way="tmux"), "x") == "in the tmux session x"
    assert launcher_text(StartResult(True, 1, way="?"), "x") == ""
