"""The commands for whose result the user waits, without the imports of the others.

The request goes out first. Everything unusual is left to `main`: options, help, problems; so is
what it does for a program that holds secrets, or finds no app: the app that answers has checked the
program's folders."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # `typing` takes as long as the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

PROOF_LIMIT = 8.0
"""Seconds for a page to prove that it answers, before it opens."""
_WAITS = {"connect": None, "open": PROOF_LIMIT, "disconnect": None}
"""The commands with a name of a server; the seconds that the app waits for the result."""
_LIMIT = 10.0
"""Seconds for the answer, in addition."""
_COMPLETION = "_TRAYCONNECT_COMPLETE"
"""Set by click's shell completion."""


def run(arguments: Sequence[str]) -> int | None:
    """Carry out `connect NAME`, `open NAME`, `disconnect NAME` or `status`, and return the exit
    code; None for any other command line, and if the app cannot be reached."""
    match arguments:
        case ["status"]:
            name, server = "status", ""
        case [name, server] if name in _WAITS and server and not server.startswith("-"):
            pass
        case _:
            return None
    if _COMPLETION in os.environ:
        return None
    try:
        answer = _sent(name, server)
        if answer is None:
            return None
        _write(_lines(name, answer()))
    except BaseException as error:  # noqa: BLE001 - reported there
        from trayconnect.cli import streams
        from trayconnect.cli.main import report

        streams.prepare()
        return report(error, arguments)
    return 0


def _lines(name: str, data: Any) -> list[str]:  # noqa: ANN401 - JSON
    from trayconnect.cli.status_text import disconnected, to_lines

    return [disconnected(data)] if name == "disconnect" else to_lines(data)


def _write(lines: list[str]) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or ""
    if encoding.lower() != "utf-8":
        from trayconnect.cli import streams

        streams.prepare()
    print(*lines, sep="\n", flush=True)


if sys.platform == "win32":

    def _sent(name: str, server: str) -> Callable[[], Any] | None:
        """What asks the app, by a pipe, and raises `ProblemError`."""
        from trayconnect.control.client import ControlClient
        from trayconnect.control.place import runtime_folder
        from trayconnect.core.command import Command
        from trayconnect.core.errors import ProblemError

        wait = _WAITS.get(name)
        command = Command(name, server, {} if wait is None else {"wait": wait})

        def answer() -> Any:  # noqa: ANN401
            reply = ControlClient(runtime_folder()).call(command)
            if reply.problem is not None:
                raise ProblemError(reply.problem)
            return reply.data

        return answer

else:

    def _sent(name: str, server: str) -> Callable[[], Any] | None:
        """Send the request to an app whose folder and process are this user's. The function waits
        for the answer, and raises `ProblemError`. None: nothing was sent, and `main` says why."""
        try:
            # Not `socket` and `json`, whose imports take as long as all this.
            import _socket
            from _json import encode_basestring_ascii as quoted
        except ImportError:  # another Python
            return None
        from time import monotonic

        from trayconnect.control.address import (
            REPLY_MAX,
            REQUEST_MAX,
            SOCKET_NAME,
            VERSION,
            is_private,
            peer_uid,
            runtime_path,
        )

        wait = _WAITS.get(name)
        arguments = "{}" if wait is None else f'{{"wait":{wait}}}'
        words = f'"name":"{name}","server":{quoted(server)},"arguments":{arguments}'
        request = f'{{"version":{VERSION},{words}}}\n'.encode("ascii")
        if len(request) > REQUEST_MAX:
            return None
        deadline = monotonic() + _LIMIT + (wait or 0.0)
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        folder = ""
        is_sent = False
        try:
            folder = runtime_path(os.environ)
            if not is_private(folder):
                return None
            sock.settimeout(_LIMIT)
            sock.connect(f"{folder}/{SOCKET_NAME}")
            if peer_uid(sock) != os.geteuid():
                return None
            sock.sendall(request)
            is_sent = True
        except (OSError, RuntimeError):
            return None  # a part of a request is none: the app hangs up on it
        finally:
            if not is_sent:
                sock.close()

        def answer() -> Any:  # noqa: ANN401
            line = b""
            failure: Exception | None = None
            try:
                while not line.endswith(b"\n") and len(line) <= REPLY_MAX:
                    sock.settimeout(max(0.001, deadline - monotonic()))
                    chunk = sock.recv(1 << 20)
                    if not chunk:
                        raise EOFError("hung up before the end of the line")
                    line += chunk
            except (OSError, EOFError) as error:
                failure = error
            finally:
                sock.close()
            if failure is None:
                import json

                try:
                    reply = json.loads(line)
                    if reply["version"] == VERSION and reply["ok"] and reply["problem"] is None:
                        return reply["data"]
                except (ValueError, TypeError, KeyError):
                    pass
            return _explained(folder, line, failure)

        return answer


def _explained(folder: str, line: bytes, failure: Exception | None) -> Any:  # noqa: ANN401
    """An answer that says no, or none. Raises `ProblemError`."""
    from pathlib import Path

    from trayconnect.control.client import explained
    from trayconnect.control.protocol import decode_reply
    from trayconnect.core.errors import ProblemError

    with explained(Path(folder)):
        if failure is not None:
            raise failure
        reply = decode_reply(line)
    if reply.problem is not None:
        raise ProblemError(reply.problem)
    return reply.data
