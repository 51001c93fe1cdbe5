"""From snapshots to the menu, by tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.servers import make_server
from tests.support.snapshots import BASE, change, ready, snap
from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.services.jupyter.activity import Activity
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.protocol import Level, PageState
from trayconnect.sessions.forwards import NO_LINK, NO_PAGES, LinkInfo, forward_states
from trayconnect.sessions.snapshot import Snapshot, snapshot, state_words
from trayconnect.sessions.state import Session, State
from trayconnect.tray.menu import NO_SERVERS, MenuFacts, build_view
from trayconnect.tray.menu_levels import LEVEL_LIMIT, LINES
from trayconnect.tray.menu_server import server_submenu
from trayconnect.tray.text import WIDTH
from trayconnect.tray.view import IconState, Item

PAGE = Page("http://127.0.0.1:18888/lab", "s3cr3t")
SILENT = Problem("Nothing listens on localhost:8888 at the server", "Start Jupyter there")
NOTHING = MenuFacts()
JUPYTERS = (
    FoundJupyter("8889", "/home/ada/thesis", "~/thesis", "2.21.1", 2, in_use=True),
    FoundJupyter("/run/tc/lab.sock", "/data", "/data", "2.21.1", 1, in_use=False),
    FoundJupyter("40001", "", "", "5.4.0", None, in_use=False, of_hub=True),
)
READY = ready(page=PAGE)


def submenu(snapshot: Snapshot) -> dict[str, Item]:
    """All that a server's submenu may have, by key."""
    return {item.key: item for item in server_submenu(snapshot)}


def test_the_jupyters_of_a_server_can_be_chosen() -> None:
    lines = submenu(change(READY, jupyters=JUPYTERS))["jupyters"].children
    assert [line.text for line in lines] == [
        "~/thesis, port 8889, 2 kernels",
        "/data, socket /run/tc/lab.sock, 1 kernel",
        "port 40001, of a JupyterHub",
    ]
    assert [(line.checked, line.radio) for line in lines] == [
        (True, True),
        (False, True),
        (False, True),
    ]
    assert lines[1].command == Command("choose-jupyter", "GPU box", {"jupyter": "/run/tc/lab.sock"})
    assert "jupyters" not in submenu(READY)


def servers(count: int, **changes: Any) -> list[Snapshot]:
    return [snap(server=make_server(f"s{number:03}"), **changes) for number in range(count)]


def every(tree: tuple[Item, ...]) -> Iterator[Item]:
    for item in tree:
        yield item
        yield from every(item.children)


def items(*snapshots: Snapshot, facts: MenuFacts = NOTHING) -> dict[str, Item]:
    return {item.key: item for item in build_view(snapshots, facts).items}


@pytest.mark.parametrize(
    ("snapshot", "words", "icon", "checked", "verb"),
    [
        (snap(), "off", IconState.OFF, False, "connect"),
        (
            snap(state=State.CONNECTING),
            "connecting…",
            IconState.CONNECTING,
            True,
            "disconnect",
        ),
        (READY, "connected", IconState.UP, True, "disconnect"),
        (
            change(READY, level=Level.LOGGED_IN),
            "connected",
            IconState.UP,
            True,
            "disconnect",
        ),
        (
            snap(state=State.UP, level=Level.NOTHING),
            "logged in, looking for Jupyter…",
            IconState.CONNECTING,
            True,
            "disconnect",
        ),
        (
            snap(state=State.UP, level=Level.NOTHING, problem=SILENT),
            "connected, but Jupyter does not answer",
            IconState.SILENT,
            True,
            "disconnect",
        ),
        (
            snap(state=State.UP, level=Level.REACHABLE, problem=SILENT),
            "connected, no Jupyter answers yet",
            IconState.SILENT,
            True,
            "disconnect",
        ),
        (
            snap(state=State.NEEDS_YOU, asking=True),
            "waiting for your answer",
            IconState.NEEDS_YOU,
            True,
            "disconnect",
        ),
        (
            snap(state=State.NEEDS_YOU, problem=SILENT),
            "needs you",
            IconState.NEEDS_YOU,
            False,
            "connect",
        ),
        (
            snap(state=State.FAILED, problem=SILENT),
            "failed",
            IconState.FAILED,
            False,
            "connect",
        ),
        (snap(state=State.CLOSING), "disconnecting…", IconState.OFF, False, "connect"),
    ],
)
def test_each_state_has_its_words_icon_and_toggle(
    snapshot: Snapshot, words: str, icon: IconState, checked: bool, verb: str
) -> None:
    view = build_view([snapshot], MenuFacts())
    line = next(item for item in view.items if item.key == "server GPU box")
    assert line.text == f"GPU box: {words}"
    assert line.checked is checked
    assert line.command == Command(verb, "GPU box")
    assert view.icon is icon


def test_a_wait_names_the_time_of_the_next_try() -> None:
    waiting = snap(state=State.WAITING, retry_at=1_000_000.0, problem=SILENT)
    words = state_words(waiting)
    assert words.startswith("retrying at ")
    assert words.endswith(":40")  # whatever the time zone
    assert items(waiting)["retry GPU box"].command == Command("connect", "GPU box")
    assert build_view([waiting], MenuFacts()).icon is IconState.CONNECTING


def test_a_failure_that_is_retried_names_the_time_and_can_be_disconnected() -> None:
    failed = snap(state=State.FAILED, retry_at=1_000_000.0, problem=SILENT)
    assert state_words(failed).startswith("failed, retrying at ")
    assert state_words(failed).endswith(":40")
    off = items(failed)["off GPU box"]
    assert (off.text.strip(), off.command) == ("Disconnect", Command("disconnect", "GPU box"))


def test_a_page_can_be_opened_and_its_link_copied_only_when_there_is_one() -> None:
    shown, more = items(READY), submenu(READY)
    assert shown["open GPU box"].command == Command("open", "GPU box")
    assert more["copy"].command == Command("copy-link", "GPU box")
    silent = snap(state=State.UP, level=Level.NOTHING, problem=SILENT)
    assert "open GPU box" not in items(silent)
    assert not submenu(silent)["open"].enabled
    assert not submenu(silent)["copy"].enabled


FORWARDS: list[dict[str, Any]] = [
    {"name": "TensorBoard", "local_port": 6006, "port": 6006, "open": True},
    {"name": "database", "local_port": 5432, "port": 5432},
    {"name": "proxy", "kind": "dynamic", "local_port": 1080},
    {"name": "hook", "kind": "remote", "remote_port": 9000, "port": 3000},
    {"name": "any", "kind": "remote", "remote_port": 0, "port": 3000},
]


def forwarding(
    snapshot: Snapshot,
    *forwards: dict[str, Any],
    answers: Mapping[str, int | Problem] = NO_LINK.answers,
    pages: Mapping[str, PageState] = NO_PAGES,
) -> Snapshot:
    """The same with these forwards; `answers` are those of its link to them."""
    server = make_server(snapshot.name, forwards=list(forwards))
    link = LinkInfo(answers=dict(answers))
    shown = forward_states(server, snapshot.state, link, pages)
    return change(snapshot, server=server, forwards=shown)


@pytest.mark.parametrize(
    ("name", "text", "verb"),
    [
        ("TensorBoard", "Open TensorBoard: localhost:6006", "open"),
        ("database", "Copy database: localhost:5432", "copy-forward"),
        ("proxy", "Copy proxy: localhost:1080 (SOCKS)", "copy-forward"),
        ("hook", "Copy hook: localhost:9000 at the server", "copy-forward"),
        ("any", "⚠ any: It refused", "show-problem"),
    ],
)
def test_what_a_click_does_with_a_forward(name: str, text: str, verb: str) -> None:
    refused = Problem("It refused", "Ask its administrator")
    up = forwarding(READY, *FORWARDS, answers={"hook": 9000, "any": refused})
    line = submenu(up)[f"forward {name}"]
    assert line == Item(f"forward {name}", text, Command(verb, "GPU box", {"forward": name}))


def test_ports_that_other_computers_can_connect_to_are_said() -> None:
    def line(*ports: int) -> str:
        return submenu(change(READY, open_ports=ports))["open-ports"].text

    assert line(6006) == "⚠ Other computers can connect to local port 6006"
    assert line(1080, 6006) == "⚠ Other computers can connect to local ports 1080 and 6006"
    assert "open-ports" not in submenu(READY)
    forwards = [
        {"name": "a", "local_port": 6006, "port": 1},
        {"name": "b", "local_port": 6007, "port": 1, "bind_address": "localhost"},
        {"name": "c", "kind": "remote", "remote_port": 1, "port": 1, "bind_address": "*"},
    ]
    server = make_server(bind_address="*", forwards=forwards)
    assert snapshot(Session(server)).open_ports == (18888, 6006)


def test_forwards_are_of_use_while_up() -> None:
    lost = submenu(forwarding(snap(state=State.WAITING, retry_at=1.0), *FORWARDS))
    assert [lost[f"forward {one['name']}"].enabled for one in FORWARDS] == [False] * 5
    unsaid = submenu(forwarding(READY, *FORWARDS, answers={"hook": 9000}))
    assert not unsaid["forward any"].enabled
    assert not [key for key in items(forwarding(snap(), *FORWARDS)) if key.startswith("forward ")]


@pytest.mark.parametrize(
    ("notes", "banner", "text"),
    [
        (("a",), "", "1 thing of ssh_config is not honoured"),
        (("a", "b"), "Hello", "2 things of ssh_config are not honoured"),
        ((), "Hello", "Show the message of the login"),
    ],
)
def test_notes_are_told_of(notes: tuple[str, ...], banner: str, text: str) -> None:
    line = submenu(change(READY, notes=notes, banner=banner))["notes"]
    assert (line.text, line.command) == (text, Command("show-notes", "GPU box"))
    assert "notes" not in submenu(READY)


def test_a_tool_is_offered_when_it_answers() -> None:
    tool = {"name": "Dask", "local_port": 8787, "port": 8787, "open": True, "ready": "/health"}
    silent, ready, others, unproven = (
        submenu(forwarding(READY, tool, pages={"Dask": state}))["forward Dask"]
        for state in (PageState.SILENT, PageState.ANSWERS, PageState.OTHERS, PageState.UNPROVEN)
    )
    assert (silent.text, silent.enabled) == ("Open Dask (no answer yet)", False)
    assert (ready.text, ready.enabled) == ("Open Dask: localhost:8787", True)
    assert (others.text, others.enabled) == ("Dask: belongs to another user", False)
    assert others.command is None
    assert (unproven.text, unproven.enabled) == (
        "Open Dask: localhost:8787 (owner not proven)",
        True,
    )


def test_that_nothing_tells_whose_the_jupyter_is() -> None:
    line = items(change(READY, unproven=True))["unproven GPU box"]
    assert (line.text.strip(), line.enabled) == (
        "Whose Jupyter this is could not be proven",
        False,
    )
    assert "unproven GPU box" not in items(READY)


def test_the_last_problem_is_readable() -> None:
    problem = Problem("The host key changed", "word " * 100)
    shown = items(snap(state=State.FAILED, problem=problem))
    assert "The host key changed" in shown["problem GPU box"].text
    advice = [item for key, item in shown.items() if key.startswith("advice ")]
    assert 1 < len(advice) <= 8
    assert all(len(item.text) <= WIDTH + 8 and not item.enabled for item in advice)
    assert shown["off GPU box"].command == Command("disconnect", "GPU box")


@pytest.mark.parametrize(
    ("states", "icon"),
    [
        ([], IconState.OFF),
        ([State.OFF, State.CLOSING], IconState.OFF),
        ([State.CONNECTING, State.OFF], IconState.CONNECTING),
        ([State.CONNECTING, State.FAILED], IconState.FAILED),
        ([State.FAILED, State.NEEDS_YOU], IconState.NEEDS_YOU),
    ],
)
def test_the_icon_shows_the_most_pressing_state(states: list[State], icon: IconState) -> None:
    snapshots = [snap(server=make_server(f"s{n}"), state=s) for n, s in enumerate(states)]
    assert build_view(snapshots, MenuFacts()).icon is icon


def test_connect_all_and_disconnect_all_are_offered_where_they_do_something() -> None:
    assert "connect-all" not in items()
    off, on = items(snap()), items(READY)
    assert (off["connect-all"].enabled, off["disconnect-all"].enabled) == (True, False)
    assert (on["connect-all"].enabled, on["disconnect-all"].enabled) == (False, True)


@pytest.mark.parametrize("autostart", [True, False])
def test_start_at_login_shows_what_the_system_says(autostart: bool) -> None:
    assert items(facts=MenuFacts(autostart=autostart))["autostart"].checked is autostart
    assert "autostart" not in items(facts=MenuFacts(autostart=None))


def test_a_broken_file_is_said_at_the_top() -> None:
    view = build_view([snap()], MenuFacts(file_problems=("a.yaml:1:2: one", "a.yaml:3:4: two")))
    assert "2 problems" in view.items[0].text
    assert view.items[0].command == Command("edit-servers")
    assert "a.yaml:1:2" in view.items[1].text


def test_a_broken_file_without_an_older_reading_does_not_claim_one() -> None:
    facts = MenuFacts(file_problems=("one",), file_in_force=False)
    said = build_view([], facts).items
    assert "last working" not in said[0].text
    # Nor that it has no servers.
    assert [item.key for item in said if item.separator] == ["separator-file"]
    assert NO_SERVERS not in said
    assert NO_SERVERS in build_view([], MenuFacts()).items


def test_a_direct_connection_is_not_said_to_be_logged_in() -> None:
    url = "http://192.168.1.20:8888/"
    direct = Server.model_validate({"name": "Lab", "url": url, "local_port": 18888})
    words = state_words(snap(server=direct, state=State.UP, level=Level.NOTHING))
    assert "logged in" not in words


def test_names_that_end_like_a_line_below_another_keep_their_own_keys() -> None:
    forwards = [{"name": "b open", "local_port": 6006, "port": 6006, "open": True}]
    names = ["a", "a open", "a copy", "a problem", "a off", "a retry", "a advice 0", "a open b"]
    broken = change(READY, problem=SILENT)
    snapshots = [forwarding(change(broken, server=make_server(name)), *forwards) for name in names]
    snapshots += [
        change(snap(state=State.WAITING, problem=SILENT), server=make_server(f"w{name}"))
        for name in names
    ]
    keys = [item.key for item in build_view(snapshots, MenuFacts(file_problems=("x",))).items]
    assert len(keys) == len(set(keys))


def test_keys_are_unique_and_no_token_shows() -> None:
    view = build_view([READY, change(READY, server=make_server("b"))], MenuFacts(autostart=True))
    keys = [item.key for item in view.items]
    assert len(keys) == len(set(keys))
    assert "s3cr3t" not in repr(view)


def test_the_tooltip_names_what_is_on_and_stays_short() -> None:
    assert build_view([snap()], MenuFacts()).title == "trayconnect: not connected"
    many = [change(READY, server=make_server(f"s{n}")) for n in range(9)]
    title = build_view(many, MenuFacts()).title
    assert title.splitlines()[0] == "s0: connected"
    assert title.splitlines()[-1] == "and 4 more"


ON = ("stop-jupyter", "restart-jupyter", "jupyter-log")


@pytest.mark.parametrize(
    ("snapshot", "enabled"),
    [
        (READY, {"open", "copy", "reconnect", *ON, "diagnostics", "log"}),
        (change(READY, page=Page(PAGE.url)),
         {"open", "copy", "reconnect", "jupyter-log", "diagnostics", "log"}),
        (change(READY, problem=SILENT), {"open", "copy", "reconnect", *ON, "problem",
                                          "diagnostics", "log"}),
        (snap(state=State.UP, level=Level.NOTHING),
         {"reconnect", "start-jupyter", "jupyter-log", "diagnostics", "log"}),
        (snap(state=State.UP, level=Level.NOTHING, starting=True),
         {"reconnect", "jupyter-log", "diagnostics", "log"}),
        (snap(state=State.CONNECTING), {"reconnect", "diagnostics", "log"}),
        (snap(state=State.WAITING, retry_at=1.0, problem=SILENT),
         {"reconnect", "problem", "diagnostics", "log"}),
        (snap(state=State.FAILED, problem=SILENT),
         {"reconnect", "problem", "diagnostics", "log"}),
        (snap(state=State.CLOSING), {"diagnostics", "log"}),
    ],
)  # fmt: skip
def test_a_servers_submenu_offers_what_can_be_done_now(
    snapshot: Snapshot, enabled: set[str]
) -> None:
    shown = submenu(snapshot)
    assert shown.keys() >= {"open", "copy", "reconnect", "problem", "diagnostics", "log"}
    assert shown.pop("terminal").command == Command("open-terminal", "GPU box")  # always
    usable = {key for key, item in shown.items() if item.enabled and not item.separator}
    assert usable == enabled
    assert all(item.command.server == "GPU box" for item in shown.values() if item.command)


def test_what_is_missing_is_started_by_one_click() -> None:
    silent = snap(state=State.UP, level=Level.NOTHING, problem=SILENT)
    assert items(silent)["start-jupyter GPU box"].command == Command("start-jupyter", "GPU box")
    assert "start-jupyter GPU box" not in items(change(silent, starting=True, problem=None))
    assert "start-jupyter GPU box" not in items(READY)
    assert "start-jupyter GPU box" not in items(change(silent, hindered=True))
    unknown = items(change(silent, looked=False))
    assert "start-jupyter GPU box" not in unknown
    assert unknown["server GPU box"].text == "GPU box: logged in, looking for Jupyter…"
    assert "start-jupyter GPU box" not in items(
        change(silent, server=make_server(jupyter={"host": "n"}))
    )
    direct = make_server(url="http://h/", host=None)
    shown = items(change(silent, server=direct))
    assert "start-jupyter GPU box" not in shown
    assert "start-jupyter" not in {item.key for item in shown["more GPU box"].children}


def test_a_start_is_shown() -> None:
    starting = snap(state=State.UP, level=Level.NOTHING, starting=True)
    assert state_words(starting) == "starting Jupyter…"
    assert build_view([starting], MenuFacts()).icon is IconState.CONNECTING


def test_what_stands_below_a_line_is_not_repeated_in_its_submenu() -> None:
    shown = items(change(READY, problem=SILENT))
    assert {"open GPU box", "problem GPU box"} <= shown.keys()
    below = {item.key for item in shown["more GPU box"].children}
    assert not {"open", "problem"} & below
    assert {"copy", "diagnostics"} <= below


def test_those_that_are_off_have_their_submenu_in_one_place() -> None:
    shown = items(snap(), change(READY, server=make_server("on")))
    (off,) = shown["details"].children
    assert off.text == "GPU box"
    assert [(item.key, item.command) for item in off.children] == [
        ("open", Command("open", "GPU box")),
        ("terminal", Command("open-terminal", "GPU box")),
        ("diagnostics", Command("copy-diagnostics", "GPU box")),
        ("log", Command("show-log", "GPU box")),
    ]
    assert "details" not in items(READY)


def test_what_needs_the_user_stands_at_the_top() -> None:
    grouped = make_server("hidden", group="Lab")
    view = build_view(
        [
            READY,
            snap(server=grouped, state=State.NEEDS_YOU, asking=True),
            snap(server=make_server("c"), state=State.NEEDS_YOU, problem=SILENT),
        ],
        MenuFacts(),
    )
    assert [(item.text, item.command) for item in view.items[:2]] == [
        ("⚠ hidden waits for your answer", Command("answer", "hidden")),
        (f"⚠ c needs you: {SILENT.title}", Command("connect", "c")),
    ]
    assert view.items[2].separator
    assert not any(item.key.startswith("needs ") for item in build_view([READY], MenuFacts()).items)


def test_a_group_is_a_submenu_at_the_place_of_its_first_member() -> None:
    members = [make_server("b", group="Lab"), make_server("d", group="Lab")]
    alone = [make_server("a"), make_server("c")]
    order = [alone[0], members[0], alone[1], members[1]]
    members.append(make_server("e", group="Lab"))
    states = {
        "b": READY,
        "d": snap(state=State.FAILED, problem=SILENT),
        "e": snap(state=State.WAITING, problem=SILENT),
    }
    order.append(members[2])
    view = build_view([change(states.get(s.name, BASE), server=s) for s in order], MenuFacts())
    keys = [item.key for item in view.items if item.key.startswith(("server ", "group "))]
    assert keys == ["server a", "group Lab", "server c"]
    group = next(item for item in view.items if item.key == "group Lab")
    assert group.text == "Lab: 1 failed, 1 retrying, 1 connected"
    inside = {item.key: item for item in group.children}
    assert [key for key in inside if key.startswith("server ")] == [
        "server b",
        "server d",
        "server e",
    ]
    assert inside["connect-group"].command == Command("connect-group", arguments={"group": "Lab"})
    assert inside["disconnect-group"].enabled


def test_a_group_that_is_off_says_nothing_more() -> None:
    shown = items(snap(server=make_server("a", group="Lab")))
    assert shown["group Lab"].text == "Lab"
    assert not {item.key: item for item in shown["group Lab"].children}["disconnect-group"].enabled


@pytest.mark.parametrize("group", [None, "Lab"])
@pytest.mark.parametrize("count", [LEVEL_LIMIT, LEVEL_LIMIT + 1, 300, 1000])
def test_hundreds_of_servers_are_divided_among_submenus(count: int, group: str | None) -> None:
    many = [change(s, server=s.server.model_copy(update={"group": group})) for s in servers(count)]
    view = build_view(many, MenuFacts(autostart=True))
    toggles = [item.text for item in every(view.items) if item.checked is False]
    assert toggles == [f"{s.name}: off" for s in many], "in file order"

    def highest(tree: tuple[Item, ...]) -> int:
        return max([len(tree), *(highest(item.children) for item in tree)])

    assert highest(view.items) <= LINES
    for item in every(view.items):
        keys = [child.key for child in item.children]
        assert len(keys) == len(set(keys))


def test_groups_stay_in_sight_where_servers_are_divided() -> None:
    grouped = [snap(server=make_server(f"g{n}", group=f"Group {n}")) for n in range(3)]
    many = servers(28)
    view = build_view([*many[:10], *grouped, *many[10:]], MenuFacts())
    lines = [item.text for item in view.items if not item.separator]
    assert lines[:4] == ["Group 0", "Group 1", "Group 2", "s000: off"]
    assert lines[11:14] == ["s008: off", "Disconnected servers", "s009 … s027"]
    crowd = [snap(server=make_server(f"g{n}", group=f"Group {n}")) for n in range(30)]
    keys = [item.key for item in build_view([*crowd, *servers(30)], MenuFacts()).items]
    assert len(keys) == len(set(keys))


def test_those_in_use_come_first_where_servers_are_divided() -> None:
    many = servers(100)
    many[70] = change(many[70], state=State.UP, level=Level.READY, page=PAGE)
    view = build_view(many, MenuFacts())
    first, second = view.items[:2]
    assert (first.text, first.checked) == ("s070: connected", True)
    assert second.command == Command("open", "s070")
    parts = [item.text for item in view.items if item.key.startswith("part ")]
    assert parts[0] == "s000 … s019"
    assert len(parts) == 5


B = change(READY, server=make_server("B"))
A_PROBLEM = MenuFacts(file_problems=("servers.yaml:1:1: no",))


@pytest.mark.parametrize(
    ("snapshots", "facts", "expected"),
    [
        ([], NOTHING, Command("edit-servers")),
        ([READY], A_PROBLEM, Command("edit-servers")),
        ([snap()], NOTHING, Command("connect", "GPU box")),
        ([snap(state=State.FAILED, problem=SILENT)], NOTHING, Command("connect", "GPU box")),
        ([snap(state=State.WAITING)], NOTHING, Command("connect", "GPU box")),
        ([snap(state=State.CONNECTING)], NOTHING, Command("show-status")),
        ([READY], NOTHING, Command("open", "GPU box")),
        ([snap(), B], NOTHING, Command("open", "B")),
        ([READY, B], NOTHING, Command("show-status")),
        ([snap(), change(B, state=State.OFF, page=None)], NOTHING, Command("show-status")),
        ([snap(state=State.NEEDS_YOU), B], NOTHING, Command("connect", "GPU box")),
        (
            [B, snap(state=State.NEEDS_YOU, asking=True)],
            NOTHING,
            Command("answer", "GPU box"),
        ),
    ],
)
def test_a_left_click_alone_does_the_most_useful_thing(
    snapshots: list[Snapshot], facts: MenuFacts, expected: Command
) -> None:
    assert build_view(snapshots, facts).primary == expected


def test_no_window_is_offered_on_a_screen_that_cannot_have_one() -> None:
    view = build_view([READY, B], MenuFacts(window=False))
    assert view.primary is None
    assert "window" in items(READY, B)
    assert "window" not in {item.key for item in view.items}


@pytest.mark.parametrize(
    ("snapshots", "since"),
    [
        ([], None),
        ([snap(state=State.OFF, since=5.0)], None),
        ([snap(state=State.CONNECTING, since=5.0)], 5.0),
        ([snap(state=State.UP, level=Level.NOTHING, since=5.0)], 5.0),
        ([snap(state=State.UP, level=Level.NOTHING, since=5.0, problem=SILENT)], None),
        ([change(READY, since=5.0)], None),
        ([snap(state=State.WAITING, since=5.0)], None),
        ([snap(state=s, since=float(n)) for n, s in enumerate(State)], None),
        (
            [
                snap(state=State.CONNECTING, since=5.0),
                snap(state=State.CONNECTING, since=7.0),
                snap(state=State.WAITING, since=9.0),
                change(READY, since=9.0),
            ],
            7.0,
        ),
        ([snap(state=State.CONNECTING, since=5.0), snap(state=State.FAILED, since=1.0)], None),
    ],
)
def test_the_icon_moves_for_an_attempt_that_is_under_way(
    snapshots: list[Snapshot], since: float | None
) -> None:
    assert build_view(snapshots, NOTHING).attempt_since == since


def test_kernels_stand_below_their_server() -> None:
    busy = change(READY, kernels=Activity(0.0, busy=1, idle=1))
    line = items(busy)["kernels GPU box"]
    assert (line.text.strip(), line.enabled, line.command) == ("2 kernels, 1 busy", False, None)
    assert "kernels GPU box" not in items(change(READY, kernels=Activity(0.0)))
    assert "kernels GPU box" not in items(READY)
