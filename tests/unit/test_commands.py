"""Commands and their handlers: names, waiting, and the replies."""

from __future__ import annotations

import ast
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from unittest.mock import Mock

import pytest

import trayconnect
from tests.support.nulls import NoPrompter
from tests.support.servers import make_server
from tests.support.systems import has_own_addresses
from tests.support.waiting import wait_for
from tests.unit.test_session_manager import DOWN, LIMIT, Run, World
from trayconnect.actions.dispatcher import Dispatcher
from trayconnect.actions.program_commands import ProgramCommands
from trayconnect.actions.server_commands import ServerCommands
from trayconnect.cli.status_text import to_lines
from trayconnect.config.local_addresses import own_address
from trayconnect.config.model import Config
from trayconnect.control.protocol import Reply
from trayconnect.control.status_json import to_json
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Argument, Command, name_on_command_line
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.notices import Notice
from trayconnect.core.page import Page
from trayconnect.core.questions import Answer
from trayconnect.services.jupyter.model import FoundJupyter, Health
from trayconnect.services.jupyter.presentation import jupyter_label, table
from trayconnect.services.jupyter.selection_store import Choice
from trayconnect.services.protocol import Level
from trayconnect.sessions.state import State
from trayconnect.tray.backends.choice import BackendKind, TrayReport

TENSORBOARD = {"name": "TensorBoard", "local_port": 6006, "port": 6006, "open": True}
GPU = make_server(forwards=[TENSORBOARD])
LAB = make_server("Lab desktop", local_port=18889)
REFUSED = Problem("gpu refused the login", "Check the key", Recovery.USER_ACTION)


@dataclass
class Desk:
    """Every command, over a staged world."""

    run: Run
    config: Config = field(default_factory=lambda: Config(servers=(GPU, LAB)))
    copied: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """The titles of notices."""
    quits: int = 0
    show_status: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        servers = ServerCommands(
            self.run.manager,
            self.run.world,
            self.copied.append,
            lambda: self.config,
        )
        program = ProgramCommands(
            servers,
            Mock(problem=None, config=self.config, path=PurePosixPath("/home/ada/servers.yaml")),
            Mock(),
            NoPrompter(),
            self,
            Mock(),
            Mock(
                show_window=lambda: self.show_status(),
                report=lambda: TrayReport(
                    BackendKind.SNI, "a panel takes it", "xfce4-panel", shown=True
                ),
            ),
            reload=lambda: None,
            quit=self._quit,
        )
        self.dispatcher = Dispatcher(self, servers.handlers, program.handlers)
        self.run.manager.apply(self.config)

    def _quit(self) -> None:
        self.quits += 1

    def notify(self, notice: Notice) -> None:
        self.told.append(notice.title)

    def withdraw(self, tag: str) -> None:
        pass

    def do(self, name: str, server: str = "", **arguments: Argument) -> Reply:
        """The outcome of a command. Raises `ProblemError`."""
        return Reply(
            ok=True, data=self.dispatcher.answer(Command(name, server, arguments), CancelToken())
        )

    def ask(self, name: str, server: str = "", **arguments: Argument) -> Reply:
        """The same, with its problem as the reply."""
        try:
            return self.do(name, server, **arguments)
        except ProblemError as error:
            return Reply(ok=False, problem=error.problem)


def states(reply: Reply) -> list[str]:
    assert isinstance(reply.data, dict)
    return [server["state"] for server in reply.data["servers"]]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(Run(World()))
    yield desk
    assert desk.run.manager.close()


def test_a_name_is_found_whatever_its_case(desk: Desk) -> None:
    reply = desk.do("status", "gpu BOX")
    assert isinstance(reply.data, dict)
    assert [server["name"] for server in reply.data["servers"]] == ["GPU box"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [("GPU bos", "Did you mean “GPU box”?"), ("zzz", "There are: GPU box, Lab desktop")],
)
def test_an_unknown_name_is_answered_with_the_known_ones(
    desk: Desk, name: str, advice: str
) -> None:
    reply = desk.ask("connect", name)
    assert reply.problem is not None
    assert reply.problem.title == f"There is no server “{name}”"
    assert reply.problem.advice == advice


def test_an_empty_file_is_said(desk: Desk) -> None:
    desk.config = Config()
    with pytest.raises(ProblemError, match="no servers yet"):
        desk.do("status", "GPU box")


def test_connect_waits_for_the_page(desk: Desk) -> None:
    reply = desk.ask("connect", "GPU box", wait=LIMIT)
    assert reply.ok
    assert isinstance(reply.data, dict)
    (server,) = reply.data["servers"]
    assert (server["state"], server["reached"]) == ("up", "jupyter")
    assert desk.ask("connect", "GPU box", wait=LIMIT).ok  # at once, since it is there


def test_connect_ends_its_wait_when_only_the_user_can_go_on(desk: Desk) -> None:
    desk.run.world.outcomes = [REFUSED, REFUSED]
    for _ in range(2):  # the second end is told from the first
        reply = desk.ask("connect", "GPU box", wait=LIMIT)
        assert reply.problem == REFUSED
    assert desk.run.world.outcomes == []


def test_connect_gives_up_waiting_in_time_and_names_what_hinders(desk: Desk) -> None:
    desk.run.world.health = Health(Level.NOTHING, Page(""), DOWN)
    reply = desk.ask("connect", "GPU box", wait=0.5)
    assert reply.problem == DOWN
    desk.run.world.outcomes = ["hang"]
    reply = desk.ask("connect", "Lab desktop", wait=0.05)
    assert reply.problem is not None
    assert reply.problem.title == "Lab desktop did not answer within 0.05 s"


@pytest.mark.parametrize("name", ["connect", "link"])
def test_a_wait_ends_when_an_attempt_has_failed_twice(desk: Desk, name: str) -> None:
    lost = Problem("Cannot find host nowhere", "Check the name.", Recovery.RETRY)
    desk.run.world.clock.runs = True
    desk.run.world.outcomes = [lost, lost, lost]
    reply = desk.ask(name, "GPU box", wait=LIMIT)
    assert reply.problem is not None
    assert reply.problem.title == lost.title
    first, second = reply.problem.advice.splitlines()
    assert first == lost.advice
    assert re.fullmatch(r"trayconnect is retrying at [0-9:]+\.", second)
    assert desk.run.world.outcomes == [lost]


def test_a_wait_ends_when_the_next_attempt_comes_too_late(desk: Desk) -> None:
    busy = Problem("gpu is too busy", "Wait a moment.", Recovery.RETRY, wait=2 * LIMIT)
    desk.run.world.outcomes = [busy, busy]
    reply = desk.ask("connect", "GPU box", wait=LIMIT)
    assert reply.problem is not None
    assert reply.problem.title == busy.title
    assert desk.run.world.outcomes == [busy]


def test_connect_waits_through_one_failed_attempt(desk: Desk) -> None:
    desk.run.world.clock.runs = True
    desk.run.world.outcomes = [Problem("gpu is not up yet", "", Recovery.RETRY)]
    assert desk.ask("connect", "GPU box", wait=LIMIT).ok


def test_connect_waits_while_a_question_is_open(desk: Desk) -> None:
    world = desk.run.world
    world.outcomes, world.answer = ["ask"], Answer(("x",))
    replies: list[Reply] = []
    asking = threading.Thread(
        target=lambda: replies.append(desk.ask("connect", "GPU box", wait=LIMIT))
    )
    asking.start()
    assert world.asked.wait(LIMIT)
    world.may_answer.set()
    asking.join(LIMIT)
    assert replies[0].ok


def test_a_client_that_hangs_up_ends_its_wait(desk: Desk) -> None:
    desk.run.world.outcomes = ["hang"]
    cancel = CancelToken()
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(Cancelled):
            desk.dispatcher.answer(Command("connect", "GPU box", {"wait": LIMIT}), cancel)
        ended.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert desk.run.world.hanging.wait(LIMIT)
    cancel.set()
    assert ended.wait(LIMIT)
    waiting.join(LIMIT)


def test_an_order_is_answered_with_what_came_of_it(desk: Desk) -> None:
    desk.run.world.outcomes = ["hang"]
    assert states(desk.ask("connect", "GPU box")) == ["connecting"]
    assert states(desk.ask("disconnect", "GPU box"))[0] in ("closing", "off")
    assert states(desk.ask("open", "Lab desktop"))[0] in ("connecting", "up")


def test_connect_says_that_a_question_is_open(desk: Desk) -> None:
    desk.run.world.outcomes = ["ask"]
    reply = desk.ask("connect", "GPU box", wait=0.2)
    assert reply.problem is not None
    assert reply.problem.title == "GPU box waits for your answer"


def test_connect_says_that_the_server_is_gone_from_the_file(desk: Desk) -> None:
    desk.run.world.outcomes = ["hang"]
    replies: list[Reply] = []
    asking = threading.Thread(
        target=lambda: replies.append(desk.ask("connect", "GPU box", wait=LIMIT))
    )
    asking.start()
    assert desk.run.world.hanging.wait(LIMIT)
    desk.config = Config(servers=(LAB,))
    desk.run.manager.apply(desk.config)
    asking.join(LIMIT)
    assert replies[0].problem is not None
    assert replies[0].problem.title == "GPU box is no longer in the server file"


def test_open_shows_a_page_that_does_not_open_by_itself(desk: Desk) -> None:
    desk.config = Config(servers=(make_server(open_browser=False),))
    desk.run.manager.apply(desk.config)
    desk.ask("open", "GPU box")
    desk.run.until_ready()
    desk.ask("disconnect", "GPU box")  # the page opens before that
    desk.run.until_state(State.OFF)
    assert len(desk.run.world.pages) == 1


@has_own_addresses
def test_open_opens_the_page_or_connects_first(desk: Desk) -> None:
    desk.run.world.health = Health(Level.READY, Page("http://127.0.0.1:18888/lab", "t"))
    assert desk.ask("open", "GPU box").ok
    desk.run.until_ready()
    desk.ask("open", "GPU box")
    desk.do("open", "GPU box", forward="TensorBoard")
    assert {page.url for page in desk.run.world.pages} == {
        "http://127.0.0.1:18888/lab",
        f"http://{own_address(6006)}:6006/",
    }
    with pytest.raises(ProblemError, match="no forward"):
        desk.do("open", "GPU box", forward="nothing")


def test_a_copied_link_logs_in(desk: Desk) -> None:
    with pytest.raises(ProblemError, match="no page yet"):
        desk.do("copy-link", "GPU box")
    desk.run.world.health = Health(Level.READY, Page("http://127.0.0.1:18888/lab", "a+b"))
    desk.ask("connect", "GPU box", wait=LIMIT)
    desk.do("copy-link", "GPU box")
    assert desk.copied == ["http://127.0.0.1:18888/lab?token=a%2Bb"]


def test_a_link_is_that_of_now_and_opens_nothing(desk: Desk) -> None:
    world = desk.run.world
    world.health = Health(Level.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "old"))
    reply = desk.ask("link", "GPU box", wait=LIMIT)  # connects
    assert reply.data == {"link": "http://127.0.0.1:18888/lab?token=old", "why": ""}
    assert world.pages == []
    world.health = Health(Level.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "new"))
    reply = desk.ask("link", "GPU box", wait=LIMIT)
    assert reply.data == {"link": "http://127.0.0.1:18888/lab?token=new", "why": ""}
    world.health = Health(Level.READY, Page("http://127.0.0.1:18888/lab"), DOWN)
    reply = desk.ask("link", "GPU box", wait=LIMIT)
    assert reply.data == {"link": "http://127.0.0.1:18888/lab", "why": str(DOWN)}
    world.health = Health(Level.NOTHING, Page(""), DOWN)
    assert desk.ask("link", "GPU box", wait=0.5).problem == DOWN


@pytest.mark.parametrize("waits", [True, False])
def test_open_uses_the_token_of_now(desk: Desk, waits: bool) -> None:
    world = desk.run.world
    world.health = Health(Level.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "old"))
    desk.ask("connect", "GPU box", wait=LIMIT)
    world.health = Health(Level.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "new"))
    assert desk.do("open", "GPU box", **({"wait": LIMIT} if waits else {})).ok
    wait_for(lambda: len(world.pages) > 1, "the page")  # a look comes first
    assert [page.token for page in world.pages] == ["old", "new"]


def test_disconnect_ends_it(desk: Desk) -> None:
    desk.ask("connect", "GPU box", wait=LIMIT)
    assert desk.ask("disconnect", "GPU box").ok
    desk.run.until_state(State.OFF)


THESIS = FoundJupyter("8888", "/home/ada/thesis", "~/thesis", "2.21.1", 2, in_use=True)
DATA = FoundJupyter("8889", "/data", "/data", "7.0.0", None, in_use=False)
CHOICE = Health(
    Level.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "s3cr3t"), jupyters=(THESIS, DATA)
)


def test_another_jupyter_is_chosen_and_remembered(desk: Desk) -> None:
    desk.run.world.health = CHOICE
    desk.ask("connect", "GPU box", wait=LIMIT)
    lines = ["* 8888  ~/thesis  kernels: 2  2.21.1", "  8889  /data                 7.0.0"]
    assert desk.do("jupyters", "gpu box").data == {"lines": lines}
    moved = tuple(replace(one, in_use=not one.in_use) for one in (THESIS, DATA))
    desk.run.world.health = replace(CHOICE, jupyters=moved)
    reply = desk.ask("choose-jupyter", "gpu box", jupyter="data", wait=LIMIT)
    assert isinstance(reply.data, dict)
    assert reply.data["lines"][1].startswith("* 8889")
    assert desk.run.world.choices.get("GPU box") == Choice("/data", "8889")


@pytest.mark.parametrize(
    ("connects", "title", "advice"),
    [
        (False, "GPU box is not connected", 'Connect it first: trayconnect connect "GPU box"'),
        (
            True,
            "No Jupyter server of yours was found on GPU box",
            'Start one with: trayconnect start "GPU box"',
        ),
    ],
)
def test_a_server_without_a_jupyter_is_followed_by_what_to_type(
    desk: Desk, connects: bool, title: str, advice: str
) -> None:
    if connects:
        desk.ask("connect", "GPU box", wait=LIMIT)
    problem = desk.ask("jupyters", "gpu box").problem
    assert problem is not None
    assert (problem.title, problem.advice) == (title, advice)


def test_a_jupyter_that_is_not_there_cannot_be_chosen(desk: Desk) -> None:
    with pytest.raises(ProblemError, match="No Jupyter server was found on GPU box"):
        desk.do("choose-jupyter", "GPU box", jupyter="8888")
    desk.run.world.health = CHOICE
    desk.ask("connect", "GPU box", wait=LIMIT)
    reply = desk.ask("choose-jupyter", "GPU box", jupyter="9999")
    assert reply.problem is not None
    assert "8889  /data" in reply.problem.advice
    assert desk.run.world.choices.get("GPU box") is None


def test_the_advice_for_one_that_is_connected_is_not_to_connect_it(desk: Desk) -> None:
    silent = Problem("No Jupyter of yours runs on the server", "Choose Start Jupyter")
    desk.run.world.health = Health(Level.NOTHING, CHOICE.page, silent)
    desk.do("connect", "GPU box")
    desk.run.until("GPU box", lambda snapshot: snapshot.problem == silent)
    reply = desk.ask("stop-jupyter", "GPU box", identity="")
    assert reply.problem is not None
    assert reply.problem.title == "No Jupyter answers on GPU box"
    assert reply.problem.advice == silent.advice


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("jupyter-log", "GPU box is not connected"),
        ("jupyter-losses", "No Jupyter answers on GPU box"),
        ("stop-jupyter", "No Jupyter answers on GPU box"),
        ("restart-jupyter", "No Jupyter answers on GPU box"),
    ],
)
def test_what_needs_a_tunnel_says_so(desk: Desk, name: str, why: str) -> None:
    reply = desk.ask(name, "GPU box", identity="")
    assert reply.problem is not None
    assert reply.problem.title == why


def test_a_command_of_another_kind_is_said(desk: Desk) -> None:
    desk.config = Config(servers=(make_server("Web", host=None, url="http://lab/"),))
    desk.run.manager.apply(desk.config)
    for name in ("start-jupyter", "jupyters", "show-jupyter-log"):
        reply = desk.ask(name, "web")
        assert reply.problem is not None
        assert reply.problem.title == "This command does not apply to Web"
        assert "direct connection" in reply.problem.advice


def test_a_command_that_nobody_carries_out_is_said(desk: Desk) -> None:
    reply = desk.ask("launch", "GPU box")
    assert reply.problem is not None
    assert reply.problem.title == "trayconnect has no command “launch”"


def test_quit_and_ping_are_answered(desk: Desk) -> None:
    assert desk.do("ping").data == {"file": "/home/ada/servers.yaml"}
    assert desk.do("quit") == Reply(ok=True)
    assert desk.quits == 1
    assert desk.do("reload").data == {"servers": 2}


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (ProblemError(Problem("The panel is asleep", "Wake it")), "The panel is asleep"),
        (RuntimeError("no such luck"), "Something unexpected went wrong"),
    ],
)
def test_what_hinders_a_click_is_told_and_not_raised(
    desk: Desk, error: Exception, title: str
) -> None:
    def show_status() -> None:
        raise error

    desk.show_status = show_status
    desk.dispatcher.click(Command("show-status"))
    assert desk.told == [title]


def test_every_command_of_the_program_has_a_handler_and_every_handler_a_command(
    desk: Desk,
) -> None:
    """The menu, the window, the notices and the command line name their commands in the source."""
    named = {"ping"}  # for a peer that wants to know whether anybody answers
    for file in Path(trayconnect.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name("Command"), args=[first, *_]):
                    texts = [n for n in ast.walk(first) if isinstance(n, ast.Constant)]
                    named |= {str(text.value) for text in texts}
    assert named == desk.dispatcher.handlers.keys()


@pytest.mark.parametrize("name", ["connect", "disconnect", "open"])
def test_a_missing_name_is_said(desk: Desk, name: str) -> None:
    reply = desk.ask(name)
    assert reply.problem is not None
    assert reply.problem.title == "No server was named"


@has_own_addresses
def test_the_status_has_the_promised_keys_and_no_token(desk: Desk) -> None:
    desk.run.world.health = Health(Level.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "s3cr3t"))
    desk.ask("connect", "GPU box", wait=LIMIT)
    status = to_json(desk.run.manager.snapshots())
    gpu, lab = status["servers"]
    assert gpu.keys() == lab.keys() == {
        "name", "state", "words", "reached", "url", "local_port", "since", "problem", "attempt",
        "latency_ms", "starting", "runs_in", "kernels", "forwards", "notes", "jupyters",
        "unproven", "lines", "traffic",
    }  # fmt: skip
    assert gpu["traffic"] == {"connections": 0, "sent": 0, "received": 0}
    assert lab["traffic"] is None
    assert (gpu["reached"], gpu["url"], gpu["latency_ms"]) == (
        "logged_in",
        "http://127.0.0.1:18888/lab",
        2.0,
    )
    assert gpu["forwards"] == [
        {
            "name": "TensorBoard",
            "kind": "local",
            "listens": "localhost:6006",
            "leads_to": "localhost:6006",
            "address": "http://127.0.0.1:6006/",
            "url": f"http://{own_address(6006)}:6006/",
            "up": True,
            "answers": None,
            "page": None,
            "problem": None,
        }
    ]
    assert (lab["state"], lab["reached"], lab["url"]) == ("off", None, None)
    assert "s3cr3t" not in repr(status)


def test_the_status_reads_as_a_table() -> None:
    words = "connected, but Jupyter does not answer"
    server = {"name": "GPU box", "state": "up", "words": words, "reached": "ssh", "url": None}
    problem = {"title": "Jupyter is silent", "advice": "Start it"}
    lines = to_lines({"servers": [server | {"problem": problem}]})
    assert lines == [f"GPU box  {words}", "           Jupyter is silent. Start it"]
    forward = {"name": "Hook", "listens": "gate:9000", "leads_to": "localhost:3000", "up": True}
    refused = forward | {"up": False, "problem": {"title": "Refused", "advice": "Ask"}}
    forwards = [forward | {"problem": None}, refused]
    lines = to_lines({"servers": [server | {"problem": None, "forwards": forwards}]})
    assert lines[1:] == [
        "    Hook: gate:9000 → localhost:3000",
        "    Hook: gate:9000 → localhost:3000 (not up)",
        "        Refused. Ask",
    ]
    lines = to_lines({"servers": [server | {"problem": None, "lines": ["2 kernels, idle"]}]})
    assert lines[1:] == ["    2 kernels, idle"]
    assert to_lines({"servers": []})[0].startswith("No servers yet")


def test_the_status_tells_of_a_broken_file() -> None:
    status = to_json([], Problem("servers.yaml has a problem", "line 3: …"))
    assert to_lines(status) == ["servers.yaml has a problem", "    line 3: …"]


def test_a_socket_that_we_made_is_no_name_of_a_jupyter() -> None:
    ours = FoundJupyter("/tmp/tc-1000/a.sock", "/home/a/thesis", "~/thesis", "2.0", 1, in_use=True)
    own = replace(ours, where="/run/lab.sock")
    lines = table([ours, own])
    assert not any("/tmp/tc-" in text for text in [*lines, jupyter_label(ours)])
    assert "/run/lab.sock" in lines[1]
    assert jupyter_label(ours) == "~/thesis, 1 kernel"
    assert jupyter_label(own) == "~/thesis, socket /run/lab.sock, 1 kernel"


def test_a_forward_opens_where_it_listens(desk: Desk) -> None:
    server = make_server(forwards=[TENSORBOARD], bind_address="127.0.0.2")
    desk.config = Config(servers=(server,))
    desk.run.manager.apply(desk.config)
    desk.do("open", "GPU box", forward="TensorBoard")
    assert [page.url for page in desk.run.world.pages] == ["http://127.0.0.2:6006/"]


def test_reconnect_makes_a_new_tunnel(desk: Desk) -> None:
    desk.ask("connect", "GPU box", wait=LIMIT)
    desk.do("reconnect", "gpu box")
    manager = desk.run.manager
    assert manager.wait_until(
        lambda all_: all_["GPU box"].is_ready and all_["GPU box"].attempt > 1, LIMIT
    )


def test_a_group_is_connected_and_disconnected_as_a_whole(desk: Desk) -> None:
    both = tuple(s.model_copy(update={"group": "Lab"}) for s in (GPU, LAB))
    third = make_server("other", local_port=18890)
    desk.config = Config(servers=(*both, third))
    manager = desk.run.manager
    manager.apply(desk.config)
    desk.do("connect-group", group="Lab")
    assert manager.wait_until(
        lambda all_: all(s.name in all_ and all_[s.name].is_ready for s in both), LIMIT
    )
    other = manager.snapshot("other")
    assert other is not None
    assert other.state is State.OFF
    desk.do("disconnect-group", group="Lab")
    assert manager.wait_until(
        lambda all_: all(snapshot.state is State.OFF for snapshot in all_.values()), LIMIT
    )


def test_how_the_icon_is_shown_is_told(desk: Desk) -> None:
    assert desk.ask("tray").data == {
        "way": "StatusNotifierItem",
        "reason": "a panel takes it",
        "host": "xfce4-panel",
        "shown": True,
    }


def test_a_forward_without_a_page_has_an_address_all_the_same(desk: Desk) -> None:
    server = make_server(forwards=[{"name": "proxy", "kind": "dynamic", "local_port": 1080}])
    desk.config = Config(servers=(server,))
    desk.run.manager.apply(desk.config)
    with pytest.raises(ProblemError, match="has no page to open"):
        desk.do("open", "GPU box", forward="proxy")
    with pytest.raises(ProblemError, match="has no forward “other”"):
        desk.do("copy-forward", "GPU box", forward="other")
    desk.do("copy-forward", "GPU box", forward="proxy")
    assert desk.copied == ["socks5h://127.0.0.1:1080"]


def test_a_forward_whose_page_does_not_answer_is_not_opened(desk: Desk) -> None:
    server = make_server(forwards=[TENSORBOARD | {"ready": "/data/environment"}])
    desk.config = Config(servers=(server,))
    desk.run.manager.apply(desk.config)
    desk.do("connect", "GPU box")
    desk.run.until_ready()
    with pytest.raises(ProblemError) as caught:
        desk.do("open", "GPU box", forward="TensorBoard")
    assert caught.value.problem.title == "TensorBoard does not answer yet"
    desk.run.manager.do(Command("disconnect", "GPU box"))
    desk.run.until_state(State.OFF)


@pytest.mark.parametrize("name", ["gpu", "GPU box", "Größe", "it's", "$HOME `x` \\ !!", 'a "b"'])
def test_a_name_in_advice_can_be_typed(name: str) -> None:
    assert shlex.split(name_on_command_line(name)) == [name]
