"""Asking `ssh -G`, and what an `ssh` may do instead of answering."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.ssh_opinions import ssh
from tests.support.tunnel_kit import Kit, entry, nothing_left
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.ssh.config import ssh_g
from trayconnect.ssh.config.configured_forwards import NOTHING
from trayconnect.ssh.config.interpret import HostConfig
from trayconnect.ssh.config.jump_chain import resolve_hops
from trayconnect.ssh.config.ssh_config import SshConfig, this_user
from trayconnect.ssh.config.ssh_options import Query, SshConfigError, SshOptions
from trayconnect.ssh.resolved_config import ResolvedConfig


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A program in the place of ssh; its script is written by the test."""
    program = tmp_path / "ssh"
    program.touch(0o755)
    return program


def script(program: Path, text: str) -> str:
    program.write_text(f"#!/bin/sh\n{text}\n")
    return str(program)


def test_the_user_is_that_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("LOGNAME", "somebody")
    assert str(this_user().home) != "/nowhere"
    assert this_user().user != "somebody"


def test_each_host_is_asked_once(fake: Path, tmp_path: Path) -> None:
    script(fake, f'echo x >> {tmp_path}/asked\necho "hostname h"\necho "user u"\necho "port 7"')
    config = SshConfig(Path("none"), find_ssh=lambda: str(fake))
    first = config.host(Query("a"), CancelToken())
    assert (first.hostname, first.user, first.port) == ("h", "u", 7)
    assert config.host(Query("a"), CancelToken()) is first
    config.host(Query("b"), CancelToken())
    assert (tmp_path / "asked").read_text().count("x") == 3  # and once without the files


def test_the_defaults_are_asked_once_for_each_program(fake: Path, tmp_path: Path) -> None:
    script(fake, f'echo "$@" >> {tmp_path}/asked\necho "hostname h"\necho "port 7"')
    defaults = ssh_g.Defaults()

    def attempt() -> list[str]:
        (tmp_path / "asked").unlink(missing_ok=True)
        SshConfig(find_ssh=lambda: str(fake), defaults=defaults).host(Query("a"), CancelToken())
        return sorted((tmp_path / "asked").read_text().splitlines())

    assert attempt() == ["-G -- a", "-G -F none -- host"]
    assert attempt() == ["-G -- a"]
    script(fake, f'echo "$@" >> {tmp_path}/asked\necho "hostname other"\necho "port 7"')
    assert attempt() == ["-G -- a", "-G -F none -- host"]


def test_what_it_is_asked(fake: Path, tmp_path: Path) -> None:
    script(fake, f'echo "$@" >> {tmp_path}/asked; echo "hostname h\nport 7"')
    ssh_g.defaults_of(str(fake), CancelToken())
    ssh_g.ask(str(fake), Query("h", "ada", 7, direct=True), tmp_path / "f", dict, CancelToken())
    assert (tmp_path / "asked").read_text().splitlines() == [
        "-G -F none -- host",
        f"-G -F {tmp_path}/f -l ada -p 7 -o ProxyCommand=none -- h",
    ]


def test_a_cut_answer_is_none(fake: Path, tmp_path: Path) -> None:
    """On a full disk ssh ends with status 0. What is lost may be the port, or ProxyCommand."""
    named = tmp_path / "config"
    named.write_text("Port 2222\nProxyCommand nc %h %p\n")
    defaults = ssh_g.defaults_of(ssh(), CancelToken())
    whole = subprocess.run(
        [ssh(), "-G", "-F", str(named), "h"], capture_output=True, check=True, text=True
    ).stdout
    lines = whole.splitlines(keepends=True)
    cuts = {0, 1, 20, len(lines[0]), len(whole) - 1, len("".join(lines[:-2])), len(whole) // 2}
    for cut in (*cuts, len(whole)):
        script(fake, f"cat <<'END' | head -c {cut}\n{whole}END")
        if cut == len(whole):
            said = ssh_g.ask(str(fake), Query("h"), named, lambda: defaults, CancelToken())
            assert said.first("proxycommand") is not None
            continue
        with pytest.raises(ProblemError, match="complete") as caught:
            ssh_g.ask(str(fake), Query("h"), named, lambda: defaults, CancelToken())
        assert caught.value.problem.recovery is Recovery.RETRY


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_g, "scratch", lambda: open("/dev/full", "w+b", buffering=0))  # noqa: PTH123, SIM115
    with pytest.raises(ProblemError, match="full") as caught:
        ssh_g.defaults_of(ssh(), CancelToken())
    assert caught.value.problem.recovery is Recovery.RETRY


def test_what_the_entry_says_holds_whatever_ssh_says() -> None:
    server = entry(2222, username="ada")
    other = HostConfig("127.0.0.1", 22, "root")
    (hop,) = resolve_hops(server, lambda _: other)
    assert (hop.config.port, hop.config.user) == (2222, "ada")


def test_an_ssh_that_hangs_is_given_up(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_g, "LIMIT", 0.3)
    script(fake, "sleep 1000")
    with nothing_left(), pytest.raises(ProblemError) as caught:
        ssh_g.ask(str(fake), Query("h"), None, dict, CancelToken())
    assert "did not report your SSH configuration within 0.3 s" in caught.value.problem.title
    assert caught.value.problem.recovery is Recovery.RETRY


def test_what_a_command_leaves_running_is_not_waited_for(fake: Path) -> None:
    script(fake, '(sleep 3 &)\necho "hostname h"; echo "port 22"')
    said = ssh_g.ask(str(fake), Query("h"), None, dict, CancelToken())
    assert said.values["hostname"] == ("h",)


def test_cancelling(fake: Path) -> None:
    script(fake, "sleep 1000")
    cancel = CancelToken()
    timer = threading.Timer(0.2, cancel.set)
    timer.start()
    with nothing_left(), pytest.raises(Cancelled):
        ssh_g.ask(str(fake), Query("h"), None, dict, cancel)
    timer.join()
    with pytest.raises(Cancelled):
        ssh_g.ask(str(fake), Query("h"), None, dict, cancel)


def test_a_refused_configuration_leaves_nobody_who_asks_for_the_defaults(fake: Path) -> None:
    script(fake, 'case "$*" in *none*) sleep 0.5 ;; esac; exit 255')
    config = SshConfig(find_ssh=lambda: str(fake), defaults=ssh_g.Defaults())
    with pytest.raises(SshConfigError):
        config.host(Query("h"), CancelToken())
    assert [one.name for one in threading.enumerate() if one.name == "tc-ssh-g"] == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('echo "Bad owner or permissions on /x" >&2; exit 255', "Bad owner or permissions on /x"),
        ('echo "/x line 3: Bad thing." >&2; exit 255', "/x line 3: Bad thing"),
        ('echo "/x: line 3: Bad configuration option: a" >&2; exit 1', "/x line 3: Bad config"),
        ("exit 255", "ssh refuses it"),
        ("kill -9 $$", "ssh refuses it"),
    ],
)
def test_what_it_refuses_is_told(fake: Path, text: str, title: str) -> None:
    script(fake, text)
    with pytest.raises(SshConfigError) as caught:
        ssh_g.ask(str(fake), Query("h"), None, dict, CancelToken())
    assert title in caught.value.problem.title
    assert caught.value.problem.recovery is Recovery.FIX_FIRST


def test_an_ssh_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="cannot be started"):
        ssh_g.ask(str(tmp_path / "none"), Query("h"), None, dict, CancelToken())


def test_the_named_file_must_be_there(tmp_path: Path) -> None:
    config = SshConfig(tmp_path / "none", find_ssh=ssh)
    with pytest.raises(SshConfigError, match="No such file"):
        config.host(Query("h"), CancelToken())


# --- without OpenSSH ------------------------------------------------------------------------------


def no_ssh() -> None:
    return None


def test_without_openssh_an_entry_is_what_it_says(tmp_path: Path) -> None:
    config = SshConfig(tmp_path / "none", find_ssh=no_ssh)
    found = config.host(Query("Gpu", "bob", 7), CancelToken())
    assert (found.hostname, found.port, found.user) == ("gpu", 7, "bob")
    assert found.options == SshOptions()
    assert config.host(Query("h"), CancelToken()).user == this_user().user
    problem = Problem("The server refused", "Try again.")
    assert ResolvedConfig((), NOTHING, config.note).explained(problem) is problem


def test_without_openssh_a_configuration_of_ssh_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("Host gpu\n  HostName gpu.example.org\n  ProxyJump gate\n")
    config = SshConfig(file, find_ssh=no_ssh)
    found = config.host(Query("gpu"), CancelToken())
    assert (found.hostname, found.jumps) == ("gpu", ())
    (note,) = found.options.unsupported
    assert note.startswith(f"{file} is not used. Install OpenSSH's client to use it")
    assert "need no ssh" in note
    resolved = ResolvedConfig((), NOTHING, config.note)
    advice = resolved.explained(Problem("The host gpu is unknown", "Check its name.")).advice
    assert advice == f"Check its name. {note}."


def test_without_openssh_a_failed_connection_says_why(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("Host gpu\n  HostName 127.0.0.1\n")
    kit = Kit(tmp_path, ssh_config=lambda: SshConfig(file, find_ssh=no_ssh))
    with nothing_left(), pytest.raises(ProblemError) as caught:
        kit.connect(entry(1, host="gpu.invalid"))
    assert "Install OpenSSH's client" in caught.value.problem.advice
