"""KnownHostsCommand, beside OpenSSH's client: how it is asked, and what it may do instead."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.far_account import is_alive
from tests.support.keys import make_key, public_line
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, entry, nothing_left, until
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, ProblemError, Recovery
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.hostkeys import known_hosts_command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")


class Stage:
    """A server, and a user with nothing but a KnownHostsCommand."""

    def __init__(self, sshd: Sshd, identity: Path) -> None:
        self.sshd = sshd
        self.identity = identity
        self.key = " ".join(public_line(sshd.host_keys[0]).split()[:2])

    def config(self, folder: Path, script: str, arguments: str = "%I %H", more: str = "") -> Path:
        program = folder / "command"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        file = folder / "ssh_config"
        file.write_text(
            "BatchMode yes\nStrictHostKeyChecking yes\nUpdateHostKeys no\nIdentityAgent none\n"
            f"UserKnownHostsFile {folder}/none\nGlobalKnownHostsFile none\n{more}"
            f"IdentityFile {self.identity}\nKnownHostsCommand {program} {arguments}\n"
        )
        return file

    def ssh(self, config: Path, host: str) -> subprocess.CompletedProcess[str]:
        command = ["ssh", "-F", str(config), "-p", str(self.sshd.port), host, "true"]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def connect(self, config: Path, host: str, cancel: CancelToken | None = None) -> None:
        kit = Kit(config.parent / "kit", ssh_config=lambda: SshConfig(config))
        server = entry(self.sshd.port, host=host, identity_file=self.identity)
        kit.connect(server, cancel=cancel).close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    identity = make_key(folder)
    with Sshd() as sshd:
        sshd.authorize(identity)
        yield Stage(sshd, identity)


@pytest.mark.parametrize("more", ["", "HostKeyAlias Farm\n", "CheckHostIP yes\n"])
def test_it_is_asked_as_ssh_asks_it(stage: Stage, tmp_path: Path, more: str) -> None:
    """The same arguments and environment, in the same order."""
    asked = tmp_path / "asked"
    script = (
        f'for one in "$@" "$MARK"; do printf "<%s> " "$one"; done >> {asked}; echo >> {asked}\n'
        f'echo "$2 {stage.key}"'
    )
    arguments = '%I "%H" %t %f %K %h %n %p %u %l %L %i %C %d %% ${MARK}x a\\ b "" "c \'d"'
    config = stage.config(tmp_path, script, arguments, more)
    os.environ["MARK"] = "m %h"
    try:
        assert stage.ssh(config, "LocalHost").returncode == 0
        theirs = asked.read_text()
        asked.unlink()
        stage.connect(config, "LocalHost")
    finally:
        del os.environ["MARK"]
    # The account is part of %C: ours is that of the entry, theirs that of the local user.
    assert asked.read_text().splitlines() == theirs.splitlines()
    assert theirs.count("\n") == 2


def test_no_other_key_is_trusted(stage: Stage, tmp_path: Path) -> None:
    other = " ".join(public_line(make_key(tmp_path, name="other")).split()[:2])
    config = stage.config(tmp_path, f'echo "$2 {other}"')
    assert stage.ssh(config, "localhost").returncode != 0
    with pytest.raises(ProblemError, match="has changed") as caught:
        stage.connect(config, "localhost")
    advice = caught.value.problem.advice
    assert "KnownHostsCommand of your SSH configuration prints, line 1" in advice
    assert "ssh-keygen" not in advice


@pytest.mark.parametrize("more", ["", "HostKeyAlias farm\n"])
def test_what_it_prints_before_the_key_exchange_trusts_nothing(
    stage: Stage, tmp_path: Path, more: str
) -> None:
    config = stage.config(tmp_path, f'[ "$1" != ORDER ] || echo "* {stage.key}"', more=more)
    assert stage.ssh(config, "localhost").returncode != 0
    with pytest.raises(ProblemError, match="not known"):
        stage.connect(config, "localhost")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'no \033]0;x\007answer' >&2; exit 3", "status 3"),
        ("kill -9 $$", "status -9"),
        ("sleep 1000", "longer than 0.5 s"),
        ("sleep 1000 & echo $! > PID; yes", "more than"),
    ],
)
def test_one_that_fails_is_tried_again(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    words: str,
) -> None:
    if words.startswith("longer"):
        monkeypatch.setattr(known_hosts_command, "LIMIT", 0.5)
    pid = tmp_path / "pid"
    config = stage.config(tmp_path, script.replace("PID", str(pid)))
    with nothing_left(), pytest.raises(ProblemError, match=words) as caught:
        stage.connect(config, "localhost")
    if pid.exists():
        assert until(lambda: not is_alive(int(pid.read_text())))
    assert caught.value.problem.recovery is Recovery.RETRY
    assert "\033" not in str(caught.value)
    assert ("no answer" in caught.value.problem.advice) is ("no " in script)


def test_cancelling_ends_it(stage: Stage, tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    config = stage.config(tmp_path, f"echo > {started}; sleep 1000")
    cancel, ends = CancelToken(), []

    def connect() -> None:
        with pytest.raises(Cancelled):
            stage.connect(config, "localhost", cancel)
        ends.append(True)

    with nothing_left():
        thread = threading.Thread(target=connect)
        thread.start()
        started.read_text()
        cancel.set()
        thread.join(30)
    assert ends


def test_what_it_says_and_what_is_not_there(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pid = tmp_path / "pid"
    script = f"echo 'be \033[31mwarned' >&2; sleep 1000 & echo $! > {pid}; echo \"$2 {stage.key}\""
    config = stage.config(tmp_path, script)
    with caplog.at_level(logging.WARNING), nothing_left():
        stage.connect(config, "localhost")
    assert "KnownHostsCommand says: be warned" in caplog.text
    assert until(lambda: not is_alive(int(pid.read_text())))
    (tmp_path / "command").unlink()
    with pytest.raises(ProblemError, match="not known"):
        stage.connect(config, "localhost")
    assert "is not run: No such file" in caplog.text
