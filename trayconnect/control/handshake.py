"""Both ends show that they know the same key, and neither shows the key.

The three-pass mutual authentication of ISO/IEC 9798-4 with HMAC-SHA-256 (RFC 2104), for ways on
which the system does not say who is at the other end:

    app -> command   challenge of the app
    command -> app   challenge of the command, proof "command"
    app -> command   proof "app"

A proof is over its side's name and both challenges, so that none can be sent back, or taken from
one exchange to another. (That of `multiprocessing.connection` lacks this.)
"""

from __future__ import annotations

import hashlib
import hmac

CHALLENGE_SIZE = 32
PROOF_SIZE = 32
KEY_SIZE = 32

APP = b"app"
COMMAND = b"command"


def proof(key: bytes, side: bytes, app_challenge: bytes, command_challenge: bytes) -> bytes:
    """What `side` sends to show that it knows `key`; the challenges are of `CHALLENGE_SIZE`."""
    message = b"trayconnect control 1\0" + app_challenge + command_challenge + side
    return hmac.digest(key, message, hashlib.sha256)


def is_proof(
    claimed: bytes, key: bytes, side: bytes, app_challenge: bytes, command_challenge: bytes
) -> bool:
    """Whether `side` knows `key`, compared in constant time."""
    return hmac.compare_digest(claimed, proof(key, side, app_challenge, command_challenge))
