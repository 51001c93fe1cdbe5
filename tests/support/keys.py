"""Keys made by ssh-keygen, and OpenSSH's own agent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.scoped import Scoped

_BITS = {"rsa": "2048", "ecdsa": "256"}


def make_key(
    folder: Path,
    kind: str = "ed25519",
    *,
    name: str | None = None,
    passphrase: str = "",
    pem: bool = False,
    bits: str | None = None,
    form: str | None = None,
    cipher: str | None = None,
) -> Path:
    """Make a key pair in `folder`; returns the private file, with the public one beside it.

    `pem` asks for the older PEM format, which ed25519 does not have; `form` and `cipher` are
    ssh-keygen's -m and -Z."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    path = folder / (name or f"id_{kind}")
    command = ["ssh-keygen", "-q", "-t", kind, "-f", str(path), "-N", passphrase, "-C", path.name]
    if bits or kind in _BITS:
        command += ["-b", bits or _BITS[kind]]
    if pem or form:
        command += ["-m", form or "PEM"]
    if cipher:
        command += ["-Z", cipher]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)
    return path


def to_ppk(key: Path, *, version: int = 3, passphrase: str = "", parameters: str = "") -> Path:
    """The key in PuTTY's format, made by puttygen; `parameters` are more of its --ppk-param."""
    path = key.with_suffix(".ppk")
    with tempfile.NamedTemporaryFile("w") as secret:
        secret.write(passphrase)
        secret.flush()
        options = ",".join(filter(None, [f"version={version}", parameters]))
        command = ["puttygen", str(key), "-O", "private", "-o", str(path), "--ppk-param", options]
        command += ["--new-passphrase", secret.name]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)
    path.chmod(0o600)
    return path


def public_line(path: Path) -> str:
    """The line of the `.pub` file beside `path`: type, base64, comment."""
    return Path(f"{path}.pub").read_text().strip()


def fingerprint(path: Path) -> str:
    """`SHA256:...` of a key file, as ssh-keygen prints it."""
    command = ["ssh-keygen", "-l", "-E", "sha256", "-f", f"{path}.pub"]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return out.stdout.split()[1]


class SshAgent(Scoped):
    """A real ssh-agent on a socket of its own, for the time of a `with`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tc-agent-")
        self.socket = Path(self._folder.name) / "agent"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", str(self.socket)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        # The agent prints its environment once the socket is bound.
        self._process.stdout.readline()

    def close(self) -> None:
        if self._process is not None:
            self.thaw()
            self._process.terminate()
            self._process.communicate(timeout=10)
        self._folder.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"SSH_AUTH_SOCK": str(self.socket)}

    def add(self, key: Path) -> None:
        """Load a private key that has no passphrase."""
        command = ["ssh-add", "-q", str(key)]
        env = self.environment
        subprocess.run(command, check=True, env=env, stdin=subprocess.DEVNULL, timeout=60)

    def freeze(self) -> None:
        """Stop answering."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
