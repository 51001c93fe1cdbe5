"""Files that are wrong: what is said, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from trayconnect.config.file_problems import ConfigError
from trayconnect.config.yaml_file import parse

HERE = Path("servers.yaml")


def problems(text: str) -> list[str]:
    """LINE:COLUMN: message, of each."""
    with pytest.raises(ConfigError) as caught:
        parse(text, HERE)
    return [str(problem).removeprefix("servers.yaml:") for problem in caught.value.problems]


def server(keys: str) -> str:
    """A file whose one server has, beside a name and a host, the keys given (from line 4)."""
    lines = "".join(f"    {line}\n" for line in keys.splitlines())
    return f"servers:\n  - name: a\n    host: h\n{lines}"


NO_PORT = "this forward has no port: add 'port: …', or 'remote_socket: …' for a UNIX socket"
WRONG_TYPES = [
    (
        "port: 22:30",
        "4:11: port must be a whole number; YAML reads '22:30' as the number 1350, in base 60",
    ),
    ("port: 0123", "4:11: port must be a whole number; YAML reads '0123' as the octal number 83"),
    (
        "port: 0x16",
        "4:11: port must be a whole number; YAML reads '0x16' as the hexadecimal number 22",
    ),
    ("port: 1_000", "4:11: port must be a whole number; YAML reads '1_000' as the number 1000"),
    ("port: '22'", "4:11: port must be a whole number: remove the quotes"),
    ("port: 22.5", "4:11: port must be a whole number, not '22.5'"),
    ("port: yes", "4:11: port must be a whole number; YAML reads 'yes' as true"),
    ("port: [22]", "4:11: port must be a whole number, not a list"),
    ("port: {a: 1}", "4:11: port must be a whole number, not a mapping"),
    ("port:", "4:10: port has no value: it must be a whole number; or remove the line"),
    ("port: ~", "4:11: port has no value: it must be a whole number; or remove the line"),
    ("port: 0", "4:11: port must be at least 1, not '0'"),
    ("port: 65536", "4:11: port must be at most 65535, not '65536'"),
    ("username: no", "4:15: username must be text, and YAML reads 'no' as false: put it in quotes"),
    (
        "username: 22:30",
        (
            "4:15: username must be text, and YAML reads '22:30' as the number 1350, in base "
            "60: put it in quotes"
        ),
    ),
    (
        "username: 0123",
        (
            "4:15: username must be text, and YAML reads '0123' as the octal number 83: put it "
            "in quotes"
        ),
    ),
    (
        "username: 2026-01-31",
        "4:15: username must be text, and YAML reads '2026-01-31' as a date: put it in quotes",
    ),
    ("username: 12", "4:15: username must be text: put it in quotes"),
    ("username: 1.5", "4:15: username must be text: put it in quotes"),
    ("username: null", "4:15: username has no value: it must be text; or remove the line"),
    ("username: ''", "4:15: username must not be empty"),
    (
        "username: ' ada'",
        "4:15: username must not begin or end with a space, or contain control characters",
    ),
    ("open_browser: 1", "4:19: open_browser must be true or false, not '1'"),
    ("open_browser: 'true'", "4:19: open_browser must be true or false: remove the quotes"),
    ("hold_seconds: 0", "4:19: hold_seconds must be more than 0, not '0'"),
    ("hold_seconds: .inf", "4:19: hold_seconds must be a number, not '.inf'"),
    ("hold_seconds: .nan", "4:19: hold_seconds must be a number, not '.nan'"),
    (
        "hold_seconds: 1:30.5",
        "4:19: hold_seconds must be a number; YAML reads '1:30.5' as a number in base 60",
    ),
    ("hold_seconds: ten", "4:19: hold_seconds must be a number, not 'ten'"),
    (
        "keepalive: 15",
        "4:16: keepalive must be a mapping with keys of its own (interval, count_max), not '15'",
    ),
    ("keepalive: {count_max: 101}", "4:28: count_max must be at most 100, not '101'"),
    (
        "auth: ask",
        (
            "4:11: auth must be a mapping with keys of its own (identity_file, password, agent), "
            "not 'ask'"
        ),
    ),
    (
        "auth: {password: }",
        "4:22: password has no value: it must be ask or keyring; or remove the line",
    ),
    ("auth: {identity_file: 5}", "4:27: identity_file must be the path of a file, not '5'"),
    (
        "auth: {identity_file: ''}",
        "4:27: identity_file must be the path of a file, such as ~/.ssh/id_ed25519",
    ),
    ("jupyter: {port: atuo}", "4:21: port must be a whole number or auto, not 'atuo'"),
    ("jupyter: {port: 70000}", "4:21: port must be at most 65535, not '70000'"),
    ("jupyter: {path: lab}", "4:21: path must begin with '/' and contain no control characters"),
    (
        "jupyter: {path: '/lab?token=abc'}",
        "4:21: path must not contain a token: remove it, the page asks for it",
    ),
    (
        "jump_hosts: gate",
        (
            "4:17: jump_hosts must be a list: [one, another], or a line with '- ' for each, not"
            " 'gate'"
        ),
    ),
    (
        "legacy: [aes256-cbc, aes128-ctr]",
        "4:26: an entry of legacy is allowed already: remove it",
    ),
    (
        "legacy: [hmac-sha]",
        "4:14: an entry of legacy cannot be allowed: did you mean 'hmac-sha1'?",
    ),
    (
        "legacy: [ssh-dss]",
        (
            "4:14: an entry of legacy cannot be allowed; these can: aes256-cbc, "
            "aes192-cbc, aes128-cbc, 3des-cbc, hmac-sha1, hmac-sha1-96, hmac-md5, hmac-md5-96"
        ),
    ),
    ("jump_hosts: [5]", "4:18: an entry of jump_hosts must be text: put it in quotes"),
    ("jump_hosts: [{host: a}]", "4:18: an entry of jump_hosts must be text, not a mapping"),
    (
        "jump_hosts: ['gate:70000']",
        "4:18: the port in an entry of jump_hosts must be at most 65535",
    ),
    (
        "jump_hosts: ['a,b']",
        "4:18: an entry of jump_hosts must be one jump host: give each its own entry of the list",
    ),
    (
        "jump_hosts: ['::1]:2']",
        (
            "4:18: an entry of jump_hosts must be [user@]host[:port], with an IPv6 address "
            "in brackets"
        ),
    ),
    (
        "jump_hosts: ['[gate]']",
        (
            "4:18: an entry of jump_hosts must be [user@]host[:port], with an IPv6 address "
            "in brackets"
        ),
    ),
    (
        "jump_hosts: ['']",
        (
            "4:18: an entry of jump_hosts must be [user@]host[:port], with an IPv6 address "
            "in brackets"
        ),
    ),
    (
        "forwards: [x]",
        (
            "4:16: an entry of forwards must be a mapping (name, port, …) or like "
            "-L 8888:localhost:8888, not 'x'"
        ),
    ),
    (
        "forwards: [{name: x}]",
        f"4:16: {NO_PORT}",
    ),
    (
        "bind_address: gate",
        "4:19: bind_address must be an IP address, localhost, or '*' for every address",
    ),
    (
        "local_port: 80",
        "4:17: local_port must be from 1024 to 65535: only root may listen on a port below 1024",
    ),
    ("local_port: 0", "4:17: local_port must be at least 1, not '0'"),
]


@pytest.mark.parametrize(("keys", "expected"), WRONG_TYPES, ids=[keys for keys, _ in WRONG_TYPES])
def test_values(keys: str, expected: str) -> None:
    assert problems(server(keys)) == [expected]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("ssh://gpu", "host must be the bare name: split it into username, host and port"),
        ("ada@gpu", "host must not contain a user name: split it into username and host"),
        ("gpu:22", "host must not contain the port: split it into host and port"),
        ("gpu:22:x", "host is not an IPv6 address, and other hosts have no ':'"),
        ("'[::1]'", "host takes an address without brackets, and the port under 'port'"),
        ("gpu/x", "host must not contain a slash: it is a name or an address, not a URL"),
        ("'-oProxyCommand=x'", "host must not begin with '-'"),
        ("''", "host must not be empty"),
        (
            "GPU box",
            (
                "host must not contain spaces: it is a name such as gpu.example.org, or an "
                "address; "
                "the text for the menu is 'name'"
            ),
        ),
    ],
)
def test_hosts(host: str, expected: str) -> None:
    assert problems(f"servers:\n- name: a\n  host: {host}\n") == [f"3:9: {expected}"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://h", "must begin with http:// or https://"),
        ("h:8888", "must begin with http:// or https://"),
        ("http://", "names no host: write it as http://host:port/path"),
        ("http:///x", "names no host: write it as http://host:port/path"),
        ("http://h h", "must not contain spaces"),
        (
            "http://[::1",
            (
                "is not a valid address: write it as http://host:port/path, with an IPv6 address "
                "in brackets"
            ),
        ),
        (
            "http://h:99999",
            (
                "is not a valid address: write it as http://host:port/path, with an IPv6 address "
                "in brackets"
            ),
        ),
        ("http://a:b@h", "must not contain a user name or a password: the page asks for them"),
        ("http://h/lab?token=abc", "must not contain a token: remove it, the page asks for it"),
    ],
)
def test_urls(url: str, expected: str) -> None:
    assert problems(f"servers:\n- name: a\n  url: '{url}'\n") == [f"3:8: url {expected}"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("usrname: a", "unknown key 'usrname': did you mean 'username'?"),
        ("user: a", "unknown key 'user': did you mean 'username'?"),
        ("jump_host: [a]", "unknown key 'jump_host': did you mean 'jump_hosts'?"),
        ("ProxyJump: a", "unknown key 'ProxyJump': did you mean 'jump_hosts'?"),
        ("local-port: 2000", "unknown key 'local-port': did you mean 'local_port'?"),
        ("identity_file: a", "unknown key 'identity_file': 'identity_file' belongs under 'auth'"),
        ("IdentityFile: a", "unknown key 'IdentityFile': 'identity_file' belongs under 'auth'"),
        (
            "ServerAliveInterval: 5",
            "unknown key 'ServerAliveInterval': 'interval' belongs under 'keepalive'",
        ),
        ("defaults: {}", "unknown key 'defaults': 'defaults' belongs at the left margin"),
    ],
)
def test_unknown_keys(keys: str, expected: str) -> None:
    assert problems(server(keys)) == [f"4:5: {expected}"]


def test_unknown_keys_further_down() -> None:
    assert problems(server("keepalive: {intervall: 5}")) == [
        "4:17: unknown key 'intervall': did you mean 'interval'?"
    ]
    assert problems(server("keepalive: {zzz: 5}")) == [
        "4:17: unknown key 'zzz'; known here: interval, count_max"
    ]


def test_unknown_keys_at_the_top() -> None:
    assert problems("server:\n- name: a\nname: b\nx: 1\n") == [
        "1:1: unknown key 'server': did you mean 'servers'?",
        "3:1: unknown key 'name': 'name' belongs to an entry of 'servers'",
        "4:1: unknown key 'x'; known here: servers, defaults",
    ]


def test_a_key_twice() -> None:
    assert problems(server("port: 1\nport: 2")) == [
        "5:5: the key 'port' occurs twice: first in line 4"
    ]


def test_a_name_twice() -> None:
    text = "servers:\n- {name: a b, host: h}\n- {name: a b, host: h}\n- {name: A B, host: h}\n"
    assert problems(text) == [
        "3:10: the name 'a b' is used already, in line 2",
        (
            "4:10: the name 'A B' is too similar to 'a b' in line 2: "
            "upper and lower case count as equal"
        ),
    ]


def test_a_name_twice_by_alias() -> None:
    assert problems("servers:\n- &x {name: a, host: h, local_port: 2000}\n- *x\n") == [
        "2:13: the name 'a' is used already, in line 2",
        (
            "2:37: local_port 2000 would be that of both the server 'a' and the server 'a': leave "
            "it out here"
        ),
    ]


def test_a_forwards_name_twice() -> None:
    forwards = "forwards:\n- {name: x, port: 1}\n- {name: X, port: 2}"
    assert problems(server(forwards)) == [
        "6:14: the name 'X' is too similar to 'x' in line 5: upper and lower case count as equal"
    ]


def test_a_local_port_twice() -> None:
    text = """\
servers:
- {name: a, host: h, local_port: 2000}
- {name: b, host: h, forwards: [{name: x, local_port: 2000, port: 1}]}
- {name: c, host: h, local_port: 2000}
"""
    assert problems(text) == [
        "3:55: local_port 2000 is that of the server 'a' already, in line 2",
        "4:34: local_port 2000 is that of the server 'a' already, in line 2",
    ]


def test_a_local_port_in_the_forwards_of_defaults() -> None:
    text = """\
defaults: {forwards: [{name: x, local_port: 2000, port: 1}]}
servers: [{name: a, host: h}, {name: b, host: h}]
"""
    assert problems(text) == [
        (
            "1:45: local_port 2000 would be that of both the forward 'x' of the server 'a' and the "
            "forward 'x' of the server 'b': leave it out here"
        )
    ]


def test_host_or_url() -> None:
    assert problems("servers:\n- name: a\n- {name: b, host: h, url: 'http://h'}\n") == [
        "2:3: this server has no host: add 'host: …', or 'url: …' for a direct connection",
        (
            "3:22: an entry has either a host, for a tunnel, or a url, for a direct connection; "
            "not both"
        ),
    ]


def test_keys_without_a_meaning_beside_a_url() -> None:
    keys = "auth: {}\nport: 22\nforwards: []\nlocal_port: 2000\nopen_browser: true"
    lines = "".join(f"  {line}\n" for line in keys.splitlines())
    found = problems(f"servers:\n- name: a\n  url: http://h\n{lines}")
    words = "has no meaning beside a url, which is a direct connection: remove it"
    names = ("auth", "port", "forwards", "local_port")
    assert found == [f"{line}:3: '{key}' {words}" for line, key in enumerate(names, 4)]


class TestDefaults:
    def test_a_fault_is_told_once_at_its_place(self) -> None:
        text = """\
defaults:
  keepalive: {interval: often}
  forwards: [{name: x}]
  usrname: a
servers: [{name: a, host: h}, {name: b, host: h}, {name: c, host: h, keepalive: {count_max: 2}}]
"""
        assert problems(text) == [
            "2:25: interval must be a number, not 'often'",
            f"3:14: {NO_PORT}",
            "4:3: unknown key 'usrname': did you mean 'username'?",
        ]

    def test_also_without_servers(self) -> None:
        assert problems("defaults: {port: x}\n") == ["1:18: port must be a whole number, not 'x'"]

    def test_what_no_two_servers_share(self) -> None:
        text = "defaults:\n  name: a\n  url: http://h\n  local_port: 2000\n"
        words = "is not allowed in defaults: every server has its own"
        assert problems(text) == [
            f"2:3: 'name' {words}",
            f"3:3: 'url' {words}",
            f"4:3: 'local_port' {words}",
        ]

    def test_not_a_mapping(self) -> None:
        assert problems("defaults: [a]\n") == [
            "1:11: defaults must be a mapping of what servers share, such as keepalive"
        ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- name: a\n", "1:1: a server file begins with 'servers:', and a list below it"),
        ("hello\n", "1:1: a server file begins with 'servers:', and a list below it"),
        (
            "servers: {a: {host: h}}\n",
            "1:10: servers must be a list: begin each entry with '- name: …'",
        ),
        ("servers: 5\n", "1:10: servers must be a list: begin each entry with '- name: …'"),
        ("servers:\n- gpu\n", "2:3: an entry of servers must be a mapping with keys of its own"),
        ("servers:\n-\n", "2:2: an entry of servers has no value"),
        ("servers:\n- host: h\n", "2:3: this server has no name: add 'name: …'"),
        (
            "servers:\n- <<: {name: a}\n",
            "2:3: '<<' is not supported: put shared keys under 'defaults'",
        ),
        ("servers:\n- {[a]: b, name: a, host: h}\n", "2:4: a key must be a plain word"),
        ("servers: *all\n", "1:10: '*' repeats an earlier '&' of the same name, and there is none"),
        ("servers: &a [*a]\n", "1:14: this alias is inside the part that it repeats"),
        ("servers: !x []\n", "1:10: '!' begins a YAML tag, which is not supported"),
        ("servers: !!python/object/apply:os.system [ls]\n", "1:10: '!' begins a YAML tag"),
        (
            "servers: []\n---\nservers: []\n",
            "2:1: a second document begins here: remove the line of '---'",
        ),
        (
            "servers: []\nx: \x07\n",
            "2:4: a character that no text file may contain (U+0007): remove it",
        ),
        ("x: \ud800", "1:4: a character that no text file may contain (U+D800): remove it"),
    ],
)
def test_shapes(text: str, expected: str) -> None:
    assert problems(text)[0].startswith(expected)


def test_everything_at_once_in_the_order_of_the_file() -> None:
    text = """\
defaults: {hold_seconds: long}
servers:
  - name: no
    host: h
    port: 22
    port: 23
    token: x
  - {name: b, hots: h}
extra: 1
"""
    found = problems(text)
    assert [line.split(": ", 1)[0] for line in found] == [
        *("1:26", "3:11", "6:5", "7:5", "8:5", "8:15", "9:1"),
    ]


def test_the_problem_of_a_config_error() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("x: 1\ny: 2\n", HERE)
    problem = caught.value.problem
    assert problem.title.startswith("servers.yaml cannot be used: line 1, column 1: unknown key")
    assert problem.title.endswith(", and 1 more")
    assert problem.advice == "Correct the file and save it."
    assert problem.detail == "\n".join(str(found) for found in caught.value.problems)
