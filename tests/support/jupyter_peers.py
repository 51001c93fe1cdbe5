"""What may sit behind a port instead of a healthy Jupyter, staged on loopback."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.carrier import NoCarrier
from tests.support.forwarding import TcpStream
from tests.support.scoped import Scoped
from tests.support.waiting import end_accept
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Completed, Hop, Incoming, Link, NotOursError, Owner, RemoteProgram

Talk = Callable[[socket.socket, threading.Event], None]
"""Serves one connection, until the event at the latest."""

JOIN_SECONDS = 10


class Peer(Scoped):
    """Listens on a free port of 127.0.0.1 and serves each connection on a thread."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None) -> None:
        self._talk = talk
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ending = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="peer")]
        self.port: int = self._listener.getsockname()[1]
        self.authority = f"127.0.0.1:{self.port}"
        self.connected = threading.Event()
        self.connections = 0
        """How many it has accepted."""

    def start(self) -> None:
        self._threads[0].start()

    def close(self) -> None:
        self._ending.set()
        end_accept(self._listener)
        self._threads[0].join(JOIN_SECONDS)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
            assert not thread.is_alive()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                if self._ending.is_set():
                    sock.close()
                    return
                self._open.append(sock)
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(sock,), name="peer talk")
                self._threads.append(thread)
                thread.start()
                self.connected.set()

    def hang_up(self) -> None:
        """End the connections of its clients."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
            closing.enter_context(sock)
            if self._tls:
                sock = closing.enter_context(self._tls.wrap_socket(sock, server_side=True))
                self._open.append(sock)
            self._talk(sock, self._ending)


# --- ways to talk -----------------------------------------------------------------------------


def silent(sock: socket.socket, ending: threading.Event) -> None:
    """Takes everything, says nothing."""
    ending.wait()


def hang_up(sock: socket.socket, ending: threading.Event) -> None:
    """Closes at once."""


def drip(text: bytes = b"HTTP/1.1 200 OK\r\nX: ") -> Talk:
    """Sends the text, and then single bytes that never become an end."""

    def talk(sock: socket.socket, ending: threading.Event) -> None:
        sock.sendall(text)
        while not ending.wait(0.01):
            sock.sendall(b"x")

    return talk


def say(data: bytes) -> Talk:
    """Sends the same whatever is asked, and closes."""

    def talk(sock: socket.socket, ending: threading.Event) -> None:
        sock.recv(65536)
        sock.sendall(data)

    return talk


Answer = tuple[int, str]
Page = Callable[[str, Mapping[str, str]], Answer]
"""Path and headers (lower case) to status and body."""


def web(page: Page, more: str = "Connection: close\r\n") -> Talk:
    """An HTTP/1.1 server of one request a connection; `more` are lines of each answer's head."""

    def talk(sock: socket.socket, ending: threading.Event) -> None:
        _answer(sock, page, more)

    return talk


def lasting_web(page: Page) -> Talk:
    """The same, of many requests a connection."""

    def talk(sock: socket.socket, ending: threading.Event) -> None:
        while _answer(sock, page, ""):
            pass

    return talk


def _answer(sock: socket.socket, page: Page, more: str) -> bool:
    """Answer one request; false if there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65536)
        if not chunk:
            return False
        data += chunk
    first, *lines = data.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if ":" in line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    words = first.split()
    status, body = page(words[1], headers) if len(words) == 3 else (400, "bad request")
    payload = body.encode()
    head = f"HTTP/1.1 {status} Staged\r\n{more}Content-Length: {len(payload)}\r\n\r\n"
    sock.sendall(head.encode() + payload)
    return True


def jupyter_pages(token: str = "", base_url: str = "/") -> Page:
    """Jupyter's version to anybody, its status to who has the token."""

    def page(path: str, headers: Mapping[str, str]) -> Answer:
        if path == f"{base_url}api":
            return 200, json.dumps({"version": "2.99"})
        if path == f"{base_url}api/status":
            allowed = not token or headers.get("authorization") == f"token {token}"
            return (200, "{}") if allowed else (403, '{"message": "Forbidden"}')
        return (200, "Lab") if path == f"{base_url}lab" else (404, "not found")

    return page


# --- TLS --------------------------------------------------------------------------------------


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's context with a fresh certificate for 127.0.0.1 that nobody trusts, which is
    written to `certificate.pem` as well."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "staged")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.touch(0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return context


# --- a tunnel to this very host -----------------------------------------------------------------


class LoopbackTunnel(NoCarrier):
    """A `Tunnel` whose far end is here: channels are TCP connections to loopback, commands are
    answered by `run`."""

    typed_login = False
    latency = None
    banner = ""

    def __init__(self, run: Callable[[], bytes] = lambda: b"") -> None:
        self._run = run
        self.runs = 0
        self.forbidden: Problem | None = None
        self.whose = Owner.OURS

    def open_channel(self, target: Endpoint, origin: tuple[str, int]) -> TcpStream:
        if self.forbidden:
            raise ProblemError(self.forbidden)
        try:
            assert isinstance(target, TcpEndpoint)
            return TcpStream(socket.create_connection((target.host, target.port), timeout=10))
        except OSError as error:
            problem = Problem("Connect failed", "Start it", Recovery.RETRY, str(error))
            raise ProblemError(problem) from error

    def open_own_channel(
        self, target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[TcpStream, Owner]:
        stream = self.open_channel(target, origin)
        if self.whose is Owner.OURS or (named and self.whose in (Owner.SYSTEM, Owner.UNKNOWN)):
            return stream, self.whose
        stream.close()
        raise NotOursError(Problem(f"It is {self.whose.value}", "", Recovery.RETRY), self.whose)

    def owner(self, target: Endpoint) -> Owner:
        return self.whose

    def listen(
        self,
        where: Endpoint,
        on_incoming: Callable[[Incoming], None],
        on_answer: Callable[[int | Problem], None],
    ) -> None:
        on_answer(0)

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        self.runs += 1
        return Completed(0, self._run(), b"")

    def start_program(self, command: str, timeout: float) -> RemoteProgram:
        raise NotImplementedError

    def hop(self, node: Hop, **_: object) -> Link:
        raise NotImplementedError

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


def find_output(*servers: Mapping[str, object]) -> bytes:
    """What `find.sh` prints for servers on 127.0.0.1, newest first;
    `server["pid"]` and `server["port"]` must be there."""
    lines = ["Welcome to the cluster!", "", "@@trayconnect find 2", "@@order 1", "@@home /home/ada"]
    for server in servers:
        lines += [
            f"@@server {server['pid']}",
            f"@@listens proc 0100007F:{server['port']:04X}",
            "@@kernels 2",
            "@@file",
            json.dumps(server, indent=2),
            "",
            "@@end",
        ]
    return "\n".join([*lines, "@@done", ""]).encode()
