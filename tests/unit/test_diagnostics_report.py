"""What is copied for somebody who shall help: complete, and without secrets."""

from __future__ import annotations

from pathlib import Path

from tests.support.servers import make_server
from tests.support.snapshots import change, ready
from trayconnect.config.forward_model import Forward
from trayconnect.config.model import Server
from trayconnect.core.errors import Problem
from trayconnect.core.link import Traffic
from trayconnect.core.page import Page
from trayconnect.diagnostics import report as diagnostics
from trayconnect.sessions.forwards import LinkInfo
from trayconnect.sessions.snapshot import snapshot
from trayconnect.sessions.state import Session, State
from trayconnect.ssh.config.configured_forwards import ConfiguredForwards

SNAPSHOT = ready(
    server=make_server(jump_hosts=["eve@gate.example.org:2222"]),
    since=1_000_000.0,
    attempt=3,
    page=Page("http://127.0.0.1:18888/lab", "s3cr3t"),
    latency=0.0125,
)
LOG = """\
2026-01-01 10:00:00,000 INFO a [tc-session GPU box]: logged in to gpu.example.org
2026-01-01 10:00:01,000 INFO a [tc-session Lab]: logged in to lab.example.org
2026-01-01 10:00:02,000 ERROR a [tc-manager]: GPU box: a defect
Traceback (most recent call last):
  File "x.py", line 1
2026-01-01 10:00:03,000 INFO a [tc-tray]: the tray shows the icon
"""


def test_the_log_of_one_server_has_its_tracebacks_and_nobody_elses() -> None:
    lines = diagnostics.log_of(LOG, "GPU box", 10).splitlines()
    assert [line[11:23] for line in lines if line.startswith("2026")] == [
        "10:00:00,000",
        "10:00:02,000",
    ]
    assert "Traceback (most recent call last):" in lines
    assert diagnostics.log_of(LOG, "GPU box", 1).splitlines()[0].endswith("a defect")
    assert diagnostics.log_of(LOG, "nobody", 10) == ""
    assert diagnostics.log_of(LOG, "GPU bo", 10) == "", "a part of another's name"
    assert diagnostics.log_of("", "GPU box", 10) == ""


def test_a_report_says_what_is_known_and_no_secret() -> None:
    home = Path("~").expanduser()
    problem = Problem("Nothing answers", "Start it\nthere", detail=f"{home}/x?token=abc123&y=1")
    moved = Traffic(connections=2, sent=1_250_000, received=30_000_000)
    snapshot = change(SNAPSHOT, problem=problem, traffic=moved)
    report = diagnostics.server_report(snapshot, LOG, ["trayconnect 9"])
    for part in (
        "trayconnect 9",
        "“GPU box”",
        "through: eve@gate.example.org, port 2222",
        "state: up, reached jupyter",
        "attempt 3",
        "latency: 12.5 ms",
        "traffic: 2 open connections, 1.2 MB sent, 30.0 MB received",
        "page: http://127.0.0.1:18888/lab\n",
        "problem: Nothing answers",
        "token=…&y=1",
        "a defect",
    ):
        assert part in report
    assert "s3cr3t" not in report
    assert "abc123" not in report
    assert f"{home}/" not in report


def test_forwards_and_notes_are_in_it() -> None:
    server = make_server(forwards=[{"name": "proxy", "kind": "dynamic", "local_port": 1080}])
    added = ConfiguredForwards(
        (Forward(name="LocalForward 80", local_port=8080, port=80),), ("gpu: x",)
    )
    taken = {"LocalForward 80": Problem("It is taken", "", detail="bind: in use")}
    link = LinkInfo(additions=added, answers=taken, banner="Hello\nyou")
    shown = snapshot(Session(server, state=State.UP), link)
    report = diagnostics.server_report(shown, "", [])
    for line in (
        "dynamic forward proxy: localhost:1080 (SOCKS), up",
        "local forward LocalForward 80: localhost:8080 -> localhost:80, not up, of ssh_config",
        "  problem: It is taken",
        "  detail: bind: in use",
        "  gpu: x",
        "  Hello",
    ):
        assert f"  {line}\n" in report
    assert diagnostics.notes_text(shown) == (
        "These settings of your SSH configuration have no effect here:\n  gpu: x\n\n"
        "Messages of the login:\n  Hello\n  you\n"
    )


def test_a_direct_connection_has_no_ssh_lines() -> None:
    url = "http://192.168.1.20:8888/"
    direct = Server.model_validate({"name": "Lab", "url": url, "local_port": 18888})
    report = diagnostics.server_report(change(SNAPSHOT, server=direct), "", [])
    assert f"direct: {url}" in report
    assert "ssh:" not in report


def test_the_system_is_named() -> None:
    first, second = diagnostics.system_lines()
    assert first.startswith("trayconnect ")
    assert "paramiko " in second
