"""Orders and requests: names, waiting, and what is answered to the commands."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from tests.support.servers import make_server
from tests.support.systems import has_own_addresses
from tests.support.waiting import wait_for
from tests.unit.test_session_manager import DOWN, LIMIT, Run, World
from trayconnect.cancel import Cancel
from trayconnect.config.local_addresses import own_address
from trayconnect.config.model import Config
from trayconnect.control.protocol import Command, Reply, Request
from trayconnect.control.status import to_json, to_jupyter_lines, to_lines
from trayconnect.errors import Cancelled, Problem, ProblemError, Remedy
from trayconnect.orders import Orders
from trayconnect.ports import Answer, BriefChoices, Choice, FoundJupyter, Health, Page, Reached
from trayconnect.requests import Requests
from trayconnect.session.state import State
from trayconnect.tray.chain import Report, Way
from trayconnect.tray.words import jupyter_words

TENSORBOARD = {"name": "TensorBoard", "local_port": 6006, "port": 6006, "open": True}
GPU = make_server(forwards=[TENSORBOARD])
LAB = make_server("Lab desktop", local_port=18889)
REFUSED = Problem("gpu refused the login", "Check the key", Remedy.USER)


@dataclass
class Desk:
    """Orders over a staged world."""

    run: Run
    config: Config = field(default_factory=lambda: Config(servers=(GPU, LAB)))
    copied: list[str] = field(default_factory=list)
    quits: int = 0
    choices: BriefChoices = field(default_factory=BriefChoices)

    def __post_init__(self) -> None:
        self.orders = Orders(
            self.run.manager,
            self.run.world,
            self.copied.append,
            lambda: self.config,
            self.choices,
        )
        self.requests = Requests(
            self.orders,
            reload=lambda: Reply(ok=True, data={"servers": 2}),
            show=lambda: None,
            tray=lambda: Report(Way.SNI, "a panel takes it", "xfce4-panel", shown=True),
            quit=self._quit,
        )
        self.run.manager.apply(self.config)

    def _quit(self) -> None:
        self.quits += 1

    def ask(
        self,
        command: Command,
        name: str | None = None,
        wait: float | None = None,
        choice: str | None = None,
    ) -> Reply:
        return self.requests.answer(Request(command, name, wait, choice), Cancel())


def states(reply: Reply) -> list[str]:
    assert isinstance(reply.data, dict)
    return [server["state"] for server in reply.data["servers"]]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk(Run(World()))
    yield desk
    assert desk.run.manager.close()


def test_a_name_is_found_whatever_its_case(desk: Desk) -> None:
    assert desk.orders.find("gpu BOX") == GPU


@pytest.mark.parametrize(
    ("name", "advice"),
    [("GPU bos", "Did you mean “GPU box”?"), ("zzz", "There are: GPU box, Lab desktop")],
)
def test_an_unknown_name_is_answered_with_the_known_ones(
    desk: Desk, name: str, advice: str
) -> None:
    reply = desk.ask(Command.CONNECT, name)
    assert reply.problem is not None
    assert reply.problem.title == f"There is no server “{name}”"
    assert reply.problem.advice == advice


def test_an_empty_file_is_said(desk: Desk) -> None:
    desk.config = Config()
    with pytest.raises(ProblemError, match="none yet"):
        desk.orders.find("GPU box")


def test_connect_waits_for_the_page(desk: Desk) -> None:
    reply = desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    assert reply.ok
    assert isinstance(reply.data, dict)
    (server,) = reply.data["servers"]
    assert (server["state"], server["reached"]) == ("up", "jupyter")
    assert desk.ask(Command.CONNECT, "GPU box", wait=LIMIT).ok  # at once, since it is there


def test_connect_ends_its_wait_when_only_the_user_can_go_on(desk: Desk) -> None:
    desk.run.world.outcomes = [REFUSED, REFUSED]
    for _ in range(2):  # the second end is told from the first
        reply = desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
        assert reply.problem == REFUSED
    assert desk.run.world.outcomes == []


def test_connect_gives_up_waiting_in_time_and_names_what_hinders(desk: Desk) -> None:
    desk.run.world.health = Health(Reached.SSH, Page(""), DOWN)
    reply = desk.ask(Command.CONNECT, "GPU box", wait=0.5)
    assert reply.problem == DOWN
    desk.run.world.outcomes = ["hang"]
    reply = desk.ask(Command.CONNECT, "Lab desktop", wait=0.05)
    assert reply.problem is not None
    assert reply.problem.title == "Lab desktop did not answer within 0.05 s"


def test_connect_waits_while_a_question_is_open(desk: Desk) -> None:
    world = desk.run.world
    world.outcomes, world.answer = ["ask"], Answer(("x",))
    replies: list[Reply] = []
    asking = threading.Thread(
        target=lambda: replies.append(desk.ask(Command.CONNECT, "GPU box", wait=LIMIT))
    )
    asking.start()
    assert world.asked.wait(LIMIT)
    world.may_answer.set()
    asking.join(LIMIT)
    assert replies[0].ok


def test_a_client_that_hangs_up_ends_its_wait(desk: Desk) -> None:
    desk.run.world.outcomes = ["hang"]
    cancel = Cancel()
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(Cancelled):
            desk.orders.connect_and_wait("GPU box", LIMIT, cancel)
        ended.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert desk.run.world.hanging.wait(LIMIT)
    cancel.set()
    assert ended.wait(LIMIT)
    waiting.join(LIMIT)


def test_an_order_is_answered_with_what_came_of_it(desk: Desk) -> None:
    desk.run.world.outcomes = ["hang"]
    assert states(desk.ask(Command.CONNECT, "GPU box")) == ["connecting"]
    assert states(desk.ask(Command.DISCONNECT, "GPU box"))[0] in ("closing", "off")
    assert states(desk.ask(Command.OPEN, "Lab desktop"))[0] in ("connecting", "up")


def test_connect_says_that_a_question_is_open(desk: Desk) -> None:
    desk.run.world.outcomes = ["ask"]
    reply = desk.ask(Command.CONNECT, "GPU box", wait=0.2)
    assert reply.problem is not None
    assert reply.problem.title == "GPU box waits for your answer"


def test_connect_says_that_the_server_is_gone_from_the_file(desk: Desk) -> None:
    desk.run.world.outcomes = ["hang"]
    replies: list[Reply] = []
    asking = threading.Thread(
        target=lambda: replies.append(desk.ask(Command.CONNECT, "GPU box", wait=LIMIT))
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
    desk.ask(Command.OPEN, "GPU box")
    desk.run.until_ready()
    desk.ask(Command.DISCONNECT, "GPU box")  # the page opens before that
    desk.run.until_state(State.OFF)
    assert len(desk.run.world.pages) == 1


@has_own_addresses
def test_open_opens_the_page_or_connects_first(desk: Desk) -> None:
    desk.run.world.health = Health(Reached.JUPYTER, Page("http://127.0.0.1:18888/lab", "t"))
    assert desk.ask(Command.OPEN, "GPU box").ok
    desk.run.until_ready()
    desk.ask(Command.OPEN, "GPU box")
    desk.orders.open("GPU box", "TensorBoard")
    assert {page.url for page in desk.run.world.pages} == {
        "http://127.0.0.1:18888/lab",
        f"http://{own_address(6006)}:6006/",
    }
    with pytest.raises(ProblemError, match="no forward"):
        desk.orders.open("GPU box", "nothing")


def test_a_copied_link_logs_in(desk: Desk) -> None:
    with pytest.raises(ProblemError, match="no page yet"):
        desk.orders.copy_link("GPU box")
    desk.run.world.health = Health(Reached.JUPYTER, Page("http://127.0.0.1:18888/lab", "a+b"))
    desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    desk.orders.copy_link("GPU box")
    assert desk.copied == ["http://127.0.0.1:18888/lab?token=a%2Bb"]


def test_a_link_is_that_of_now_and_opens_nothing(desk: Desk) -> None:
    world = desk.run.world
    world.health = Health(Reached.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "old"))
    reply = desk.ask(Command.LINK, "GPU box", wait=LIMIT)  # connects
    assert reply.data == {"link": "http://127.0.0.1:18888/lab?token=old", "why": ""}
    assert world.pages == []
    world.health = Health(Reached.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "new"))
    reply = desk.ask(Command.LINK, "GPU box", wait=LIMIT)
    assert reply.data == {"link": "http://127.0.0.1:18888/lab?token=new", "why": ""}
    world.health = Health(Reached.JUPYTER, Page("http://127.0.0.1:18888/lab"), DOWN)
    reply = desk.ask(Command.LINK, "GPU box", wait=LIMIT)
    assert reply.data == {"link": "http://127.0.0.1:18888/lab", "why": str(DOWN)}
    world.health = Health(Reached.SSH, Page(""), DOWN)
    assert desk.ask(Command.LINK, "GPU box", wait=0.5).problem == DOWN


@pytest.mark.parametrize("by_command", [True, False])
def test_open_uses_the_token_of_now(desk: Desk, by_command: bool) -> None:
    world = desk.run.world
    world.health = Health(Reached.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "old"))
    desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    world.health = Health(Reached.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "new"))
    if by_command:
        assert desk.ask(Command.OPEN, "GPU box").ok
    else:
        desk.orders.open("GPU box")
    wait_for(lambda: len(world.pages) > 1, "the page")  # a look comes first
    assert [page.token for page in world.pages] == ["old", "new"]


def test_disconnect_ends_it(desk: Desk) -> None:
    desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    assert desk.ask(Command.DISCONNECT, "GPU box").ok
    desk.run.until_state(State.OFF)


THESIS = FoundJupyter("8888", "/home/ada/thesis", "~/thesis", "2.21.1", 2, in_use=True)
DATA = FoundJupyter("8889", "/data", "/data", "7.0.0", None, in_use=False)
CHOICE = Health(
    Reached.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "s3cr3t"), jupyters=(THESIS, DATA)
)


def test_another_jupyter_is_chosen_and_remembered(desk: Desk) -> None:
    desk.run.world.health = CHOICE
    desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    reply = desk.ask(Command.STATUS, "gpu box")
    assert isinstance(reply.data, dict)
    assert to_jupyter_lines(reply.data) == [
        "* 8888  ~/thesis  kernels: 2  2.21.1",
        "  8889  /data                 7.0.0",
    ]
    moved = tuple(replace(one, in_use=not one.in_use) for one in (THESIS, DATA))
    desk.run.world.health = replace(CHOICE, jupyters=moved)
    reply = desk.ask(Command.CHOOSE, "gpu box", choice="data")
    assert isinstance(reply.data, dict)
    assert to_jupyter_lines(reply.data)[1].startswith("* 8889")
    assert desk.choices.get("GPU box") == Choice("/data", "8889")


def test_a_jupyter_that_is_not_there_cannot_be_chosen(desk: Desk) -> None:
    with pytest.raises(ProblemError, match="No Jupyter server was found on GPU box"):
        desk.orders.choose_jupyter("GPU box", "8888")
    desk.run.world.health = CHOICE
    desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    reply = desk.ask(Command.CHOOSE, "GPU box", choice="9999")
    assert reply.problem is not None
    assert "8889  /data" in reply.problem.advice
    assert desk.choices.get("GPU box") is None


def test_the_advice_for_one_that_is_connected_is_not_to_connect_it(desk: Desk) -> None:
    silent = Problem("No Jupyter of yours runs on the server", "Choose Start Jupyter")
    desk.run.world.health = Health(Reached.SSH, CHOICE.page, silent)
    desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    reply = desk.ask(Command.STOP, "GPU box")
    assert reply.problem is not None
    assert reply.problem.title == "No Jupyter answers on GPU box"
    assert reply.problem.advice == silent.advice


@pytest.mark.parametrize("command", list(Command))
def test_every_command_is_answered(desk: Desk, command: Command) -> None:
    if command is Command.JUPYTER_LOG:
        reply = desk.ask(command, "GPU box")
        assert reply.problem is not None
        assert reply.problem.title == "GPU box is not connected"
        return
    if command in (Command.LOSSES, Command.STOP, Command.RESTART):
        reply = desk.ask(command, "GPU box")
        assert reply.problem is not None
        assert reply.problem.title == "No Jupyter answers on GPU box"
        return
    desk.run.world.health = CHOICE
    desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    assert desk.ask(command, "GPU box", choice="8888").ok
    assert desk.quits == (command is Command.QUIT)


@pytest.mark.parametrize("command", [Command.CONNECT, Command.DISCONNECT, Command.OPEN])
def test_a_missing_name_is_said(desk: Desk, command: Command) -> None:
    reply = desk.ask(command)
    assert reply.problem is not None
    assert reply.problem.title == "No server was named"


@has_own_addresses
def test_the_status_has_the_promised_keys_and_no_token(desk: Desk) -> None:
    desk.run.world.health = Health(Reached.LOGGED_IN, Page("http://127.0.0.1:18888/lab", "s3cr3t"))
    desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    status = to_json(desk.run.manager.snapshots())
    gpu, lab = status["servers"]
    assert list(gpu) == [
        "name", "state", "words", "reached", "url", "local_port", "since", "problem", "attempt",
        "latency_ms", "starting", "runs_in", "kernels", "forwards", "notes", "jupyters",
        "unproven",
    ]  # fmt: skip
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
    kernels = {
        "at": 100.0,
        "total": 2,
        "busy": 0,
        "idle": 1,
        "busy_since": None,
        "last_activity": None,
        "memory_bytes": 2**30,
        "memory_limit_bytes": None,
    }
    lines = to_lines({"servers": [server | {"problem": None, "kernels": kernels}]})
    assert lines[1:] == ["    2 kernels, idle, 1.0 GB"]
    assert to_lines({"servers": []})[0].startswith("No servers yet")


def test_the_status_tells_of_a_broken_file() -> None:
    status = to_json([], Problem("servers.yaml has a problem", "line 3: …"))
    assert to_lines(status) == ["servers.yaml has a problem", "    line 3: …"]


def test_a_socket_that_we_made_is_no_name_of_a_jupyter() -> None:
    ours = FoundJupyter("/tmp/tc-1000/a.sock", "/home/a/thesis", "~/thesis", "2.0", 1, in_use=True)
    own = replace(ours, where="/run/lab.sock")
    row = {"in_use": True, "version": "2", "kernels": 1, "of_hub": False, "folder": "~/thesis"}
    lines = to_jupyter_lines(
        {"servers": [{"jupyters": [{**row, "where": one.where} for one in (ours, own)]}]}
    )
    assert not any("/tmp/tc-" in text for text in [*lines, jupyter_words(ours)])
    assert "/run/lab.sock" in lines[1]
    assert jupyter_words(ours) == "~/thesis, 1 kernel"
    assert jupyter_words(own) == "~/thesis, socket /run/lab.sock, 1 kernel"


def test_a_forward_opens_where_it_listens(desk: Desk) -> None:
    server = make_server(forwards=[TENSORBOARD], bind_address="127.0.0.2")
    desk.config = Config(servers=(server,))
    desk.run.manager.apply(desk.config)
    desk.orders.open("GPU box", "TensorBoard")
    assert [page.url for page in desk.run.world.pages] == ["http://127.0.0.2:6006/"]


def test_reconnect_makes_a_new_tunnel(desk: Desk) -> None:
    desk.ask(Command.CONNECT, "GPU box", wait=LIMIT)
    desk.orders.reconnect("gpu box")
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
    desk.orders.connect_group("Lab")
    assert manager.wait_until(
        lambda all_: all(s.name in all_ and all_[s.name].is_ready for s in both), LIMIT
    )
    other = manager.snapshot("other")
    assert other is not None
    assert other.state is State.OFF
    desk.orders.disconnect_group("Lab")
    assert manager.wait_until(
        lambda all_: all(snapshot.state is State.OFF for snapshot in all_.values()), LIMIT
    )


def test_how_the_icon_is_shown_is_told(desk: Desk) -> None:
    assert desk.ask(Command.TRAY).data == {
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
        desk.orders.open("GPU box", "proxy")
    with pytest.raises(ProblemError, match="has no forward “other”"):
        desk.orders.copy_forward("GPU box", "other")
    desk.orders.copy_forward("GPU box", "proxy")
    assert desk.copied == ["socks5h://127.0.0.1:1080"]


def test_a_forward_whose_page_does_not_answer_is_not_opened(desk: Desk) -> None:
    server = make_server(forwards=[TENSORBOARD | {"ready": "/data/environment"}])
    desk.config = Config(servers=(server,))
    desk.run.manager.apply(desk.config)
    desk.orders.connect("GPU box")
    desk.run.until_ready()
    with pytest.raises(ProblemError) as caught:
        desk.orders.open("GPU box", "TensorBoard")
    assert caught.value.problem.title == "TensorBoard does not answer yet"
    desk.run.manager.disconnect("GPU box")
    desk.run.until_state(State.OFF)
