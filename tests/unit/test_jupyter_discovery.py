"""Reading what the search prints: whom a token may go to, and nothing ever breaks."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.jupyter_peers import find_output
from trayconnect.core import remote_script
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import Completed, NotEndedError
from trayconnect.services.jupyter.discovery import RunningServer, find, parse, script

INFO: dict[str, Any] = {
    "base_url": "/",
    "hostname": "localhost",
    "password": False,
    "pid": 77,
    "port": 8888,
    "root_dir": "/home/ada/thesis",
    "secure": False,
    "sock": "",
    "token": "t0ken",
    "url": "http://localhost:8888/",
    "version": "2.21.1",
}


def output(
    listens: str,
    info: object = INFO,
    *about_it: str,
    order: str = "1",
    pid: object = 77,
) -> str:
    text = info if isinstance(info, str) else json.dumps(info, indent=2)
    head = f"\n@@trayconnect find 2\n@@order {order}\n@@home /home/ada\n"
    about = "\n".join([f"@@server {pid}", f"@@listens {listens}", *about_it, "@@file"])
    return f"{head}{about}\n{text}\n@@end\n@@done\n"


def with_(**changes: Any) -> dict[str, Any]:
    return INFO | changes


def only(text: str) -> RunningServer:
    (server,) = parse(text).servers
    return server


def test_a_running_server() -> None:
    assert only(output("proc 0100007F:22B8")) == RunningServer(
        host="127.0.0.1",
        port=8888,
        token="t0ken",
        base_url="/",
        root_dir="/home/ada/thesis",
        secure=False,
        pid=77,
        version="2.21.1",
    )


def test_the_token_does_not_show() -> None:
    assert "t0ken" not in repr(only(output("proc 0100007F:22B8")))


@pytest.mark.parametrize(
    ("listens", "order", "host"),
    [
        ("proc 0100007F:22B8", "1", "127.0.0.1"),
        ("proc 7F000001:22B8", "256", "127.0.0.1"),
        ("proc 00000000:22B8", "1", "127.0.0.1"),
        ("proc 0500000A:22B8", "1", "10.0.0.5"),
        ("proc 0A000005:22B8", "256", "10.0.0.5"),
        ("proc 00000000000000000000000001000000:22B8", "1", "::1"),
        ("proc 00000000000000000000000000000001:22B8", "256", "::1"),
        ("proc 00000000000000000000000000000000:22B8", "1", "::1"),
        ("proc 0000000000000000FFFF00000100007F:22B8", "1", "127.0.0.1"),
        ("proc 0500000A:22B8 0100007F:22B8", "1", "127.0.0.1"),
        ("proc 00000000000000000000000001000000:22B8 0100007F:22B8", "1", "127.0.0.1"),
        ("proc 0100007F:1F40 00000000000000000000000001000000:22B8", "1", "::1"),
        ("proc rubbish 0100007F:22B8 :: x:y", "1", "127.0.0.1"),
        ("lsof 127.0.0.1:8888", "1", "127.0.0.1"),
        ("lsof *:8888", "1", "127.0.0.1"),
        ("lsof [::1]:8888", "1", "::1"),
        ("lsof 10.0.0.5:8888 nonsense :", "1", "10.0.0.5"),
    ],
)
def test_the_address_it_listens_on(listens: str, order: str, host: str) -> None:
    server = only(output(listens, order=order))
    assert (server.host, server.token) == (host, "t0ken")


@pytest.mark.parametrize(
    "listens", ["proc", "proc 0100007F:22B9", "proc 0100007F", "lsof", "lsof 127.0.0.1:88"]
)
def test_a_port_that_is_not_its_own_is_stale(listens: str) -> None:
    assert parse(output(listens)).servers == ()


@pytest.mark.parametrize("listens", ["unknown", "", "netstat 127.0.0.1:8888"])
def test_without_proof_no_token(listens: str) -> None:
    server = only(output(listens))
    assert (server.host, server.port, server.token) == ("localhost", 8888, "")


@pytest.mark.parametrize(
    "info",
    [
        "",
        "{",
        json.dumps(INFO)[:-20],
        "[" * 100_000,
        "[]",
        "null",
        '{"port": ' + "9" * 5000 + "}",
        "\x00\ufffd",
        with_(port="8888"),
        with_(port=True),
        with_(port=None),
        with_(port=-1),
        with_(port=65536),
        with_(pid=78),
    ],
)
def test_a_runtime_file_that_is_no_use(info: object) -> None:
    assert parse(output("proc 0100007F:22B8", info)).servers == ()


SOCKET = "/tmp/tc 0/jupyter.sock"


def on_socket(*about_it: str, **changes: Any) -> str:
    return output("proc", with_(sock=SOCKET, **changes), *about_it)


def test_on_a_unix_socket() -> None:
    server = only(on_socket("@@socket /tmp/other", f"@@socket {SOCKET}", "@@kernels 3"))
    assert (server.where, server.socket, server.host, server.port) == (SOCKET, SOCKET, "", 0)
    assert (server.token, server.kernels) == ("t0ken", 3)


@pytest.mark.parametrize(
    "text",
    [
        on_socket(),
        on_socket("@@socket /tmp/tc"),
        on_socket(f"@@socket {SOCKET}x"),
        on_socket(f"@@listens proc @@socket {SOCKET}"),
        output("proc 0100007F:22B8", with_(sock="jupyter.sock"), "@@socket jupyter.sock"),
        output("proc 0100007F:22B8", with_(sock=["/s"]), "@@socket /s"),
    ],
)
def test_a_socket_that_is_not_its_own_is_stale(text: str) -> None:
    assert parse(text).servers == ()


@pytest.mark.parametrize(
    ("about", "kernels"),
    [("@@kernels 0", 0), ("@@kernels 12", 12), ("@@kernels", None), ("@@kernels -1", None)],
)
def test_kernels(about: str, kernels: int | None) -> None:
    assert only(output("proc 0100007F:22B8", INFO, about)).kernels == kernels
    assert only(output("proc 0100007F:22B8")).kernels is None


@pytest.mark.parametrize(
    ("about", "hub"),
    [
        ((), None),
        (("@@hub",), ""),
        (("@@hub", "@@hub https://hub.example/user/ada/"), "https://hub.example/user/ada/"),
    ],
)
def test_of_a_hub(about: tuple[str, ...], hub: str | None) -> None:
    assert only(output("proc 0100007F:22B8", INFO, *about)).hub == hub


def test_the_home_folder() -> None:
    assert parse(output("proc")).home == "/home/ada"
    assert parse("").home == ""


@pytest.mark.parametrize("pid", ["", "x", "-1", "9" * 10_000, "٣"])
def test_a_process_number_that_is_none(pid: str) -> None:
    assert parse(output("proc 0100007F:22B8", INFO, pid=pid)).servers == ()


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"base_url": "/user/ada/"}, "base_url", "/user/ada/"),
        ({"base_url": "user/ada"}, "base_url", "/user/ada/"),
        ({"base_url": 3}, "base_url", "/"),
        ({"base_url": "/a\r\nHost: b/"}, "base_url", "/"),
        ({"secure": True}, "secure", True),
        ({"secure": "no"}, "secure", False),
        ({"token": ""}, "token", ""),
        ({"token": "two words"}, "token", ""),
        ({"token": "line\nbreak"}, "token", ""),
        ({"token": None}, "token", ""),
        ({"version": None}, "version", ""),
        ({"root_dir": None, "notebook_dir": "/n"}, "root_dir", "/n"),
        ({"notebook_dir": "/n"}, "is_classic", True),
        ({}, "is_classic", False),
        ({"port": 0}, "port", 8888),
    ],
)
def test_odd_values(changes: dict[str, Any], name: str, value: object) -> None:
    assert getattr(only(output("proc 0100007F:22B8", with_(**changes))), name) == value


def test_port_0_says_nothing_where_several_listen() -> None:
    text = output("proc 0100007F:22B8 0100007F:22B9", with_(port=0))
    assert parse(text).servers == ()


def test_a_noisy_login_and_several_servers() -> None:
    infos = [with_(pid=1, port=9001), with_(pid=2, port=9002), with_(pid=1, port=9001)]
    text = "@@server 5\r\n" + find_output(*infos).decode().replace("\n", "\r\n") + "bye\n@@server"
    assert [server.port for server in parse(text).servers] == [9001, 9002]


def test_cut_off_in_the_middle() -> None:
    text = find_output(with_(pid=1, port=9001), with_(pid=2, port=9002)).decode()
    assert [server.port for server in parse(text[: text.rindex("@@end")]).servers] == [9001]


@pytest.mark.parametrize("text", ["", "exec: not found\n", "'exec' is not recognized\r\n"])
def test_no_shell_there(text: str) -> None:
    assert parse(text).servers == ()


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    parse(text)
    parse(f"\n@@trayconnect find 2\n{text}")
    parse(output("proc 0100007F:22B8", text))
    parse(output(text.replace("\n", " ")))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_value_of_any_key_is_read(value: object) -> None:
    for key in INFO:
        parse(output("proc 0100007F:22B8", with_(**{key: value})))


def test_a_hostile_far_end_takes_no_long() -> None:
    parse("\n@@trayconnect find 2\n" + "\n@@server 1\n@@listens proc\n" * 40_000)


def test_the_command() -> None:
    seen: list[tuple[str, bytes, float]] = []

    def execute(command: str, stdin: bytes, timeout: float) -> Completed:
        seen.append((command, stdin, timeout))
        return Completed(0, b"\xff\xfe\n" + find_output(INFO), b"noise")

    assert [server.port for server in find(execute, "gpu").servers] == [8888]
    ((command, stdin, timeout),) = seen
    assert command == remote_script.COMMAND
    assert stdin == remote_script.stdin(script("process.sh", "find.sh"))
    assert b"\r" not in stdin
    assert 0 < timeout <= 60


def test_a_command_that_fails() -> None:
    def execute(command: str, stdin: bytes, timeout: float) -> Completed:
        raise ProblemError(Problem("No commands here", ""))

    with pytest.raises(ProblemError):
        find(execute, "gpu")


@pytest.mark.parametrize(
    ("stdout", "stderr", "words"),
    [
        (b"This account is currently not available.\n", b"", "not available"),
        (b"", b"open terminal failed: not a terminal\n", "needs a terminal"),
        (b"", b"", "runs no commands"),
        (b"\x1b]52;c;aGk=\x07Project?\n" * 9999, b"", "Project?"),
        (find_output(INFO).removesuffix(b"@@done\n"), b"", "did not run the search"),
    ],
)
def test_a_shell_that_does_not_run_the_search(stdout: bytes, stderr: bytes, words: str) -> None:
    with pytest.raises(ProblemError) as caught:
        find(lambda *_: Completed(1, stdout, stderr), "gpu")
    problem = caught.value.problem
    assert problem.title == "The login shell of gpu did not run the search for Jupyter"
    assert words in str(problem)
    assert all(line.isprintable() and len(line) < 400 for line in problem.advice.splitlines())


def test_a_shell_that_does_not_end() -> None:
    def ended_late(stdout: bytes) -> NoReturn:
        problem = Problem("A command on gpu did not end within 60 s", "")
        raise NotEndedError(problem, Completed(-1, stdout, b"Which project? "))

    with pytest.raises(ProblemError) as caught:
        find(lambda *_: ended_late(b"Welcome"), "gpu")
    assert caught.value.problem.title == "The login shell of gpu was not ready within 60 s"
    assert "Which project?" in caught.value.problem.detail
    # All was found, and something goes on.
    assert find(lambda *_: ended_late(find_output(INFO)), "gpu").servers
