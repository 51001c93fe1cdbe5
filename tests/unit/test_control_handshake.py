from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.control import PATIENCE, nothing_left, pipe_transport, serving, short_folder
from tests.support.systems import has_mode, unless_wine
from trayconnect.control.client import ControlClient, NotRunningError
from trayconnect.control.transport import OtherUserError
from trayconnect.control.transport_pipe import (
    APP,
    CHALLENGE_SIZE,
    COMMAND,
    KEY_SIZE,
    PipeLink,
    is_proof,
    proof,
)
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import ProblemError

KEY, ONE, OTHER = (secrets.token_bytes(CHALLENGE_SIZE) for _ in range(3))
PING = Command("ping")


def pong(command: Command, cancel: CancelToken) -> JSON:
    return "pong"


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path, nothing_left():
        yield path


def test_a_proof_is_of_one_key_side_and_exchange() -> None:
    claimed = proof(KEY, APP, ONE, OTHER)
    assert is_proof(claimed, KEY, APP, ONE, OTHER)
    assert not is_proof(claimed, KEY, COMMAND, ONE, OTHER)
    assert not is_proof(claimed, KEY, APP, OTHER, ONE)
    assert not is_proof(claimed, KEY, APP, ONE, ONE)
    assert not is_proof(claimed, OTHER, APP, ONE, OTHER)
    assert not is_proof(b"", KEY, APP, ONE, OTHER)


def test_the_key_is_the_users_alone_and_new_each_time(folder: Path) -> None:
    keys = []
    for _ in range(2):
        with serving(folder, pong, transport=pipe_transport()):
            file = folder / "control.key"
            assert has_mode(file, 0o600)
            keys.append(file.read_bytes())
        assert not file.exists()
    assert len(keys[0]) == KEY_SIZE
    assert keys[0] != keys[1]


def test_a_key_left_by_a_dead_app_is_no_app(folder: Path) -> None:
    client = ControlClient(folder, transport=pipe_transport())
    for content in (secrets.token_bytes(KEY_SIZE), b"", b"half"):
        (folder / "control.key").write_bytes(content)
        with pytest.raises(NotRunningError):
            client.call(PING)
    with serving(folder, pong, transport=pipe_transport()):
        assert client.call(PING, PATIENCE).ok


@pytest.mark.parametrize("wrong", ["key", "size", "silence", "echo"])
def test_a_command_without_the_key_is_refused(folder: Path, wrong: str) -> None:
    transport = pipe_transport()
    with serving(folder, pong, transport=transport):
        link = transport.connect(folder, PATIENCE)
        try:
            if wrong == "key":
                stranger = PipeLink(link._pipe, OTHER, is_app=False)
                with pytest.raises((EOFError, OSError)):
                    stranger.authenticate(PATIENCE)
            elif wrong != "silence":
                challenge = link._pipe.recv_bytes()
                link._pipe.send_bytes(challenge * 2 if wrong == "echo" else b"x" * 500)
                with pytest.raises((EOFError, OSError)):
                    link._pipe.recv_bytes()
        finally:
            link.close()
        assert ControlClient(folder, transport=transport).call(PING, PATIENCE).ok


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"x" * 32, id="wrong"),
        pytest.param(b"", id="none", marks=unless_wine("an empty message in a pipe is lost")),
        pytest.param(b"x" * 500, id="long"),
    ],
)
def test_an_app_without_the_key_is_not_spoken_to(folder: Path, answer: bytes) -> None:
    transport = pipe_transport()
    listener = transport.listen(folder)
    link = transport.connect(folder, PATIENCE)
    impostor = listener.accept()
    assert impostor
    try:
        impostor.send(secrets.token_bytes(CHALLENGE_SIZE), PATIENCE)
        impostor.send(answer, PATIENCE)
        with pytest.raises(OtherUserError):
            link.authenticate(PATIENCE)
    finally:
        impostor.close()
        link.close()
        listener.stop()
        listener.close()


def test_the_wrong_key_is_told_as_another_user(folder: Path) -> None:
    transport = pipe_transport()

    class Stranger(type(transport)):  # type: ignore[misc]
        def connect(self, folder: Path, timeout: float) -> PipeLink:
            link = super().connect(folder, timeout)
            return PipeLink(link._pipe, OTHER, is_app=True)

    with (
        serving(folder, pong, transport=transport),
        pytest.raises(ProblemError, match="another user"),
    ):
        ControlClient(folder, transport=Stranger()).call(PING, PATIENCE)
