"""Forwards of every kind in the file, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.support.systems import move_home
from trayconnect.config.file_problems import ConfigError
from trayconnect.config.forward_model import Forward, keys_of, name_of, spec_of
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.yaml_file import parse
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint

HERE = Path("servers.yaml")
BIND = "127.0.0.1"


def forwards(text: str) -> tuple[Forward, ...]:
    (server,) = parse(f"servers:\n- name: a\n  host: h\n  forwards: {text}\n", HERE).servers
    return server.forwards


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        forwards(text)
    return [str(problem).removeprefix("servers.yaml:") for problem in caught.value.problems]


def ends(forward: Forward) -> tuple[Kind, Endpoint, Endpoint | None]:
    return forward.kind, forward.listens(BIND), forward.leads_to


L, R, D = Kind.LOCAL, Kind.REMOTE, Kind.DYNAMIC

GOOD = [
    ("{name: x, local_port: 5000, port: 80}", L, (BIND, 5000), ("localhost", 80)),
    (
        "{name: x, bind_address: '*', local_port: 5000, host: db, port: 80}",
        L,
        ("*", 5000),
        ("db", 80),
    ),
    ("{name: x, local_socket: /l, remote_socket: /r}", L, "/l", "/r"),
    ("{name: x, kind: remote, remote_port: 0, port: 80}", R, ("localhost", 0), ("localhost", 80)),
    ("{name: x, kind: remote, remote_socket: /r, local_socket: /l}", R, "/r", "/l"),
    ("{name: x, kind: dynamic, local_port: 1080}", D, (BIND, 1080), None),
    ("-L 5000:db:80", L, (BIND, 5000), ("db", 80)),
    ("-L5000:db:80", L, (BIND, 5000), ("db", 80)),
    ("L 5000:/run/x.sock", L, (BIND, 5000), "/run/x.sock"),
    ("LocalForward 127.0.0.2:5000 db:80", L, ("127.0.0.2", 5000), ("db", 80)),
    ("'-L [::1]:5000:[::2]:80'", L, ("::1", 5000), ("::2", 80)),
    ("-L localhost:5000:h:80", L, ("localhost", 5000), ("h", 80)),
    ("-R :9000:localhost:3000", R, ("", 9000), ("localhost", 3000)),
    ("-R 9000:/run/x", R, ("localhost", 9000), "/run/x"),
    ("-R /run/r:h:80", R, "/run/r", ("h", 80)),
    ("-D 1080", D, (BIND, 1080), None),
    ("'-D *:1080'", D, ("*", 1080), None),
    ("{local: '5000:h:80', open: true}", L, (BIND, 5000), ("h", 80)),
    ("{name: x, remote: 9000 localhost:3000}", R, ("localhost", 9000), ("localhost", 3000)),
    ("{dynamic: 1080}", D, (BIND, 1080), None),
]


@pytest.mark.parametrize(
    ("text", "kind", "listens", "leads"), GOOD, ids=[text for text, *_ in GOOD]
)
def test_where_it_listens_and_leads(
    text: str, kind: Kind, listens: tuple[str, int] | str, leads: tuple[str, int] | str | None
) -> None:
    def end(said: tuple[str, int] | str) -> Endpoint:
        return UnixEndpoint(said) if isinstance(said, str) else TcpEndpoint(*said)

    (forward,) = forwards(f"[{text}]")
    assert ends(forward) == (kind, end(listens), None if leads is None else end(leads))


def test_a_home_folder_is_that_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    move_home(monkeypatch, tmp_path)
    (forward,) = forwards("[{name: x, local_socket: ~/l, remote_socket: /r}]")
    assert forward.local_socket == f"{tmp_path}/l"


def test_only_what_listens_here_gets_a_port() -> None:
    found = forwards(
        "[{name: a, kind: dynamic}, {name: b, port: 1}, {name: c, local_socket: /s, port: 1}, "
        "{name: d, kind: remote, remote_port: 9, port: 1}]"
    )
    assert [forward.local_port is not None for forward in found] == [True, True, False, False]


NAMES = [
    (Kind.LOCAL, "5000:db:80", "5000 → db:80"),
    (Kind.LOCAL, "[::1]:5000:[::2]:80", "[::1]:5000 → [::2]:80"),
    (Kind.LOCAL, "5000:/run/x.sock", "5000 → /run/x.sock"),
    (Kind.REMOTE, "9000:localhost:3000", "localhost:3000 ← 9000"),
    (Kind.REMOTE, "*:9000:localhost:3000", "localhost:3000 ← *:9000"),
    (Kind.REMOTE, "0:localhost:3000", "localhost:3000 ← any port"),
    (Kind.DYNAMIC, "1080", "SOCKS 1080"),
]


@pytest.mark.parametrize(("kind", "text", "name"), NAMES)
def test_it_is_named_after_its_ends(kind: Kind, text: str, name: str) -> None:
    assert name_of(spec_of(kind, text)) == name


def test_a_long_path_is_clipped_in_the_name() -> None:
    name = name_of(spec_of(Kind.LOCAL, f"/{'x' * 90}/a.sock:/{'y' * 90}/b.sock"))
    assert len(name) <= 80
    assert "a.sock → …" in name


@pytest.mark.parametrize("text", ["80:h:80", "5000:a@b:80", "5000::80", "5000:/r/", "h:5000:h:80"])
def test_what_no_file_may_say(text: str) -> None:
    with pytest.raises(ValidationError):
        Forward.model_validate({"name": "x", **keys_of(spec_of(Kind.LOCAL, text))})


def test_without_a_file_its_keys_must_fit_too() -> None:
    for keys in ({}, {"port": 80}, {"local_port": 5000}, {"kind": "remote", "port": 80}):
        with pytest.raises(ValidationError):
            Forward.model_validate({"name": "x", **keys})


NO_MEANING = "has no meaning"
BAD = [
    (
        "5000:h:80",
        ("4:14: an entry of forwards must be a mapping (name, port, …) or like "
        "-L 8888:localhost:8888, not '5000:h:80'"),
    ),
    (
        "-L 5000:h",
        ("4:14: an entry of forwards must be [bind_address:]port:host:hostport, with a path for "
        "either end that is a socket"),
    ),
    (
        "-L htp:h:80",
        "4:14: an entry of forwards names a port that is neither a number nor a service",
    ),
    ("-L 0:h:80", ("4:14: an entry of forwards must name the port to listen on; only a remote "
    "forward may use 0")),
    ("-L 99999:h:80", "4:14: an entry of forwards names a port above 65535"),
    ("-L 80:h:80", ("4:14: local_port must be from 1024 to 65535: only root may listen on a port "
    "below 1024")),
    (
        "-R 9000",
        (
            "4:14: an entry of forwards must say where it leads: trayconnect offers no SOCKS proxy "
            "at the server"
        ),
    ),
    ("{local: [1]}", "4:22: local must be text: put it in quotes"),
    ("{local: '5000:h:80', port: 1}", f"4:35: 'port' {NO_MEANING} beside 'local': remove it"),
    (
        "{local: '5000:h:80', dynamic: 1080}",
        "4:35: a forward is of one kind: remove 'dynamic', or 'local'",
    ),
    ("{remote: '9:h:80', open: on}", f"4:33: 'open' {NO_MEANING} beside 'remote': remove it"),
    ("{name: x, kind: tcp}", "4:30: kind must be local, remote or dynamic, not 'tcp'"),
    (
        "{name: x, kind: dynamic, port: 1}",
        f"4:39: 'port' {NO_MEANING} for a dynamic forward: remove it",
    ),
    (
        "{name: x, kind: remote, port: 1}",
        ("4:14: this forward has no remote_port: add 'remote_port: …', or 'remote_socket: …' for a "
        "UNIX socket"),
    ),
    (
        "{name: x, port: 1, remote_socket: /r}",
        f"4:33: 'remote_socket' {NO_MEANING} beside 'port': remove one of them",
    ),
    (
        "{name: x, remote_socket: r}",
        "4:39: remote_socket must be the whole path on the server: begin it with '/'",
    ),
    (
        "{name: x, local_socket: l, port: 1}",
        "4:38: local_socket must be a whole path: begin it with '/' or '~/'",
    ),
    (
        f"{{name: x, remote_socket: /{'x' * 107}}}",
        (
            "4:39: remote_socket must have at most 107 bytes, the limit for the path of a UNIX "
            "socket: choose a shorter folder"
        ),
    ),
    (
        "{name: x, port: 1, bind_address: gate}",
        "4:47: bind_address must be an IP address, localhost, or '*' for every address",
    ),
    ("{name: x, locl: '1:h:1'}", "4:24: unknown key 'locl': did you mean 'local'?"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BAD, ids=[text[:40] for text, _ in BAD])
def test_what_is_wrong_and_where(text: str, expected: str) -> None:
    assert expected in problems(f"[{text}]")


def test_all_at_once() -> None:
    text = "[-L x, {name: a, kind: dynamic, host: h, port: 1}, {dynamic: [], port: 1}]"
    assert len(problems(text)) == 5


TWICE = [
    (
        "[-L 5000:h:80, -D 5000]",
        (
            "4:28: local_port 5000 is that of the forward '5000 → h:80' of the server 'a' already, "
            "in line 4"
        ),
    ),
    (
        "[{name: x, local_socket: /l, port: 1}, {name: y, local_socket: /l, port: 2}]",
        "4:76: local_socket /l is that of the forward 'x' of the server 'a' already, in line 4",
    ),
    (
        "[-R 9000:h:80, -R 9000:h:81]",
        "4:28: remote_port 9000 is that of the forward 'h:80 ← 9000' already, in line 4",
    ),
    ("[-L 5000:h:80, -L 5000:h:80]", "4:28: the name '5000 → h:80' is used already, in line 4"),
]


@pytest.mark.parametrize(("text", "expected"), TWICE)
def test_what_listens_twice(text: str, expected: str) -> None:
    assert expected in problems(text)


def test_servers_may_listen_alike_each_on_its_own() -> None:
    entry = "- {name: NAME, host: h, forwards: ['-R 9000:h:80', '-R 0:h:1', '-R 0:h:2']}\n"
    parse(f"servers:\n{entry.replace('NAME', 'a')}{entry.replace('NAME', 'b')}", HERE)


def test_a_socket_of_jupyter_has_no_port() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("servers: [{name: a, host: h, jupyter: {socket: /s, port: 1}}]", HERE)
    (problem,) = caught.value.problems
    assert problem.message == "'port' has no meaning beside 'socket': remove one of them"


def test_a_secret_in_a_forward_is_not_repeated() -> None:
    for text in ("[-L 5000:ada:hunter2@h:80]", "[-L '5000:ada@hunter2:80']", "[-D hunter2]"):
        assert "hunter2" not in str(problems(text))
