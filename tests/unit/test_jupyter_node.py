"""The Jupyters of a compute node: which runtime files count, as its script finds them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.systems import has_shell
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import Completed, NotEndedError
from trayconnect.services.jupyter.discovery import RunningServer
from trayconnect.services.jupyter.node import find_at_node, is_same, parse

INFO: dict[str, Any] = {
    "base_url": "/",
    "hostname": "node12",
    "port": 8888,
    "root_dir": "/home/ada",
    "secure": False,
    "sock": "",
    "token": "t0ken",
    "url": "http://node12:8888/",
    "version": "2.21.1",
}


def output(*infos: dict[str, Any], addresses: str = "10.0.0.12") -> str:
    blocks = "".join(
        f"@@file /home/ada/rt/jpserver-{40 + number}.json\n{json.dumps(info)}\n@@end\n"
        for number, info in enumerate(infos)
    )
    head = f"hello\n\n@@trayconnect node 1\n@@home /home/ada\n@@addresses {addresses}\n"
    return f"{head}{blocks}@@done\n"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("node12", "node12", True),
        ("node12", "NODE12.cluster.local", True),
        ("node12.cluster.local.", "node12", True),
        ("node12.a.org", "node12.b.org", False),
        ("node12", "node123", False),
        ("node1", "node12", False),
        ("10.0.0.1", "10.0.0.12", False),
        ("10.0.0.1", "10", False),
        ("localhost", "node12", False),
        ("node12", "", False),
    ],
)
def test_names_of_one_host(one: str, other: str, same: bool) -> None:
    assert is_same(one, other) is same
    assert is_same(other, one) is same


@pytest.mark.parametrize(
    ("changes", "token"),
    [
        ({}, "t0ken"),
        ({"hostname": "0.0.0.0", "url": "http://node12.cluster.local:8888/"}, "t0ken"),
        ({"hostname": "10.0.0.12", "url": "http://10.0.0.12:8888/"}, "t0ken"),
        ({"version": ""}, ""),  # nothing would tell it from another one
        ({"token": ""}, ""),
        ({"hostname": "localhost", "url": "http://localhost:8888/"}, None),
        ({"hostname": "node13", "url": "http://node13:8888/"}, None),
        ({"port": 0}, None),
        ({"port": True}, None),
        ({"sock": "/run/s"}, None),
    ],
)
def test_what_counts(changes: dict[str, Any], token: str | None) -> None:
    found = parse(output({**INFO, **changes}), "node12").servers
    assert [(one.host, one.port, one.token) for one in found] == (
        [] if token is None else [("node12", 8888, token)]
    )


def test_the_newest_of_a_port_counts() -> None:
    infos = [INFO, {**INFO, "token": "old"}, {**INFO, "port": 9999, "token": "other"}]
    found = parse(output(*infos), "node12")
    assert [(one.pid, one.port, one.token) for one in found.servers] == [
        (40, 8888, "t0ken"),
        (42, 9999, "other"),
    ]
    assert found.home == "/home/ada"


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    parse(text, "node12")
    parse(f"\n@@trayconnect node 1\n{text}", "node12")
    parse(output(INFO).replace("t0ken", text), "node12")


def search(home: Path, node: str) -> tuple[RunningServer, ...]:
    """By the script itself, in a shell."""

    def execute(command: str, stdin: bytes, timeout: float) -> Completed:
        done = subprocess.run(
            command,
            shell=True,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    return find_at_node(execute, "login", node).servers


@has_shell
def test_the_script_finds_the_newest_among_thousands(tmp_path: Path) -> None:
    runtime = tmp_path / ".local/share/jupyter/runtime"
    runtime.mkdir(parents=True)
    for number in range(3000):
        file = runtime / f"jpserver-{number}.json"
        stale = {**INFO, "hostname": f"other{number}", "url": f"http://other{number}:8888/"}
        file.write_text(json.dumps(stale, indent=2))
    for number, token in enumerate(("old", "new"), start=9000):
        file = runtime / f"jpserver-{number}.json"
        file.write_text(json.dumps({**INFO, "token": token}, indent=2))
        os.utime(file, (number, number))
    (found,) = search(tmp_path, "node12.cluster.local")
    assert (found.pid, found.token, found.host) == (9001, "new", "node12.cluster.local")
    assert search(tmp_path, "$(touch PWNED); node99") == ()
    assert not list(tmp_path.glob("PWNED"))


def test_what_hinders_is_told() -> None:
    def slow(command: str, stdin: bytes, timeout: float) -> Completed:
        raise NotEndedError(Problem("slow", ""), Completed(-1, b"", b""))

    for execute in (slow, lambda *_: Completed(1, b"no", b"")):
        with pytest.raises(ProblemError, match="The login shell of login"):
            find_at_node(execute, "login", "node12")
