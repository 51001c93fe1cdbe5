"""What a host and a user may look like, in the file: one definition for the file and for `add`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trayconnect.config.file_problems import ConfigError
from trayconnect.config.yaml_file import parse


def read(**keys: object) -> None:
    lines = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in keys.items())
    parse("servers:\n  - name: a\n" + lines, Path("servers.yaml"))


@pytest.mark.parametrize(
    "host",
    ["gpu", "gpu_1", "GPU.example.org", "müller.example", "例え.jp", "भारत.example", "10.0.0.5",
     "fe80::1%eth0", "2001:db8::1", "box+1", "a~b", "c=d", "1.2.3.300.io", "xn--mller-kva.example"],
)  # fmt: skip
def test_hosts(host: str) -> None:
    read(host=host)


@pytest.mark.parametrize(
    "host",
    ["–L", "gpu”", "“gpu”", "gpu–1", "<host>", "$HOST", "%h", "%HOST%", "gpu;x", "a|b",
     "a&b", "`x`", "a*", "a?", "!a", "#a", "a,b", "a(b)", "{host}", "a\\b", "a'b", "gpu\u200b",
     "\ufeffgpu", "a\u00a0b", "a＠b", "a…", "-a", "a^b",
     "192.168.1.300", "256.1.1.1"],
)  # fmt: skip
def test_no_hosts(host: str) -> None:
    with pytest.raises(ConfigError):
        read(host=host)
    with pytest.raises(ConfigError):
        read(host="h", jump_hosts=[host])


@pytest.mark.parametrize(
    "user",
    ["ada", "ada.l", "ada_l", "LAB\\ada", "ada@realm.org", "ada%gate", "ada+x", "box$", "müller",
     "ada lovelace", "user", "a:b"],
)  # fmt: skip
def test_users(user: str) -> None:
    read(host="h", username=user)


@pytest.mark.parametrize(
    "user",
    ["<user>", "–ada", "“ada”", "ada’", "$USER", "${USER}", "%USERNAME%", "ada;x", "a|b", "-ada",
     "a -b", "ada\\", "ada\u200b", "ad\u00a0a", "{user}", "a\tb"],
)  # fmt: skip
def test_no_users(user: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(host="h", username=user)
    assert caught.value.problems[0].message.startswith("username must not")
