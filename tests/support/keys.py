"""Keys made by ssh-keygen, and OpenSSH's own agent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

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
    bits = bits or _BITS.get(kind)
    if kind == "rsa":
        _copy_rsa(path, str(bits))
        options = ["-p", "-P", "", "-N", passphrase]
    else:
        options = ["-t", kind, "-N", passphrase, "-C", path.name]
        options += ["-b", bits] if bits else []
    if passphrase:
        options += ["-a", "1"]  # rounds of bcrypt, which takes long by design
    if pem or form:
        options += ["-m", form or "PEM"]
    if cipher:
        options += ["-Z", cipher]
    _keygen(*options, "-f", str(path))
    return path


def _keygen(*arguments: str) -> None:
    command = ["ssh-keygen", "-q", *arguments]
    subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60
    )


_rsa: dict[str, list[tuple[bytes, str]]] = {}
"""The private and public halves of RSA keys that were made, by their bits."""
_rsa_taken: Counter[tuple[str, str]] = Counter()
"""How many of them each test file has, by its name and their bits."""


def _copy_rsa(path: Path, bits: str) -> None:
    """Write an RSA key that the present test file has not had yet. Making one takes as long as
    twenty logins, so that each file starts again with the first."""
    module = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
    made, number = _rsa.setdefault(bits, []), _rsa_taken[module, bits]
    _rsa_taken[module, bits] += 1
    if number == len(made):
        with tempfile.TemporaryDirectory(prefix="tc-key-") as folder:
            file = Path(folder) / "key"
            _keygen("-t", "rsa", "-b", bits, "-N", "", "-f", str(file))
            made.append((file.read_bytes(), " ".join(public_line(file).split()[:2])))
    private, public = made[number]
    path.touch(0o600)
    path.write_bytes(private)
    Path(f"{path}.pub").write_text(f"{public} {path.name}\n")


def encryption(
    passphrase: bytes | None, form: PrivateFormat = PrivateFormat.OpenSSH
) -> KeySerializationEncryption:
    """For the `private_bytes` of cryptography, with the fewest rounds: bcrypt takes long by
    design."""
    if not passphrase:
        return NoEncryption()
    if form is not PrivateFormat.OpenSSH:
        return BestAvailableEncryption(passphrase)
    return form.encryption_builder().kdf_rounds(1).build(passphrase)


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
