"""What a service says of itself, and that menu, window and status show it without knowing its
kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.servers import make_server
from tests.support.snapshots import snap
from trayconnect.cli.status_text import to_lines
from trayconnect.control.status_json import to_json
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.services.jupyter.activity import Activity
from trayconnect.services.jupyter.model import FoundJupyter, Memory
from trayconnect.services.jupyter.presentation import JupyterFacts, present
from trayconnect.services.protocol import Level, Line, Offer, ServiceStatus
from trayconnect.sessions.state import State
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.menu_server import server_submenu
from trayconnect.tray.status_view import status_page

BUSY = Activity(0.0, busy=1, idle=1, memory=Memory(2**30))


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        (JupyterFacts(), []),
        (JupyterFacts(starting=True, launcher="in tmux"), ["Jupyter is being started"]),
        (JupyterFacts(launcher="in tmux"), ["Jupyter runs in tmux"]),
        (JupyterFacts(kernels=Activity(0.0)), []),
        (
            JupyterFacts(kernels=BUSY, unproven=True),
            ["2 kernels, 1 busy, 1.0 GB", "Whose Jupyter this is could not be proven"],
        ),
    ],
)
def test_the_lines_of_a_jupyter(facts: JupyterFacts, lines: list[str]) -> None:
    assert [line.text for line in present(make_server(), facts).lines] == lines


def test_the_json_of_a_jupyter() -> None:
    assert present(make_server(), JupyterFacts()).json == {
        "starting": False, "runs_in": None, "kernels": None, "jupyters": [], "unproven": False,
    }  # fmt: skip
    found = FoundJupyter("8888", "/a", "~", "2.0", 1, in_use=True, of_hub=True)
    facts = JupyterFacts(launcher="in tmux", kernels=BUSY, jupyters=(found,), unproven=True)
    told = present(make_server(), facts).json
    assert (told["runs_in"], told["unproven"]) == ("in tmux", True)
    assert told["jupyters"] == [
        {"where": "8888", "folder": "~", "version": "2.0", "kernels": 1, "in_use": True,
         "of_hub": True}
    ]  # fmt: skip
    assert told["kernels"] == {
        "at": 0.0, "total": 2, "busy": 1, "idle": 1, "busy_since": None, "last_activity": None,
        "memory_bytes": 2**30, "memory_limit_bytes": None,
    }  # fmt: skip


CANCEL = Command("cancel-job", "GPU box")
SUBMIT = Command("submit-job", "GPU box")
JOB = ServiceStatus(
    state_text="queued",
    problem=Problem("The job waits for a node", "Ask for fewer"),
    lines=(Line("queue", "3 jobs before it"), Line("node", "On gpu07", in_menu=False)),
    commands=(
        Offer("jobs", "Jobs", children=(Offer("job 1", "Job 1", CANCEL, checked=True),)),
        Offer("submit-job", "Submit again", SUBMIT, mends=True),
    ),
    json={"job": 1},
)


def test_any_kind_is_shown_as_it_says() -> None:
    queued = replace(snap(state=State.UP), service=JOB, problem=JOB.problem)
    items = {item.key: item for item in build_view([queued], MenuFacts()).items}
    assert items["server GPU box"].text == "GPU box: queued"
    assert items["queue GPU box"].text.strip() == "3 jobs before it"
    assert "node GPU box" not in items
    assert items["submit-job GPU box"].command == SUBMIT
    more = {item.key: item for item in server_submenu(queued)}
    assert [(one.text, one.command) for one in more["jobs"].children] == [("Job 1", CANCEL)]
    (row,) = status_page([queued], MenuFacts()).rows
    assert row.words == "queued\n3 jobs before it"
    assert {CANCEL, SUBMIT} <= {button.command for button in row.more}
    status = to_json([queued])
    assert status["servers"][0]["job"] == 1
    assert to_lines(status)[:3] == ["GPU box  queued", "    3 jobs before it", "    On gpu07"]


def test_it_is_green_only_when_its_page_answers() -> None:
    page = Page("http://127.0.0.1/")
    for reached, ready in ((Level.REACHABLE, False), (Level.READY, True)):
        one = replace(snap(state=State.UP), service=replace(JOB, level=reached, page=page))
        assert one.is_ready is ready
