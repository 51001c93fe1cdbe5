"""The answer to a client whose forward has no target: an HTTP page of our own with the reason. The
connection is closed if the request is not HTTP. The request's content is not used."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from html import escape

from trayconnect.core.errors import Problem
from trayconnect.forwarding.conversations import Conversation, Wanted

HEAD_SECONDS = 5.0
_LONGEST_HEAD = 64 * 1024
_LINGER_SECONDS = 1.0
"""Seconds to read what the client still sends: closing at once would take the answer from it."""
RELOAD_SECONDS = 5
MARK = "X-Trayconnect"
"""Header field by which our own probe recognizes the page."""

_REQUEST = re.compile(rb"[A-Z]{3,16} \S+ HTTP/1\.[01]\r?\n")


def turn_away(client: socket.socket, problem: Problem) -> Conversation[None]:
    """Bounded in time; closes the client, which does not block."""
    with contextlib.closing(client), contextlib.suppress(OSError):
        head = yield from _head()
        if not _REQUEST.match(head):
            return
        client.sendall(answer(problem, with_body=not head.startswith(b"HEAD ")))
        client.shutdown(socket.SHUT_WR)
        drained = Wanted(_LONGEST_HEAD, time.monotonic() + _LINGER_SECONDS)
        while (yield drained):
            continue


def answer(problem: Problem, *, with_body: bool = True) -> bytes:
    """A 503 response (RFC 9110 section 15.6.4) whose page reloads automatically."""
    body = _PAGE.format(
        title=escape(problem.title),
        advice="<br>".join(map(escape, problem.advice.splitlines())),
        seconds=RELOAD_SECONDS,
    ).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        f"Retry-After: {RELOAD_SECONDS}\r\n"
        f"{MARK}: blocked\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")


_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{seconds}">
<title>trayconnect</title>
<style>body {{ font-family: sans-serif; max-width: 40em; margin: 4em auto; padding: 0 1em }}</style>
</head><body><h1>{title}</h1>
<p>{advice}</p>
<p>This page is from trayconnect on your own computer, and reloads automatically.</p>
</body></html>
"""


def _head() -> Conversation[bytes]:
    """What the client sends, up to the end of a request's head, or to the limit."""
    wanted = Wanted(_LONGEST_HEAD, time.monotonic() + HEAD_SECONDS)
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) < _LONGEST_HEAD:
        try:
            data = yield wanted
        except TimeoutError:
            break
        if not data:
            break
        head += data
        if not _may_be_request(head):
            break
    return head


def _may_be_request(head: bytes) -> bool:
    return re.match(rb"[A-Z]{1,16}( |$)", head) is not None
