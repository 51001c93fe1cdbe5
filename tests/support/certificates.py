"""Certificates, made by ssh-keygen."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path


def certify(
    authority: Path,
    key: Path,
    *,
    host: bool = True,
    names: Sequence[str] = (),
    validity: str = "",
    options: Sequence[str] = (),
    signature: str = "",
) -> Path:
    """Certify the public key beside `key`, for a host or a user; returns the certificate's file.

    `names` are its principals, `validity` as ssh-keygen(1) takes it (`-1h:+1h`), `options` go to
    its -O, `signature` is the algorithm for an RSA authority."""
    command = ["ssh-keygen", "-q", "-s", str(authority), "-I", f"the key of {key.name}", "-z", "7"]
    command += ["-h"] if host else []
    command += ["-n", ",".join(names)] if names else []
    command += ["-V", validity] if validity else []
    command += ["-t", signature] if signature else []
    for option in options:
        command += ["-O", option]
    command.append(f"{key}.pub")
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)
    return Path(f"{key}-cert.pub")


def authority_line(hosts: str, authority: Path) -> str:
    """The line of a known_hosts file that trusts an authority."""
    kind, blob = Path(f"{authority}.pub").read_text().split()[:2]
    return f"@cert-authority {hosts} {kind} {blob}"


def blob(file: Path) -> bytes:
    """What a public file holds, decoded."""
    return base64.b64decode(file.read_text().split()[1])
