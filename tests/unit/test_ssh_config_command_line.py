"""The ssh command of an entry: word by word, and as ssh itself reads it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.servers import make_server
from tests.support.systems import has_posix_paths
from trayconnect.config.model import Server
from trayconnect.desktop.terminal_launcher import _write, script_of
from trayconnect.ssh.config.command_line import SshClient, ssh_command

CLEAR = ["-o", "ClearAllForwardings=yes"]
NO_CONFIG = SshClient(config=Path("none"))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"host": "gpu"}, [*CLEAR, "--", "gpu"]),
        (
            {"host": "::1", "port": 22, "username": "ada"},
            [*CLEAR, "-l", "ada", "-p", "22", "--", "::1"],
        ),
        (
            {"host": "gpu", "jump_hosts": []},
            [*CLEAR, "-o", "ProxyJump=none", "-o", "ProxyCommand=none", "--", "gpu"],
        ),
        (
            {"host": "gpu", "jump_hosts": ["ada@gate:2222", "[fe80::1]:22", "inner"]},
            [*CLEAR, "-J", "ada@gate:2222,[fe80::1]:22,inner", "--", "gpu"],
        ),
        (
            {"host": "gpu", "auth": {"agent": "none"}, "legacy": ["aes256-cbc", "hmac-sha1"]},
            [*CLEAR, "-o", "IdentityAgent=none", "-o", "Ciphers=+aes256-cbc",
             "-o", "MACs=+hmac-sha1", "--", "gpu"],
        ),
    ],
)  # fmt: skip
def test_the_words(entry: dict[str, Any], words: list[str]) -> None:
    assert ssh_command(make_server(**entry), SshClient()) == ["ssh", *words]


def says(server: Server, means: SshClient) -> dict[str, str]:
    """What `ssh -G` makes of it."""
    program, *words = ssh_command(server, means)
    done = subprocess.run(
        [program, "-G", *words], capture_output=True, text=True, check=True, timeout=30
    )
    lines = reversed(done.stdout.splitlines())  # of several values, the first
    return dict(line.split(" ", 1) for line in lines if " " in line)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
def test_as_ssh_reads_it(tmp_path: Path) -> None:
    key = tmp_path / "a key; 100% $(touch x) 'mine'"
    auth = {"identity_file": str(key), "agent": str(tmp_path / "my agent.sock")}
    server = make_server(host="gpu", port=2222, username="ada", auth=auth)
    said = says(server, NO_CONFIG)
    assert (said["hostname"], said["port"], said["user"]) == ("gpu", "2222", "ada")
    assert said["identityfile"] == str(key).replace("%", "%%")  # expanded when it is used
    assert said["identityagent"] == auth["agent"]


@has_posix_paths
def test_the_script_holds_the_bytes_of_a_path_that_is_no_text(tmp_path: Path) -> None:
    path = os.fsdecode(b"/keys/\xff")
    script = _write(["ssh", "-i", path], tmp_path)
    assert os.fsencode(path) in script.read_bytes()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_a_word_stays_a_word_through_shells_and_tokens(text: str) -> None:
    """Of the script, and of a ProxyCommand within a ProxyCommand."""
    key = Path(f"/k{text}")
    auth = {"identity_file": "/k"}
    server = make_server(host="gpu", jump_hosts=["outer", "inner"], auth=auth)
    server = server.model_copy(
        update={"auth": server.auth.model_copy(update={"identity_file": key})}
    )
    command = ssh_command(server, SshClient())
    script = script_of(command)
    line = script.split("\n", 2)[2].removesuffix(script_of([""]).split("\n", 3)[3]).rstrip("\n")
    assert shlex.split(line) == command
    for _ in range(2):
        quoted = str(key).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        assert f'IdentityFile="{quoted}"' in command
        (proxy,) = (word for word in command if word.startswith("ProxyCommand="))
        # As ssh expands it for its shell.
        expanded = proxy.removeprefix("ProxyCommand=").replace("%h", "h").replace("%%", "%")
        command = shlex.split(expanded)
    assert command[-2:] == ["--", "outer"]
