"""Which of several Jupyter servers is used, by tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.servers import make_server
from trayconnect.config.model import Jupyter
from trayconnect.config.start_options import StartOptions
from trayconnect.core.errors import ProblemError
from trayconnect.services.jupyter.discovery import Discovery, RunningServer
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.jupyter.selection import (
    Picked,
    candidates,
    is_own,
    listing,
    matching,
    pick,
    short_folder,
)
from trayconnect.services.jupyter.selection_store import Choice, LastUsed
from trayconnect.services.jupyter.start import digest


def running(pid: int, folder: str, port: int = 0, socket: str = "") -> RunningServer:
    host = "" if socket else "127.0.0.1"
    return RunningServer(
        host, port, "t0ken", "/", folder, False, pid, "2.21.1", socket=socket, kernels=pid
    )


NEW = running(3, "/home/ada/new", 8890)
THESIS = running(2, "/home/ada/thesis", 8889)
TWIN = running(1, "/home/ada/thesis", 8888)
ON_SOCKET = running(4, "/data", socket="/run/tc/lab.sock")
OF_HUB = replace(running(5, "/home/ada", 40001), hub="")
ALL = (NEW, THESIS, TWIN)
CHOSEN = Choice("/home/ada/thesis", "8888")


@pytest.mark.parametrize(
    ("servers", "choice", "current", "expected"),
    [
        ((), None, None, Picked()),
        ((), CHOSEN, TWIN, Picked()),
        (ALL, None, None, Picked(NEW)),
        (ALL, None, TWIN, Picked(TWIN)),
        (ALL, None, replace(TWIN, kernels=9), Picked(TWIN)),
        (ALL, None, ON_SOCKET, Picked(NEW)),
        (ALL, CHOSEN, None, Picked(TWIN)),
        (ALL, CHOSEN, NEW, Picked(TWIN)),
        (ALL, replace(CHOSEN, where="9999"), None, Picked(THESIS)),
        (ALL, replace(CHOSEN, where="9999"), TWIN, Picked(TWIN)),
        ((NEW, THESIS), CHOSEN, None, Picked(THESIS)),
        ((NEW, ON_SOCKET), CHOSEN, None, Picked(NEW, missing=CHOSEN)),
        ((NEW, ON_SOCKET), CHOSEN, ON_SOCKET, Picked(ON_SOCKET, missing=CHOSEN)),
    ],
)
def test_which_one(
    servers: tuple[RunningServer, ...],
    choice: Choice | None,
    current: RunningServer | None,
    expected: Picked,
) -> None:
    assert pick(servers, choice, current) == expected


LAST = LastUsed("/home/ada/thesis", "8888", 1, "700")
AGED = replace(TWIN, born="700")
AGAIN = replace(TWIN, pid=11, born="800")
MOVED = replace(THESIS, port=9999)


@pytest.mark.parametrize(
    ("servers", "choice", "may_move", "expected"),
    [
        ((NEW, THESIS, AGED), None, False, Picked(AGED)),
        ((NEW, THESIS, AGED), None, True, Picked(AGED)),
        ((NEW, THESIS, replace(AGED, port=9)), None, False, Picked(replace(AGED, port=9))),
        ((NEW, THESIS, AGAIN), None, False, Picked(AGAIN)),
        ((NEW, MOVED), None, False, Picked(MOVED)),
        ((NEW, MOVED), None, True, Picked(MOVED)),
        ((), None, True, Picked()),
        ((NEW,), None, False, Picked(instead=NEW)),
        ((NEW,), None, True, Picked(NEW)),
        # Its process number or its port is used again, in another folder.
        ((replace(NEW, pid=1, born="700"),), None, False,
         Picked(instead=replace(NEW, pid=1, born="700"))),
        ((replace(NEW, port=8888),), None, False, Picked(instead=replace(NEW, port=8888))),
        ((NEW, ON_SOCKET), CHOSEN, False, Picked(instead=NEW, missing=CHOSEN)),
        ((NEW, ON_SOCKET), CHOSEN, True, Picked(NEW, missing=CHOSEN)),
        ((ON_SOCKET, NEW), Choice("/home/ada/new", ""), False, Picked(instead=NEW)),
        ((ON_SOCKET, NEW), Choice("/home/ada/new", ""), True, Picked(NEW)),
        ((NEW, AGED), Choice("/home/ada/new", ""), True, Picked(AGED)),
    ],
)  # fmt: skip
def test_the_one_last_used_stays_and_none_of_another_folder_replaces_it_unasked(
    servers: tuple[RunningServer, ...],
    choice: Choice | None,
    may_move: bool,
    expected: Picked,
) -> None:
    assert pick(servers, choice, None, last=LAST, may_move=may_move) == expected


def test_the_one_last_used_must_still_be_the_entrys_own_or_chosen() -> None:
    servers = (NEW, AGED)

    def chosen(choice: Choice | None) -> Picked:
        return pick(servers, choice, AGED, lambda one: one == NEW, last=LAST)

    assert chosen(None) == Picked(instead=NEW)
    assert chosen(CHOSEN) == Picked(AGED)


@pytest.mark.parametrize(
    ("jupyter", "expected"),
    [
        (Jupyter(), (NEW, ON_SOCKET, OF_HUB)),
        (Jupyter(port=8890), (NEW,)),
        (Jupyter(port=40001), (OF_HUB,)),
        (Jupyter(port=9000), ()),
        (Jupyter(socket="/run/tc/lab.sock"), (ON_SOCKET,)),
        (Jupyter(socket="/run//tc/lab.sock"), (ON_SOCKET,)),
        (Jupyter(socket="/run/other"), ()),
    ],
)
def test_which_ones_an_entry_may_use(jupyter: Jupyter, expected: tuple[RunningServer, ...]) -> None:
    assert candidates(Discovery((OF_HUB, NEW, ON_SOCKET)), jupyter) == expected


def test_what_the_user_is_shown() -> None:
    on_v6 = replace(TWIN, host="::1")
    shown = listing((THESIS, ON_SOCKET, on_v6, OF_HUB), THESIS, "/home/ada")
    assert shown == (
        FoundJupyter("8889", "/home/ada/thesis", "~/thesis", "2.21.1", 2, in_use=True, pid=2),
        FoundJupyter("/run/tc/lab.sock", "/data", "/data", "2.21.1", 4, in_use=False, pid=4),
        FoundJupyter(
            "[::1]:8888", "/home/ada/thesis", "~/thesis", "2.21.1", 1, in_use=False, pid=1
        ),
        FoundJupyter("40001", "/home/ada", "~", "2.21.1", 5, in_use=False, of_hub=True, pid=5),
    )
    assert "t0ken" not in repr(shown)


@pytest.mark.parametrize(
    ("folder", "home", "expected"),
    [
        ("/home/ada", "/home/ada", "~"),
        ("/home/ada/x y", "/home/ada/", "~/x y"),
        ("/home/adam", "/home/ada", "/home/adam"),
        ("/data", "", "/data"),
        ("/", "/", "/"),
        ("/data", "/", "/data"),
        ("", "/home/ada", ""),
    ],
)
def test_a_short_folder(folder: str, home: str, expected: str) -> None:
    assert short_folder(folder, home) == expected


FOLDER: dict[str, Any] = {"folder": "~/thesis"}


@pytest.mark.parametrize(
    ("start", "facts", "expected"),
    [
        (None, {"root_dir": "/data", "started_as": "other"}, True),
        (True, {}, True),
        (True, {"root_dir": "/data"}, True),
        (True, {"started_as": digest(StartOptions())}, True),
        (True, {"started_as": digest(StartOptions(folder="~/new"))}, False),
        (FOLDER, {}, True),
        ({"folder": "thesis/"}, {}, True),
        ({"folder": "/home/ada/thesis"}, {}, True),
        (FOLDER, {"root_dir": "/data"}, False),
        (FOLDER, {"root_dir": ""}, True),
        (FOLDER, {"root_dir": "/data", "started_as": digest(StartOptions(**FOLDER))}, True),
        ({"folder": "thesis"}, {"started_as": digest(StartOptions(**FOLDER))}, True),
        ({"environment": {"venv": "~/v"}}, {"python": "/home/ada/v/bin/python3"}, True),
        ({"environment": {"venv": "~/v"}}, {"python": "/home/ada/w/bin/python3"}, False),
        ({"environment": {"venv": "~/v"}}, {"python": ""}, True),
        ({"environment": {"conda": "ml"}}, {"python": "/opt/conda/envs/ml/bin/python"}, True),
        ({"environment": {"conda": "ml"}}, {"python": "/opt/conda/bin/python"}, False),
        ({"environment": {"conda": "~/c/ml"}}, {"python": "/home/ada/c/ml/bin/python"}, True),
        ({"environment": {"conda": "base"}}, {"python": "/opt/conda/bin/python"}, True),
        ({"environment": {"conda": "base"}}, {"python": "/opt/conda/envs/ml/bin/python"}, False),
        ({"environment": {"conda": "base"}}, {"python": "/usr/bin/python3"}, False),
        ({"environment": {"module": ["jupyter"]}}, {"python": "/opt/x/bin/python"}, True),
    ],
)
def test_an_entrys_own(start: object, facts: dict[str, Any], expected: bool) -> None:
    server = make_server(start=start)
    assert is_own(replace(THESIS, **facts), server, "/home/ada") is expected
    at_a_port = make_server(start=start, jupyter={"port": 8889})
    assert is_own(replace(THESIS, **facts), at_a_port, "/home/ada")


def test_only_the_entrys_own_is_used_unless_another_is_chosen() -> None:
    assert pick(ALL, None, NEW, lambda one: one == TWIN) == Picked(TWIN)
    assert pick(ALL, None, NEW, lambda _: False) == Picked()
    assert pick(ALL, CHOSEN, NEW, lambda _: False) == Picked(TWIN)


ELSEWHERE = replace(running(6, "/scratch", 46261), host="127.0.0.5")
SHOWN = listing((*ALL, ON_SOCKET, ELSEWHERE), NEW, "/home/ada")


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("8888", "8888"),
        ("localhost:8888", "8888"),
        ("127.0.0.5:46261", "127.0.0.5:46261"),
        ("46261", "127.0.0.5:46261"),
        ("/run/tc/lab.sock", "/run/tc/lab.sock"),
        ("/home/ada/new", "8890"),
        ("/home/ada/new/", "8890"),
        ("~/new", "8890"),
        ("new", "8890"),
        ("data", "/run/tc/lab.sock"),
    ],
)
def test_what_the_user_means(words: str, where: str) -> None:
    assert matching(SHOWN, words).where == where


@pytest.mark.parametrize(
    ("words", "title", "advice"),
    [
        ("thesis", "Several Jupyter servers run in ~/thesis", "by its port: 8889, 8888"),
        ("9999", "No Jupyter server is known there by “9999”", "8889  ~/thesis"),
        ("", "No Jupyter server is known there by “”", "These run:"),
    ],
)
def test_what_the_user_cannot_mean(words: str, title: str, advice: str) -> None:
    with pytest.raises(ProblemError) as caught:
        matching(SHOWN, words)
    assert caught.value.problem.title == title
    assert advice in caught.value.problem.advice
