"""An ssh-agent whose faults are staged, and which holds keys of a security key in software.

It speaks draft-ietf-sshm-ssh-agent; signatures of security keys are made as in OpenSSH's
PROTOCOL.u2f, as if somebody had touched the device."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import tempfile
import threading
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from paramiko import Message

from tests.support.scoped import Scoped

_APPLICATION = b"ssh:"
_TOUCHED = 1


class SecurityKey:
    """What a FIDO device does, without the device."""

    def __init__(self, kind: str) -> None:
        self.counter = 0
        blob = Message()
        self._ed25519: ed25519.Ed25519PrivateKey | None = None
        self._ecdsa: ec.EllipticCurvePrivateKey | None = None
        if kind == "ed25519":
            self.type = "sk-ssh-ed25519@openssh.com"
            self._ed25519 = ed25519.Ed25519PrivateKey.generate()
            blob.add_string(self.type)
            blob.add_string(self._ed25519.public_key().public_bytes_raw())
        else:
            self.type = "sk-ecdsa-sha2-nistp256@openssh.com"
            self._ecdsa = ec.generate_private_key(ec.SECP256R1())
            blob.add_string(self.type)
            blob.add_string("nistp256")
            blob.add_string(
                self._ecdsa.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            )
        blob.add_string(_APPLICATION)
        self.blob = blob.asbytes()

    @property
    def public_line(self) -> str:
        return f"{self.type} {base64.b64encode(self.blob).decode()} device"

    def handle_file(self, path: Path) -> Path:
        """What `ssh-keygen -t …-sk` writes: the public half and a handle, in OpenSSH's format."""
        private = Message()
        private.add_bytes(bytes(8))
        private.add_bytes(self.blob)
        private.add_byte(bytes([_TOUCHED]))
        for text in (b"handle", b"", b"a comment"):
            private.add_string(text)
        padding = bytes(range(1, 9))[: -len(private.asbytes()) % 8]
        private.add_bytes(padding)
        whole = Message()
        whole.add_bytes(b"openssh-key-v1\0")
        for text in (b"none", b"none", b""):
            whole.add_string(text)
        whole.add_int(1)
        whole.add_string(self.blob)
        whole.add_string(private.asbytes())
        lines = base64.encodebytes(whole.asbytes()).decode()
        mark = "OPENSSH PRIVATE KEY"
        path.write_text(f"-----BEGIN {mark}-----\n{lines}-----END {mark}-----\n")
        path.chmod(0o600)
        return path

    def sign(self, data: bytes) -> bytes:
        self.counter += 1
        counter = self.counter.to_bytes(4, "big")
        signed = (
            hashlib.sha256(_APPLICATION).digest()
            + bytes([_TOUCHED])
            + counter
            + hashlib.sha256(data).digest()
        )
        answer = Message()
        answer.add_string(self.type)
        if self._ed25519 is not None:
            answer.add_string(self._ed25519.sign(signed))
        else:
            assert self._ecdsa is not None
            inner = Message()
            for number in decode_dss_signature(self._ecdsa.sign(signed, ec.ECDSA(hashes.SHA256()))):
                inner.add_mpint(number)
            answer.add_string(inner.asbytes())
        answer.add_byte(bytes([_TOUCHED]))
        answer.add_bytes(counter)
        return answer.asbytes()


class StagedAgent(Scoped):
    """On a socket of its own, for the time of a `with`.

    `refuses` to sign; `hangs` instead of signing, until the end; `drips`: a byte now and then."""

    def __init__(
        self,
        *keys: SecurityKey,
        refuses: bool = False,
        hangs: bool = False,
        drips: bool = False,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tc-staged-agent-")
        self.socket = Path(self._folder.name) / "agent"
        self.keys = keys
        self.refuses = refuses
        self.hangs = hangs
        self.drips = drips
        self.asked_to_sign = threading.Event()
        self._over = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._listener.bind(str(self.socket))
        self._listener.listen()
        self._spawn(self._accept)

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        self._folder.cleanup()

    def _spawn(self, work: object, *arguments: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while size := stream.read(4):
                request = Message(stream.read(int.from_bytes(size, "big")))
                answer = self._answer(request)
                data = len(answer.asbytes()).to_bytes(4, "big") + answer.asbytes()
                step = 1 if self.drips else len(data)
                with contextlib.suppress(OSError):
                    for at in range(0, len(data), step):
                        connection.sendall(data[at : at + step])
                        if self.drips and self._over.wait(0.1):
                            return

    def _answer(self, request: Message) -> Message:
        answer = Message()
        if request.get_byte() == b"\x0b":
            answer.add_byte(b"\x0c")
            answer.add_int(len(self.keys))
            for key in self.keys:
                answer.add_string(key.blob)
                answer.add_string("device")
            return answer
        self.asked_to_sign.set()
        if self.hangs:
            self._over.wait(60)
        blob, data = request.get_binary(), request.get_binary()
        found = next((key for key in self.keys if key.blob == blob), None)
        if self.refuses or found is None:
            answer.add_byte(b"\x05")
        else:
            answer.add_byte(b"\x0e")
            answer.add_string(found.sign(data))
        return answer
