"""Another user of the server, who listens where the user's own program did."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
import threading
from collections.abc import Iterator

from tests.support.forwarding import LIMIT
from tests.support.scoped import Scoped
from tests.support.sshd import system_user

_LISTENER = """
import os, socket, sys
uid, where, text, grab = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
os.setgroups([]); os.setgid(uid); os.setuid(uid)
def bind():
    if where.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(where)
    else:
        host, _, port = where.rpartition(":")
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in host:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, int(port)))
    sock.listen(64)
    return sock
def serve(sock):
    held = []
    while True:
        peer, _ = sock.accept()
        os.write(1, b"+")
        peer.settimeout(5)
        try:
            while data := peer.recv(65536):
                os.write(1, data)
                if b"\\r\\n\\r\\n" in data:
                    body = text.encode()
                    peer.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s"
                                 % (len(body), body))
                    break
        except OSError:
            pass
        peer.close()
if grab == "grab":  # as fast as it can
    os.write(1, b"!")
    while True:
        try:
            sock = bind()
            break
        except OSError:
            pass
else:
    sock = bind()
os.write(1, b"!")
serve(sock)
"""


class Listener(Scoped):
    """A process of user `uid` that listens at `where`, says `text` to each HTTP request, and notes
    what it is sent. `grab`: it takes the port as soon as it can."""

    def __init__(self, uid: int, where: str, text: str = "theirs", *, grab: bool = False) -> None:
        self.heard = b""
        self.connections = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LISTENER, str(uid), where, text, "grab" if grab else ""],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout
        begun = os.read(self._out.fileno(), 1)
        assert begun == b"!", begun
        self._thread = threading.Thread(target=self._listen, name="stranger")
        self._thread.start()

    def _listen(self) -> None:
        while data := os.read(self._out.fileno(), 65536):
            self.connections += data.count(b"+")
            self.heard += data.strip(b"+!")

    def end(self) -> bytes:
        """End at once; what it was sent."""
        self._process.kill()
        self._process.wait(LIMIT)
        self._thread.join(LIMIT)
        self._out.close()
        return self.heard

    def close(self) -> None:
        if self._process.poll() is None:
            self.end()


@contextlib.contextmanager
def person() -> Iterator[int]:
    """The number of a throw-away account; needs root."""
    with system_user() as (name, _):
        yield pwd.getpwnam(name).pw_uid
