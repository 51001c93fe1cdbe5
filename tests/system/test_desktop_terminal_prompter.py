"""Questions on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import textwrap
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import ProblemError
from trayconnect.core.questions import Answer, Field, Question, QuestionKind
from trayconnect.desktop.prompts.prompter import ChainPrompter
from trayconnect.desktop.prompts.terminal_prompter import TerminalPrompter
from trayconnect.desktop.prompts.terminals import PosixTerminal

LIMIT = 120.0
PASSWORD = Question(QuestionKind.PASSWORD, "GPU box", "Password for ada", "", (Field("Password"),))
HOST_KEY = Question(QuestionKind.HOST_KEY, "GPU box", "Unknown key", "SHA256:abc")


class User:
    """Sits at the other end of a pseudo-terminal."""

    def __init__(self) -> None:
        self.master, self._slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)
        self.seen = ""
        self.cancel = CancelToken()

    def ask(self, question: Question, limit: float = LIMIT) -> Answer | None:
        way = TerminalPrompter(lambda: PosixTerminal(self.path), limit)
        return ChainPrompter(lambda: [way]).ask(question, self.cancel)

    def has_seen(self, text: str) -> bool:
        with suppress(BlockingIOError):
            self.seen += os.read(self.master, 4096).decode()
        return text in self.seen

    def wait(self, text: str) -> None:
        wait_for(lambda: self.has_seen(text), f"{text!r} on the terminal", LIMIT)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def wait_for_prompt(self, text: str) -> None:
        """Until the prompt stands, and what was typed before it has been dropped."""
        self.wait(text)
        wait_for(lambda: not self.echoes(), "the echo to go off", LIMIT)

    def close(self) -> None:
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
def user() -> Iterator[User]:
    user = User()
    yield user
    user.close()


@pytest.fixture
def pool(user: User) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor
        user.cancel.set()


def descriptors() -> set[str]:
    return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def test_a_password_is_read_without_echo(user: User, pool: ThreadPoolExecutor) -> None:
    answer = pool.submit(user.ask, PASSWORD)
    user.wait_for_prompt("Password: ")
    user.type("s3crét\n")
    assert answer.result(LIMIT) == Answer(("s3crét",))
    assert user.echoes()
    user.has_seen("")
    assert "s3cr" not in user.seen
    assert "[GPU box] Password for ada" in user.seen


def test_the_end_of_input_declines(user: User, pool: ThreadPoolExecutor) -> None:
    answer = pool.submit(user.ask, PASSWORD)
    user.wait_for_prompt("Password: ")
    user.type("\x04")
    assert answer.result(LIMIT) is None


def test_a_cancel_ends_a_read_that_is_under_way(user: User, pool: ThreadPoolExecutor) -> None:
    before = descriptors()
    answer: Future[Answer | None] = pool.submit(user.ask, PASSWORD)
    user.wait_for_prompt("Password: ")
    user.type("half a passw")
    user.cancel.set()
    assert answer.result(LIMIT) is None
    user.wait("withdrawn")
    assert user.echoes()
    assert descriptors() <= before


def test_nobody_answers(user: User) -> None:
    with pytest.raises(ProblemError, match="nobody answered"):
        user.ask(PASSWORD, limit=0.1)
    assert user.echoes()


def test_what_was_typed_ahead_trusts_no_host_key(user: User) -> None:
    user.type("yes\n")
    user.wait("yes")  # echoed: it has arrived in the terminal's own buffer
    with pytest.raises(ProblemError, match="nobody answered"):
        user.ask(HOST_KEY, limit=0.5)


def test_a_terminal_that_hangs_up_is_declined_or_a_problem(pool: ThreadPoolExecutor) -> None:
    user = User()
    answer = pool.submit(user.ask, PASSWORD)
    user.wait_for_prompt("Password: ")
    user.close()
    try:
        assert answer.result(LIMIT) is None
    except ProblemError as error:
        assert "terminal" in error.problem.title  # noqa: PT017 - either is right


def test_a_line_without_end_is_a_problem(user: User, pool: ThreadPoolExecutor) -> None:
    answer = pool.submit(user.ask, PASSWORD)
    user.wait_for_prompt("Password: ")
    for _ in range(3):
        user.type("x" * 3000)  # the terminal itself keeps 4095 of them
    user.type("\n")
    (value,) = (answer.result(LIMIT) or Answer()).values
    assert set(value) == {"x"}


KEY = [
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    *("x" * 70 for _ in range(900)),
    "-----END OPENSSH PRIVATE KEY-----",
]
PRIVATE_KEY = Question(
    QuestionKind.PRIVATE_KEY, "GPU box", "Paste it", "", (Field("Private key", multiline=True),)
)


def test_a_long_private_key_is_pasted_without_echo(user: User, pool: ThreadPoolExecutor) -> None:
    answer = pool.submit(user.ask, PRIVATE_KEY)
    user.wait_for_prompt("ends it):")
    pasted = ("\n".join(KEY) + "\n").encode()
    while pasted:  # what the terminal cannot take yet is typed when it can
        with suppress(BlockingIOError):
            pasted = pasted[os.write(user.master, pasted[:1000]) :]
        user.has_seen("")
    assert answer.result(LIMIT) == Answer(("\n".join(KEY) + "\n",))
    user.has_seen("")
    assert "xxx" not in user.seen
    assert user.echoes()


def test_control_d_ends_a_text_and_alone_it_declines(user: User, pool: ThreadPoolExecutor) -> None:
    answer = pool.submit(user.ask, PRIVATE_KEY)
    user.wait_for_prompt("ends it):")
    user.type("some\ntext\n\x04")
    assert answer.result(LIMIT) == Answer(("some\ntext\n",))
    answer = pool.submit(user.ask, PRIVATE_KEY)
    user.seen = ""
    user.wait_for_prompt("ends it):")
    user.type("\x04")
    assert answer.result(LIMIT) is None


def test_a_text_without_end_is_a_problem(user: User, pool: ThreadPoolExecutor) -> None:
    answer = pool.submit(user.ask, PRIVATE_KEY)
    user.wait_for_prompt("ends it):")
    while not answer.done():
        with suppress(BlockingIOError):
            os.write(user.master, b"y" * 900 + b"\n")
        user.has_seen("")
    with pytest.raises(ProblemError, match="cannot be used to ask"):
        answer.result(LIMIT)


BACKGROUND = textwrap.dedent("""
    import os, pty, signal, sys
    pid, master = pty.fork()
    if pid == 0:  # the leader of a session whose terminal is the slave
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)  # out of the foreground
            from tests.system.test_desktop_terminal_prompter import PASSWORD
            from trayconnect.core.cancellation import CancelToken
            from trayconnect.desktop.prompts.process import NotShownError
            from trayconnect.desktop.prompts.terminal_prompter import TerminalPrompter
            try:
                TerminalPrompter(limit=10).ask(PASSWORD, CancelToken())
            except NotShownError as error:
                os._exit(42 if "background" in str(error) else 1)
            os._exit(2)
        _, status = os.waitpid(child, os.WUNTRACED)
        os._exit(99 if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status))
    import threading
    def drain():
        try:
            while os.read(master, 4096):
                pass
        except OSError:
            pass
    threading.Thread(target=drain, daemon=True).start()
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""")


def test_in_the_background_it_is_not_shown_and_does_not_stop_the_app() -> None:
    command = [sys.executable, "-c", BACKGROUND]
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run(command, cwd=root, timeout=60, check=False).returncode == 42
