"""The examination: when it searches, what it aims at, what the browser is given."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.jupyter_peers import (
    LoopbackTunnel,
    Peer,
    find_output,
    hang_up,
    jupyter_pages,
    lasting_web,
    silent,
    web,
)
from tests.support.servers import make_server
from tests.support.systems import has_own_addresses
from trayconnect.config.local_addresses import own_address
from trayconnect.config.model import Jupyter, Server
from trayconnect.config.start_options import StartOptions
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.link import Own, Owner
from trayconnect.core.page import Page
from trayconnect.services.jupyter import health as examine
from trayconnect.services.jupyter import known, short_check
from trayconnect.services.jupyter.health import HealthChecker
from trayconnect.services.jupyter.model import Health
from trayconnect.services.jupyter.readiness import HealthCheck
from trayconnect.services.jupyter.selection_store import BriefChoices, Choice
from trayconnect.services.protocol import Level

TOKEN = "t0ken"


def entry(peer: Peer, **changes: Any) -> Server:
    """One whose local port is the peer's."""
    fields: dict[str, Any] = {"bind_address": "127.0.0.1", "local_port": peer.port}
    return make_server(**fields | changes)


class Box:
    """A session's side of things: an entry, its local port, a tunnel, and the far end's state.

    The local port leads to `peer`, whatever the target."""

    def __init__(self, peer: Peer, **jupyter: Any) -> None:
        self.running: list[dict[str, object]] = []
        self.fault: Problem | Exception | None = None
        self.targets: list[Endpoint] = []
        self.blocked: list[str] = []
        self.strict: set[bool] = set()
        self.choices = BriefChoices()
        self.tunnel = LoopbackTunnel(self._find)
        self.server = entry(peer, jupyter=jupyter)
        self._examiner = HealthChecker(self.choices)

    def _find(self) -> bytes:
        if self.fault:
            raise ProblemError(self.fault) if isinstance(self.fault, Problem) else self.fault
        return find_output(*self.running)

    def examine(self, cancel: CancelToken | None = None, *, may_move: bool = False) -> Health:
        def set_target(target: Own | Problem) -> None:
            if isinstance(target, Problem):
                self.blocked.append(target.title)
            else:
                self.targets.append(target.endpoint)
                self.strict.add(not target.named)

        cancel = cancel or CancelToken()
        return self._examiner(self.server, self.tunnel, set_target, cancel, may_move=may_move)

    def later(self) -> None:
        """What the last search found counts no more."""
        last = self._examiner._known[self.tunnel]
        last.searched = last.next_search = 0.0

    def reconnect(self) -> None:
        runs = self.tunnel.runs
        self.tunnel = LoopbackTunnel(self._find)
        self.tunnel.runs = runs


@pytest.fixture
def jupyter() -> Iterator[Peer]:
    with Peer(web(jupyter_pages(TOKEN))) as peer:
        yield peer


@pytest.fixture
def nothing() -> Iterator[Peer]:
    """A local port whose tunnel refuses each connection."""
    with Peer(hang_up) as peer:
        yield peer


@pytest.fixture
def always_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "SEARCH_SHARE", 1.0)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search counts for long, whatever else the machine is busy with."""
    monkeypatch.setattr(known, "FRESH", 600.0)


def info(port: int, **changes: object) -> dict[str, object]:
    return {"pid": 7, "port": port, "token": TOKEN, "base_url": "/"} | changes


def seen(health: Health) -> tuple[Level, Page, Problem | None]:
    return health.level, health.page, health.problem


def title(health: Health) -> str:
    assert health.problem is not None
    return health.problem.title


def in_use(health: Health) -> list[str]:
    return [one.where for one in health.jupyters if one.in_use]


def test_found_and_logged_in(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [info(38001), info(38002, pid=8)]
    url = f"http://127.0.0.1:{jupyter.port}/lab"
    assert seen(box.examine()) == (Level.LOGGED_IN, Page(url, TOKEN), None)
    assert set(box.targets) == {TcpEndpoint("127.0.0.1", 38001)}


def test_one_search_a_tunnel(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [info(38001)]
    for _ in range(3):
        assert box.examine().level is Level.LOGGED_IN
    assert box.tunnel.runs == 1
    box.reconnect()
    box.examine()
    assert box.tunnel.runs == 2


NONE = "No Jupyter of yours runs on the server"


def test_none_found_leads_nowhere(jupyter: Peer) -> None:
    """Whatever answers on the usual port may be anybody's, and is not asked."""
    box = Box(jupyter)
    for _ in range(3):
        health = box.examine()
        assert (health.level, health.page.token, title(health)) == (Level.NOTHING, "", NONE)
        assert health.problem is not None
        assert "jupyter.port" not in health.problem.advice
    assert (box.targets, set(box.blocked)) == ([], {NONE})
    assert not jupyter.connected.is_set()


def test_one_that_comes_is_led_to(jupyter: Peer) -> None:
    box = Box(jupyter)
    assert box.examine().level is Level.NOTHING
    box.running = [info(38001)]
    runs = box.tunnel.runs
    assert box.examine().level is Level.NOTHING
    assert box.tunnel.runs == runs  # it is not the time yet
    box._examiner.search_soon(box.tunnel)
    assert box.examine().level is Level.LOGGED_IN
    assert box.strict == {True}


@pytest.mark.parametrize(("took", "searches"), [(0.5, 1), (600.0, 0)])
def test_who_waits_does_not_have_a_slow_shell_started_without_pause(
    nothing: Peer, took: float, searches: int
) -> None:
    box = Box(nothing)
    box.examine()
    last = box._examiner._known[box.tunnel]
    last.began, last.next_search = last.searched - took, math.inf
    runs = box.tunnel.runs
    box._examiner.search_soon(box.tunnel)
    box.examine()
    assert box.tunnel.runs == runs + searches


def test_a_fixed_port_gets_its_token_too(jupyter: Peer) -> None:
    box = Box(jupyter, port=9000, path="/tree")
    box.running = [info(38001, token="other"), info(9000, pid=8, base_url="/jup/")]
    with Peer(web(jupyter_pages(TOKEN, "/jup/"))) as peer:
        box.server = entry(peer, jupyter={"port": 9000, "path": "/tree"})
        health = box.examine()
    page = Page(f"http://127.0.0.1:{peer.port}/jup/tree", TOKEN)
    assert seen(health) == (Level.LOGGED_IN, page, None)
    assert set(box.targets) == {TcpEndpoint("127.0.0.1", 9000)}


def test_a_fixed_port_stays(jupyter: Peer) -> None:
    box = Box(jupyter, port=9000)
    box.running = [info(38001)]
    assert box.examine().level is Level.READY
    assert set(box.targets) == {TcpEndpoint("localhost", 9000)}
    assert box.strict == {False}


@pytest.mark.parametrize("whose", [Owner.SYSTEM, Owner.UNKNOWN])
def test_of_a_port_of_the_file_it_is_told_that_nothing_proves_whose_it_is(
    jupyter: Peer, whose: Owner
) -> None:
    box = Box(jupyter, port=9000)
    assert not box.examine().unproven
    box.tunnel.whose = whose
    health = box.examine()
    assert (health.level, health.unproven, health.page.token) == (Level.READY, True, "")


def test_the_runtime_file_of_another_host_with_the_same_home(jupyter: Peer) -> None:
    box = Box(jupyter, host="node7")
    file = info(8888, hostname="node7.cluster.local", version="2.99")
    head = "\n@@trayconnect node 1\n@@home /home/ada\n@@file /rt/jpserver-7.json\n"
    report = f"{head}{json.dumps(file)}\n@@end\n@@done\n"
    box.tunnel = LoopbackTunnel(report.encode)
    health = box.examine()
    assert (health.level, health.page.token) == (Level.LOGGED_IN, TOKEN)
    assert set(box.targets) == {TcpEndpoint("node7", 8888)}
    box.tunnel = LoopbackTunnel(report.replace('"2.99"', '"2.98"').encode)
    health = box.examine()
    assert (health.level, health.page.token) == (Level.REACHABLE, "")
    box.tunnel = LoopbackTunnel(report.replace("node7", "node8").encode)
    health = box.examine()
    assert (health.level, health.missing) == (Level.NOTHING, False)
    assert title(health) == "No Jupyter of yours is known on node7"
    assert health.problem is not None
    assert "Start Jupyter on node7" in health.problem.advice
    box.server = box.server.model_copy(update={"jupyter": Jupyter(host="node7", port=8888)})
    health = box.examine()
    assert (health.level, health.page.token, health.missing) == (Level.READY, "", False)


def test_the_base_of_the_path_is_asked() -> None:
    with Peer(web(jupyter_pages(base_url="/user/ada/"))) as peer:
        box = Box(peer, port=9000, path="/user/ada/lab")
        assert box.examine() == Health(
            Level.READY, Page(f"http://127.0.0.1:{peer.port}/user/ada/lab")
        )


def test_a_server_that_forbids_commands(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.fault = Problem("The server runs no commands", "")
    health = box.examine()
    assert (health.problem, health.level, box.targets) == (box.fault, Level.NOTHING, [])
    assert set(box.blocked) == {"trayconnect cannot look for Jupyter on the server"}
    box = Box(jupyter, port=8888)
    box.fault = Problem("The server runs no commands", "")
    assert box.examine().level is Level.READY
    assert set(box.targets) == {TcpEndpoint("localhost", 8888)}


@pytest.mark.usefixtures("always_search")
def test_jupyter_starts_later(nothing: Peer) -> None:
    box = Box(nothing, port=_dead_port())
    health = box.examine()
    assert health.level is Level.NOTHING
    assert health.problem is not None
    assert "nothing listens on localhost:" in health.problem.title
    assert "jupyter lab" in health.problem.advice
    with Peer(web(jupyter_pages(TOKEN))) as peer:
        box.server = entry(peer)
        box.running = [info(38001)]
        health = box.examine()
    page = Page(f"http://127.0.0.1:{peer.port}/lab", TOKEN)
    assert seen(health) == (Level.LOGGED_IN, page, None)


def test_late_runtime_file(jupyter: Peer) -> None:
    """It begins to answer after a search that could not know of it: the token is not missed."""
    box = Box(jupyter, port=38001)
    outputs = iter([[], [info(38001)]])
    box.tunnel = LoopbackTunnel(lambda: find_output(*next(outputs)))
    assert box.examine().page.token == TOKEN


@pytest.mark.usefixtures("always_search")
def test_restarted_with_another_token_and_port(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [info(38001, token="old")]
    health = box.examine()
    assert (health.level, health.page.token) == (Level.READY, "")
    assert health.problem is not None
    assert "token" in health.problem.title
    box.running = [info(38002, pid=9)]
    assert box.examine().level is Level.LOGGED_IN
    assert box.targets[-1] == TcpEndpoint("127.0.0.1", 38002)


def test_searching_takes_a_small_share_of_the_time(
    nothing: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0

    def search() -> bytes:
        nonlocal now
        now += 1.0
        return find_output()

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(
        examine, "check_layers", lambda *_: HealthCheck(Level.NOTHING, secure=False)
    )
    box = Box(nothing)
    box.tunnel = LoopbackTunnel(search)
    for _ in range(200):
        box.examine()
        now += 1.0
    # 1 s of searching in every 20 s.
    assert 9 <= box.tunnel.runs <= 12


# --- several of them ----------------------------------------------------------------------------


THESIS = info(38001, root_dir="/home/ada/thesis")
DATA = info(38002, pid=8, root_dir="/data")
NEWER = info(38003, pid=10, root_dir="/newer")


def test_all_of_them_are_listed(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [THESIS, DATA]
    listed = [(one.where, one.folder, one.kernels, one.in_use) for one in box.examine().jupyters]
    assert listed == [("38001", "~/thesis", 2, True), ("38002", "/data", 2, False)]
    assert [one.where for one in Box(jupyter, port=38002).examine().jupyters] == []


def test_the_choice_holds_on_another_port_and_is_missed_when_gone(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [THESIS, DATA]
    assert in_use(box.examine()) == ["38001"]
    box.choices.put(box.server.name, Choice("/data", "38002"))
    assert in_use(box.examine()) == ["38002"]
    assert box.targets[-1] == TcpEndpoint("127.0.0.1", 38002)
    box.running = [THESIS, DATA | {"pid": 9, "port": 38003}]
    box.later()
    assert in_use(box.examine()) == ["38003"]
    box.running = [THESIS]
    box.later()
    health = box.examine()
    assert (health.level, in_use(health)) == (Level.NOTHING, [])
    assert title(health) == "The Jupyter in /data is gone; another runs in ~/thesis"
    box.running = [THESIS, DATA]
    box.later()
    assert in_use(box.examine()) == ["38002"]
    box.running = [THESIS]
    box.later()
    health = box.examine(may_move=True)
    assert (health.level, in_use(health)) == (Level.LOGGED_IN, ["38001"])
    assert title(health) == "The Jupyter in /data that you chose does not run"
    assert health.left == "/data"
    box.running = [DATA, THESIS]
    box.later()
    health = box.examine()
    assert (health.problem, in_use(health), health.left) == (None, ["38001"], "")
    box.running = [NEWER, DATA]
    box.later()
    assert in_use(box.examine(may_move=True)) == ["38002"]


def test_it_is_kept_over_links_and_the_next_folder_waits_for_the_user(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [THESIS]
    assert box.examine().left == ""
    box.running = [DATA, THESIS]
    box.reconnect()
    assert in_use(box.examine()) == ["38001"]
    box._examiner = HealthChecker(box.choices)
    box.reconnect()
    assert in_use(box.examine()) == ["38001"]
    box.running = [DATA]
    box.reconnect()
    del box.targets[:]
    for _ in range(2):
        health = box.examine()
        box.later()
        assert (health.level, in_use(health), health.kernels) == (Level.NOTHING, [], None)
        assert [one.where for one in health.jupyters] == ["38002"]
    assert box.targets == []
    assert set(box.blocked) == {"The Jupyter in ~/thesis is gone; another runs in /data"}
    box.running = [DATA, THESIS | {"pid": 9, "port": 38005}]
    box.later()
    assert (in_use(box.examine()), box.examine().left) == (["38005"], "")
    box.running = [DATA]
    box.later()
    health = box.examine(may_move=True)
    assert (in_use(health), health.left) == (["38002"], "~/thesis")
    for _ in range(3):  # among them a short one
        health = box.examine()
        assert (in_use(health), health.left) == (["38002"], "")


def test_another_folder_at_the_port_of_the_file_waits_for_the_user(jupyter: Peer) -> None:
    box = Box(jupyter, port=38001)
    box.running = [THESIS]
    assert box.examine().level is Level.LOGGED_IN
    box.running = [DATA | {"port": 38001}]
    box.reconnect()
    health = box.examine()
    assert (health.level, box.blocked) == (Level.NOTHING, [title(health)])
    assert box.examine(may_move=True).left == "~/thesis"


def test_the_one_that_was_started_is_used_and_the_folder_that_was_left_told(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [THESIS]
    box.examine()
    box.running = [DATA, THESIS]
    box._examiner.search_anew(box.tunnel, box.server.name)
    health = box.examine()
    assert (in_use(health), health.left) == (["38002"], "~/thesis")


def test_a_newer_one_does_not_take_the_place_of_the_one_in_use(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [THESIS]
    box.examine()
    box.running = [DATA, THESIS]
    box.later()
    health = box.examine()
    assert in_use(health) == ["38001"]
    assert len(health.jupyters) == 2


# --- is it ours? --------------------------------------------------------------------------------


@pytest.mark.usefixtures("always_search")
def test_another_version_than_that_found(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [THESIS | {"version": "1.0"}]
    health = box.examine()
    assert (health.level, health.page.token) == (Level.REACHABLE, "")
    assert "is not the one found there" in title(health)


def test_no_token_without_another_proof_that_the_port_is_ours(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.running = [THESIS]
    assert box.examine().level is Level.LOGGED_IN
    box.fault = Problem("The server runs no more commands", "")
    box.later()
    health = box.examine()
    assert (health.level, health.page.token) == (Level.READY, "")
    box.fault = None
    box.running = []
    box.later()
    health = box.examine()
    assert (health.level, health.page.token) == (Level.NOTHING, "")
    box.running = [THESIS]
    box.later()
    assert box.examine().level is Level.LOGGED_IN


# --- short checks ------------------------------------------------------------------------------


@pytest.fixture
def lasting() -> Iterator[Peer]:
    """A Jupyter whose connections last."""
    with Peer(lasting_web(jupyter_pages(TOKEN))) as peer:
        yield peer


def checked_briefly(box: Box) -> Health:
    """The first check is the click's; the second one opens a connection for the next, which the
    third one proves to be accepted."""
    box.examine()
    health = box.examine()
    assert box._examiner._known[box.tunnel].short is not None
    assert box.examine() == health
    return health


def test_a_short_check_takes_no_search_and_no_connection(lasting: Peer) -> None:
    box = Box(lasting)
    box.running = [THESIS]
    complete = checked_briefly(box)
    runs, connections, targets = box.tunnel.runs, lasting.connections, len(box.targets)
    for _ in range(3):
        assert box.examine() == complete
    assert complete.level is Level.LOGGED_IN
    assert (box.tunnel.runs, lasting.connections, len(box.targets)) == (runs, connections, targets)


def test_one_without_a_token_is_asked_for_its_version(lasting: Peer) -> None:
    box = Box(lasting, port=9000)
    complete = checked_briefly(box)
    connections = lasting.connections
    assert box.examine() == complete
    assert complete.level is Level.READY
    assert lasting.connections == connections


def test_a_connection_that_ended_leads_to_a_complete_check(lasting: Peer) -> None:
    box = Box(lasting)
    box.running = [THESIS]
    checked_briefly(box)
    box.running = [THESIS, DATA]
    box.later()
    lasting.hang_up()
    health = box.examine()
    assert health.level is Level.LOGGED_IN
    assert len(health.jupyters) == 2


def test_a_token_that_is_refused_leads_to_a_complete_check() -> None:
    tokens = [TOKEN]
    with Peer(lasting_web(lambda *about: jupyter_pages(tokens[0])(*about))) as peer:
        box = Box(peer)
        box.running = [THESIS]
        checked_briefly(box)
        tokens[0] = "another"
        box.running = [THESIS | {"token": "another"}]
        box.later()
        health = box.examine()
    assert (health.level, health.page.token) == (Level.LOGGED_IN, "another")


@pytest.mark.parametrize("why", ["asked", "later"])
def test_short_checks_end_when_the_user_waits_and_after_a_while(
    lasting: Peer, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(lasting)
    box.running = [THESIS]
    checked_briefly(box)
    box.running = [THESIS, DATA]
    box.later()
    if why == "asked":
        box._examiner.search_soon(box.tunnel)
    else:
        monkeypatch.setattr(short_check, "LASTING", -1.0)
    assert len(box.examine().jupyters) == 2


def test_none_where_the_owner_was_not_proven_just_now(lasting: Peer) -> None:
    """Its connection would get the token."""
    box = Box(lasting)
    box.running = [THESIS]
    box.examine()
    box.fault = Problem("The server runs no more commands", "")
    for _ in range(2):
        box.later()
        assert box.examine().level is Level.READY
    assert box._examiner._known[box.tunnel].short is None


def test_a_cancelled_check_ends_its_connection(lasting: Peer) -> None:
    box, cancel = Box(lasting), CancelToken()
    box.running = [THESIS]
    for _ in range(2):
        box.examine(cancel)
    short = box._examiner._known[box.tunnel].short
    assert short is not None
    cancel.set()
    assert not short.connection.is_open


@has_own_addresses
def test_it_is_asked_at_the_address_that_the_browser_opens(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.server = entry(jupyter, bind_address="localhost", jupyter={"port": 9000})
    health = box.examine()
    authority = f"{own_address(jupyter.port)}:{jupyter.port}"
    assert health.page.url == f"http://{authority}/lab"
    assert health.problem is not None
    assert authority in health.problem.title  # where nobody listens in this test


def test_cancel_leaves_a_search_that_hangs(jupyter: Peer) -> None:
    cancel, release = CancelToken(), threading.Event()

    def hang() -> bytes:
        cancel.set()
        release.wait(60)
        return b""

    box = Box(jupyter)
    box.tunnel = LoopbackTunnel(hang)
    with pytest.raises(Cancelled):
        box.examine(cancel)
    release.set()


def test_cancelled_before(jupyter: Peer) -> None:
    cancel = CancelToken()
    cancel.set()
    box = Box(jupyter)
    with pytest.raises(Cancelled):
        box.examine(cancel)
    assert box.tunnel.runs == 0


def test_two_at_once_do_not_wait_for_one_another(jupyter: Peer) -> None:
    examiner, cancel = HealthChecker(), CancelToken()
    with Peer(silent) as stuck:
        slow = Box(stuck)
        slow.running = [info(38001)]

        def look_at_the_slow_one() -> None:
            with pytest.raises(Cancelled):
                examiner(slow.server, slow.tunnel, lambda *_: None, cancel)

        thread = threading.Thread(target=look_at_the_slow_one)
        thread.start()
        assert stuck.connected.wait(60)
        fast = Box(jupyter)
        fast.running = [info(38002)]
        health = examiner(fast.server, fast.tunnel, lambda *_: None, CancelToken())
        assert thread.is_alive()
        cancel.set()
        thread.join(60)
        assert not thread.is_alive()
    assert health.level is Level.LOGGED_IN


def _dead_port() -> int:
    with Peer(hang_up) as peer:
        return peer.port


# --- when it cannot be looked -------------------------------------------------------------------


class SlowShell:
    """A search that ends when the test says so."""

    def __init__(self, box: Box) -> None:
        self.ready = threading.Event()
        self._box = box
        box.tunnel = LoopbackTunnel(self._run)

    def _run(self) -> bytes:
        assert self.ready.wait(60)
        return self._box._find()


@pytest.mark.parametrize("port", ["auto", 38001])
def test_a_slow_login_shell_is_waited_for_and_told(jupyter: Peer, port: object) -> None:
    box = Box(jupyter, port=port)
    box._examiner = HealthChecker(box.choices, patience=0.0)
    box.running = [info(38001)]
    shell = SlowShell(box)
    for _ in range(3):
        health = box.examine()
        assert (health.level, health.looked, health.missing) == (Level.NOTHING, False, False)
        assert title(health) == "Waiting for the login shell of gpu.example.org"
    assert box.targets == []  # nothing goes anywhere until it is known
    shell.ready.set()
    health = _in_the_end(box, lambda health: health.looked)
    assert (health.level, health.page.token) == (Level.LOGGED_IN, TOKEN)
    assert box.tunnel.runs == 1


def test_what_hinders_a_search_is_told_and_nothing_called_missing(nothing: Peer) -> None:
    box = Box(nothing)
    box.tunnel.forbidden = Problem("nobody listens", "", Recovery.RETRY)
    box.fault = Problem("The login shell of gpu was not ready", "Mend it")
    health = box.examine()
    assert (health.problem, health.looked, health.missing) == (box.fault, False, False)
    box.fault = None
    box.later()
    health = box.examine()
    assert (health.looked, health.missing) == (True, True)
    assert title(health) == NONE


def test_a_page_without_its_token_says_why(jupyter: Peer) -> None:
    box = Box(jupyter, port=38001)
    box.fault = Problem("The login shell of gpu was not ready", "Mend it")
    health = box.examine()
    assert (health.level, health.page.token, health.looked) == (Level.READY, "", False)
    assert title(health) == "Log in on Jupyter's page: its token could not be looked for"
    assert health.problem is not None
    assert health.problem.advice == "The login shell of gpu was not ready. Mend it"


def test_a_search_that_failed_is_made_again_soon_and_then_less_often(
    nothing: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(
        examine, "check_layers", lambda *_: HealthCheck(Level.NOTHING, secure=False)
    )
    box = Box(nothing)
    box._examiner = HealthChecker(box.choices, patience=None)
    box.fault = Problem("The server runs no commands", "")
    made = []
    for _ in range(400):
        before = box.tunnel.runs
        box.examine()
        if box.tunnel.runs > before:
            made.append(now - 1000.0)
        now += 1.0
    gaps = [later - earlier for earlier, later in itertools.pairwise(made)]
    assert gaps == [5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 120.0]


def _in_the_end(box: Box, done: Callable[[Health], bool]) -> Health:
    deadline = time.monotonic() + 60
    while not done(health := box.examine()):
        assert time.monotonic() < deadline, health
        time.sleep(0.01)
    return health


# --- whether one is missing -----------------------------------------------------------------------


def test_none_found_is_missing(jupyter: Peer) -> None:
    box = Box(jupyter)
    assert box.examine().missing
    box.running = [info(38001)]
    box._examiner.search_anew(box.tunnel)
    assert not box.examine().missing


def test_what_answers_on_the_port_of_the_file_is_taken_for_ours(jupyter: Peer) -> None:
    box = Box(jupyter, port=38001)
    box.server = box.server.model_copy(update={"start": StartOptions()})
    assert not box.examine().missing


def test_one_that_cannot_be_searched_is_not_missing(nothing: Peer) -> None:
    box = Box(nothing)
    box.tunnel.forbidden = Problem("nobody listens", "", Recovery.RETRY)
    assert box.examine().missing
    box.fault = Problem("no commands", "")
    box.reconnect()
    box.tunnel.forbidden = Problem("nobody listens", "", Recovery.RETRY)
    assert not box.examine().missing


def test_a_port_that_may_not_be_gone_to_is_no_reason_to_start(nothing: Peer) -> None:
    box = Box(nothing)
    box.tunnel.forbidden = Problem("the server forbids forwarding", "", Recovery.FIX_FIRST)
    assert not box.examine().missing


def test_the_address_of_the_api_is_below_the_base(jupyter: Peer) -> None:
    box = Box(jupyter, path="/lab/tree/x.ipynb")
    box.running = [info(38001)]
    assert box.examine().page.root == f"http://127.0.0.1:{jupyter.port}/"


def test_what_is_started_as_a_notebook_opens_as_one(jupyter: Peer) -> None:
    box = Box(jupyter)
    box.server = box.server.model_copy(update={"start": StartOptions(app="notebook")})
    box.running = [info(38001)]
    assert box.examine().page.url.endswith("/tree")


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), TimeoutError("late")])
def test_a_search_that_fails_unforeseen_is_made_again(jupyter: Peer, error: Exception) -> None:
    box = Box(jupyter)
    box.running = [info(38001)]
    box.fault = error
    with contextlib.suppress(RuntimeError):
        box.examine()
    box.fault = None
    assert box.examine().page.token == TOKEN
