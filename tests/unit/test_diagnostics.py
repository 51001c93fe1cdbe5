"""What is copied for somebody who shall help: complete, and without secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.support.servers import make_server
from trayconnect import diagnostics
from trayconnect.config.model import Server
from trayconnect.config.yaml_file import parse
from trayconnect.errors import Problem
from trayconnect.ports import Page, Reached
from trayconnect.session.snapshot import Snapshot
from trayconnect.session.state import State

SNAPSHOT = Snapshot(
    server=make_server(jump_hosts=["eve@gate.example.org:2222"]),
    state=State.UP,
    since=1_000_000.0,
    attempt=3,
    reached=Reached.JUPYTER,
    page=Page("http://127.0.0.1:18888/lab", "s3cr3t"),
    problem=None,
    retry_at=None,
    asking=False,
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
    assert diagnostics.log_of("", "GPU box", 10) == ""


def test_a_report_says_what_is_known_and_no_secret() -> None:
    home = Path("~").expanduser()
    problem = Problem("Nothing answers", "Start it\nthere", detail=f"{home}/x?token=abc123&y=1")
    report = diagnostics.server_report(replace(SNAPSHOT, problem=problem), LOG, ["trayconnect 9"])
    for part in (
        "trayconnect 9",
        "“GPU box”",
        "through: eve@gate.example.org, port 2222",
        "state: up, reached jupyter",
        "attempt 3",
        "latency: 12.5 ms",
        "page: http://127.0.0.1:18888/lab\n",
        "problem: Nothing answers",
        "token=…&y=1",
        "a defect",
    ):
        assert part in report
    assert "s3cr3t" not in report
    assert "abc123" not in report
    assert f"{home}/" not in report


def test_every_kind_of_forward_has_its_line() -> None:
    lines = ["-L 5432:db:5432", "-D 1080", "-R 9000:localhost:3000", "-L 6000:/run/x.sock"]
    text = f"servers: [{{name: Lab, host: lab, forwards: {json.dumps(lines)}}}]"
    (server,) = parse(text, Path("servers.yaml")).servers
    report = diagnostics.server_report(replace(SNAPSHOT, server=server), "", [])
    told = [line.strip() for line in report.splitlines() if " forward " in line]
    assert told == [
        "local forward 5432 → db:5432: 127.0.0.1:5432 -> db:5432",
        "dynamic forward SOCKS 1080: 127.0.0.1:1080",
        "remote forward localhost:3000 ← 9000: localhost:9000 -> localhost:3000",
        "local forward 6000 → /run/x.sock: 127.0.0.1:6000 -> /run/x.sock",
    ]


def test_a_direct_connection_has_no_ssh_lines() -> None:
    url = "http://192.168.1.20:8888/"
    direct = Server.model_validate({"name": "Lab", "url": url, "local_port": 18888})
    report = diagnostics.server_report(replace(SNAPSHOT, server=direct), "", [])
    assert f"direct: {url}" in report
    assert "ssh:" not in report


def test_the_system_is_named() -> None:
    first, second = diagnostics.system_lines()
    assert first.startswith("trayconnect ")
    assert "paramiko " in second
