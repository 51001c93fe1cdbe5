"""What ssh_config(5) adds to an entry, by tables: the file wins, and what is lost is said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.servers import make_server
from trayconnect.config.forward_syntax import Kind, parse
from trayconnect.config.model import Server
from trayconnect.ssh.config.configured_forwards import ConfiguredForwards, additions, merged
from trayconnect.ssh.config.interpret import HostConfig
from trayconnect.ssh.config.ssh_options import Query, SshOptions

L, R, D = Kind.LOCAL, Kind.REMOTE, Kind.DYNAMIC
OTHER = make_server("Lab", local_port=7000, forwards=[
    {"name": "x", "local_port": 7001, "port": 1},
    {"name": "y", "kind": "remote", "remote_port": 7002, "port": 1},
    {"name": "z", "local_socket": "/run/z", "port": 1},
])  # fmt: skip
FORWARDS: list[dict[str, Any]] = [
    {"name": "TensorBoard", "local_port": 6006, "port": 6006},
    {"name": "proxy", "kind": "dynamic", "local_port": 1080},
    {"name": "hook", "kind": "remote", "remote_port": 9000, "host": "::1", "port": 3000},
    {"name": "socket", "local_socket": "/run/db", "remote_socket": "/run/pg"},
    {"name": "LocalForward 81", "kind": "remote", "remote_port": 0, "port": 81},
]
SERVER = make_server(forwards=FORWARDS, jupyter={"port": 8888})


def add(*specs: tuple[Kind, str], server: Server = SERVER) -> ConfiguredForwards:
    return merged(server, (server, OTHER), [parse(kind, text) for kind, text in specs])


@pytest.mark.parametrize(
    ("kind", "text", "name", "listens", "leads"),
    [
        (L, "5432:db:5432", "LocalForward 5432", "localhost:5432", "db:5432"),
        (L, "*:5432:db:5432", "LocalForward *:5432", "*:5432", "db:5432"),
        (L, "[::1]:5432:db:5432", "LocalForward [::1]:5432", "[::1]:5432", "db:5432"),
        (L, "80:db:81", "LocalForward 80", "localhost:80", "db:81"),
        (L, "81:db:81", "LocalForward 81 2", "localhost:81", "db:81"),
        (L, "/run/x:/run/y", "LocalForward /run/x", "/run/x", "/run/y"),
        (D, "1081", "DynamicForward 1081", "localhost:1081", "None"),
        (R, "9001:localhost:80", "RemoteForward 9001", "localhost:9001", "localhost:80"),
        (R, "0:localhost:80", "RemoteForward any port", "localhost:0", "localhost:80"),
        (R, "*:9001:localhost:80", "RemoteForward *:9001", ":9001", "localhost:80"),
        (R, "7000:localhost:80", "RemoteForward 7000", "localhost:7000", "localhost:80"),
        (L, "7002:localhost:80", "LocalForward 7002", "localhost:7002", "localhost:80"),
    ],
)
def test_what_is_added(kind: Kind, text: str, name: str, listens: str, leads: str) -> None:
    found = add((kind, text))
    assert found.notes == ()
    (forward,) = found.forwards
    # The entry's own bind_address is for what the file says.
    told = (forward.name, str(forward.listens("0.0.0.0")), str(forward.leads_to))
    assert told == (name, listens, leads)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (L, "18888:localhost:8888"),
        (L, "18888:127.0.0.1:8888"),
        (L, "*:6006:localhost:6006"),
        (D, "1080"),
        (R, "9000:localhost:3000"),
        (L, "/run/db:/run/pg"),
    ],
)
def test_what_the_file_says_too_is_left_to_it(kind: Kind, text: str) -> None:
    assert add((kind, text)) == ConfiguredForwards()


@pytest.mark.parametrize(
    ("kind", "text", "note"),
    [
        (L, "18888:localhost:8889", "local_port of the entry listens there"),
        (L, "18888:node7:8888", "local_port of the entry listens there"),
        (D, "18888", "local_port of the entry listens there"),
        (L, "6006:localhost:6007", "the forward “TensorBoard” of the entry listens there"),
        (D, "6006", "the forward “TensorBoard” of the entry listens there"),
        (L, "1080:localhost:80", "the forward “proxy” of the entry listens there"),
        (R, "9000:localhost:3001", "the forward “hook” of the entry listens there"),
        (L, "/run/db:db:80", "the forward “socket” of the entry listens there"),
        (L, "7000:localhost:8888", "the entry “Lab” listens there"),
        (D, "7001", "the entry “Lab” listens there"),
        (L, "/run/z:localhost:1", "the entry “Lab” listens there"),
        (R, "1080", "trayconnect offers no SOCKS proxy at the server"),
        (L, "gate:5000:db:80", "bind_address must be an IP address, localhost, or '*'"),
        (L, "5000:a@b:80", "host must not contain a user name"),
        (L, "x/y:a:80", "local_socket must be a whole path"),
    ],
)
def test_what_cannot_be_is_said(kind: Kind, text: str, note: str) -> None:
    found = add((kind, text))
    assert found.forwards == ()
    (said,) = found.notes
    assert said.startswith(f"{kind.value.title()}Forward ")
    assert " is not opened: " in said
    assert note in said


def test_a_jupyter_that_is_to_be_found_may_be_on_any_port() -> None:
    auto = make_server()
    assert add((L, "18888:localhost:8899"), server=auto) == ConfiguredForwards()
    assert "local_port" in add((L, "18888:node7:8888"), server=auto).notes[0]


def test_two_lines_that_listen_alike() -> None:
    found = add((L, "5000:a:1"), (L, "5000:a:1"), (L, "5000:b:1"), (R, "0:a:1"), (R, "0:b:1"))
    assert [one.name for one in found.forwards] == [
        "LocalForward 5000", "RemoteForward any port", "RemoteForward any port 2",
    ]  # fmt: skip
    assert found.notes == (
        "LocalForward 5000 b:1 is not opened: another line of your SSH configuration listens there",
    )


def test_two_lines_with_one_port_and_an_address_each() -> None:
    found = add(
        (L, "127.0.0.1:5000:a:1"), (L, "[::1]:5000:b:1"), (D, "127.0.0.1:5000"), (D, "5000")
    )
    assert [str(one.listens("localhost")) for one in found.forwards] == [
        "127.0.0.1:5000",
        "[::1]:5000",
    ]
    assert len(found.notes) == 2


def test_of_a_jump_host_only_the_notes_count() -> None:
    specs = (parse(L, "5000:a:1"), parse(R, "9"))
    options = SshOptions(
        unsupported=("SetEnv is ignored: trayconnect sends no environment variable",)
    )

    def look_up(query: Query) -> HostConfig:
        return HostConfig(query.host, 22, "ada", options=options, forwards=specs)

    server = make_server(host="gpu", jump_hosts=["gate"])
    found = additions(server, (), look_up)
    assert [one.name for one in found.forwards] == ["LocalForward 5000"]
    assert found.notes == (
        "gate: SetEnv is ignored: trayconnect sends no environment variable",
        "gpu: SetEnv is ignored: trayconnect sends no environment variable",
        "gpu: RemoteForward 9 is not opened: trayconnect offers no SOCKS proxy at the server",
    )


ends = st.sampled_from(["5000", "18888", "6006", "7000", "0", "[::1]:5000", "/run/x", "/run/db"])
kinds = st.sampled_from([L, R])
targets = st.sampled_from([":localhost:8888", ":/run/y", ":a:1", ":b:1"])


@given(st.lists(st.tuples(kinds, ends, targets), max_size=8))
def test_each_has_a_name_and_a_place_of_its_own(lines: list[tuple[Kind, str, str]]) -> None:
    said = [(kind, end + to) for kind, end, to in lines if kind is R or end != "0"]
    forwards = (*SERVER.forwards, *add(*said).forwards)
    assert len({one.name for one in forwards}) == len(forwards)
    here = [one.local_port or one.local_socket for one in forwards if one.kind is not R]
    assert len(set(here)) == len(here)
    assert not {18888, 7000} & set(here)
