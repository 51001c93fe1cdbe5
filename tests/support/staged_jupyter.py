"""A process of any account that answers as Jupyter does, and tells which tokens it was sent.

Run as a program, it is that process.
"""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

from tests.support.ports import free_port
from tests.support.scoped import Scoped


class StagedJupyter(Scoped):
    """Listens on `host`, under the account `uid` if told so, which needs root; then its
    descriptors cannot be read by that account either.

    Says that it is of that version, to anybody; accepts any token, and notes it."""

    def __init__(
        self, *, uid: int = -1, port: int = 0, version: str = "2.99.0", host: str = "127.0.0.1"
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(uid), str(port or free_port()), version, host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.pid = self._process.pid
        self.version = version
        self._tokens: list[str] = []

    def note(self, runtime_dir: Path, token: str) -> Path:
        """Write the runtime file that a real one would have written."""
        info = {
            "pid": self.pid,
            "port": self.port,
            "token": token,
            "base_url": "/",
            "root_dir": str(runtime_dir.parent),
            "version": self.version,
        }
        file = runtime_dir / f"jpserver-{self.pid}.json"
        file.write_text(json.dumps(info))
        return file

    def end(self) -> list[str]:
        """End it; the `Authorization` headers that it was sent."""
        if self._process.poll() is None:
            out, _ = self._process.communicate(timeout=60)
            self._tokens = out.splitlines()
        return self._tokens

    def close(self) -> None:
        self.end()


class _Handler(http.server.BaseHTTPRequestHandler):
    version = ""

    def do_GET(self) -> None:
        if "Authorization" in self.headers:
            print(self.headers["Authorization"], flush=True)
        body = json.dumps({"version": self.version}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        pass


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _main() -> None:
    uid, port, _Handler.version = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.setresuid(uid, uid, uid)
    # HTTPServer looks up its name, for which it loads what the other account may not read.
    server = _Server((sys.argv[4], port), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    _main()
