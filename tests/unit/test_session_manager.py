"""The manager and its runners, with peers staged in this process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.support.carrier import NoCarrier
from tests.support.forwarding import eventually
from tests.support.servers import make_server
from tests.support.snapshots import facts
from tests.support.threads import wait_for_threads
from trayconnect.alerts.policy import SETTLE, WAITS, Alert
from trayconnect.alerts.scheduler import AlertScheduler
from trayconnect.config.forward_model import Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import Config, Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Command
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.link import (
    ByteStream,
    Carrier,
    Completed,
    Hop,
    Incoming,
    Link,
    Own,
    Owner,
    RemoteProgram,
)
from trayconnect.core.notices import Notice
from trayconnect.core.page import Page
from trayconnect.core.questions import Answer, Ask, ProgressDisplay, Question, QuestionKind
from trayconnect.services.jupyter.machine import JupyterStopped
from trayconnect.services.jupyter.model import FoundJupyter, Health
from trayconnect.services.jupyter.selection_store import BriefChoices
from trayconnect.services.jupyter.service import JupyterService, Work
from trayconnect.services.kinds import Services
from trayconnect.services.protocol import Desktop, Level, PageState, SetTarget
from trayconnect.sessions.dependencies import Dependencies
from trayconnect.sessions.manager import Manager
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.ssh.config.configured_forwards import NOTHING, ConfiguredForwards
from trayconnect.ssh.resolved_config import ResolvedConfig

LIMIT = 90.0
TAKEN = 7777
"""A local port that somebody else has."""
DOWN = Problem("refused", "Is it on?", Recovery.RETRY)
READY = Health(Level.READY, Page("http://127.0.0.1:18888/lab"))
USED = FoundJupyter("8888", "/", "/", "2.0", 0, in_use=True, pid=7, born="x")
LOST = Problem("The server went silent", "", Recovery.RETRY)
QUESTION = Question(QuestionKind.PASSWORD, "GPU box", "Password", "for ada")


class FakeClock:
    """Runs ahead when told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.runs = False
        """Whether it goes by itself, in real time."""

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return time.monotonic() if self.runs else self.now


@dataclass(eq=False)
class FakeTunnel(NoCarrier):
    server: Server
    on_lost: Callable[[Problem], None]
    typed_login: bool = False
    latency: float | None = 0.002
    banner: str = "Hello"
    closed: bool = False
    checks: int = 0
    refused: dict[Endpoint, Problem] = field(default_factory=dict)
    asked: list[Endpoint] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    incoming: dict[Endpoint, Callable[[Incoming], None]] = field(default_factory=dict)
    may_close: threading.Event = field(default_factory=threading.Event)

    def open_channel(self, target: Endpoint, origin: tuple[str, int]) -> ByteStream:
        raise ProblemError(DOWN)

    def open_own_channel(
        self, target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[ByteStream, Owner]:
        raise ProblemError(DOWN)

    def owner(self, target: Endpoint) -> Owner:
        return Owner.UNKNOWN

    def listen(
        self,
        where: Endpoint,
        on_incoming: Callable[[Incoming], None],
        on_answer: Callable[[int | Problem], None],
    ) -> None:
        self.asked.append(where)
        self.incoming[where] = on_incoming
        on_answer(self.refused.get(where, 9000))

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        self.commands.append(command)
        return Completed(0, b"", b"")

    def start_program(self, command: str, timeout: float) -> RemoteProgram:
        raise NotImplementedError

    def hop(self, node: Hop, **_: object) -> Link:
        raise NotImplementedError

    def check(self) -> None:
        self.checks += 1

    def close(self) -> None:
        assert self.may_close.wait(LIMIT)
        self.closed = True


@dataclass
class FakeForwarding:
    server: Server
    log: list[str]
    unbound_forwards: tuple[tuple[str, Problem], ...] = ()

    def set_target(self, target: Own | Problem) -> None:
        self.log.append(f"target {target}")

    def attach(self, carrier: Carrier) -> None:
        self.log.append("attach")

    def take(self, incoming: Incoming, target: Endpoint) -> None:
        self.log.append(f"take {incoming.origin} to {target}")

    def detach(self) -> None:
        self.log.append("detach")

    def close(self) -> None:
        self.log.append("close")


@dataclass
class World:
    """All ports at once; what they do is set by the test."""

    clock: FakeClock = field(default_factory=FakeClock)
    outcomes: list[Problem | str] = field(default_factory=list)
    """What the next connects do: a Problem, "ask", "hang"; connected when none is left."""
    tunnels: list[FakeTunnel] = field(default_factory=list)
    forwardings: list[FakeForwarding] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    told: threading.Condition = field(default_factory=threading.Condition)
    withdrawn: list[str] = field(default_factory=list)
    may_open: threading.Event = field(default_factory=threading.Event)
    """Whether the browser opens pages, or hangs."""
    forgotten: list[str] = field(default_factory=list)
    refused: dict[Endpoint, Problem] = field(default_factory=dict)
    """What no server listens on."""
    health: Health = READY
    port_taken: Problem | None = None
    answer: Answer | None = None
    asked: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)
    hanging: threading.Event = field(default_factory=threading.Event)
    may_close: threading.Event = field(default_factory=threading.Event)
    """Whether tunnels close, or hang."""
    may_examine: threading.Event = field(default_factory=threading.Event)
    launches: int = 0
    crashed: bool | None = False
    """How the Jupyter in use has ended."""
    may_launch: threading.Event = field(default_factory=threading.Event)
    not_started: Problem | None = None
    """Why Jupyter cannot be started."""
    looks: int = 0
    added: ConfiguredForwards | Problem | str = NOTHING
    """What ssh_config(5) adds; "hang" until it is cancelled."""
    reads: int = 0
    """How often it was read."""
    page_looks: int = 0
    choices: BriefChoices = field(default_factory=BriefChoices)
    seen_pages: dict[str, PageState] = field(default_factory=dict)
    refuse: Callable[[Problem], None] = lambda _: None
    """Tells the session that a connection could not be carried through."""

    def __post_init__(self) -> None:
        self.may_close.set()
        self.may_examine.set()
        self.may_launch.set()
        self.may_open.set()

    def connect(
        self,
        server: Server,
        *,
        ask: Ask,
        cancel: CancelToken,
        on_lost: Callable[[Problem], None],
        config: ResolvedConfig | None = None,
        display: ProgressDisplay | None = None,
    ) -> Link:
        outcome = self.outcomes.pop(0) if self.outcomes else "connect"
        if isinstance(outcome, Problem):
            raise ProblemError(outcome)
        if outcome == "bug":
            raise ZeroDivisionError("a bug")
        if outcome == "hang":
            self.hanging.set()
            assert cancel.wait(LIMIT)
        if outcome == "ask":
            ask(QUESTION)
        cancel.check()
        typed = outcome == "ask"
        tunnel = FakeTunnel(
            server, on_lost, typed_login=typed, may_close=self.may_close, refused=self.refused
        )
        self.tunnels.append(tunnel)
        return tunnel

    def forget(self, server: Server) -> None:
        self.forgotten.append(server.name)

    def listen(
        self,
        server: Server,
        *,
        also: Sequence[Forward] = (),
        on_refused: Callable[[Problem], None] | None = None,
    ) -> FakeForwarding:
        if self.port_taken:
            raise ProblemError(self.port_taken)
        self.refuse = on_refused or self.refuse
        unbound_forwards = tuple((one.name, DOWN) for one in also if one.local_port == TAKEN)
        forwarding = FakeForwarding(server, self.log, unbound_forwards)
        self.forwardings.append(forwarding)
        return forwarding

    def resolve(self, server: Server, cancel: CancelToken) -> ResolvedConfig:
        self.reads += 1
        if self.added == "hang":
            self.hanging.set()
            assert cancel.wait(LIMIT)
            raise Cancelled
        if isinstance(self.added, Problem):
            raise ProblemError(self.added)
        assert isinstance(self.added, ConfiguredForwards)
        return ResolvedConfig((), self.added)

    def launch(self, server: Server, tunnel: Link, cancel: CancelToken) -> str:
        self.launches += 1
        while not self.may_launch.wait(0.01):
            cancel.check()
        if self.not_started is not None:
            raise ProblemError(self.not_started)
        self.health = replace(READY, jupyters=(replace(USED, pid=self.launches),))
        return "in the tmux session x"

    def how_it_ended(
        self, server: Server, tunnel: Link, used: FoundJupyter, cancel: CancelToken
    ) -> bool | None:
        assert replace(used, pid=USED.pid) == USED
        return self.crashed

    def examine(
        self,
        server: Server,
        tunnel: Link,
        set_target: SetTarget,
        cancel: CancelToken,
        may_move: bool,
    ) -> Health:
        self.looks += 1
        assert self.may_examine.wait(LIMIT)
        return self.health

    def look_at_pages(
        self, server: Server, tunnel: Link, cancel: CancelToken
    ) -> dict[str, PageState]:
        self.page_looks += 1
        return self.seen_pages

    def bring_to_front(self) -> None:
        pass

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        self.asked.set()
        with cancel.releasing(self.may_answer.set):
            assert self.may_answer.wait(LIMIT)
        return self.answer

    def open(self, page: Page) -> None:
        self.pages.append(page)
        assert self.may_open.wait(LIMIT)

    def notify(self, notice: Notice) -> None:
        with self.told:
            self.notices.append(notice)
            self.told.notify_all()

    def withdraw(self, tag: str) -> None:
        self.withdrawn.append(tag)

    def show_text(self, title: str, text: str) -> None:
        raise NotImplementedError


class Run:
    """A manager over a `World`."""

    def __init__(
        self,
        world: World,
        on_change: Callable[[tuple[Snapshot, ...]], None] | None = None,
    ) -> None:
        self.world = world
        self.seen: list[tuple[Snapshot, ...]] = []
        peers = Dependencies(
            connector=lambda _: world,
            listen=world.listen,
            prompter=world,
            browser=world,
            services=Services(
                Desktop(world, world, world, world.show_text),
                Work(world.examine, world.launch, world.how_it_ended, world.choices),
                check_pages=world.look_at_pages,
            ),
        )
        self.manager = Manager(
            peers,
            AlertScheduler(world),
            clock=world.clock,
            on_change=on_change or self.seen.append,
            chance=lambda: 0.0,
        )
        self.manager.start()

    @property
    def jupyter(self) -> JupyterService:
        service = self.manager.service("GPU box")
        assert isinstance(service, JupyterService)
        return service

    def until(self, name: str, done: Callable[[Snapshot], bool]) -> Snapshot:
        """Wait for a session to be so."""
        assert self.manager.wait_until(lambda all_: name in all_ and done(all_[name]), LIMIT)
        found = self.manager.snapshot(name)
        assert found is not None
        return found

    def until_state(self, state: State, name: str = "GPU box") -> Snapshot:
        return self.until(name, lambda s: s.state is state)

    def until_ready(self, name: str = "GPU box") -> Snapshot:
        return self.until(name, lambda s: s.is_ready)

    def until_told(self, title: str) -> Notice:
        """Wait for a notice of that title to be the latest."""
        with self.world.told:
            assert self.world.told.wait_for(
                lambda: self.world.notices and self.world.notices[-1].title == title, LIMIT
            ), self.world.notices
            return self.world.notices[-1]


@pytest.fixture
def run() -> Iterator[Run]:
    before = set(threading.enumerate())
    staged = Run(World())
    staged.manager.apply(Config(servers=(make_server(),)))
    yield staged
    assert staged.manager.close()
    wait_for_threads(before)


def wait_for(event: threading.Event) -> None:
    assert event.wait(LIMIT)


def test_a_click_leads_to_a_page_and_another_ends_everything(run: Run) -> None:
    run.manager.do(Command("connect", "GPU box"))
    ready = run.until_ready()
    assert ready.latency == 0.002
    run.manager.do(Command("disconnect", "GPU box"))
    off = run.until_state(State.OFF)
    world = run.world
    eventually(lambda: world.pages, "the page")
    assert [page.url for page in world.pages] == ["http://127.0.0.1:18888/lab"]
    assert world.tunnels[0].closed
    assert world.log == ["attach", "detach", "close"]
    assert world.forgotten == ["GPU box"]
    assert off.page is None
    assert not [t for t in threading.enumerate() if t.name.startswith("tc-session")]


def test_a_browser_that_hangs_holds_up_no_disconnect(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.world.may_open.clear()
    run.manager.do(Command("connect", "GPU box"))
    eventually(lambda: run.world.pages, "the page")
    run.manager.do(Command("disconnect", "GPU box"))
    run.until_state(State.OFF)
    assert any(t.name == "tc-open GPU box" for t in threading.enumerate())  # it hangs still
    assert "did not end" not in caplog.text  # nobody waited for it
    run.world.may_open.set()


def test_a_lost_tunnel_keeps_its_listener_and_comes_back(run: Run) -> None:
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    run.world.tunnels[0].on_lost(LOST)
    waiting = run.until_state(State.WAITING)
    assert waiting.problem == LOST
    assert waiting.retry_at == 1001.0
    run.world.clock.now += 1.0
    run.manager.woke()  # any mail lets the manager look at its clock
    run.until_ready()
    assert len(run.world.forwardings) == 1
    assert run.world.log == ["attach", "detach", "attach"]
    assert run.world.tunnels[0].closed
    assert not run.world.tunnels[1].closed
    assert len(run.world.pages) == 1


def test_a_loss_is_told_when_its_time_has_come_without_any_mail(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for news in (Alert.UP, Alert.LOST, Alert.BACK):
        monkeypatch.setitem(WAITS, news, 0.05)
    run.world.clock.runs = True
    run.manager.do(Command("connect", "GPU box"))
    run.until_told("GPU box is connected")
    run.world.outcomes = [LOST]
    run.world.tunnels[0].on_lost(LOST)
    lost = run.until_told("GPU box no longer answers")
    assert "The server went silent" in lost.body
    run.until_told("GPU box is back")


def test_a_taken_port_fails_with_its_owner_and_a_click_tries_again(run: Run) -> None:
    run.world.port_taken = Problem("Port 18888 is taken by nc (4242)", "Stop it")
    run.manager.do(Command("connect", "GPU box"))
    failed = run.until_state(State.FAILED)
    assert failed.problem == run.world.port_taken
    run.world.clock.now += SETTLE
    assert run.manager.settle(LIMIT)
    run.until_told("GPU box could not be connected")
    run.world.port_taken = None
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    assert run.world.withdrawn == ["server GPU box"]


def test_disconnecting_releases_an_attempt_that_hangs(run: Run) -> None:
    run.world.outcomes = ["hang"]
    run.manager.do(Command("connect", "GPU box"))
    wait_for(run.world.hanging)
    run.manager.do(Command("disconnect", "GPU box"))
    run.until_state(State.OFF)
    assert run.world.tunnels == []


def test_a_question_is_asked_and_its_answer_connects(run: Run) -> None:
    run.world.outcomes, run.world.answer = ["ask"], Answer(("x",))
    run.manager.do(Command("connect", "GPU box"))
    asking = run.until("GPU box", lambda s: s.asking)
    assert asking.state is State.NEEDS_YOU
    run.world.may_answer.set()
    run.until_ready()
    run.world.tunnels[0].on_lost(LOST)
    assert run.until_state(State.NEEDS_YOU).asking is False


def test_a_declined_question_ends_in_off(run: Run) -> None:
    run.world.outcomes, run.world.answer = ["ask"], None
    run.manager.do(Command("connect", "GPU box"))
    wait_for(run.world.asked)
    run.world.may_answer.set()
    run.until_state(State.OFF)
    assert run.world.log == ["detach", "close"]


def test_disconnecting_withdraws_a_question(run: Run) -> None:
    run.world.outcomes, run.world.answer = ["ask"], Answer(("late",))
    run.manager.do(Command("connect", "GPU box"))
    wait_for(run.world.asked)
    run.manager.do(Command("disconnect", "GPU box"))
    run.until_state(State.OFF)
    assert run.world.tunnels == []


def test_a_bug_in_a_room_is_a_failure_of_one_session_only(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.world.outcomes = ["bug"]
    run.manager.do(Command("connect", "GPU box"))
    failed = run.until_state(State.FAILED)
    assert failed.problem is not None
    assert "ZeroDivisionError" in failed.problem.detail
    assert "a bug in connecting" in caplog.text
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()


def test_two_sessions_are_independent(run: Run) -> None:
    run.manager.apply(Config(servers=(make_server(), make_server("Lab", local_port=18889))))
    run.world.outcomes = ["hang"]
    run.manager.do(Command("connect", "GPU box"))
    wait_for(run.world.hanging)
    run.manager.do(Command("connect", "Lab"))
    run.until_ready("Lab")
    assert run.until_state(State.CONNECTING).name == "GPU box"
    for name in ("GPU box", "Lab"):
        run.manager.do(Command("disconnect", name))
    run.until_state(State.OFF)
    run.until_state(State.OFF, "Lab")


def test_a_new_file_keeps_the_tunnels_of_what_did_not_change(run: Run) -> None:
    lab = make_server("Lab", local_port=18889)
    run.manager.apply(Config(servers=(make_server(), lab)))
    for name in ("GPU box", "Lab"):  # one by one, so that the tunnels have an order
        run.manager.do(Command("connect", name))
        run.until_ready(name)
    changed = make_server("Lab", local_port=18889, host="new.example.org")
    new = make_server("New", local_port=18890)
    run.manager.apply(Config(servers=(new, make_server(), changed)))
    run.until("Lab", lambda s: s.is_ready and s.server == changed)
    assert [s.name for s in run.manager.snapshots()] == ["New", "GPU box", "Lab"]
    gpu, old_lab, new_lab = run.world.tunnels
    assert [tunnel.closed for tunnel in run.world.tunnels] == [False, True, False]
    assert (gpu.server, new_lab.server) == (make_server(), changed)
    run.manager.apply(Config(servers=(changed,)))
    assert run.manager.wait_until(lambda all_: list(all_) == ["Lab"], LIMIT)
    assert [tunnel.closed for tunnel in (gpu, old_lab, new_lab)] == [True, True, False]


def test_an_entry_of_another_kind_keeps_the_tunnel(run: Run) -> None:
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    run.manager.apply(Config(servers=(make_server(batch={"when": "menu"}),)))
    run.until("GPU box", lambda s: s.problem is not None)  # the host runs no commands
    run.manager.apply(Config(servers=(make_server(),)))
    run.until_ready()
    assert [tunnel.closed for tunnel in run.world.tunnels] == [False]


def test_the_users_look_after_a_wake_reaches_the_tunnel(run: Run) -> None:
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    run.world.health = Health(Level.NOTHING, Page(""), DOWN)
    run.manager.network_changed()
    amber = run.until("GPU box", lambda s: s.level is Level.NOTHING)
    assert amber.problem == DOWN
    assert run.world.tunnels[0].checks == 1


def test_waiting_for_what_does_not_come_ends(run: Run) -> None:
    assert not run.manager.wait_until(lambda all_: "nobody" in all_, 0.01)


def test_connect_all_leaves_alone_what_the_file_no_longer_has(run: Run) -> None:
    run.world.may_close.clear()
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    run.manager.apply(Config())
    run.until_state(State.CLOSING)
    run.manager.do(Command("connect", "GPU box"))
    run.world.may_close.set()
    assert run.manager.wait_until(lambda all_: not all_, LIMIT)
    assert len(run.world.tunnels) == 1


def test_an_entry_that_comes_back_while_it_closes_is_off_and_can_be_connected(run: Run) -> None:
    run.world.may_close.clear()
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    run.manager.apply(Config())
    run.until_state(State.CLOSING)
    run.manager.apply(Config(servers=(make_server(host="new.example.org"),)))
    run.world.may_close.set()
    off = run.until_state(State.OFF)
    assert off.server.host == "new.example.org"
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()


def test_nothing_connects_any_more_once_it_is_closing(run: Run) -> None:
    run.world.may_close.clear()
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    closing = threading.Thread(target=run.manager.close)
    closing.start()
    run.until_state(State.CLOSING)
    run.manager.do(Command("connect", "GPU box"))
    run.manager.apply(Config(servers=(make_server(host="new.example.org"),)))
    assert run.manager.settle(LIMIT)
    run.world.may_close.set()
    closing.join(LIMIT)
    assert not closing.is_alive()
    assert len(run.world.tunnels) == 1


def test_a_runner_that_hangs_is_given_up_in_time(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.world.may_close.clear()
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    assert not run.manager.close(0.05)
    assert "GPU box did not end" in caplog.text
    run.world.may_close.set()


def test_the_timer_of_an_entry_that_is_gone_does_not_hurry_its_namesake(run: Run) -> None:
    for _ in range(2):  # the second time under the same attempt number
        run.world.outcomes = [DOWN]
        run.manager.do(Command("connect", "GPU box"))
        run.until_state(State.WAITING)
        run.manager.apply(Config())
        assert run.manager.wait_until(lambda all_: not all_, LIMIT)
        run.manager.apply(Config(servers=(make_server(),)))
        run.until_state(State.OFF)
        run.world.clock.now += 0.5
    run.world.outcomes = [DOWN, DOWN]
    run.manager.do(Command("connect", "GPU box"))
    waiting = run.until_state(State.WAITING)
    assert waiting.retry_at == run.world.clock.now + 1.0
    run.world.clock.now += 0.75  # the older timers are due now
    assert run.manager.settle(LIMIT)
    assert run.world.outcomes == [DOWN]


def test_a_late_answer_of_an_entry_that_is_gone_costs_its_namesake_no_alert(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for alert in (Alert.UP, Alert.LOST):
        monkeypatch.setitem(WAITS, alert, 0.05)
    run.until_state(State.OFF)
    gone = run.jupyter
    run.manager.apply(Config())
    assert run.manager.wait_until(lambda all_: not all_, LIMIT)
    run.manager.apply(Config(servers=(make_server(),)))
    run.world.outcomes = ["connect", "hang"]
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    run.world.clock.now += 0.1
    run.manager.network_changed()
    run.until_told("GPU box is connected")
    run.world.tunnels[0].on_lost(LOST)
    run.until_state(State.WAITING)
    gone.tell(JupyterStopped(False))
    assert run.manager.settle(LIMIT)
    run.world.clock.now += 0.1
    run.manager.network_changed()
    run.until_told("GPU box no longer answers")


def test_nobody_waits_for_one_that_has_ended(run: Run) -> None:
    assert run.manager.close()
    assert not run.manager.settle(3600.0)


def test_orders_have_been_taken_in_once_it_settled(run: Run) -> None:
    run.world.outcomes = ["hang"]
    run.manager.do(Command("connect", "GPU box"))
    assert run.manager.settle(LIMIT)
    now = run.manager.snapshot("GPU box")
    assert now is not None
    assert now.state is State.CONNECTING


def test_a_listener_that_fails_does_not_stop_the_manager() -> None:
    def fail(_: tuple[Snapshot, ...]) -> None:
        raise ZeroDivisionError("a listener's bug")

    run = Run(World(), on_change=fail)
    run.manager.apply(Config(servers=(make_server(),)))
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    assert run.manager.close()


def test_many_refused_connections_cause_one_look(run: Run) -> None:
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    world = run.world
    world.may_examine.clear()
    before = world.looks
    world.health = Health(Level.NOTHING, Page(""), DOWN)
    for _ in range(50):
        world.refuse(DOWN)
    world.may_examine.set()
    run.until("GPU box", lambda s: s.level is Level.NOTHING)
    run.manager.do(Command("disconnect", "GPU box"))
    run.until_state(State.OFF)
    assert world.looks - before <= 3


# --- the pages of forwards ----------------------------------------------------------------------

TOOL_ENTRY = {"name": "Dask", "local_port": 8787, "port": 8787, "open": True, "ready": "/health"}


def test_pages_are_looked_at_until_they_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trayconnect.services.webpage.service.PAGES_SILENT", 0.01)
    run.manager.apply(Config(servers=(make_server(forwards=[TOOL_ENTRY]),)))
    run.manager.do(Command("connect", "GPU box"))
    silent = run.until("GPU box", lambda s: s.is_ready and s.forwards[0].answers is False)
    assert silent.forwards[0].is_up
    run.world.seen_pages = {"Dask": PageState.ANSWERS}
    run.until("GPU box", lambda s: s.forwards[0].answers is True)
    run.manager.do(Command("disconnect", "GPU box"))
    off = run.until_state(State.OFF)
    assert off.forwards[0].answers is False


def test_where_no_page_is_to_be_asked_none_is(run: Run) -> None:
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    run.manager.do(Command("disconnect", "GPU box"))
    run.until_state(State.OFF)
    assert run.world.page_looks == 0


# --- remote forwards ----------------------------------------------------------------------------

HOOK = TcpEndpoint("localhost", 9000)
HOOK_ENTRY = {"name": "hook", "kind": "remote", "remote_port": 9000, "port": 3000}
NO_PORT = Problem("gpu refused to listen on port 9000", "Another program may hold it")


class Knock:
    """An `Incoming`."""

    origin = "198.51.100.7:1234"

    def accept(self, sock: socket.socket, on_ended: Callable[[], None] = lambda: None) -> None:
        raise AssertionError("that is the forwarding's")

    def refuse(self, reason: str, *, busy: bool = False) -> None:
        raise AssertionError("that is the forwarding's")


def test_remote_forwards_are_asked_for_with_each_tunnel(run: Run) -> None:
    run.manager.apply(Config(servers=(make_server(forwards=[HOOK_ENTRY]),)))
    run.manager.do(Command("connect", "GPU box"))
    now = run.until("GPU box", lambda s: any(forward.is_up for forward in s.forwards))
    assert (now.state, now.forwards[0].problem) == (State.UP, None)
    run.world.tunnels[0].incoming[HOOK](Knock())
    assert run.world.log[-1] == "take 198.51.100.7:1234 to localhost:3000"
    run.world.tunnels[0].on_lost(LOST)
    waiting = run.until_state(State.WAITING)
    assert not waiting.forwards[0].is_up
    run.manager.woke()
    run.until("GPU box", lambda s: s.forwards[0].is_up)
    assert set(run.world.tunnels[1].incoming) == {HOOK}


def test_a_refused_one_is_told_of_and_asked_for_again_after_a_while(run: Run) -> None:
    run.world.refused[HOOK] = NO_PORT
    run.manager.apply(Config(servers=(make_server(forwards=[HOOK_ENTRY]),)))
    run.manager.do(Command("connect", "GPU box"))
    now = run.until("GPU box", lambda s: s.is_ready and s.problem is not None)
    assert now.problem == now.forwards[0].problem == NO_PORT
    looks = run.world.looks
    for number in (1, 2):  # a second look begins when all of the first is done
        run.manager.woke()
        eventually(lambda: run.world.looks >= looks + number, "a look")  # noqa: B023
    del run.world.refused[HOOK]
    assert run.world.tunnels[0].asked == [HOOK]
    worker = run.manager._managed["GPU box"]._worker
    assert worker is not None
    assert worker._live is not None
    worker._live.next_request = 0.0
    run.manager.woke()
    now = run.until("GPU box", lambda s: s.forwards[0].is_up)
    assert now.problem is None
    assert run.world.tunnels[0].asked == [HOOK, HOOK]


def test_the_socket_that_a_server_leaves_is_tidied_up(run: Run) -> None:
    path = "/run/a hook"
    hook = {"name": "hook", "kind": "remote", "remote_socket": path, "port": 3000}
    run.manager.apply(Config(servers=(make_server(forwards=[hook]),)))
    run.manager.do(Command("connect", "GPU box"))
    run.until("GPU box", lambda s: any(forward.is_up for forward in s.forwards))
    first = run.world.tunnels[0]
    assert first.commands == []
    first.on_lost(LOST)
    run.until_state(State.WAITING)
    run.manager.woke()
    run.until("GPU box", lambda s: s.forwards[0].is_up)
    second = run.world.tunnels[1]
    tidy = "test -S '/run/a hook' && rm -f '/run/a hook'"
    assert (first.commands, second.commands) == ([], [tidy])
    run.manager.do(Command("disconnect", "GPU box"))
    run.until_state(State.OFF)
    assert second.commands == [tidy, tidy]


# --- what ssh_config adds -----------------------------------------------------------------------

ADDED = ConfiguredForwards(
    (
        Forward(name="LocalForward 7777", local_port=TAKEN, port=1),
        Forward(name="DynamicForward 1080", kind=Kind.DYNAMIC, local_port=1080),
        Forward(name="RemoteForward 9000", kind=Kind.REMOTE, remote_port=9000, port=3000),
    ),
    ("gpu: SetEnv is ignored",),
)


def test_it_is_read_once_an_attempt_and_its_forwards_hold_until_the_stop(run: Run) -> None:
    run.world.added = ADDED
    assert run.world.reads == 0
    run.manager.do(Command("connect", "GPU box"))
    now = run.until("GPU box", lambda s: s.is_ready and s.forwards[-1].is_up)
    assert [one.is_up for one in now.forwards] == [False, True, True]
    assert [one.problem for one in now.forwards] == [DOWN, None, None]
    assert (now.problem, now.notes) == (None, ADDED.notes)
    assert run.world.reads == 1
    run.world.tunnels[0].on_lost(LOST)
    waiting = run.until_state(State.WAITING)
    assert (waiting.notes, waiting.banner) == (ADDED.notes, "Hello")
    assert [one.problem for one in waiting.forwards] == [DOWN, None, None]
    run.world.added = NOTHING  # the listeners are bound
    run.manager.woke()
    run.until("GPU box", lambda s: s.is_ready and s.forwards[-1].is_up)
    assert run.world.reads == 2
    assert set(run.world.tunnels[1].incoming) == {HOOK}
    run.manager.do(Command("disconnect", "GPU box"))
    off = run.until_state(State.OFF)
    assert (off.forwards, off.notes, off.banner) == ((), (), "")
    run.manager.do(Command("connect", "GPU box"))
    assert run.until_ready().forwards == ()
    assert run.world.reads == 3
    run.world.added = ADDED
    run.manager.do(Command("reconnect", "GPU box"))
    run.until("GPU box", lambda s: s.is_ready and s.notes == ADDED.notes)


def test_a_reading_that_fails_is_an_attempt_that_failed_and_is_made_again(run: Run) -> None:
    run.world.added = DOWN
    run.manager.do(Command("connect", "GPU box"))
    assert run.until_state(State.WAITING).problem == DOWN
    assert run.world.forwardings == []
    run.world.added = ADDED
    run.manager.woke()
    assert len(run.until_ready().forwards) == 3
    assert run.world.reads == 2


def test_a_stop_ends_a_reading_that_hangs(run: Run) -> None:
    run.world.added = "hang"
    run.manager.do(Command("connect", "GPU box"))
    wait_for(run.world.hanging)
    run.manager.do(Command("disconnect", "GPU box"))
    run.until_state(State.OFF)
    assert run.world.forwardings == []


# --- starting Jupyter -----------------------------------------------------------------------------

MISSING = Health(Level.NOTHING, Page(""), DOWN, missing=True)
BROKEN = Problem("jupyter-lab was not found", "Install it", Recovery.FIX_FIRST)


def starting(run: Run, start: object = True) -> None:
    run.world.health = MISSING
    run.manager.apply(Config(servers=(make_server(start=start),)))
    run.manager.do(Command("connect", "GPU box"))


def start_jupyter(run: Run) -> None:
    """As the user's command does."""
    assert run.manager.settle(LIMIT)
    run.jupyter.run(Command("start-jupyter", "GPU box"), CancelToken())
    run.manager.do(Command("connect", "GPU box"))


def test_jupyter_is_started_where_none_runs_and_then_the_page_opens(run: Run) -> None:
    run.world.may_launch.clear()
    starting(run)
    assert run.until("GPU box", lambda _: facts(run.manager).starting).problem is None
    run.world.may_launch.set()
    run.until_ready()
    assert (facts(run.manager).starting, facts(run.manager).launcher) == (
        False,
        "in the tmux session x",
    )
    eventually(lambda: run.world.pages, "the page")
    assert run.world.launches == 1


@pytest.mark.parametrize("start", [False, {"when": "menu"}])
def test_it_is_started_only_where_the_entry_says_so_or_the_user(run: Run, start: object) -> None:
    starting(run, start)
    run.until("GPU box", lambda s: s.problem is DOWN)
    assert run.world.launches == 0
    start_jupyter(run)
    run.until_ready()
    assert run.world.launches == 1


def test_a_start_in_vain_keeps_the_tunnel_and_is_not_repeated(run: Run) -> None:
    run.world.not_started = BROKEN
    starting(run)
    failed = run.until("GPU box", lambda s: s.problem is not None)
    assert (failed.state, failed.problem, facts(run.manager).starting) == (State.UP, BROKEN, False)
    looks = run.world.looks
    run.manager.do(Command("connect", "GPU box"))  # a click looks again
    eventually(lambda: run.world.looks > looks, "a look")
    run.world.tunnels[-1].on_lost(LOST)
    run.until_state(State.WAITING)
    run.manager.woke()
    run.until("GPU box", lambda s: s.problem is BROKEN and s.attempt > 1)
    assert run.world.launches == 1
    run.world.not_started = None
    start_jupyter(run)
    run.until_ready()


def test_a_corrected_entry_is_tried_at_once(run: Run) -> None:
    run.world.not_started = BROKEN
    starting(run)
    run.until("GPU box", lambda s: s.problem is BROKEN)
    run.world.not_started = None
    run.manager.apply(Config(servers=(make_server(start={"folder": "~/thesis"}),)))
    run.until_ready()
    assert (run.world.launches, len(run.world.tunnels)) == (2, 1)


def ends(run: Run, crashed: bool | None, *, reconnects: bool) -> None:
    """The Jupyter that was started ends, and the next look finds none."""
    starting(run)
    run.until_ready()
    run.world.crashed = crashed
    run.world.health = MISSING
    if reconnects:
        run.world.tunnels[-1].on_lost(LOST)
        run.until_state(State.WAITING)
        run.manager.woke()
    else:
        run.world.refuse(DOWN)


@pytest.mark.parametrize("reconnects", [False, True])
def test_one_that_crashed_is_started_again(run: Run, reconnects: bool) -> None:
    ends(run, True, reconnects=reconnects)
    eventually(lambda: run.world.launches == 2, "a start")
    run.until_ready()


@pytest.mark.parametrize("reconnects", [False, True])
@pytest.mark.parametrize("crashed", [False, None])
def test_one_that_was_shut_down_or_is_ending_is_not(
    run: Run, crashed: bool | None, reconnects: bool
) -> None:
    ends(run, crashed, reconnects=reconnects)
    run.until("GPU box", lambda s: s.problem is DOWN)
    looks = run.world.looks
    run.manager.check("GPU box")
    eventually(lambda: run.world.looks > looks, "a look")
    assert run.world.launches == 1


def test_after_a_shutdown_the_users_next_connect_starts_one(run: Run) -> None:
    ends(run, False, reconnects=False)
    run.until("GPU box", lambda s: s.problem is DOWN)
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    assert run.world.launches == 2


def test_a_change_of_the_file_is_no_connect_by_the_user(run: Run) -> None:
    ends(run, False, reconnects=False)
    run.until("GPU box", lambda s: s.problem is DOWN)
    run.manager.apply(Config(servers=(make_server(start=True, hold_seconds=5),)))
    run.until("GPU box", lambda s: s.problem is DOWN and len(run.world.tunnels) == 2)
    assert run.world.launches == 1


def test_one_that_crashes_again_soon_is_not_started_for_ever(run: Run) -> None:
    ends(run, True, reconnects=False)
    # While it starts, what the last look found still holds: wait for the look at the second one.
    run.until(
        "GPU box", lambda _: (used := facts(run.manager).in_use) is not None and used.pid == 2
    )
    run.world.health = MISSING
    run.world.refuse(DOWN)
    found = run.until("GPU box", lambda s: s.problem is not None)
    assert found.problem is not None
    assert "crashed" in found.problem.title
    assert run.world.launches == 2


def test_one_that_the_user_stopped_stays_stopped(run: Run) -> None:
    starting(run)
    run.until_ready()
    run.world.health = MISSING
    run.jupyter.tell(JupyterStopped())
    run.until("GPU box", lambda s: s.problem is DOWN)
    run.world.tunnels[-1].on_lost(LOST)
    run.until_state(State.WAITING)
    run.manager.woke()
    run.until("GPU box", lambda s: s.problem is DOWN and s.state is State.UP)
    assert run.world.launches == 1


def test_a_disconnect_ends_the_wait_for_a_start(run: Run) -> None:
    run.world.may_launch.clear()
    starting(run)
    run.until("GPU box", lambda _: facts(run.manager).starting)
    run.manager.do(Command("disconnect", "GPU box"))
    run.until_state(State.OFF)


def test_starting_connects_first(run: Run) -> None:
    run.world.health = MISSING
    start_jupyter(run)
    run.until_ready()
    assert run.world.launches == 1


def bug(*_: object) -> None:
    raise ZeroDivisionError("a bug")


def test_a_link_is_closed_though_its_ports_are_not_given_back(run: Run) -> None:
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    forwarding: Any = run.world.forwardings[0]
    forwarding.detach = bug
    run.world.tunnels[0].on_lost(LOST)
    run.until_state(State.WAITING)
    eventually(lambda: run.world.tunnels[0].closed, "the end of the link")


def test_the_end_reaches_every_session_whatever_happens_to_another(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.manager.apply(Config(servers=(make_server(), make_server(name="other", local_port=18889))))
    for name in ("GPU box", "other"):
        run.manager.do(Command("connect", name))
        run.until_ready(name)
    monkeypatch.setattr(AlertScheduler, "follow", bug)
    assert run.manager.close()
    assert all(tunnel.closed for tunnel in run.world.tunnels)


def test_a_bug_in_a_retry_loses_no_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.world.outcomes = ["connect", "hang"]
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    run.world.tunnels[0].on_lost(LOST)
    run.until_state(State.WAITING)
    with monkeypatch.context() as broken:
        broken.setattr(AlertScheduler, "follow", bug)
        run.world.clock.now += 3600.0
        assert run.manager.settle(LIMIT)


@pytest.mark.parametrize("step", ["link_down", "handle", "close"])
def test_a_bug_in_a_service_keeps_no_tunnel_open(
    run: Run, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run.manager.do(Command("connect", "GPU box"))
    run.until_ready()
    (jupyter, *_) = run.manager._managed["GPU box"].services
    with monkeypatch.context() as broken:
        broken.setattr(jupyter, step, bug)
        run.manager.do(Command("disconnect", "GPU box"))
        run.until_state(State.OFF)
        assert run.world.tunnels[0].closed
    jupyter.link_down()
    jupyter.close()
