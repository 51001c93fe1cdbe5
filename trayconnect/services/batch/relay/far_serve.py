"""The relay as a part of a job: it listens on the node, and serves a client that proves to know a
secret that only the job's account can read. Part of the text of `far`.

Both ends prove it before anything else is said, over fresh numbers of both, the node's address and
the port. So a program of another user that listens on the port after the job's end is found out,
and cannot use what it hears; nor can one on another host stand between both ends, since the address
there is another one. Who connects from the node itself is refused: there it is the same."""

import errno
import hmac
import ipaddress
import os
import secrets
import select
import signal
import socket
import sys
import time
import traceback
from collections import Counter
from typing import List, Optional

assert sys.platform == "linux"  # the nodes of every cluster

from trayconnect.services.batch.relay.far import *
from trayconnect.services.batch.relay.frames import *

HELLO = b"@@trayconnect node 1 "
LOOK_SECONDS = 1.0
PROOF_SECONDS = 10.0
MOST_UNPROVEN = 384
MOST_FROM_ONE = 256
MOST_SERVED = 16
LONGEST_PROOF = 200


def plain(address: str) -> bytes:
    """The address as both ends write it: IPv4 where it is mapped into IPv6."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found).encode()


class Unproven:
    """A connection whose client has yet to prove that it knows the secret."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.here = plain(sock.getsockname()[0])
        self.source = plain(sock.getpeername()[0])
        self.until = time.monotonic() + PROOF_SECONDS
        self.ours = os.urandom(32).hex().encode()
        self.said = b""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.send(HELLO + self.ours + b"\n")

    def read(self, secret: bytes, port: int) -> Optional[bytes]:
        """Our proof, once the client has given its own; b"" for a false one. None: not yet."""
        self.said += self.sock.recv(LONGEST_PROOF) or b"\n"
        line, end, rest = self.said.partition(b"\n")
        if not end:
            return None if len(line) < LONGEST_PROOF else b""
        theirs, _, shown = line.partition(b" ")
        numbers = self.ours + b" " + theirs
        is_true = hmac.compare_digest(shown, proof(secret, b"client", numbers, self.here, port))
        if not is_true or rest or len(theirs) != 64:
            return b""
        return proof(secret, b"node", numbers, self.here, port) + b"\n"


def is_here(sock: socket.socket) -> bool:
    """Whether the other end is on this node too: its address can be bound here."""
    try:
        with socket.socket(sock.family) as trial:
            if sock.family == socket.AF_INET6:
                trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            host, _, *scope = sock.getpeername()
            trial.bind((host, 0, *scope))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


def listen() -> socket.socket:
    """On every address: nobody else can listen on the port then."""
    try:
        sock = socket.socket(socket.AF_INET6)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", 0))
    except OSError:
        sock = socket.socket()
        sock.bind(("0.0.0.0", 0))
    sock.listen(64)
    sock.setblocking(False)
    return sock


def serve(folder: str, parent: int) -> None:
    """Serve until the job's script ends, which is the parent. Tells the port and the secret in a
    file of its folder."""
    for told in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(told, lambda *_: None)  # Jupyter still saves
    signal.signal(signal.SIGXCPU, lambda *_: None)
    listening = listen()
    port = listening.getsockname()[1]
    secret = os.urandom(32).hex()
    place = os.path.join(folder, "relay")
    with open(os.open(place + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(b"%d %s\n" % (port, secret.encode()))
    os.rename(place + ".new", place)
    unproven: List[Unproven] = []
    served = 0
    while os.getppid() == parent:
        asked = [listening] + [one.sock for one in unproven]
        ready = set(select.select(asked, [], [], LOOK_SECONDS)[0])
        while served:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            served -= 1
        if listening in ready:
            accept(listening, unproven)
        for one in list(unproven):
            try:
                shown = one.read(secret.encode(), port) if one.sock in ready else None
            except BlockingIOError:
                continue
            except OSError:
                shown = b""
            if shown and served < MOST_SERVED:
                served += begin(one.sock, shown, [listening] + [other.sock for other in unproven])
            if shown is not None or time.monotonic() > one.until:
                drop(unproven, one)
    os._exit(0)


def accept(listening: socket.socket, unproven: List[Unproven]) -> None:
    try:
        sock, _ = listening.accept()
    except OSError as error:
        if unproven and error.errno in (errno.EMFILE, errno.ENFILE):
            drop(unproven, secrets.choice(unproven))
        return
    try:
        if is_here(sock):
            sock.close()
            return
        unproven.append(Unproven(sock))
    except OSError:
        sock.close()
        return
    surplus = too_many(unproven)
    if surplus is not None:
        drop(unproven, surplus)


def too_many(unproven: List[Unproven]) -> Optional[Unproven]:
    """Whom to drop: any of the source with the most. Who connects again and again pushes out the
    own ones too, and nobody of another host."""
    if not unproven:
        return None
    source, most = Counter(one.source for one in unproven).most_common(1)[0]
    if most <= MOST_FROM_ONE and len(unproven) <= MOST_UNPROVEN:
        return None
    return secrets.choice([one for one in unproven if one.source == source])


def drop(unproven: List[Unproven], one: Unproven) -> None:
    one.sock.close()
    unproven.remove(one)


def begin(sock: socket.socket, shown: bytes, others: List[socket.socket]) -> int:
    """Serve a connection in a process of its own; how many have begun."""
    try:
        if os.fork():
            return 1
    except OSError:
        return 0
    try:
        for other in others:
            if other is not sock:
                other.close()
        fd = sock.fileno()
        relay = Relay(fd, fd)
        relay.put(shown)
        relay.run(os.getppid())
    except BaseException:
        traceback.print_exc()
    os._exit(0)
