"""Stopping: what is busy, whom Jupyter lets stop it, and the question before."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.jupyter_peers import Peer
from tests.support.threads import our_threads
from trayconnect.cancel import Cancel
from trayconnect.errors import Cancelled, Problem, ProblemError
from trayconnect.jupyter import stop
from trayconnect.jupyter_stops import JupyterStops, busy_words, question
from trayconnect.ports import Answer, Notice, Page, Question, QuestionKind

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
    ("kernels", "sessions", "busy"),
    [
        ([], [], ()),
        ([kernel("a", "idle"), kernel("b", "starting")], [], ()),
        (
            [kernel("a", "busy"), kernel("b", "idle")],
            [session("b", path="x.ipynb"), session("a", path="work/thesis.ipynb", name="t")],
            ("work/thesis.ipynb",),
        ),
        ([kernel("a", "busy")], [session("a", path="", name="Console 1")], ("Console 1",)),
        ([kernel("a", "busy")], [], ("a kernel without a notebook",)),
        ([kernel("a", "busy")], {"odd": 1}, ("a kernel without a notebook",)),
        ([kernel("a", "busy")], [{"kernel": 5}, 7], ("a kernel without a notebook",)),
        ({"message": "odd"}, [], ()),
    ],
)
def test_what_is_busy(kernels: object, sessions: object, busy: tuple[str, ...]) -> None:
    jupyter = Staged(kernels=kernels, sessions=sessions)
    with staged(jupyter) as page:
        assert stop.busy_kernels(page, Cancel()) == busy
    assert jupyter.asked[0] == "GET /base/api/kernels?no_track_activity=1"


def test_it_is_told_to_stop_and_its_end_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "END_LIMIT", 0.3)
    monkeypatch.setattr(stop, "LOOK_EVERY", 0.1)
    jupyter = Staged()
    with staged(jupyter) as page, pytest.raises(ProblemError, match="still answers"):
        stop.shut_down(page, Cancel())
    assert jupyter.asked[0] == "POST /base/api/shutdown"
    assert set(jupyter.asked[1:]) == {"GET /base/api"}
    stopped = Cancel()
    stopped.set()
    with staged(jupyter) as page, pytest.raises(Cancelled):
        stop.shut_down(page, stopped)


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ("", 200, "lets only people stop it who are logged in"),
        ("other", 200, "lets only people stop it who are logged in"),
        (TOKEN, 500, "does not answer, so it was not told to stop"),
        (TOKEN, 302, "does not answer, so it was not told to stop"),
    ],
)
def test_whom_it_does_not_obey_is_told(token: str, status: int, words: str) -> None:
    jupyter = Staged()
    jupyter.status = status
    with staged(jupyter, token) as page, pytest.raises(ProblemError, match=words):
        stop.shut_down(page, Cancel())


def test_one_that_is_gone_is_not_stopped() -> None:
    with staged(Staged()) as page:
        pass
    with pytest.raises(ProblemError, match="nothing is killed"):
        stop.shut_down(page, Cancel())


def test_an_answer_that_is_no_json_is_no_list() -> None:
    with (
        Peer(lambda sock, _: sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nx")) as peer,
        pytest.raises(ProblemError, match="does not answer"),
    ):
        stop.busy_kernels(Page("", TOKEN, f"http://{peer.authority}/"), Cancel())


# --- the question ---------------------------------------------------------------------------------


def test_the_question_names_what_is_busy() -> None:
    asked = question("GPU box", ("thesis.ipynb", "x.ipynb"))
    assert (asked.kind, asked.fields) == (QuestionKind.CONFIRM, ())
    assert "2 kernels are busy: thesis.ipynb, x.ipynb." in asked.message
    assert busy_words(["a"]) == "A kernel is busy: a."
    assert busy_words(list("abcdefg")) == "7 kernels are busy: a, b, c, d, e and 2 more."


class Desk:
    """Orders, prompter and notifier at once."""

    def __init__(self, busy: tuple[str, ...] = (), answer: Answer | None = None) -> None:
        self.busy = busy
        self.answer = answer
        self.log: list[str] = []
        self.problem: Problem | None = None
        self.may_answer = threading.Event()
        self.asking = threading.Event()
        self.told = threading.Event()
        orders: Any = self
        self.stops = JupyterStops(orders, self, self)

    def busy_kernels(self, name: str, cancel: Cancel) -> tuple[str, ...]:
        if self.problem is not None:
            raise ProblemError(self.problem)
        return self.busy

    def stop(self, name: str, cancel: Cancel) -> None:
        self.log.append(f"stop {name}")

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:
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
        self.stops.close()
        assert our_threads() == []
        return self.log


def test_without_a_busy_kernel_it_is_stopped_at_once() -> None:
    desk = Desk()
    desk.stops.begin("GPU box")
    assert desk.finish() == ["stop GPU box", "Jupyter on GPU box was stopped"]


@pytest.mark.parametrize(("answer", "stops"), [(None, 0), (Answer(), 1)])
def test_with_one_the_user_decides(answer: Answer | None, stops: int) -> None:
    desk = Desk(("thesis.ipynb",), answer)
    desk.stops.begin("GPU box")
    assert desk.asking.wait(30)
    desk.stops.begin("GPU box")  # again: the question is still there
    assert desk.log == ["front"]
    desk.may_answer.set()
    assert desk.finish().count("stop GPU box") == stops


def test_the_end_of_the_program_withdraws_the_question() -> None:
    desk = Desk(("thesis.ipynb",), Answer())
    desk.stops.begin("GPU box")
    assert desk.asking.wait(30)
    desk.stops.close()
    assert our_threads() == []
    assert desk.log == []


def test_what_hinders_it_is_told() -> None:
    desk = Desk()
    desk.problem = Problem("Jupyter does not answer", "")
    desk.stops.begin("GPU box")
    assert desk.finish() == ["Jupyter does not answer"]
