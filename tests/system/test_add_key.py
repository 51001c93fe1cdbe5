"""`trayconnect add-key`: a key from a terminal, a pipe and the clipboard, and a login with it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.keys import make_key, to_ppk
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, User, entry, says
from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect.core.errors import ProblemError
from trayconnect.desktop.clipboard import Clipboard, paste_command, pasted

ROOT = Path(__file__).resolve().parents[2]


class Home:
    """A user with one server in the file, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / "servers.yaml"
        file.write_text("servers:\n  - {name: GPU box, host: gpu.example.org}\n")
        self.command = [sys.executable, "-m", "trayconnect", "--config", str(file), "add-key"]
        self.command += ["GPU box"]
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "DISPLAY"))},
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
        }

    @property
    def kept(self) -> Path:
        return self.folder / ".local/share/trayconnect/keys"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "home"
    folder.mkdir()
    return Home(folder)


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        yield server


def assert_logs_in(home: Home, sshd: Sshd, user: User | None = None) -> None:
    """The entry names no key: the one that was kept for it is found."""
    kit = Kit(home.folder, pasted_keys=home.kept)
    kit.trust(sshd.known_hosts_lines())
    with kit.tunnel(entry(sshd.port), user):
        pass


def on_a_terminal(home: Home, text: str) -> tuple[int, str]:
    """The exit code, and all that showed, when `text` is pasted at the prompt."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        home.command, env=home.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.set_blocking(master, False)
    seen = b""

    def has_seen(what: bytes) -> bool:
        nonlocal seen
        with suppress(BlockingIOError):
            seen += os.read(master, 4096)
        return what in seen

    def has_taken() -> bool:
        nonlocal text
        with suppress(BlockingIOError):
            text = text[os.write(master, text.encode()) :]
        return not text

    def has_ended() -> bool:
        has_seen(b"")
        return process.poll() is not None

    try:
        wait_for(lambda: has_seen(b"Paste the private key"), "the prompt", 60)
        wait_for(has_taken, "the paste to be taken", 60)
        wait_for(has_ended, "the command to end", 60)
        has_seen(b"")
        assert termios.tcgetattr(slave)[3] & termios.ECHO
    finally:
        process.kill()
        process.wait(10)
        os.close(slave)
        os.close(master)
    return process.returncode, seen.decode()


@pytest.mark.parametrize("passphrase", ["", "open sesame"])
@pytest.mark.parametrize("form", ["openssh", "pem", "putty"])
def test_pasted_into_a_terminal(
    home: Home, sshd: Sshd, tmp_path: Path, form: str, passphrase: str
) -> None:
    key = make_key(tmp_path, "rsa", bits="4096", passphrase=passphrase, pem=form == "pem")
    sshd.authorize(key)
    if form == "putty":
        key = to_ppk(make_key(tmp_path), passphrase=passphrase)
        sshd.authorize(tmp_path / "id_ed25519")
    text = key.read_text()
    code, seen = on_a_terminal(home, text)
    assert code == 0, seen
    assert "Stored for “GPU box”" in seen
    # The public half, which is in the file too, is shown at the end.
    assert "-----" not in seen
    assert text.splitlines()[-2] not in seen
    assert_logs_in(home, sshd, User(says(passphrase)) if passphrase else None)


def test_something_else_pasted_into_a_terminal(home: Home) -> None:
    code, seen = on_a_terminal(home, "hello\n\x04")
    assert code == 1
    assert "The pasted text is not a private key" in seen
    assert not home.kept.exists()


def test_piped_in(home: Home, sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path)
    sshd.authorize(key)
    done = subprocess.run(
        home.command, env=home.env, input=key.read_bytes(), capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert Path(f"{key}.pub").read_text().split()[1].encode() in done.stdout
    (kept,) = home.kept.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert_logs_in(home, sshd)


# --- the clipboard --------------------------------------------------------------------------------


def test_from_the_clipboard(home: Home, sshd: Sshd, tmp_path: Path, screen: XServer) -> None:
    key = make_key(tmp_path)
    sshd.authorize(key)
    clipboard = Clipboard({"DISPLAY": screen.display}, which=lambda _: None)
    clipboard.copy(key.read_text())
    env = {**home.env, "DISPLAY": screen.display}
    done = subprocess.run(
        [*home.command, "--clipboard"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    clipboard.close()
    assert done.returncode == 0, done.stderr
    assert_logs_in(home, sshd)


def test_our_own_helper_reads_the_clipboard(screen: XServer) -> None:
    environ = {"DISPLAY": screen.display}
    with pytest.raises(ProblemError, match="could not be read"):
        pasted(environ, lambda _: None)
    clipboard = Clipboard(environ, which=lambda _: None)
    clipboard.copy("zwölf\nBoxkämpfer")
    assert pasted(environ, lambda _: None) == "zwölf\nBoxkämpfer"
    clipboard.close()


@pytest.mark.parametrize(
    ("platform", "environ", "installed", "program"),
    [
        ("darwin", {}, (), "/usr/bin/pbpaste"),
        ("win32", {}, (), "powershell.exe"),
        ("linux", {"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, ("wl-paste", "xclip"), "wl-paste"),
        ("linux", {"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, ("xclip", "xsel"), "xclip"),
        ("linux", {"DISPLAY": ":0"}, ("xsel",), "xsel"),
        ("linux", {"DISPLAY": ":0"}, (), None),
        ("linux", {}, ("xclip",), None),
    ],
)
def test_which_program_reads_it(
    platform: str, environ: dict[str, str], installed: tuple[str, ...], program: str | None
) -> None:
    def which(name: str) -> str | None:
        return name if name in installed else None

    command = paste_command(platform, environ, which)
    assert (command[0] if command else None) == program
