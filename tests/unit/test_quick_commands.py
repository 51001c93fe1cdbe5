"""The commands that the user waits for, with whatever answers on the control socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.support.control import short_folder
from trayconnect.control.protocol import decode_request
from trayconnect.core.command import Command

if sys.platform == "win32":
    pytest.skip("Windows has a pipe in its place", allow_module_level=True)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (b"", 1, "trayconnect hung up without an answer"),
        (b"nonsense\n", 1, "The answer of the running trayconnect makes no sense"),
        (b"[]\n", 1, "The answer of the running trayconnect makes no sense"),
        (b'{"version": 99}\n', 1, "The running trayconnect is of another version"),
        (
            (
                b'{"version": 3, "ok": false, "data": null, "problem": {"title": "No GPU box",'
                b' "advice": "Write one", "remedy": "fix", "detail": ""}}\n'
            ),
            1,
            "No GPU box\n  Write one\n",
        ),
        (
            (
                b'{"version": 3, "ok": true, "problem": null,'
                b' "data": {"servers": [{"name": "B\\u00f6x", "state": "off", "words": "off",'
                b' "url": null, "problem": null}]}}\n'
            ),
            0,
            "Böx  off\n",
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_quick_command_says_what_went_wrong_as_every_other(
    answer: bytes, code: int, said: str, encoding: str
) -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "control.sock"))
        listener.listen()
        env = os.environ | {"HOME": str(folder), "TRAYCONNECT_RUNTIME_DIR": str(folder)}
        command = subprocess.Popen(
            [sys.executable, "-m", "trayconnect", "connect", "GPU box"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=env | {"PYTHONIOENCODING": encoding}, encoding="utf-8",
        )  # fmt: skip
        with command, listener.accept()[0] as connection:
            request = connection.recv(65536)
            assert decode_request(request) == Command("connect", "GPU box")
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_RDWR)
            out, _ = command.communicate(timeout=60)
    assert command.returncode == code
    assert out.startswith(said if encoding == "utf-8" else said.replace("ö", "?"))


def test_a_quick_command_sends_nothing_into_a_folder_that_others_can_enter() -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "control.sock"))
        listener.listen()
        listener.setblocking(False)
        folder.chmod(0o755)
        env = os.environ | {"HOME": str(folder), "TRAYCONNECT_RUNTIME_DIR": str(folder)}
        done = subprocess.run(
            [sys.executable, "-m", "trayconnect", "connect", "GPU box"],
            capture_output=True, text=True, timeout=60, env=env,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert f"The folder {folder} is not private" in done.stderr
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_quick_command_says_nothing_if_nobody_reads_its_answer() -> None:
    """As `trayconnect status | head -n 0`."""
    answer = b'{"version": 3, "ok": true, "problem": null, "data": {"servers": []}}\n'
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "control.sock"))
        listener.listen()
        reader, writer = os.pipe()
        os.close(reader)
        command = subprocess.Popen(
            [sys.executable, "-m", "trayconnect", "status"],
            stdout=writer, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"HOME": str(folder), "TRAYCONNECT_RUNTIME_DIR": str(folder)},
        )  # fmt: skip
        os.close(writer)
        with command, listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(answer)
            _, said = command.communicate(timeout=60)
    assert (command.returncode, said) == (1, "")
