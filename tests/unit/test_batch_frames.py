"""Frames of the relay, its text, and what a broken relay can do."""

from __future__ import annotations

import ast
import contextlib
import os
import queue
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tunnel_kit import Losses, nothing_left
from trayconnect.config.model import Keepalive
from trayconnect.core import receive_window
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Cancelled, ProblemError
from trayconnect.core.link import Client, LostError, NotOpenedError, NotOursError, Owner
from trayconnect.core.receive_window import SMALLEST
from trayconnect.services.batch.relay import frames, program
from trayconnect.services.batch.relay.frames import (
    Decoder,
    FrameError,
    Pad,
    frame,
    number_frame,
)
from trayconnect.services.batch.relay.problems import refused
from trayconnect.services.batch.relay.relay_link import RelayLink, open_relay

PATH = UnixEndpoint("/tmp/s")
GREETING = b"motd\n@@trayconnect relay 1 0 c1\n"

payloads = st.binary(max_size=200)


# --- the codec ------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), payloads)),
    st.integers(1, 50),
)
def test_frames_survive_any_cut(sent: list[tuple[int, int, bytes]], piece: int) -> None:
    stream = b"".join(frame(*one) for one in sent)
    decoder = Decoder()
    seen: list[tuple[int, int, bytes]] = []
    for at in range(0, len(stream), piece):
        seen += decoder.feed(stream[at : at + piece])
    assert seen == sent


def test_both_ends_begin_with_the_same_window() -> None:
    assert frames.WINDOW == SMALLEST


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_an_error(data: bytes) -> None:
    with contextlib.suppress(FrameError):
        list(Decoder().feed(data))


def test_a_frame_that_is_too_long_is_refused_before_it_comes() -> None:
    with pytest.raises(FrameError):
        list(Decoder().feed(frames.HEAD.pack(frames.DATA, 1, frames.MOST_PAYLOAD + 1)))


@given(st.text(min_size=1).filter(lambda path: "\0" not in path))
def test_paths_survive(path: str) -> None:
    with contextlib.suppress(UnicodeEncodeError):
        assert frames.target(frames.target_text("", 0, path)) == ("", 0, path)


@pytest.mark.parametrize("text", [b"", b"unix ", b"tcp 0 h", b"tcp 70000 h", b"tcp x h", b"tcp 8 "])
def test_a_target_that_is_none(text: bytes) -> None:
    with pytest.raises(FrameError):
        frames.target(text)


def test_both_ends_agree_on_the_window() -> None:
    assert frames.WINDOW == receive_window.SMALLEST


def test_what_would_wait_is_padded() -> None:
    pad = Pad(1448)
    padding = len(frame(frames.NOTHING, 0, bytes(1448)))
    assert pad.behind(200, now=1.0) == b""  # one small packet goes out at once
    assert len(pad.behind(200, now=1.01)) == padding  # the first one is not acknowledged yet
    pad.heard(1.02)
    assert pad.behind(200, now=1.03) == b""
    assert pad.behind(200, now=2.0) == b""
    pad.heard(3.0)
    assert len(pad.behind(1500, now=3.1)) == padding  # more than one piece
    assert Pad().behind(1500, now=1.0) == b""


# --- the program ----------------------------------------------------------------------------------


def test_the_program_is_one_text_for_old_pythons() -> None:
    tree = ast.parse(program.text(), feature_version=(3, 6))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [one.module for one in imported if one.module and one.module.startswith("trayconnect")]
    assert ours == ["trayconnect.services.batch.relay.far"] * 2  # for the type checker
    assert not [one for one in imported if one.module == "__future__"]


@pytest.mark.skipif(sys.platform == "win32", reason="sh")
@pytest.mark.parametrize("python", [None, "exit 1", "exit 9"])
def test_without_a_python_it_says_so(python: str | None, tmp_path: Path) -> None:
    """None, one that does not start, one that is too old."""
    if python is not None:
        tmp_path.joinpath("python3").write_text(f"#!/bin/sh\n{python}\n")
        tmp_path.joinpath("python3").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", program.command(1).replace("/usr/libexec", "/nowhere")],
        input=program.stdin(),
        capture_output=True,
        timeout=60,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    assert frames.NO_PYTHON in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_jobs_own_python_serves_where_there_is_no_other(tmp_path: Path) -> None:
    for needed in ("sh", "readlink"):
        found = shutil.which(needed)
        assert found is not None
        tmp_path.joinpath(needed).symlink_to(found)
    command = program.command(os.getpid()).replace("/usr/libexec", "/nowhere")
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        input=program.stdin(),
        capture_output=True,
        timeout=60,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    assert frames.GREETING in done.stdout
    assert frames.NO_PYTHON not in done.stdout


# --- a broken relay -------------------------------------------------------------------------------


class Scripted:
    """A stream whose far end is the test."""

    def __init__(self) -> None:
        self.incoming: queue.Queue[bytes] = queue.Queue()
        self.sent = queue.Queue[bytes]()
        self.is_over = False
        self.said = b"srun: error: Unable to create step for job 6: Access/permission denied\n\n"

    def recv(self, size: int) -> bytes:
        return self.incoming.get()

    def sendall(self, data: bytes | memoryview) -> None:
        self.sent.put(bytes(data))

    def shutdown_write(self) -> None:
        pass

    def close(self) -> None:
        self.is_over = True
        self.incoming.put(b"")


@contextlib.contextmanager
def scripted(
    losses: Losses, keepalive: Keepalive | None = None
) -> Iterator[tuple[Scripted, RelayLink]]:
    stream = Scripted()
    stream.incoming.put(GREETING)
    link = start(stream, losses, keepalive=keepalive or Keepalive())
    try:
        yield stream, link
    finally:
        link.close()


def start(
    stream: Scripted,
    losses: Losses,
    seconds: float = 60.0,
    keepalive: Keepalive | None = None,
    cancel: CancelToken | None = None,
    first: bytes = b"",
) -> RelayLink:
    return open_relay(
        stream,
        first,
        "c1",
        keepalive=keepalive or Keepalive(),
        seconds=seconds,
        cancel=cancel or CancelToken(),
        on_lost=losses,
    )


class Asked:
    """A client whose channel is being opened."""

    def __init__(self, link: RelayLink, said: bytes = b"") -> None:
        self.ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.theirs = theirs
        self.ours.sendall(said)
        self.events: queue.Queue[Owner | ProblemError] = queue.Queue()
        link.carry_own(
            Client(theirs, ("", 0)),
            PATH,
            named=False,
            on_opened=self.events.put,
            on_refused=self.events.put,
        )

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


OPENED = frame(frames.OPENED, 1, b"\0")


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff" * 100,
        frame(99, 1),
        frame(frames.DATA, 7, b"x"),
        frame(frames.DATA, 1, b"before it is open"),
        OPENED + OPENED,
        frame(frames.CLOSE, 1),
        OPENED + frame(frames.EOF, 1) + frame(frames.DATA, 1, b"x"),
        OPENED + frame(frames.DATA, 1, bytes(32 << 10)) * 60,
        OPENED + number_frame(frames.WINDOW_MORE, 1, 1),
        OPENED + frame(frames.WINDOW_MORE, 1, b"x"),
        frame(frames.OPENED, 1, b""),
        frame(frames.OPENED, 1, b"\x09"),
    ],
)
def test_what_is_no_relay_ends_the_link(bad: bytes) -> None:
    losses = Losses()
    with nothing_left(), scripted(losses) as (stream, link):
        asked = Asked(link)
        try:
            stream.incoming.put(bad)
            assert "not trayconnect's relay" in losses.wait().title
            asked.ours.settimeout(60)
            first = asked.events.get(timeout=60)
            if first is Owner.OURS:  # then it is reset, which a UNIX socket shows as its end
                while asked.ours.recv(1 << 16):
                    pass
            else:
                assert isinstance(first, LostError)
        finally:
            asked.close()


any_frames = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 3), st.binary(max_size=6)), max_size=12
).map(lambda some: b"".join(frame(*one) for one in some))


@given(any_frames)
def test_whatever_a_relay_says_its_end_is_the_end(said: bytes) -> None:
    losses = Losses()
    with scripted(losses) as (stream, link):
        clients = [Asked(link), Asked(link, b"GET /")]
        stream.incoming.put(said)
        stream.incoming.put(b"")
        losses.wait()
        assert link.traffic.connections == 0
        with pytest.raises(LostError):
            link.owner(PATH)
        for client in clients:
            client.close()
    assert len(losses.problems) == 1


def test_a_relay_that_answers_nothing_is_lost() -> None:
    losses = Losses()
    with scripted(losses, Keepalive(interval=0.2, count_max=2)):
        assert losses.wait().title == "c1 stopped answering"


def test_a_check_finds_a_silent_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trayconnect.services.batch.relay.multiplexer.CHECK_SECONDS", 0.2)
    losses = Losses()
    with scripted(losses) as (_, link):
        link.check()
        assert losses.wait().title == "c1 stopped answering"


def test_a_client_that_is_refused_is_whole() -> None:
    with scripted(Losses()) as (stream, link):
        asked = Asked(link, b"GET / HTTP/1.1\r\n")
        refused = bytes((frames.NOT_OURS, frames.OTHERS))
        stream.incoming.put(frame(frames.REFUSED, 1, refused))
        error = asked.events.get(timeout=60)
        assert isinstance(error, NotOursError)
        assert error.owner is Owner.OTHERS
        assert asked.theirs.recv(100) == b"GET / HTTP/1.1\r\n"
        asked.close()


def test_a_request_that_was_sent_is_not_sent_again() -> None:
    """It may have been served, and the link ended before the answer came."""
    losses = Losses()
    with scripted(losses) as (stream, link):
        fresh, sent = Asked(link), Asked(link, b"POST /api/kernels HTTP/1.1\r\n")
        while b"POST" not in stream.sent.get(timeout=60):
            pass
        stream.incoming.put(b"")
        losses.wait()
        assert isinstance(fresh.events.get(timeout=60), LostError)
        assert sent.events.empty()
        assert sent.theirs.fileno() < 0  # closed: the browser asks its user
        fresh.close()
        sent.close()


@pytest.mark.parametrize(
    ("come", "words"),
    [
        ((b"",), "Access/permission denied"),
        ((b"\n@@trayconnect relay none\n",), "no Python 3.6"),
        ((b"x" * (70 << 10),), "Access/permission denied"),
        ((), "c1 started nothing within"),
    ],
)
def test_a_relay_that_does_not_start(come: tuple[bytes, ...], words: str) -> None:
    stream = Scripted()
    for data in come:
        stream.incoming.put(data)
    with nothing_left(), pytest.raises(ProblemError) as caught:
        start(stream, Losses(), 60.0 if come else 0.2)
    assert words in str(caught.value.problem)


def test_a_start_that_is_cancelled_ends_at_once() -> None:
    stream, cancel = Scripted(), CancelToken()

    def sendall(data: bytes | memoryview) -> None:
        cancel.set()

    stream.sendall = sendall  # type: ignore[method-assign]
    with nothing_left(), pytest.raises(Cancelled):
        start(stream, Losses(), cancel=cancel, first=b"text")
    assert stream.is_over


def test_a_relay_that_closes_no_channel_gets_no_more() -> None:
    with scripted(Losses()) as (stream, link):
        for number in range(1, frames.MOST_CHANNELS + 1):
            asked = Asked(link)
            stream.incoming.put(frame(frames.OPENED, number, b"\0"))
            assert asked.events.get(timeout=60) is Owner.OURS
            asked.close()
        asked = Asked(link)
        error = asked.events.get(timeout=60)
        assert isinstance(error, NotOpenedError)
        assert "too many" in error.problem.detail
        asked.close()


@pytest.mark.parametrize(
    ("reason", "said", "words"),
    [
        (frames.NO_LISTENER, b"", "Nothing answers on h:1 at c1"),
        (frames.UNRESOLVED, b"", "does not know a host named h"),
        (frames.OTHER, b"\x1b[31mred", "Nothing answers on h:1 at c1"),
    ],
)
def test_words_of_refusals(reason: int, said: bytes, words: str) -> None:
    problem = refused("c1", TcpEndpoint("h", 1), bytes((reason, frames.UNKNOWN)) + said).problem
    assert words in problem.title
    assert problem.detail.isprintable()
