"""Each word that a server can send, followed to where it leaves its room: none acts on a terminal,
forges a line, or reorders one."""

from __future__ import annotations

import dataclasses
import json
import socket
import struct
from collections.abc import Iterator

import pytest
from paramiko import Message
from paramiko.common import MSG_USERAUTH_FAILURE, MSG_USERAUTH_INFO_REQUEST

from tests.support.jupyter_peers import Peer, say
from tests.support.nulls import NoSecrets
from tests.support.servers import make_server
from trayconnect.control.status_json import to_json
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import Completed, Incoming, NotEndedError
from trayconnect.core.page import Page
from trayconnect.core.questions import Answer, Question
from trayconnect.services.http_client import Response, get
from trayconnect.services.jupyter import discovery, kernels, selection, start, start_errors, stop
from trayconnect.services.jupyter.presentation import table
from trayconnect.services.jupyter.readiness import jupyter_version
from trayconnect.services.webpage.direct import DirectConnector, check_direct
from trayconnect.ssh import connection_problems
from trayconnect.ssh.auth import login_problems
from trayconnect.ssh.auth.data_types import string
from trayconnect.ssh.auth.passwords import Passwords
from trayconnect.ssh.auth.userauth import Prompt, UserAuth
from trayconnect.ssh.connection_problems import nothing_in_common, old_protocol
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.offered_algorithms import AlgorithmOffer, missing
from trayconnect.ssh.transport.packetizer import Packetizer
from trayconnect.ssh.transport.ssh_transport import SshTransport, _Opening

EVIL = "\x1b]52;c;ZXZpbA==\x07\x9b2J\u202e\u2066\u2028\u200b\x7f\x00\x08OK  up\r\n * forged"
LATIN = "\x1b]52;c;ZXZpbA==\x07\x9b2J\x85\x7f\x08OK"  # what fits into HTTP's first line
SSH = EVIL.encode()
TARGET = LoginTarget("GPU box", "gpu", 22, "ada")


def harmless(value: object, *, lines: bool = False) -> None:
    """Raise if a text anywhere in `value` could act; `lines`: where it may have several."""
    if isinstance(value, str):
        kept = value.replace("\n", "") if lines else value
        assert kept.isprintable(), repr(value)
    elif dataclasses.is_dataclass(value):
        for one in dataclasses.fields(value):
            may = lines or one.name in ("advice", "detail", "message", "log")
            harmless(getattr(value, one.name), lines=may)
    elif isinstance(value, dict):
        for key, one in value.items():
            harmless(key)
            harmless(one, lines=lines or key == "advice")
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            harmless(one, lines=lines)


@pytest.fixture
def transport() -> Iterator[SshTransport]:
    """One that is not started: its messages are handed to it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = SshTransport(ours, name="test")
        yield transport
        transport.abort()


def uint32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


# --- Jupyter ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 302, 403, 500, 502, 503, 504])
def test_an_http_answer(status: int) -> None:
    head = f"HTTP/1.1 {status} {LATIN}\r\nX-Odd: {LATIN}\r\nLocation: {LATIN}\r\n\r\n"
    with Peer(say(head.encode("latin-1") + SSH)) as peer:
        url = f"http://{peer.authority}/"
        answer = get(url, timeout=30, cancel=CancelToken())
        harmless(answer.reason)
        harmless(dict(answer.headers))
        harmless(check_direct(url, CancelToken()))
        harmless(stop.losses(Page(url, "t0ken", url), CancelToken()))
        if status != 200:
            with pytest.raises(ProblemError) as raised:
                stop.shut_down(Page(url, "t0ken", url), CancelToken())
            harmless(raised.value.problem)


@pytest.mark.parametrize(
    "answer", [f"{LATIN}\r\n\r\n", f"HTTP/1.1 {LATIN}\r\n\r\n", f"HTTP/{LATIN} 200 OK\r\n\r\n"]
)
def test_what_is_no_http(answer: str) -> None:
    with Peer(say(answer.encode("latin-1"))) as peer:
        server = make_server(host=None, url=f"http://{peer.authority}/")
        with pytest.raises(ProblemError) as raised:
            DirectConnector().connect(server, ask=_answered, cancel=CancelToken(), on_lost=print)
        harmless(raised.value.problem)
        harmless(str(raised.value.__cause__))


def test_what_jupyter_says_of_itself() -> None:
    body = json.dumps({"version": EVIL * 100}).encode()
    version = jupyter_version(Response(200, "OK", body))
    harmless(version)
    assert len(version or "") <= discovery.VERSION_LENGTH
    session = {"kernel": {"id": "k"}, "path": EVIL, "name": EVIL, "type": EVIL}
    names = kernels.notebooks(json.dumps([session]).encode())
    harmless(names)
    one = {"id": "k", "name": EVIL, "execution_state": EVIL, "last_activity": EVIL}
    harmless(kernels.kernels(json.dumps([one]).encode(), names))
    harmless(kernels.kernels(json.dumps([one | {"id": EVIL}]).encode(), {}))
    harmless(stop._name(session))


@pytest.mark.parametrize(
    "field", ["base_url", "hostname", "root_dir", "notebook_dir", "sock", "token", "url", "version"]
)
def test_what_the_search_prints(field: str) -> None:
    info = {"pid": 7, "port": 8888, "root_dir": "/w", "base_url": "/", "version": "2"}
    text = json.dumps(info | {field: EVIL})
    about = f"@@listens proc 0100007F:22B8\n@@hub {EVIL}\n@@born {EVIL}\n@@socket {EVIL}"
    output = (
        f"{EVIL}\n@@trayconnect find 2\n@@order 1\n@@home {EVIL}\n"
        f"@@server 7\n{about}\n@@file\n{text}\n@@end\n@@strangers {EVIL}\n@@done\n"
    )
    found = discovery.parse(output)
    harmless(found)
    jupyters = selection.listing(found.servers, None, found.home)
    harmless(jupyters)
    harmless(table(jupyters))
    harmless(to_json([]))


@pytest.mark.parametrize("slow", [True, False])
def test_what_a_login_shell_says(slow: bool) -> None:
    def execute(command: str, stdin: bytes, timeout: float) -> Completed:
        completed = Completed(1, SSH, SSH)
        if slow:
            raise NotEndedError(Problem("x", "y"), completed)
        return completed

    with pytest.raises(ProblemError) as raised:
        discovery.find(execute, "gpu")
    harmless(raised.value.problem)


@pytest.mark.parametrize(
    "end", ["@@failed 1", "@@failed 127", "@@failed 72", "@@failed 71", "@@failed 126", "@@timeout"]
)
def test_what_the_start_prints(end: str) -> None:
    log = f"{EVIL}\nModuleNotFoundError: {EVIL}\nPermissionError: {EVIL}\n" * 300
    output = f"\n@@trayconnect start 1\n@@looked {EVIL}:/x\n@@way {EVIL}\n@@sock {EVIL}\n{end}\n"
    started = start.parse(f"{output}@@log\n{log}\n@@end\n".replace("\r", ""))
    harmless(started)
    assert started.answered
    harmless(start_errors.failure(started, make_server(), 1.0))
    harmless(start_errors.launcher_text(started, "x"))


# --- SSH --------------------------------------------------------------------------------------


def test_the_lines_before_ssh() -> None:
    for first in (SSH.replace(b"\n", b"") + b"\r\n", b"SSH-1.5-" + LATIN.encode() + b"\r\n"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(first)
            packets = Packetizer(ours)
            packets.readline(30)
            packets.end()
        (line,) = packets.greeting
        harmless(line)
        for problem in (
            connection_problems.not_ssh,
            connection_problems.busy,
            old_protocol,
        ):
            harmless(problem(TARGET, line).problem)


def test_the_list_of_its_algorithms() -> None:
    theirs = {"kex_algo_list": [EVIL], "server_key_algo_list": [EVIL] * 1000}
    harmless(nothing_in_common(TARGET, missing(theirs, AlgorithmOffer())).problem)


def test_its_goodbye_and_its_refusals(transport: SshTransport) -> None:
    transport._parse_disconnect(Message(uint32(2) + string(SSH)))
    harmless(transport.reason())
    number, channel = transport._new_channel()
    opening = transport._openings[number] = _Opening(channel)
    transport._refused(Message(uint32(number, 1) + string(SSH)))
    harmless(str(opening.refusal))
    for code in range(6):
        error = connection_problems.not_forwarded(
            TARGET, TcpEndpoint("a", 1), code, str(opening.refusal)
        )
        harmless(error.problem)


def test_who_connects_to_a_remote_forward(transport: SshTransport) -> None:
    seen: list[Incoming] = []
    transport.listening._callbacks[TcpEndpoint("", 8000)] = seen.append
    fields = string(b"") + uint32(8000) + string(SSH) + uint32(9)
    transport.listening.arrived(Message(string(b"forwarded-tcpip") + uint32(1, 2, 3) + fields))
    harmless(seen[0].origin)
    for kind in (SSH, b"\xff\xfe", b"forwarded-streamlocal@openssh.com"):
        rest = string(kind) + uint32(2, 2, 3) + string(b"\xff" + SSH)
        transport.listening.arrived(Message(rest))


@pytest.mark.parametrize("ask", ["interactive", "password"])
def test_the_login(transport: SshTransport, ask: str) -> None:
    auth = UserAuth(transport, "ada", 5.0)
    auth._bannered(Message(string(SSH) + string(b"")))
    harmless(auth.banner, lines=True)
    seen: list[Prompt] = []

    def respond(prompt: Prompt) -> tuple[str, ...]:
        seen.append(prompt)
        return ("x",)

    questions = string(SSH) * 3 + uint32(1) + string(SSH) + b"\0"
    auth._handler_table[MSG_USERAUTH_INFO_REQUEST](Message(questions))
    auth._handler_table[MSG_USERAUTH_FAILURE](Message(string(SSH) + b"\0"))
    if ask == "interactive":
        result = auth.interactive(respond)
        harmless(result.allowed)
        harmless(seen, lines=True)
        passwords = Passwords(TARGET, make_server().auth, NoSecrets(), _answered)
        passwords.respond(seen[0])
    else:
        with pytest.raises(Exception, match="OK") as raised:
            auth.password("x")
        harmless(login_problems.password_expired(TARGET, str(raised.value)).problem)
    tried = login_problems.Tried(server_message=auth.banner)
    harmless(login_problems.login_refused(TARGET, tried, ["x"]).problem)


def _answered(question: Question) -> Answer:
    harmless(question, lines=True)
    return Answer(("x",) * len(question.fields))
