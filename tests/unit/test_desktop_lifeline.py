"""Speaking to the process of a window."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from tests.support.waiting import wait_for
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.questions import Question, QuestionKind
from trayconnect.desktop.helper_process import Lifeline
from trayconnect.desktop.prompts.process import converse

QUESTION = Question(QuestionKind.HOST_KEY, "GPU box", "Trust?", "SHA256:x")
READS_NOTHING = "import sys, time; sys.stdout.close(); time.sleep(600)"


def test_a_window_that_reads_nothing_holds_up_nobody_who_calls_it_forward() -> None:
    process = subprocess.Popen([sys.executable, "-c", READS_NOTHING], stdin=subprocess.PIPE)
    with process:
        line = Lifeline(process)
        question = threading.Thread(target=line.send, args=[b"x" * 10_000_000])
        question.start()
        wait_for(line.is_sending, "a full pipe")
        line.call_forward()  # would wait as long as the question is open
        process.kill()
        question.join()
        line.close()


def test_a_window_that_cannot_be_told_its_question_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    command = [sys.executable, "-c", READS_NOTHING]
    with pytest.raises(RuntimeError):  # and not after the 600 s of its process
        converse(command, dict(os.environ), b"question", QUESTION, CancelToken())
