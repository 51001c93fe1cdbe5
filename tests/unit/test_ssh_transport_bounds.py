"""What a hostile server may send has an end: of sizes, counts, and of words for people."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko import Message, SSHException
from paramiko.common import (
    MSG_CHANNEL_EOF,
    MSG_KEXINIT,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_INFO_REQUEST,
    MSG_USERAUTH_SUCCESS,
)

from trayconnect.core import sanitize
from trayconnect.ssh.auth.data_types import string
from trayconnect.ssh.auth.userauth import AuthLostError, Prompt, UserAuth
from trayconnect.ssh.transport import greeting
from trayconnect.ssh.transport.packet_format import MAX_PACKET_BYTES
from trayconnect.ssh.transport.packetizer import MOST_POSTED, Packetizer
from trayconnect.ssh.transport.ssh_transport import MAX_PACKET, WINDOW, SshTransport


@pytest.fixture
def transport() -> Iterator[SshTransport]:
    """One that is not started: its messages are handed to it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = SshTransport(ours, name="test")
        yield transport
        transport.abort()


@pytest.fixture
def pair() -> Iterator[tuple[Packetizer, socket.socket]]:
    """A packetizer, and the server's end of its socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        packets = Packetizer(ours)
        yield packets, theirs
        packets.end()


Pair = tuple[Packetizer, socket.socket]


def uint32(value: int) -> bytes:
    return struct.pack(">I", value)


# --- packets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed", [MAX_PACKET_BYTES + 12, 2**32 - 4])
def test_a_packet_of_any_size_is_not_waited_for(pair: Pair, claimed: int) -> None:
    packets, theirs = pair
    theirs.sendall(uint32(claimed) + bytes(4))
    with pytest.raises(SSHException, match="packet"):
        packets.read_message()


def test_a_line_without_an_end(pair: Pair) -> None:
    packets, theirs = pair
    theirs.sendall(b"SSH-2.0-" + bytes(greeting.MAX_BYTES))
    assert not packets.readline(30).startswith("SSH-")
    assert packets.greeting == ["\N{REPLACEMENT CHARACTER}"]
    assert not packets.is_ssh


def test_a_greeting_is_fit_to_be_shown(pair: Pair) -> None:
    packets, theirs = pair
    theirs.sendall(b"SSH-2.0-\x1b[2J" + b"x" * 1000 + b"\r\n")
    assert packets.readline(30) == "SSH-2.0-\x1b[2J" + "x" * 1000  # it is signed as it came
    (shown,) = packets.greeting
    assert shown.startswith("SSH-2.0-x")
    assert len(shown) <= sanitize.MAX_LINE


def test_answers_pile_up_only_so_far(pair: Pair) -> None:
    packets, _ = pair
    packets.write_all(b"SSH-2.0-ours\r\n")
    packets.send_message(Message(bytes([MSG_KEXINIT]) + bytes(16)))  # nothing is sent from here on
    for _ in range(MOST_POSTED + 1):
        packets.post(bytes([MSG_CHANNEL_EOF]))
    with pytest.raises(SSHException, match="does not read"):
        packets.read_message()


# --- the transport ------------------------------------------------------------------------------


def test_extensions_are_not_counted_to_what_the_server_says(transport: SshTransport) -> None:
    pairs = string(b"server-sig-algs") + string(b"ssh-ed25519,rsa-sha2-256")
    transport._parse_ext_info(Message(uint32(1) + pairs))
    assert transport.signature_algorithms == ("ssh-ed25519", "rsa-sha2-256")
    with pytest.raises(SSHException, match="cut short"):
        transport._parse_ext_info(Message(uint32(2**32 - 1) + pairs))


def test_words_of_a_goodbye_and_a_refusal(transport: SshTransport) -> None:
    words = b"\x1b]0;owned\x07 bye\r\nnow " + b"\xff" * 10_000
    transport._parse_disconnect(Message(uint32(2) + string(words)))
    assert "\x1b" not in transport.reason()
    assert len(transport.reason()) < 600
    assert "bye now" in transport.reason()


def test_a_channel_takes_no_more_than_its_window(transport: SshTransport) -> None:
    _, channel = transport._new_channel()
    packet = Message(string(bytes(MAX_PACKET)))
    stderr = Message(uint32(1) + string(bytes(MAX_PACKET)))
    for _ in range(WINDOW // MAX_PACKET):
        packet.rewind()
        channel.feed(packet)
    for _ in range(10):  # the slack
        stderr.rewind()
        channel.feed_extended(stderr)
    stderr.rewind()
    with pytest.raises(SSHException, match="window"):
        channel.feed_extended(stderr)
    assert channel.recv(MAX_PACKET) == bytes(MAX_PACKET)


def test_the_table_leads_to_the_bounded_channel() -> None:
    names = {work.__name__ for work in SshTransport._channel_handler_table.values()}
    assert {"feed", "feed_extended"} <= names
    assert not {"_feed", "_feed_extended"} & names


def test_uninvited_channels_are_told_of_once(
    transport: SshTransport, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for number in range(100):
            rest = string(b"auth-agent@openssh.com" * 1000) + uint32(number) + bytes(8)
            transport.listening.arrived(Message(rest))
    (record,) = caplog.records
    assert len(record.getMessage()) < 200


# --- the login ----------------------------------------------------------------------------------


def test_verdicts_that_nobody_asked_for(transport: SshTransport) -> None:
    auth = UserAuth(transport, "ada", 1.0)
    refusal = auth._handler_table[MSG_USERAUTH_FAILURE]
    for _ in range(16):
        refusal(Message(string(b"password") + b"\0"))
    with pytest.raises(SSHException, match="without a request"):
        refusal(Message(string(b"password") + b"\0"))


def test_a_success_ahead_of_the_login_is_none(transport: SshTransport) -> None:
    auth = UserAuth(transport, "ada", 1.0)
    auth._handler_table[MSG_USERAUTH_SUCCESS](Message())
    with pytest.raises(AuthLostError, match="unexpected"):
        auth.begin()


@pytest.mark.parametrize(
    "question",
    [
        b"",
        string(b"name"),
        string(b"") * 3 + uint32(1),
        string(b"") * 3 + uint32(1) + string(b"Password:"),
        string(b"") * 3 + uint32(101) + (string(b"Password:") + b"\0") * 101,
        string(b"") * 3 + uint32(2**32 - 1),
    ],
)
def test_questions_that_are_none(transport: SshTransport, question: bytes) -> None:
    auth = UserAuth(transport, "ada", 1.0)
    auth._handler_table[MSG_USERAUTH_INFO_REQUEST](Message(question))
    with pytest.raises(AuthLostError):
        auth.interactive(lambda prompt: pytest.fail(f"asked {prompt}"))


def test_a_long_question_is_cut(transport: SshTransport) -> None:
    auth = UserAuth(transport, "ada", 1.0)
    seen: list[Prompt] = []

    def respond(prompt: Prompt) -> tuple[str, ...]:
        seen.append(prompt)
        return ("",)

    long = string("\N{RIGHT-TO-LEFT OVERRIDE}Password: ".encode() + b"x" * 100_000)
    question = long * 3 + uint32(1) + long + b"\0"
    auth._handler_table[MSG_USERAUTH_INFO_REQUEST](Message(question))
    auth._handler_table[MSG_USERAUTH_FAILURE](Message(string(b"pass\x1b[Aword,publickey") + b"\0"))
    result = auth.interactive(respond)
    (prompt,) = seen
    for text in (prompt.name, prompt.instructions, prompt.prompts[0][0]):
        assert text.startswith("Password: x")
        assert len(text) <= sanitize.MAX_TEXT
    assert result.allowed == ("password", "publickey")


# --- words --------------------------------------------------------------------------------------


@given(st.one_of(st.text(), st.binary()), st.integers(0, 50))
def test_what_is_readable(value: str | bytes, most: int) -> None:
    line, text = sanitize.line(value, most), sanitize.text(value, most)
    assert len(line) <= most
    assert len(text) <= most
    assert line.isprintable()
    assert text.replace("\n", "").isprintable()
