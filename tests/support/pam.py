"""A PAM service of our own, for logins in several steps; needs root."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import secrets
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PASSWORD = "auth required pam_unix.so nodelay"
ACCOUNT = (
    "account required pam_unix.so",
    "password required pam_unix.so yescrypt",
    "session required pam_permit.so",
)


@contextlib.contextmanager
def pam_service(lines: Sequence[str]) -> Iterator[str]:
    """The name of a service with these lines, for the time of a `with`."""
    name = f"tc-{secrets.token_hex(5)}"
    path = Path("/etc/pam.d", name)
    path.write_text("\n".join([*lines, *ACCOUNT]) + "\n")
    try:
        yield name
    finally:
        path.unlink()


class Authenticator:
    """A user's second factor, as Google Authenticator has it (RFC 6238)."""

    def __init__(self, folder: Path) -> None:
        self._secret = secrets.token_bytes(10)
        self._file = folder / "authenticator"
        text = base64.b32encode(self._secret).decode()
        self._file.write_text(f'{text}\n" TOTP_AUTH\n')
        self._file.chmod(0o600)

    @property
    def pam_line(self) -> str:
        options = f"secret={self._file} user=root no_strict_owner nullok no_increment_hotp"
        return f"auth required pam_google_authenticator.so {options}"

    def code(self) -> str:
        """The code of this moment; the module takes those of the minutes around it too."""
        moment = struct.pack(">Q", int(time.time()) // 30)
        digest = hmac.new(self._secret, moment, hashlib.sha1).digest()
        at = digest[-1] & 15
        number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
        return f"{number % 1_000_000:06}"
