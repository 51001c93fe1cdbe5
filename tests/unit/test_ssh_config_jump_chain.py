"""Through which hosts a server is reached, and what its entry says against ssh_config(5)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from trayconnect.config.model import Server
from trayconnect.config.openssh_syntax import Jump, jump_hosts
from trayconnect.core.errors import ProblemError
from trayconnect.ssh.config.interpret import HostConfig
from trayconnect.ssh.config.jump_chain import MAX_HOPS, resolve_hops
from trayconnect.ssh.config.ssh_options import Query, SshOptions
from trayconnect.ssh.target import LoginTarget, keepalive, targets


class World:
    """What ssh_config(5) says: `jumps` by host, options for all. And what it was asked."""

    def __init__(self, jumps: Mapping[str, str] | None = None, **options: Any) -> None:
        self.asked: list[Query] = []
        self._options = SshOptions(**options)
        self._jumps = jumps or {}

    def __call__(self, query: Query) -> HostConfig:
        self.asked.append(query)
        jumps = () if query.direct else jump_hosts(self._jumps.get(query.host, "none"))
        user, port = query.user or "me", query.port or 22
        return HostConfig(f"{query.host}.real", port, user, jumps, self._options)


def server(**keys: Any) -> Server:
    return Server.model_validate({"name": "Box", "host": "gpu", "local_port": 20000} | keys)


def hosts(entry: Server, world: World) -> list[str]:
    return [hop.name for hop in resolve_hops(entry, world)]


def test_alone() -> None:
    world = World()
    assert hosts(server(), world) == ["gpu"]
    assert world.asked == [Query("gpu")]


def test_only_what_is_written_is_asked_for() -> None:
    world = World()
    resolve_hops(server(port=22, username="ada"), world)
    assert world.asked == [Query("gpu", "ada", 22)]


def test_a_proxy_jump_of_a_proxy_jump() -> None:
    world = World({"gpu": "ada@far:7", "far": "near"})
    assert hosts(server(), world) == ["near", "far", "gpu"]
    assert world.asked == [Query("gpu"), Query("far", "ada", 7), Query("near")]


def test_of_several_only_the_nearest_has_a_jump_of_its_own() -> None:
    world = World({"gpu": "a,b", "a": "nearest", "b": "wrong"})
    assert hosts(server(), world) == ["nearest", "a", "b", "gpu"]


def test_the_jump_hosts_of_the_entry_win() -> None:
    world = World({"gpu": "wrong", "gate": "nearest"})
    entry = server(jump_hosts=["bob@gate", "second:22"])
    assert hosts(entry, world) == ["nearest", "gate", "second", "gpu"]
    assert Query("gpu", direct=True) in world.asked
    assert Query("second", None, 22, direct=True) in world.asked
    assert Query("gate", "bob") in world.asked


def test_an_empty_list_means_none() -> None:
    assert hosts(server(jump_hosts=[]), World({"gpu": "gate"})) == ["gpu"]


def test_the_entry_may_lead_through_a_host_to_the_same() -> None:
    assert hosts(server(jump_hosts=["gpu"]), World({})) == ["gpu", "gpu"]
    assert hosts(server(jump_hosts=["gpu"]), World({"gpu": "gate"})) == ["gate", "gpu", "gpu"]
    with pytest.raises(ProblemError, match="loop"):
        resolve_hops(server(jump_hosts=["gpu"]), World({"gpu": "a", "a": "gpu"}))


@pytest.mark.parametrize(
    "jumps", [{"gpu": "gpu"}, {"gpu": "a", "a": "gpu"}, {"gpu": "a", "a": "a"}]
)
def test_a_circle(jumps: dict[str, str]) -> None:
    with pytest.raises(ProblemError) as caught:
        resolve_hops(server(), World(jumps))
    assert caught.value.problem.title == "The jump hosts of gpu form a loop"


def test_too_many() -> None:
    hops = [f"h{number}" for number in range(MAX_HOPS)]
    assert len(resolve_hops(server(jump_hosts=hops), World())) == MAX_HOPS + 1
    with pytest.raises(ProblemError, match="more than 8 jump hosts"):
        resolve_hops(server(jump_hosts=[*hops, "one-more"]), World())


def ends(entry: Server, **options: Any) -> tuple[LoginTarget, ...]:
    return targets(entry, World({"gpu": "gate"}, **options))


def test_targets() -> None:
    gate, gpu = ends(server(), identity_files=(Path("/k"),))
    assert (gate.host, gate.is_jump_host, gpu.is_jump_host) == ("gate.real", True, False)
    assert gate.options.identity_files == gpu.options.identity_files == (Path("/k"),)


def test_the_identity_file_of_the_entry() -> None:
    entry = server(auth={"identity_file": "/mine"})
    gate, gpu = ends(entry, identity_files=(Path("/k"),))
    assert gate.options.identity_files == (Path("/k"),)
    assert gpu.options.identity_files == (Path("/mine"),)
    gate, gpu = ends(entry)
    assert gate.options.identity_files == gpu.options.identity_files == (Path("/mine"),)


@pytest.mark.parametrize(
    ("written", "said", "seconds"),
    [
        ({}, None, 15),
        ({}, 90, 90),
        ({"connect_timeout": 5}, 90, 5),
        ({"connect_timeout": 15}, 90, 15),
    ],
)
def test_the_connect_timeout(written: dict[str, Any], said: float | None, seconds: float) -> None:
    assert [end.connect_timeout for end in ends(server(**written), connect_timeout=said)] == [
        seconds,
        seconds,
    ]


@pytest.mark.parametrize(
    ("written", "interval", "count"),
    [
        ({}, 60, 5),
        ({"keepalive": {"interval": 15}}, 15, 5),
        ({"keepalive": {"count_max": 3}}, 60, 3),
        ({"keepalive": {"interval": 1, "count_max": 1}}, 1, 1),
    ],
)
def test_keepalive(written: dict[str, Any], interval: float, count: int) -> None:
    options = SshOptions(server_alive_interval=60, server_alive_count_max=5)
    found = keepalive(server(**written), options)
    assert (found.interval, found.count_max) == (interval, count)
    assert keepalive(server(), SshOptions()) == server().keepalive


@pytest.mark.parametrize(
    "written",
    [{"port": 22}, {"jump_hosts": []}, {"connect_timeout": 15}, {"keepalive": {"interval": 15}}],
)
def test_to_write_a_default_is_a_change(written: dict[str, Any]) -> None:
    assert server() != server(**written)
    assert not server().same_link(server(**written))
    assert server(**written) == server(**written)
    assert server() == server(open_browser=True)


def test_jump_is_what_it_says() -> None:
    assert jump_hosts("none") == ()
    assert jump_hosts("a") == (Jump("a"),)
