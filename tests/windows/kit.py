"""What several files of tests here need."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.ports import free_port
from tests.support.servers import make_server
from tests.support.snapshots import snap
from tests.support.sshd import Sshd
from tests.windows.desk import LIMIT, Windows
from tests.windows.environment import windows_path
from trayconnect.core.page import Page
from trayconnect.desktop.prompts.guard import GUARD
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.protocol import Level
from trayconnect.sessions.state import State
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.view import View

NAME = "GPU box"


def entry(sshd: Sshd, key: Path, *more: str) -> str:
    """A server file with one server, "GPU box", and further lines of its entry."""
    lines = (
        f"name: {NAME}",
        f"host: {sshd.host}",
        f"port: {sshd.port}",
        f"username: {sshd.username}",
        f"local_port: {free_port()}",
        *more,
    )
    auth = f"auth: {{identity_file: '{windows_path(key)}'}}"
    return "servers:\n  - " + "\n    ".join((*lines, auth)) + "\n"


def trust(desk: Windows, sshd: Sshd) -> None:
    """Let this Windows know the host keys already."""
    desk.data.mkdir(exist_ok=True)
    desk.known_hosts.write_text("".join(f"{line}\n" for line in sshd.known_hosts_lines()))


def view(state: State) -> View:
    """What the tray shows of the server in this state: without problems, and up with Jupyter."""
    up = state is State.UP
    jupyter = FoundJupyter("8888", "/", "/", "2.0", kernels=0, in_use=True)
    snapshot = snap(
        server=make_server(NAME),
        state=state,
        level=Level.LOGGED_IN if up else None,
        page=Page("http://127.0.0.1/", "t0ken") if up else None,
        jupyters=(jupyter,) if up else (),
    )
    return build_view([snapshot], MenuFacts(autostart=False))


def answer(desk: Windows, title: str, *keys: tuple[str, ...], text: str = "") -> None:
    """Answer a question: look at it for as long as its guard lasts, type, press keys."""
    desk.wait_focus(title)
    time.sleep(2 * GUARD)  # nothing tells that it is over
    desk.picture(title.replace(" ", "-"))
    desk.screen.type(text)
    for key in keys:
        desk.screen.key(*key)
    desk.wait_no_window(title)


@contextlib.contextmanager
def http_target(words: bytes) -> Iterator[int]:
    """A web server on loopback whose every page is `words`; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(words)))
            self.end_headers()
            self.wfile.write(words)

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(LIMIT)


def get(port: int) -> bytes:
    """The page at a local port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT) as page:
        return bytes(page.read())


def talk(sock: socket.socket) -> bytes:
    """The answer to a request for a page, with its head."""
    with sock:
        sock.settimeout(LIMIT)
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(65536), b""))
