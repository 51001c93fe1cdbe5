"""The way out of a transport, over a stub that records what is written."""

from __future__ import annotations

import threading
from typing import cast

import pytest
from paramiko import Message
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_WINDOW_ADJUST,
)

from tests.support.forwarding import eventually
from trayconnect.ssh.transport import send_queue
from trayconnect.ssh.transport.send_queue import ChannelOutlet, SendQueue
from trayconnect.ssh.transport.ssh_transport import SshTransport


class Stub:
    """What an outbox needs of a transport."""

    name = "tc-transport test"

    def __init__(self) -> None:
        self.active = True
        self.writable = True
        self.clear_to_send = threading.Event()
        self.clear_to_send.set()
        self.clear_to_send_lock = threading.Lock()
        self.written: list[int] = []
        self.wrote = threading.Event()
        self.outbox = SendQueue(cast(SshTransport, self))

    def can_write(self) -> bool:
        return self.writable

    def write(self, message: Message) -> None:
        assert self.clear_to_send_lock.locked()
        self.written.append(message.asbytes()[0])
        self.wrote.set()

    def end(self) -> None:
        self.active = False
        self.outbox.close(10)
        assert not [t for t in threading.enumerate() if t.name == "tc-outbox test"]


def message(kind: int) -> Message:
    return Message(bytes([kind]))


def test_nothing_follows_a_close() -> None:
    stub = Stub()
    outlet = ChannelOutlet(cast(SshTransport, stub))
    other = ChannelOutlet(cast(SshTransport, stub))
    for kind in (MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE):
        outlet.send(message(kind))
    for kind in (MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE, MSG_CHANNEL_WINDOW_ADJUST):
        outlet.send(message(kind))
    other.send(message(MSG_CHANNEL_DATA))
    assert stub.written == [
        MSG_CHANNEL_DATA,
        MSG_CHANNEL_EOF,
        MSG_CHANNEL_CLOSE,
        MSG_CHANNEL_DATA,
    ]


def test_posting_waits_for_the_end_of_a_key_exchange_but_not_its_caller() -> None:
    stub = Stub()
    stub.clear_to_send.clear()
    stub.outbox.post(message(MSG_CHANNEL_EOF))
    assert stub.written == []
    stub.clear_to_send.set()
    stub.outbox.flush()
    assert stub.written == [MSG_CHANNEL_EOF]
    stub.end()


def test_posting_past_a_blocked_writer() -> None:
    stub = Stub()
    with stub.clear_to_send_lock:
        stub.outbox.post(message(MSG_CHANNEL_EOF))
        stub.outbox.post(message(MSG_CHANNEL_CLOSE))
        assert stub.written == []
    # The helper sends them once the writer is through, without another call.
    assert stub.wrote.wait(10)
    with stub.clear_to_send_lock:
        assert stub.written == [MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE]
    stub.end()


def test_data_goes_after_what_was_posted() -> None:
    stub = Stub()
    stub.clear_to_send.clear()
    stub.outbox.post(message(MSG_CHANNEL_WINDOW_ADJUST))
    stub.clear_to_send.set()
    ChannelOutlet(cast(SshTransport, stub)).send(message(MSG_CHANNEL_DATA))
    assert stub.written == [MSG_CHANNEL_WINDOW_ADJUST, MSG_CHANNEL_DATA]


def test_the_helper_always_ends() -> None:
    for _ in range(300):
        stub = Stub()
        stub.writable = False
        stub.outbox.post(message(MSG_CHANNEL_EOF))
        stub.end()


def test_an_idle_helper_ends_and_the_next_message_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_queue, "HELPER_IDLE", 0.001)
    stub = Stub()
    for number in range(1, 200):
        with stub.clear_to_send_lock:
            stub.outbox.post(message(MSG_CHANNEL_EOF))
        eventually(lambda: len(stub.written) == number, "the message")  # noqa: B023
    eventually(
        lambda: all(t.name != "tc-outbox test" for t in threading.enumerate()), "the helper's end"
    )
    stub.end()
