"""Stopping: what is busy, whom Jupyter lets stop it, and the question before."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.jupyter_peers import Peer
from tests.support.servers import make_server
from tests.support.systems import has_shell
from tests.support.threads import our_threads
from tests.support.waiting import wait_for
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Command
from trayconnect.core.errors import Cancelled, Problem, ProblemError
from trayconnect.core.link import Completed
from trayconnect.core.notices import Notice
from trayconnect.core.page import NoBrowser, Page
from trayconnect.core.questions import Answer, Question, QuestionKind
from trayconnect.services.base import PollingService
from trayconnect.services.jupyter import stop
from trayconnect.services.jupyter.commands import JupyterCommands, StopCandidate, question
from trayconnect.services.jupyter.discovery import script
from trayconnect.services.jupyter.selection_store import BriefChoices
from trayconnect.services.protocol import Desktop

TOKEN = "t0ken"


class Staged:
    """A Jupyter's API: answers by path, and the requests that came."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.status = 200

    def __call__(self, sock: socket.socket, ending: threading.Event) -> None:
        head = sock.recv(65536).decode()
        method, path, _ = head.split(" ", 2)
        self.asked.append(f"{method} {path}")
        status = self.status if f"authorization: token {TOKEN}" in head.lower() else 403
        name = path.partition("?")[0].rpartition("/")[2]
        body = json.dumps(self.answers.get(name)).encode()
        lines = f"HTTP/1.1 {status} Staged\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(lines.encode() + body)


@contextmanager
def staged(jupyter: Staged, token: str = TOKEN) -> Iterator[Page]:
    with Peer(jupyter) as peer:
        root = f"http://{peer.authority}/base/"
        yield Page(f"{root}lab", token, root)


def kernel(name: str, state: str) -> dict[str, str]:
    return {"id": name, "execution_state": state}


def session(kernel: str, **names: str) -> dict[str, object]:
    return {"kernel": {"id": kernel}, **names}


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"kernels": [], "terminals": []}, ""),
        (
            {
                "kernels": [kernel("a", "idle"), kernel("b", "starting"), kernel("c", "busy")],
                "sessions": [
                    session("c", path="work/thesis.ipynb", name="t"),
                    session("a", path="", name="Console 1"),
                    {"kernel": 5},
                    7,
                ],
                "terminals": [],
            },
            (
                "3 kernels: Console 1 (idle), a kernel without a notebook (starting), "
                "work/thesis.ipynb (busy)."
            ),
        ),
        (
            {"kernels": [{"id": "a", "execution_state": "\x1b]0;x"}], "sessions": []},
            "1 kernel: a kernel without a notebook (state unknown).",
        ),
        ({"kernels": [], "terminals": [{"name": "1"}, {"name": "2"}]}, "2 terminals: 1, 2."),
        (
            {"kernels": [kernel(str(n), "idle") for n in range(10)], "sessions": []},
            "10 kernels: " + ", ".join(["a kernel without a notebook (idle)"] * 8) + " and 2 more.",
        ),
        ({"kernels": {"message": "odd"}}, "is unknown: its answer cannot be read."),
    ],
)
def test_what_would_be_lost(answers: dict[str, Any], words: str) -> None:
    jupyter = Staged(**{"terminals": [], **answers})
    with staged(jupyter) as page:
        losses = stop.losses(page, CancelToken())
    assert bool(losses) == bool(words)
    assert words in losses.text
    assert ("would be lost" in losses.text) == bool(words)
    assert jupyter.asked[0] == "GET /base/api/kernels?no_track_activity=1"


@pytest.mark.parametrize(
    ("token", "status", "why"),
    [("", 200, "it asks for a login"), ("other", 200, "it asks for a login"), (TOKEN, 500, "500")],
)
def test_what_cannot_be_listed_is_asked_about_too(token: str, status: int, why: str) -> None:
    jupyter = Staged()
    jupyter.status = status
    with staged(jupyter, token) as page:
        losses = stop.losses(page, CancelToken())
    assert losses
    assert why in losses.text


def test_one_that_does_not_answer_is_asked_about_too() -> None:
    with staged(Staged()) as page:
        pass
    assert "is unknown: it does not answer" in stop.losses(page, CancelToken()).text


@pytest.mark.parametrize(("status", "is_told"), [(404, False), (500, True), (503, True)])
def test_only_a_server_without_terminals_has_none(status: int, is_told: bool) -> None:
    class WithoutTerminals(Staged):
        def __call__(self, sock: socket.socket, ending: threading.Event) -> None:
            head = sock.recv(65536, socket.MSG_PEEK)
            self.status = status if b"terminals" in head else 200
            super().__call__(sock, ending)

    with staged(WithoutTerminals(kernels=[])) as page:
        assert bool(stop.losses(page, CancelToken())) is is_told


def test_it_is_told_to_stop_and_its_end_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "END_LIMIT", 0.3)
    monkeypatch.setattr(stop, "LOOK_EVERY", 0.1)
    jupyter = Staged()
    with staged(jupyter) as page, pytest.raises(ProblemError, match="still answers"):
        stop.shut_down(page, CancelToken())
    assert jupyter.asked[0] == "POST /base/api/shutdown"
    assert set(jupyter.asked[1:]) == {"GET /base/api"}
    stopped = CancelToken()
    stopped.set()
    with staged(jupyter) as page, pytest.raises(Cancelled):
        stop.shut_down(page, stopped)


def test_only_the_one_that_was_asked_about_is_stopped() -> None:
    jupyter = Staged(status={"started": "2026-11-30T01:02:03Z"})
    with staged(jupyter) as page:
        asked = stop.identity(page, None, CancelToken())
        assert asked == "since 2026-11-30T01:02:03Z"
        jupyter.answers["status"] = {"started": "2026-11-30T02:02:03Z"}
        with pytest.raises(ProblemError, match="Another Jupyter"):
            stop.shut_down(page, CancelToken(), asked)
    assert not any(line.startswith("POST") for line in jupyter.asked)


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ("", 200, "can be stopped only from its own page"),
        ("other", 200, "can be stopped only from its own page"),
        (TOKEN, 500, "does not answer, so it was not stopped"),
        (TOKEN, 302, "can be stopped only from its own page"),
    ],
)
def test_whom_it_does_not_obey_is_told(token: str, status: int, words: str) -> None:
    jupyter = Staged()
    jupyter.status = status
    with staged(jupyter, token) as page, pytest.raises(ProblemError, match=words):
        stop.shut_down(page, CancelToken())


def test_one_that_is_gone_is_not_stopped() -> None:
    with staged(Staged()) as page:
        pass
    with pytest.raises(ProblemError, match="nothing is killed"):
        stop.shut_down(page, CancelToken())


# --- by its process -------------------------------------------------------------------------------


def execute(command: str, stdin: bytes, timeout: float) -> Completed:
    done = subprocess.run([command], input=stdin, capture_output=True, timeout=60)
    return Completed(done.returncode, done.stdout, done.stderr)


def born(pid: int) -> str:
    text = f"{script('process.sh')}\nborn {pid}\n"
    return subprocess.run(["sh", "-c", text], capture_output=True, text=True).stdout.strip()


@has_shell
def test_a_process_is_ended_and_its_end_awaited() -> None:
    text = "trap 'sleep 0.3; exit' TERM; echo; while :; do sleep 0.1; done"
    with subprocess.Popen(["sh", "-c", text], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stop.end(execute, f"{process.pid} {born(process.pid)}", "GPU box", CancelToken())
        assert process.wait(0) == 0  # it has ended already


@has_shell
def test_a_process_of_the_same_number_lives_on() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(ProblemError, match="has ended already"):
            stop.end(execute, f"{process.pid} {born(1)}", "GPU box", CancelToken())
        assert process.poll() is None
        process.terminate()


@has_shell
def test_one_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "END_LIMIT", 0)
    with subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo; exec sleep 60"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(ProblemError, match="still runs"):
            stop.end(execute, f"{process.pid} {born(process.pid)}", "GPU box", CancelToken())
        process.kill()


# --- the question ---------------------------------------------------------------------------------


def test_the_question_names_what_would_be_lost() -> None:
    running = StopCandidate("7 x", stop.Losses(("thesis.ipynb (idle)",), ("1",)), "~/thesis, 8888")
    asked = question("GPU box", running)
    assert (asked.kind, asked.fields) == (QuestionKind.CONFIRM, ())
    assert asked.title == "Stop Jupyter on GPU box?"
    for words in ("~/thesis, 8888", "1 kernel: thesis.ipynb (idle).", "1 terminal: 1."):
        assert words in asked.message
    assert question("GPU box", running, restart=True).confirm == "Restart Jupyter"


class Service(PollingService):
    """What the commands need of it."""

    def __init__(self, desk: Desk, desktop: Desktop) -> None:
        super().__init__("GPU box", lambda job: job(), desktop)
        self.server = make_server()
        self.commands = Commands(self, BriefChoices(), desktop, desk)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Commands(JupyterCommands):
    """Without a Jupyter."""

    desk: Desk

    def running(self, cancel: CancelToken) -> StopCandidate:
        if self.desk.problem is not None:
            raise ProblemError(self.desk.problem)
        return StopCandidate("7 x", stop.Losses(self.desk.busy), "")

    def stop(self, cancel: CancelToken, identity: str = "") -> None:
        self.desk.log.append(f"stop {identity}")

    def restart(self, cancel: CancelToken, identity: str = "") -> None:
        self.desk.log.append(f"restart {identity}")

    def log(self, cancel: CancelToken) -> str:
        return "the log"


class Desk:
    """Commands, prompter and notifier at once."""

    def __init__(self, busy: tuple[str, ...] = (), answer: Answer | None = None) -> None:
        self.busy = busy
        self.answer = answer
        self.log: list[str] = []
        self.problem: Problem | None = None
        self.may_answer = threading.Event()
        self.asking = threading.Event()
        self.told = threading.Event()
        desktop = Desktop(NoBrowser(), self, self, lambda _title, text: self.log.append(text))
        self.service = Service(self, desktop)

    def do(self, name: str) -> None:
        self.service.commands.run(Command(name, "GPU box"), CancelToken())

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        self.asking.set()
        with cancel.releasing(self.may_answer.set):
            assert self.may_answer.wait(30)
        return self.answer

    def bring_to_front(self) -> None:
        self.log.append("front")

    def notify(self, notice: Notice) -> None:
        self.log.append(notice.title)
        self.told.set()

    def withdraw(self, tag: str) -> None:
        pass

    def finish(self) -> list[str]:
        for thread in threading.enumerate():
            if thread.name.startswith("tc-stop-jupyter"):
                thread.join(30)
        self.service.close()
        assert our_threads() == []
        return self.log


def test_where_nothing_runs_it_is_stopped_at_once() -> None:
    desk = Desk()
    desk.do("stop-jupyter")
    assert desk.finish() == ["stop 7 x", "Jupyter on GPU box was stopped"]


def test_a_restart_is_one_of_the_very_same() -> None:
    desk = Desk()
    desk.do("restart-jupyter")
    said = "Jupyter on GPU box was stopped, and is being started again"
    assert desk.finish() == ["restart 7 x", said]


def test_a_log_is_read_beside_an_open_question() -> None:
    desk = Desk(("thesis.ipynb",))
    desk.do("stop-jupyter")
    assert desk.asking.wait(30)
    desk.do("show-jupyter-log")
    wait_for(lambda: desk.log == ["the log"], "the log")
    desk.may_answer.set()
    desk.finish()


@pytest.mark.parametrize(("answer", "stops"), [(None, 0), (Answer(), 1)])
def test_with_one_the_user_decides(answer: Answer | None, stops: int) -> None:
    desk = Desk(("thesis.ipynb",), answer)
    desk.do("stop-jupyter")
    assert desk.asking.wait(30)
    desk.do("stop-jupyter")  # again: the question is still there
    assert desk.log == ["front"]
    desk.may_answer.set()
    assert desk.finish().count("stop 7 x") == stops


def test_the_end_of_the_program_withdraws_the_question() -> None:
    desk = Desk(("thesis.ipynb",), Answer())
    desk.do("stop-jupyter")
    assert desk.asking.wait(30)
    desk.service.close()
    assert our_threads() == []
    assert desk.log == []


def test_what_hinders_it_is_told() -> None:
    desk = Desk()
    desk.problem = Problem("Jupyter does not answer", "")
    desk.do("stop-jupyter")
    assert desk.finish() == ["Jupyter does not answer"]
