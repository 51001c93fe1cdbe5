"""Files that are right: what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from trayconnect.config.model import Config, JumpHost, Server
from trayconnect.config.yaml_file import load, parse

HERE = Path("servers.yaml")

DESIGN = """\
servers:
  - name: GPU box              # shown in the menu; unique
    host: gpu.example.org      # a name, an address, or a Host alias of ~/.ssh/config
    port: 22
    username: ada
    auth:
      identity_file: ~/.ssh/id_ed25519
      password: ask            # ask | keyring; never the password itself
    jump_hosts: [ada@gate.example.org:2222]
    jupyter:
      host: localhost          # as seen from the server
      port: auto               # a number, or auto
      path: /lab
    local_port: 18888          # default: derived from the name, and stable
    open_browser: true
    connect_on_start: false
    keepalive: {interval: 15, count_max: 3}
    forwards:
      - {name: TensorBoard, local_port: 6006, host: localhost, port: 6006, open: true}
  - name: Lab desktop
    url: http://192.168.1.20:8888/   # a direct connection: no tunnel, the same menu
defaults:                      # anything a server may say
  keepalive: {interval: 30, count_max: 3}
"""


def only(text: str) -> Server:
    (server,) = parse(text, HERE).servers
    return server


def test_the_example_of_the_design() -> None:
    box, desktop = parse(DESIGN, HERE).servers
    assert (box.name, box.host, box.port, box.username) == ("GPU box", "gpu.example.org", 22, "ada")
    assert box.auth.identity_file == Path.home() / ".ssh" / "id_ed25519"
    assert box.auth.password == "ask"
    assert box.jump_hosts == (JumpHost(host="gate.example.org", port=2222, username="ada"),)
    assert (box.jupyter.host, box.jupyter.port, box.jupyter.path) == ("localhost", "auto", "/lab")
    assert (box.local_port, box.bind_address) == (18888, "localhost")
    assert (box.keepalive.interval, box.keepalive.count_max) == (15, 3)
    (board,) = box.forwards
    assert (board.name, board.local_port, board.port, board.open) == (
        "TensorBoard",
        6006,
        6006,
        True,
    )
    assert desktop.kind == "webpage"
    assert desktop.url == "http://192.168.1.20:8888/"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n# nothing yet\n",
        "---\n",
        "servers:\n",
        "servers: []\n",
        "servers:\ndefaults:\n",
        "defaults: {}\n",
        "null\n",
    ],
)
def test_no_servers_yet(text: str) -> None:
    assert parse(text, HERE) == Config()


def test_byte_order_mark_and_line_ends() -> None:
    crlf = DESIGN.replace("\n", "\r\n")
    assert parse("\ufeff" + crlf, HERE) == parse(DESIGN, HERE)


def test_load_reads_utf8_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "servers.yaml"
    for prefix in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(prefix + "servers: [{name: Größe ☃, host: h}]".encode())
        assert [server.name for server in load(path).servers] == ["Größe ☃"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gate", JumpHost(host="gate")),
        ("gate:2222", JumpHost(host="gate", port=2222)),
        ("ada@gate", JumpHost(host="gate", username="ada")),
        ("ada@corp@gate:22", JumpHost(host="gate", username="ada@corp")),
        ("'[2001:db8::1]:2222'", JumpHost(host="2001:db8::1", port=2222)),
        ("'ada@[::1]'", JumpHost(host="::1", username="ada")),
        ("'2001:db8::1'", JumpHost(host="2001:db8::1")),
    ],
)
def test_jump_hosts(text: str, expected: JumpHost) -> None:
    server = only(f"servers:\n- name: a\n  host: b\n  jump_hosts:\n  - {text}\n")
    assert server.jump_hosts == (expected,)


@pytest.mark.parametrize("host", ["gpu", "10.0.0.1", "'2001:db8::1'", "fe80::1%eth0", "größe.de"])
def test_hosts(host: str) -> None:
    assert only(f"servers: [{{name: a, host: {host}}}]").host == host.strip("'")


@pytest.mark.parametrize(
    "url",
    ["http://h", "https://h:8443/lab?reset", "HTTP://h/", "http://[::1]:8888/", "http://h/a#b"],
)
def test_urls(url: str) -> None:
    assert only(f"servers: [{{name: a, url: '{url}'}}]").url == url


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("yes", True), ("on", True), ("Off", False), ("no", False)]
)
def test_flags_take_every_word_of_yaml(word: str, value: bool) -> None:
    assert (
        only(f"servers: [{{name: a, host: b, connect_on_start: {word}}}]").connect_on_start is value
    )


def test_quoted_words_are_text() -> None:
    server = only("servers: [{name: '22:30', host: 'no', username: \"0123\"}]")
    assert (server.name, server.host, server.username) == ("22:30", "no", "0123")


def test_explicit_tags_of_plain_kinds() -> None:
    server = only("servers: !!seq [!!map {name: !!str 22:30, host: b, port: !!int '23'}]")
    assert (server.name, server.port) == ("22:30", 23)


def test_aliases_repeat_a_value() -> None:
    text = """\
servers:
- {name: a, host: h, auth: &login {password: keyring}, forwards: &f [{name: x, port: 1}]}
- {name: b, host: h, auth: *login, forwards: *f}
"""
    one, two = parse(text, HERE).servers
    assert one.auth == two.auth
    assert two.auth.password == "keyring"
    assert one.forwards[0].local_port != two.forwards[0].local_port


class TestDefaults:
    def test_a_server_comes_first_key_by_key(self) -> None:
        text = """\
defaults:
  username: ada
  keepalive: {interval: 30, count_max: 7}
  jump_hosts: [gate]
servers:
- {name: a, host: h, keepalive: {interval: 5}, jump_hosts: []}
- {name: b, host: h, username: bob}
"""
        a, b = parse(text, HERE).servers
        assert (a.username, a.keepalive.interval, a.keepalive.count_max) == ("ada", 5, 7)
        assert a.jump_hosts == ()
        assert (b.username, b.keepalive.interval) == ("bob", 30)
        assert b.jump_hosts == (JumpHost(host="gate"),)

    def test_a_host_for_all(self) -> None:
        text = "defaults: {host: h}\nservers: [{name: a}, {name: b, url: 'http://x'}]"
        a, b = parse(text, HERE).servers
        assert (a.host, b.host) == ("h", None)

    def test_what_is_for_tunnels_passes_direct_connections_by(self) -> None:
        text = """\
defaults: {username: ada, keepalive: {interval: 5}, open_browser: false}
servers: [{name: a, url: 'http://x'}]
"""
        server = only(text)
        assert (server.username, server.keepalive.interval) == (None, 15)
        assert server.open_browser is False

    def test_forwards_for_all_get_ports_of_their_own(self) -> None:
        text = """\
defaults: {forwards: [{name: TensorBoard, port: 6006}]}
servers: [{name: a, host: h}, {name: b, host: h}]
"""
        config = parse(text, HERE)
        ports = [p for s in config.servers for p in (s.local_port, s.forwards[0].local_port)]
        assert len(set(ports)) == 4


def test_local_ports_are_derived_and_explicit_ones_stay() -> None:
    first = only("servers: [{name: a, host: h}]").local_port
    text = f"servers: [{{name: b, host: h, local_port: {first}}}, {{name: a, host: h}}]"
    b, a = parse(text, HERE).servers
    assert b.local_port == first
    assert a.local_port != first
