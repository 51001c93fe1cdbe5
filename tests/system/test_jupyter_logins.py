"""The search as accounts meet it: their login shells, noisy start-up files, and strangers."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jupyter import JupyterServer
from tests.support.keys import make_key
from tests.support.sshd import Sshd, system_user
from tests.support.staged_jupyter import StagedJupyter
from tests.support.tunnel_kit import Kit, entry, until
from tests.system.test_jupyter_health import live, sshd_for
from trayconnect.services.jupyter.discovery import Discovery, find
from trayconnect.services.jupyter.health import PATIENCE
from trayconnect.services.protocol import Level

SHELLS = (
    "bash",
    *(
        pytest.param(name, marks=pytest.mark.long)
        for name in ("dash", "zsh", "fish", "tcsh", "busybox")
    ),
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user")


def noisy(home: Path) -> None:
    """Start-up files of all these shells that print what they should not."""
    noise = "echo 'Welcome! @@server 1'; echo '@@listens proc' >&2; printf '@@file'"
    (home / ".config/fish").mkdir(parents=True)
    for name in (".bashrc", ".profile", ".zshenv", ".tcshrc", ".config/fish/config.fish"):
        (home / name).write_text(f"{noise.replace(' >&2', '') if 'tcsh' in name else noise}\n")


@pytest.fixture(scope="module")
def jupyter() -> Iterator[JupyterServer]:
    with JupyterServer() as server:
        yield server


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="tc-shell-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def shell_program(shell: str, folder: Path) -> Path:
    """Its absolute path; busybox is a shell by the name that it is called by."""
    found = shutil.which(shell)
    assert found is not None, f"{shell} is not installed"
    if shell != "busybox":
        return Path(found)
    ash = folder / "ash"
    ash.symlink_to(found)
    return ash


@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_jupyter_whatever_shell_runs_the_command(
    jupyter: JupyterServer, tmp_path: Path, open_folder: Path, shell: str
) -> None:
    program = shlex.quote(str(shell_program(shell, open_folder)))
    command = f'{program} -c "$SSH_ORIGINAL_COMMAND"'
    with (
        sshd_for(jupyter, ForceCommand=command) as sshd,
        live(sshd, tmp_path) as box,
    ):
        noisy(sshd.home)
        health = box.examine()
        assert (health.level, health.page.token) == (Level.LOGGED_IN, jupyter.token)


@contextlib.contextmanager
def account(shell: Path) -> Iterator[tuple[Sshd, str, int]]:
    """A throw-away user with that login shell, and the sshd that lets them in; its number."""
    with system_user(str(shell)) as (name, _), Sshd() as sshd:
        sshd.folder.chmod(0o711)
        sshd.authorized_keys.chmod(0o644)
        yield sshd, name, pwd.getpwnam(name).pw_uid


def search_as(sshd: Sshd, name: str, folder: Path) -> Discovery:
    key = make_key(folder)
    sshd.authorize(key)
    sshd.authorized_keys.chmod(0o644)
    kit = Kit(folder)
    kit.trust(sshd.known_hosts_lines())
    with kit.tunnel(entry(sshd.port, identity_file=key, username=name)) as tunnel:
        return find(tunnel.execute, "127.0.0.1")


def give(folder: Path, uid: int) -> None:
    """Let all in it belong to that user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, -1)


@as_root
@pytest.mark.parametrize("shell", SHELLS)
def test_another_user_with_that_login_shell(tmp_path: Path, open_folder: Path, shell: str) -> None:
    with account(shell_program(shell, open_folder)) as (sshd, name, uid):
        runtime = sshd.home / ".local/share/jupyter/runtime"
        runtime.mkdir(parents=True)
        noisy(sshd.home)
        with StagedJupyter(uid=uid) as theirs, StagedJupyter() as roots:
            theirs.note(runtime, "t0ken")
            give(sshd.home, uid)
            # One that root listens for, in a file that root wrote into their folder.
            roots.note(runtime, "r00t")
            (found,) = search_as(sshd, name, tmp_path).servers
        assert (found.port, found.token, found.pid) == (theirs.port, "t0ken", theirs.pid)


# --- start-up files that stand in the way -----------------------------------------------------


@pytest.mark.parametrize(
    "rc",
    [
        "yes 'No mail.' | head -c 3000000",
        "read -r -p 'Which project? ' project; echo \"Project: $project\"",
        "sleep 600 & echo $! >~/background",
    ],
    ids=["prints-3-MB", "asks", "leaves-something-running"],
)
def test_found_all_the_same(jupyter: JupyterServer, tmp_path: Path, rc: str) -> None:
    with sshd_for(jupyter) as sshd, live(sshd, tmp_path) as box:
        (sshd.home / ".bashrc").write_text(f"{rc}\n")
        try:
            health = box.examine()
            assert (health.level, health.looked) == (Level.LOGGED_IN, True)
        finally:
            if (sshd.home / "background").exists():
                os.kill(int((sshd.home / "background").read_text()), signal.SIGTERM)


def test_a_slow_login_shell_is_waited_for(jupyter: JupyterServer, tmp_path: Path) -> None:
    with (
        sshd_for(jupyter) as sshd,
        live(sshd, tmp_path, patience=PATIENCE, port=jupyter.port) as box,
    ):
        (sshd.home / ".bashrc").write_text("until [ -e ~/conda ]; do sleep 0.1; done\n")
        health = box.examine()
        assert (health.level, health.page.url, health.looked) == (Level.NOTHING, "", False)
        assert health.problem is not None
        assert health.problem.title == "Waiting for the login shell of 127.0.0.1"
        (sshd.home / "conda").write_text("ready\n")
        assert until(lambda: box.examine().looked)
        assert box.examine().page.token == jupyter.token


@pytest.mark.parametrize(
    ("rc", "command", "words"),
    [
        ("exit 3", None, "ends the shell"),
        ("exec tmux", None, "needs a terminal"),
        ("", "/usr/sbin/nologin", "currently not available"),
        ("", "internal-sftp", "runs no commands"),
    ],
)
def test_a_login_that_runs_no_search_is_told_and_is_not_nothing_running(
    jupyter: JupyterServer, tmp_path: Path, rc: str, command: str | None, words: str
) -> None:
    force = {"ForceCommand": command} if command else {}
    with (
        sshd_for(jupyter, **force) as sshd,
        live(sshd, tmp_path, port=jupyter.port) as box,
    ):
        (sshd.home / ".bashrc").write_text(f"{rc}\n")
        health = box.examine()
        assert (health.looked, health.missing, health.page.token) == (False, False, "")
        assert health.problem is not None
        assert words in str(health.problem)


# --- strangers --------------------------------------------------------------------------------


@pytest.fixture
def stranger() -> Iterator[int]:
    """The number of a second user of this system."""
    with system_user() as (name, _):
        yield pwd.getpwnam(name).pw_uid


@as_root
def test_a_stranger_on_the_port_of_the_file(stranger: int, tmp_path: Path) -> None:
    with StagedJupyter(uid=stranger) as theirs:
        with Sshd() as sshd, live(sshd, tmp_path, port=theirs.port) as box:
            health = box.examine()
        assert (health.level, health.page.token) == (Level.REACHABLE, "")
        assert health.problem is not None
        assert health.problem.title == (
            f"What listens on localhost:{theirs.port} at the server belongs to another user"
        )
        assert theirs.end() == []


@as_root
@pytest.mark.parametrize("port", ["auto", "fixed"])
def test_a_stranger_who_took_the_port_of_a_stale_file(
    stranger: int, tmp_path: Path, port: str
) -> None:
    """Ours has gone; the stranger says to be of the same version, and gets no token."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    with (
        Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={runtime}"}) as sshd,
        StagedJupyter() as ours,
        live(sshd, tmp_path, port="auto" if port == "auto" else ours.port) as box,
    ):
        file = ours.note(runtime, "t0ken")
        assert box.examine().level is Level.LOGGED_IN
        assert set(ours.end()) == {"token t0ken"}
        with StagedJupyter(uid=stranger, port=ours.port) as theirs:
            # What ours would leave behind if it was killed; some process has its number by now.
            file.rename(runtime / f"jpserver-{os.getpid()}.json")
            box.later()
            health = box.examine()
            assert theirs.end() == []
        assert health.page.token != "t0ken"
        assert str(ours.port) not in [one.where for one in health.jupyters]
        if port == "fixed":
            assert health.level is Level.REACHABLE
