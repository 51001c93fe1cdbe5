"""What stands between a real sshd and the account's shell: wrappers of the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.staged_jupyter import StagedJupyter
from tests.support.tunnel_kit import Kit, entry
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import Owner
from trayconnect.core.remote_script import COMMAND
from trayconnect.services.jupyter.discovery import find

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sshd and its wrappers")

WRAPPERS = {
    "none": "",
    "eval": 'eval "$SSH_ORIGINAL_COMMAND"',
    "words": "$SSH_ORIGINAL_COMMAND",
    "exec-words": "exec $SSH_ORIGINAL_COMMAND",
    "shell": 'exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND"',
    "shell-words": "exec $SHELL -c $SSH_ORIGINAL_COMMAND",
    "login-shell": 'exec bash -l -c "$SSH_ORIGINAL_COMMAND"',
    "restricted": 'exec rbash -c "$SSH_ORIGINAL_COMMAND"',
    "csh": 'exec tcsh -c "$SSH_ORIGINAL_COMMAND"',
    "fish": 'exec fish -c "$SSH_ORIGINAL_COMMAND"',
    # As docker, podman, apptainer, sudo or srun.
    "another-program": "exec env BOX=1 $SSH_ORIGINAL_COMMAND",
    "another-shell": 'exec env BOX=1 sh -c "$SSH_ORIGINAL_COMMAND"',
    "logs": 'echo "$SSH_ORIGINAL_COMMAND" >>"$HOME/log"; exec sh -c "$SSH_ORIGINAL_COMMAND"',
    "cuts": 'exec sh -c "$(printf %.64s "$SSH_ORIGINAL_COMMAND")"',
    "first-line": 'read -r line <<.\n$SSH_ORIGINAL_COMMAND\n.\nexec sh -c "$line"',
    "allows-some": 'case $SSH_ORIGINAL_COMMAND in sh | bash) exec "$SSH_ORIGINAL_COMMAND" ;; esac',
    "no-quotes": "case $SSH_ORIGINAL_COMMAND in *[!a-z]*) exit 1 ;; esac; $SSH_ORIGINAL_COMMAND",
    "reads-a-line": 'echo Which project?; read -r project; exec sh -c "$SSH_ORIGINAL_COMMAND"',
    "slow": 'sleep 0.5; exec sh -c "$SSH_ORIGINAL_COMMAND"',
}


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        (server.home / ".local/share/jupyter/runtime").mkdir(parents=True)
        yield server


@pytest.fixture(scope="module")
def jupyter(sshd: Sshd) -> Iterator[StagedJupyter]:
    with StagedJupyter() as server:
        server.note(sshd.home / ".local/share/jupyter/runtime", "t0ken")
        yield server


def command_lines(sshd: Sshd) -> list[str]:
    """As every user of the server sees them."""
    lines = []
    for pid in sshd.session_pids():
        try:
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return lines


@pytest.mark.parametrize("name", WRAPPERS)
def test_commands_run_through_a_wrapper(
    sshd: Sshd, jupyter: StagedJupyter, tmp_path: Path, name: str
) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f"#!/bin/sh\n{WRAPPERS[name]}\n")
    wrapper.chmod(0o755)
    key = make_key(tmp_path)
    sshd.authorize(key, f'command="{wrapper}"' if WRAPPERS[name] else "")
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    server = entry(sshd.port, identity_file=key)
    for _ in range(2):  # the second time, the key is known
        with kit.tunnel(server) as tunnel:
            (found,) = find(tunnel.execute, "127.0.0.1").servers
            assert (found.port, found.token) == (jupyter.port, "t0ken")
            assert tunnel.owner(TcpEndpoint("127.0.0.1", jupyter.port)) is Owner.OURS
            if Path("/proc/self/cmdline").exists():
                assert not [line for line in command_lines(sshd) if "@@trayconnect" in line]
    if name == "logs":
        assert set((sshd.home / "log").read_text().split("\n")) == {COMMAND, ""}


@pytest.mark.parametrize(
    "wrapper", ["exit 1", "echo Only backups here; exit 0", "cat", "exec true"]
)
def test_a_wrapper_that_runs_no_command_ends_soon(sshd: Sshd, tmp_path: Path, wrapper: str) -> None:
    key = make_key(tmp_path)
    sshd.authorize(key, f'command="{wrapper}"')
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    with kit.tunnel(entry(sshd.port, identity_file=key)) as tunnel:
        with pytest.raises(ProblemError) as caught:
            find(tunnel.execute, "127.0.0.1")
        assert "did not run the search" in caught.value.problem.title
