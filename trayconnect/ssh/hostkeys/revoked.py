"""RevokedHostKeys of ssh_config(5): a file of keys that no server may present.

It is a list of public keys, or a key revocation list of ssh-keygen(1), which parses its own format
best. Like OpenSSH: an unreadable file means that no key is accepted."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from trayconnect.core.subprocesses import clean_environment, no_console, path_for_others
from trayconnect.ssh.hostkeys.host_certificates import PresentedKey
from trayconnect.ssh.hostkeys.known_hosts import HostKey, decode_revoked

MAX_BYTES = 16 << 20
SECONDS = 15.0
_KRL = b"SSHKRL\n\0"  # OpenSSH's PROTOCOL.krl
_REVOKED = 1  # the status of `ssh-keygen -Q`


class UnreadableError(Exception):
    """The file is unreadable or malformed; the text says why."""


def finds(file: Path, presented: PresentedKey) -> bool:
    """Whether the file revokes the presented key. Raises `UnreadableError`."""
    try:
        if not file.is_file():
            raise UnreadableError("there is no such file")
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"it is larger than {MAX_BYTES >> 20} MiB")
    if data.startswith(_KRL):
        return _krl_finds(file, presented)
    revoked = _listed(data)
    certificate = presented.certificate
    return presented.key in revoked or (
        certificate is not None and certificate.authority in revoked
    )


def _listed(data: bytes) -> set[HostKey]:
    found = set()
    for number, line in enumerate(data.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith(b"#"):
            continue
        try:
            kind, encoded = words[:2]
            found.add(decode_revoked(kind.decode("ascii", "replace"), encoded))
        except ValueError as error:
            # OpenSSH would skip the line; but it holds a key that somebody meant to revoke.
            raise UnreadableError(f"line {number} is no public key") from error
    return found


def _krl_finds(file: Path, presented: PresentedKey) -> bool:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise UnreadableError("its format takes ssh-keygen of OpenSSH, which is not installed")
    key = presented.certificate.public if presented.certificate is not None else presented.key
    with tempfile.TemporaryDirectory(prefix="trayconnect-") as folder:
        public = Path(folder, "host.pub")
        public.write_text(f"{key.line}\n", "utf-8")
        try:
            done = subprocess.run(
                [program, "-Q", "-f", *(str(path_for_others(path)) for path in (file, public))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=False,
                env=clean_environment(),
                creationflags=no_console(),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreadableError(str(error)) from error
    if done.returncode not in (0, _REVOKED):
        raise UnreadableError("ssh-keygen cannot read it")
    return done.returncode == _REVOKED
