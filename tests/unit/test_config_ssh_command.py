"""From the command line of ssh in somebody's notes to an entry of the file."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from trayconnect.config.forward_syntax import Kind
from trayconnect.config.forward_syntax import parse as parse_forward
from trayconnect.config.model import Config
from trayconnect.config.new_entry import from_aliases, from_command, unique_name
from trayconnect.config.ssh_command import CommandError, parse_command
from trayconnect.config.yaml_file import parse

PAGE = {"jupyter": {"port": 8888}, "local_port": 8888}
FILE = """\
servers:
  - {name: gpu, host: gpu, local_port: 9999}
  - {name: GPU 2, host: gpu, forwards: [{name: TB, port: 6006, local_port: 6006}]}
"""


def made(command: str, file: str = "", name: str | None = None) -> tuple[dict[str, Any], list[str]]:
    config = parse(file, Path("servers.yaml"))
    entry = from_command(parse_command([command]), config, name)
    return entry.data, list(entry.notes)


@pytest.mark.parametrize(
    ("command", "data"),
    [
        ("ssh gpu", {}),
        ("ssh -L 8888:localhost:8888 ada@gpu -J gate",
         {"username": "ada", "jump_hosts": ["gate"], **PAGE}),
        ("ssh -NfL8888:localhost:8888 gpu -p22 -l ada", {"port": 22, "username": "ada", **PAGE}),
        ("$ autossh -M 0 -fN -L 8888:127.0.0.1:8888 -p 22 gpu &", {"port": 22, **PAGE}),
        ("AUTOSSH_PORT=0 nohup /usr/bin/autossh -M20000 gpu -L 8888:localhost:8888", PAGE),
        ("ssh.exe ssh://ada@gpu:2022/", {"username": "ada", "port": 2022}),
        ("-L 8888:localhost:8888 gpu", PAGE),
        ("ssh gpu -i '~/my keys/id'", {"auth": {"identity_file": "~/my keys/id"}}),
        ("ssh -J ada@a:2,[::1]:7,c gpu", {"jump_hosts": ["ada@a:2", "[::1]:7", "c"]}),
        ("ssh -J none gpu", {"jump_hosts": []}),
        ("ssh -L 9000:node7:8890 gpu",
         {"jupyter": {"host": "node7", "port": 8890}, "local_port": 9000}),
        ("ssh -L 5000:localhost:5001 gpu", {"jupyter": {"port": 5001}, "local_port": 5000}),
        ("ssh -L 6006:localhost:6006 -L 1234:localhost:8889 gpu",
         {"jupyter": {"port": 8889}, "local_port": 1234,
          "forwards": [{"name": "TensorBoard", "local_port": 6006, "port": 6006}]}),
        ("ssh -L 2000:a:2001 -L 2002:b:2001 gpu",
         {"forwards": [{"name": "Port 2001", "local_port": 2000, "host": "a", "port": 2001},
                       {"name": "Port 2001 2", "local_port": 2002, "host": "b", "port": 2001}]}),
        ("ssh -D 1080 -R 9000:localhost:22 -R *:7:[::1]:8 -L /tmp/s:/run/x gpu",
         {"forwards": ["-D 1080", "-R 9000:localhost:22", "-R *:7:[::1]:8", "-L /tmp/s:/run/x"]}),
        ("ssh -o User=ada -oPort=7 -o 'IdentityFile ~/k' -o ProxyJump=g -o ConnectTimeout=1m gpu",
         {"port": 7, "username": "ada", "auth": {"identity_file": "~/k"}, "jump_hosts": ["g"],
          "connect_timeout": 60}),
        ("ssh -o ServerAliveInterval=60 -o ServerAliveCountMax=5 -o ExitOnForwardFailure=yes gpu",
         {"keepalive": {"interval": 60, "count_max": 5}}),
        ("ssh -o 'LocalForward 8888 localhost:8888' gpu", PAGE),
        ("ssh -tvvqxTn -e none -E log -S /tmp/x -O check gpu", {}),
    ],
)  # fmt: skip
def test_what_is_kept(command: str, data: dict[str, Any]) -> None:
    assert made(command) == ({"name": "gpu", "host": "gpu", **data}, [])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ssh -A gpu", "the agent stays here"),
        ("ssh gpu htop -d 5", "the command 'htop -d 5'"),
        ("ssh gpu -- ls", "the command 'ls'"),
        ("ssh -o ProxyCommand='nc %h %p' gpu", "~/.ssh/config"),
        ("ssh -F other gpu", "TRAYCONNECT_SSH_CONFIG"),
        ("ssh -4 gpu", "AddressFamily inet"),
        ("ssh -i a -i b gpu", "-i b"),
        ("ssh -W x:1 gpu", "add a forward"),
        ("ssh -X gpu", "no windows"),
        ("ssh -L 0.0.0.0:8888:localhost:8888 gpu", "only this machine gets in"),
        ("ssh -L *:8888:localhost:8888 gpu", "only this machine gets in"),
        ("ssh -L 80:localhost:8888 gpu", "only root may listen there; another is chosen"),
        ("ssh -R 99 gpu", "no SOCKS proxy"),
        ("ssh -D 99 gpu", "-D 99 is left out"),
    ],
)
def test_what_is_not_kept_is_said(command: str, words: str) -> None:
    _, notes = made(command)
    assert len(notes) == 1
    assert words in notes[0]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "empty"),
        ("curl x", "begins with 'curl'"),
        ("ssh", "no host"),
        ("ssh -p 22", "no host"),
        ("ssh 'gpu", "quote"),
        ("ssh -Z gpu", "knows no option -Z"),
        ("ssh gpu -p", "needs a value"),
        ("ssh -p x gpu", "no port"),
        ("ssh -L 8888 gpu", "-L 8888"),
        ("ssh -J a,,b gpu", "-J a,,b"),
        ("ssh -o Port gpu", "a value is missing"),
        ("ssh @gpu", "user's name"),
    ],
)
def test_what_is_no_command_of_ssh(command: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        parse_command([command])


def test_every_option_of_ssh_is_known() -> None:
    usage = subprocess.run(["ssh"], capture_output=True, text=True, check=False).stderr
    flags, *_ = usage.split("[-", 1)[1].split("]")
    for letter in flags:
        parse_command(["ssh", f"-{letter}", "gpu"])
    for part in usage.split("[-")[2:]:
        letter, value = part[0], part[1:].split("]")[0].strip()
        assert value
        text = {"L": "1:a:2", "R": "1:a:2", "D": "1", "p": "1", "o": "Port=1"}.get(letter, "x")
        parse_command(["ssh", f"-{letter}", text, "gpu"])


def test_names_and_ports_of_the_file_are_not_used_twice() -> None:
    data, notes = made("ssh -L 6006:localhost:8888 gpu", FILE)
    assert data == {"name": "gpu 3", "host": "gpu", "jupyter": {"port": 8888}}
    assert notes == ["the local port 6006: “GPU 2” has it; another is chosen"]
    assert made("ssh gpu", FILE, "My box")[0]["name"] == "My box"


def test_unique_names_stay_short() -> None:
    assert unique_name("x" * 90, set()) == "x" * 80
    assert unique_name("X" * 90, {"x" * 80}) == "X" * 78 + " 2"


def test_aliases() -> None:
    entries = from_aliases(
        [
            ("gpu", [parse_forward(Kind.LOCAL, "1234:localhost:8889")]),
            ("GPU", [parse_forward(Kind.LOCAL, "1:localhost:5432")]),
        ],
        Config(),
    )
    assert [entry.data for entry in entries] == [
        {"name": "gpu", "host": "gpu", "jupyter": {"port": 8889}},
        {"name": "GPU 2", "host": "GPU"},
    ]
