"""The shell that runs `owners.sh` on the server, and its answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Protocol

from trayconnect.core import remote_script, sanitize
from trayconnect.ssh.owners import Account
from trayconnect.ssh.transport.channels import SshChannel

START_SECONDS = 60.0
"""Seconds for the login shell's start-up files; conda's and the modules' of clusters take their
time."""
ANSWER_SECONDS = 5.0

_ANSWER_START = b"\n@@trayconnect owners 1 "
_READ = 32 << 10
_MOST = 4 << 20
"""Limit in bytes for one answer, and for the output of start-up files."""
_LINE = 64
"""Bytes of memory that each line takes beside its text."""


class OpenSession(Protocol):
    def __call__(self, command: str, stdin: bytes, timeout: float) -> SshChannel:
        """Start a command with that input. Raises `ProblemError` and TimeoutError."""
        ...


class OwnersShell:
    """The running script. Methods raise OSError (TimeoutError among them) and EOFError."""

    def __init__(self, open_session: OpenSession) -> None:
        deadline = time.monotonic() + START_SECONDS
        script = files("trayconnect.ssh").joinpath("owners.sh").read_text("utf-8")
        self._channel = open_session(
            remote_script.COMMAND, remote_script.stdin(script), START_SECONDS
        )
        self._unread = bytearray()
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._number = 0
        self._received = 0
        """The number of the last answer."""
        self._answers: dict[int, list[str]] = {}
        """Those that other threads wait for."""
        try:
            self._until(_ANSWER_START, deadline)
            account = Account.read(self._line(deadline).split())
            if account is None:
                raise ConnectionError("what the script reports about the account cannot be read")
        except BaseException:
            self.close()
            raise
        self.account = account

    def ask(self, questions: Sequence[str]) -> list[list[str]]:
        """The lines of each answer. From any thread: the questions of several are under way at
        once."""
        with self._sending:
            first = self._number + 1
            self._number += len(questions)
            numbered = (q.format(number) for number, q in enumerate(questions, first))
            self._channel.send_all("".join(f"{question}\n" for question in numbered).encode())
        return [self._answer(number) for number in range(first, first + len(questions))]

    def _answer(self, number: int) -> list[str]:
        with self._receiving:
            while number not in self._answers:
                self._receive(time.monotonic() + ANSWER_SECONDS)
            lines = self._answers.pop(number)
        if self.account.source == "-" and not lines:
            return lines
        if not lines or lines.pop() != "whole":
            raise ConnectionError("half an answer")
        return lines

    def _receive(self, deadline: float) -> None:
        """Keep the next answer. They come in the order of the questions, each once: a hostile
        server could fill the memory with others."""
        self._until(b"@@begin ", deadline)
        number = self._received + 1
        if (word := self._line(deadline)) != str(number):
            raise ConnectionError(f"answer {sanitize.line(word)!r} in the place of {number}")
        self._received = number
        self._unread[:0] = b"\n"  # the end stands at the start of a line
        text = self._until(b"\n@@end %d\n" % number, deadline)
        if len(text) + text.count(b"\n") * _LINE > _MOST:
            raise ConnectionError("an answer without end")
        self._answers[number] = text.decode("utf-8", "replace").split("\n")[1:]

    def close(self) -> None:
        with suppress(OSError, EOFError):
            self._channel.close()

    def _line(self, deadline: float) -> str:
        return self._until(b"\n", deadline).decode("utf-8", "replace")

    def _until(self, end: bytes, deadline: float) -> bytes:
        """A server may send byte after byte: no part is looked at twice."""
        unread, looked = self._unread, 0
        while (at := unread.find(end, looked)) < 0:
            if len(unread) > _MOST:
                raise ConnectionError("too much is said")
            looked = max(0, len(unread) - len(end))
            data = self._channel.recv_within(_READ, deadline)
            if not data:
                raise ConnectionError("the shell has ended")
            if unread.endswith(b"\r") and data.startswith(b"\n"):
                del unread[-1]
            unread += data.replace(b"\r\n", b"\n")
        before = bytes(unread[:at])
        del unread[: at + len(end)]
        return before
