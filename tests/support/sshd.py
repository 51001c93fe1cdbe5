"""OpenSSH's real sshd on a loopback port, with a configuration of its own."""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.keys import fingerprint, make_key, public_line
from tests.support.ports import free_port
from tests.support.scoped import Scoped

START_TIMEOUT = 90.0

Options = Mapping[str, str | Sequence[str]]

_BASE: dict[str, str | Sequence[str]] = {
    "PidFile": "none",
    "StrictModes": "no",
    "UsePAM": "no",
    "UseDNS": "no",
    "PermitRootLogin": "yes",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "PubkeyAuthentication": "yes",
    "PrintMotd": "no",
    "PrintLastLog": "no",
    "LogLevel": "VERBOSE",
    "MaxStartups": "100",
}


class Sshd(Scoped):
    """One sshd, for the time of a `with`.

    `options` are sshd_config keywords laid over a loopback default; a sequence gives a keyword
    several times. `pam_service` is a file of /etc/pam.d to log in by. Its port stays the same over
    `stop` and `start`."""

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        options: Options | None = None,
        host_key_types: Sequence[str] = ("ed25519",),
        pam_service: str | None = None,
    ) -> None:
        # A session that is being killed may still write into its home.
        self._temporary = tempfile.TemporaryDirectory(prefix="tc-sshd-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.folder.chmod(0o700)
        self.port = 0
        self.username = getpass.getuser()
        # Not the real one: what a shell does at its start there is nobody's test.
        self.home = self.folder / "home"
        self.home.mkdir(0o755)
        self.authorized_keys = self.folder / "authorized_keys"
        self.authorized_keys.touch(0o600)
        self._config = self.folder / "sshd_config"
        self._log = self.folder / "sshd.log"
        self._options: dict[str, str | Sequence[str]] = {**_BASE, **(options or {})}
        self._pam_service = pam_service
        self._host_keys = [self._make_host_key(kind) for kind in host_key_types]
        self._listener: subprocess.Popen[bytes] | None = None
        self._sessions: set[int] = set()

    # --- what clients need --------------------------------------------------------------------

    def authorize(self, key: Path | str, options: str = "") -> None:
        """Let the owner of a key in: the private file (its .pub is read), or a public line."""
        line = public_line(key) if isinstance(key, Path) else key
        with self.authorized_keys.open("a") as file:
            file.write(f"{options} {line}\n" if options else f"{line}\n")

    @property
    def known_host_name(self) -> str:
        """The name of this server in a known_hosts file."""
        return f"[{self.host}]:{self.port}"

    @property
    def host_keys(self) -> list[Path]:
        """The private files, each with its public one beside it."""
        return list(self._host_keys)

    def known_hosts_lines(self) -> list[str]:
        """A line for a known_hosts file for each host key."""
        keys = [public_line(path).split()[:2] for path in self._host_keys]
        return [f"{self.known_host_name} {kind} {blob}" for kind, blob in keys]

    def fingerprints(self) -> list[str]:
        """`SHA256:...` of each host key."""
        return [fingerprint(path) for path in self._host_keys]

    def log_text(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def inetd_command(self) -> list[str]:
        """Serves one client at its standard input and output; the server must have started."""
        return [_find_sshd(), "-i", "-f", str(self._config), "-E", str(self._log)]

    # --- its configuration (takes effect for new connections after `restart`) -------------------

    def set_option(self, keyword: str, value: str | Sequence[str]) -> None:
        """Change an sshd_config keyword; `restart` to have it in force."""
        self._options[keyword] = value

    def remove_host_key(self, key: Path) -> None:
        """Of several; `restart` to have it in force."""
        self._host_keys.remove(key)

    def replace_host_keys(self, *kinds: str) -> None:
        """New host keys, as after a reinstallation; `restart` to have them in force."""
        for path in self._host_keys:
            path.unlink()
            Path(f"{path}.pub").unlink()
        self._host_keys = [self._make_host_key(kind) for kind in kinds or ("ed25519",)]

    # --- its life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, and return once a banner comes."""
        if self._listener is not None:
            return
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for _ in range(5):
            self.port = self.port or free_port()
            self._config.write_text(self._config_text())
            # sshd re-executes itself, and therefore insists on its absolute path.
            command = [
                self._program(_find_sshd()),
                "-D",
                "-f",
                str(self._config),
                "-E",
                str(self._log),
            ]
            self._listener = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if self._answers():
                return
            self.stop_listener()
            if "in use" not in self.log_text():
                break
            self.port = 0
        raise AssertionError(f"sshd does not start:\n{self.log_text()}")

    def stop_listener(self) -> None:
        """End the listener; sessions live on, as when a system restarts its sshd."""
        if self._listener is None:
            return
        self._stop_forking()
        self._sessions.update(_descendants(self._listener.pid))
        self._listener.kill()
        self._listener.wait(10)
        self._listener = None

    def stop(self) -> None:
        """End the listener and every session: the server is down."""
        self.stop_listener()
        self.kill_sessions()

    def restart(self) -> None:
        """A new listener on the same port, with the options of now; sessions live on."""
        self.stop_listener()
        self.start()

    def close(self) -> None:
        """Stop everything and remove the folder."""
        self.stop()
        self._temporary.cleanup()

    # --- faults -----------------------------------------------------------------------------------

    def session_pids(self) -> set[int]:
        """The processes of all connections, and what they started."""
        if self._listener is not None:
            self._sessions.update(_descendants(self._listener.pid))
        for pid in list(self._sessions):
            self._sessions.update(_descendants(pid))
        self._sessions = {pid for pid in self._sessions if _is_alive(pid)}
        return set(self._sessions)

    def kill_sessions(self) -> None:
        """End every connection's processes at once; the listener stays."""
        deadline = time.monotonic() + START_TIMEOUT
        while pids := self.session_pids():
            assert time.monotonic() < deadline, f"sessions that do not end: {pids}"
            for pid in pids:  # each time: one may have started another meanwhile
                _send(pid, signal.SIGKILL)
            time.sleep(0.01)

    def freeze(self) -> None:
        """Stop (SIGSTOP) the listener and all sessions: ports stay open, nobody answers."""
        self._stop_forking()
        stopped: set[int] = set()
        while fresh := self.session_pids() - stopped:  # one may have started another meanwhile
            for pid in fresh:
                _send(pid, signal.SIGSTOP)
            stopped |= fresh

    def thaw(self) -> None:
        """Undo `freeze`."""
        for pid in self.session_pids():
            _send(pid, signal.SIGCONT)
        if self._listener is not None:
            self._listener.send_signal(signal.SIGCONT)

    # --- details ----------------------------------------------------------------------------------

    def _stop_forking(self) -> None:
        """Stop (SIGSTOP) the listener, so that no session begins unseen."""
        if self._listener is None:
            return
        self._listener.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + START_TIMEOUT
        while (state := _stat(self._listener.pid)) and state[0] not in ("T", "Z", "X"):
            assert time.monotonic() < deadline, "sshd does not stop"
            time.sleep(0.001)

    def _make_host_key(self, kind: str) -> Path:
        return make_key(self.folder, kind, name=f"host_{kind}_{secrets.token_hex(3)}")

    def _program(self, sshd: str) -> str:
        """sshd as it must be called to use the PAM service: up to 9.7 by its own name."""
        if self._pam_service is None or _knows_pam_service_name(sshd):
            return sshd
        link = self.folder / self._pam_service
        if not link.exists():
            link.symlink_to(sshd)
        return str(link)

    def _config_text(self) -> str:
        lines = [f"ListenAddress {self.host}:{self.port}"]
        lines += [f"HostKey {path}" for path in self._host_keys]
        lines += [f"AuthorizedKeysFile {self.authorized_keys}"]
        options = self._options | ({"UsePAM": "yes"} if self._pam_service else {})
        # sshd heeds the first line of this keyword only.
        options["SetEnv"] = f"HOME={self.home} {options.get('SetEnv', '')}".strip()
        for keyword, value in options.items():
            values = [value] if isinstance(value, str) else list(value)
            lines += [f"{keyword} {one}" for one in values]
        if self._pam_service is not None and _knows_pam_service_name(_find_sshd()):
            lines.append(f"PAMServiceName {self._pam_service}")
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        return self._listener is not None and speaks_ssh(self._listener, self.host, self.port)


def speaks_ssh(process: subprocess.Popen[bytes], host: str, port: int) -> bool:
    """Wait until a server that was just started answers; false if it does not, or is over."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host, port), timeout=5) as sock,
        ):
            if sock.recv(4) == b"SSH-":
                return True
        time.sleep(0.01)
    return False


@dataclass(frozen=True, slots=True)
class PasswordAccount:
    """An account that a password opens, on some SSH server."""

    host: str
    port: int
    username: str
    password: str
    known_hosts_lines: tuple[str, ...]
    sshd: Sshd | None = None
    """The real sshd behind it, if it is one."""


@contextlib.contextmanager
def password_server(options: Options | None = None) -> Iterator[PasswordAccount]:
    """A server with an account whose password is known.

    As root it is the real sshd with a throw-away user of the system; otherwise asyncssh, because
    nobody else can make one. `options` go to sshd only."""
    if os.geteuid() == 0:
        with system_user() as (username, password):
            settings: dict[str, str | Sequence[str]] = {"PasswordAuthentication": "yes"}
            with Sshd(options={**settings, **(options or {})}) as sshd:
                # sshd reads the authorized keys as the user who logs in.
                sshd.folder.chmod(0o711)
                sshd.authorized_keys.chmod(0o644)
                lines = tuple(sshd.known_hosts_lines())
                yield PasswordAccount(sshd.host, sshd.port, username, password, lines, sshd)
    else:
        from tests.support.asyncssh_server import AsyncsshServer

        with AsyncsshServer() as server:
            lines = (server.known_hosts_line,)
            yield PasswordAccount(server.host, server.port, server.username, server.password, lines)


@contextlib.contextmanager
def system_user(shell: str = "/bin/sh") -> Iterator[tuple[str, str]]:
    """A throw-away user of this system and its password; needs root."""
    name = f"tc{secrets.token_hex(5)}"
    password = secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(prefix="tc-home-") as home:
        Path(home).chmod(0o755)
        _user_command(["useradd", "-M", "-d", home, "-s", shell, name])
        try:
            _user_command(["chpasswd"], stdin=f"{name}:{password}\n")
            yield name, password
        finally:
            # -f: a session that ends just now does not stand in the way.
            _user_command(["userdel", "-f", name])


def _user_command(command: list[str], stdin: str = "") -> None:
    # Another test run may hold the lock of the user database for a moment.
    env = os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    deadline = time.monotonic() + 30
    while True:
        done = subprocess.run(
            command, input=stdin, env=env, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode == 0:
            return
        assert "lock" in done.stderr, done.stderr
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.1)


def _find_sshd() -> str:
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert sshd is not None, "openssh-server is not installed"
    return sshd


@functools.cache
def _knows_pam_service_name(sshd: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="tc-sshd-") as folder:
        command = [sshd, "-T", "-f", "/dev/null", "-o", "PAMServiceName=x"]
        command += ["-h", str(make_key(Path(folder)))]
        done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    return done.returncode == 0


def _stat(pid: int) -> list[str]:
    """State, parent and so on of /proc/PID/stat; empty if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # The command's name stands in brackets and may hold anything.
    return text.rpartition(")")[2].split()


def _is_alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] not in ("Z", "X")


def _descendants(root: int) -> set[int]:
    """All living processes below `root`."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) and fields[0] not in "ZX":
            parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    fresh = {root}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
