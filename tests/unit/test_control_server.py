"""What every transport must do, through the server and the client."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.control import PATIENCE, nothing_left, pipe_transport, serving, short_folder
from trayconnect.control.client import ControlClient, NotRunningError
from trayconnect.control.lock import InstanceLock
from trayconnect.control.protocol import REQUEST_MAX, ProtocolError, Reply, encode_request
from trayconnect.control.server import BROKEN, STOPPING, ControlServer, Exchange, Limits
from trayconnect.control.transport import (
    ControlConnection,
    ControlListener,
    Transport,
    default_transport,
)
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery

PING = Command("ping")


@pytest.fixture(params=["of this system", "pipe"])
def transport(request: pytest.FixtureRequest) -> Transport:
    return pipe_transport() if request.param == "pipe" else default_transport()


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path, nothing_left():
        yield path


@pytest.fixture
def client(folder: Path, transport: Transport) -> ControlClient:
    return ControlClient(folder, transport=transport)


def echo(command: Command, cancel: CancelToken) -> JSON:
    return [command.name, command.server, command.wait]


class Waiting:
    """A handler that answers PING at once, and holds everything else until it is cancelled."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.cancelled = threading.Semaphore(0)

    def __call__(self, command: Command, cancel: CancelToken) -> JSON:
        if command.name == "ping":
            return None
        self.entered.release()
        assert cancel.wait(PATIENCE)
        self.cancelled.release()
        raise Cancelled


def test_a_command_comes_through(folder: Path, transport: Transport, client: ControlClient) -> None:
    with serving(folder, echo, transport=transport):
        reply = client.call(Command("connect", "GPU böx\n", {"wait": 0.5}), PATIENCE)
    assert reply == Reply(ok=True, data=["connect", "GPU böx\n", 0.5])


def test_large_messages_come_whole(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    text = "x" * 3_000_000

    def handler(command: Command, cancel: CancelToken) -> JSON:
        return [command.server, text]

    with serving(folder, handler, transport=transport):
        name = "n" * (REQUEST_MAX - 100)
        assert client.call(Command("open", name), PATIENCE).data == [name, text]


def test_fifty_at_once_are_all_served(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    everyone = threading.Barrier(50)

    def handler(command: Command, cancel: CancelToken) -> JSON:
        everyone.wait(PATIENCE)
        return command.server

    names = [str(number) for number in range(50)]
    with serving(folder, handler, transport=transport), ThreadPoolExecutor(50) as pool:
        replies = pool.map(lambda name: client.call(Command("open", name), PATIENCE), names)
        assert [reply.data for reply in replies] == names


def test_a_problem_of_the_handler_is_the_reply(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    problem = Problem(
        "No server is called x", "See: trayconnect status", Recovery.USER_ACTION, "detail"
    )

    def handler(command: Command, cancel: CancelToken) -> JSON:
        raise ProblemError(problem)

    with serving(folder, handler, transport=transport):
        assert client.call(PING, PATIENCE) == Reply(ok=False, problem=problem)


@pytest.mark.parametrize("fault", ["raises", "not JSON", "too much"])
def test_a_broken_handler_is_logged_and_answered(
    folder: Path,
    transport: Transport,
    client: ControlClient,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    wrong: Any = object()
    values: dict[str, JSON] = {"not JSON": wrong, "too much": "x" * 5_000_000}

    def handler(command: Command, cancel: CancelToken) -> JSON:
        return values[fault]

    with serving(folder, handler, transport=transport):
        assert client.call(PING, PATIENCE) == BROKEN
        assert client.call(PING, PATIENCE) == BROKEN
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert all(record.exc_info for record in errors)


def test_a_client_that_hangs_up_cancels_its_handler(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    handler = Waiting()
    with serving(folder, handler, transport=transport):
        link = transport.connect(folder, PATIENCE)
        link.authenticate(PATIENCE)
        link.send(encode_request(Command("connect")), PATIENCE)
        assert handler.entered.acquire(timeout=PATIENCE)
        link.close()
        assert handler.cancelled.acquire(timeout=PATIENCE)
        assert client.call(PING, PATIENCE).ok


def test_a_client_gives_up_after_its_time(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    with (
        serving(folder, Waiting(), transport=transport),
        pytest.raises(ProblemError, match="does not answer"),
    ):
        client.call(Command("connect", "a", {"wait": 0.1}), 0.1)


def test_stop_has_those_who_wait_answered(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    handler = Waiting()
    with ThreadPoolExecutor(5) as pool:
        with serving(folder, handler, transport=transport):
            calls = [pool.submit(client.call, Command("connect"), PATIENCE) for _ in "12345"]
            for _ in calls:
                assert handler.entered.acquire(timeout=PATIENCE)
        assert [call.result(PATIENCE) for call in calls] == [STOPPING] * 5
    with pytest.raises(NotRunningError):
        client.call(PING)


def test_the_one_who_says_quit_still_gets_the_reply(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    def handler(command: Command, cancel: CancelToken) -> JSON:
        stopper.start()
        assert cancel.wait(PATIENCE)
        return "bye"

    with serving(folder, handler, transport=transport) as server:
        stopper = threading.Thread(target=server.stop)
        assert client.call(Command("quit"), PATIENCE).data == "bye"
        stopper.join(PATIENCE)


def test_silent_clients_keep_nobody_waiting(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    limits = Limits(request_seconds=10 * PATIENCE)
    with serving(folder, echo, transport=transport, limits=limits):
        silent = [transport.connect(folder, PATIENCE) for _ in range(10)]
        assert client.call(PING, PATIENCE).ok
        for link in silent:
            link.close()


def test_a_silent_client_is_dropped(folder: Path, transport: Transport) -> None:
    with serving(folder, echo, transport=transport, limits=Limits(request_seconds=0.1)):
        link = transport.connect(folder, PATIENCE)
        assert hangs_up(link)
        link.close()


def hangs_up(link: ControlConnection) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            link.receive(100, PATIENCE)
        except ProtocolError:
            continue  # what the handshake of a pipe begins with comes first
        except TimeoutError:
            return False
        except (EOFError, OSError):
            return True
    return False


def test_silent_clients_do_not_delay_stop(folder: Path, transport: Transport) -> None:
    limits = Limits(request_seconds=10 * PATIENCE, stop_seconds=PATIENCE)
    with serving(folder, echo, transport=transport, limits=limits) as server:
        silent = [transport.connect(folder, PATIENCE) for _ in range(10)]
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        stopping.join(PATIENCE / 2)
        assert not stopping.is_alive()
        for link in silent:
            link.close()


def test_one_too_many_is_hung_up_on_until_another_leaves(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def handler(command: Command, cancel: CancelToken) -> JSON:
        entered.set()
        assert leave.wait(PATIENCE)
        return None

    with (
        serving(folder, handler, transport=transport, limits=Limits(clients=1)),
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(client.call, PING, PATIENCE)
        assert entered.wait(PATIENCE)
        with pytest.raises(ProblemError, match="hung up") as caught:
            client.call(PING, PATIENCE)
        assert caught.value.problem.recovery is Recovery.RETRY
        leave.set()
        assert first.result(PATIENCE).ok
        deadline = time.monotonic() + PATIENCE
        while not answers(client):
            assert time.monotonic() < deadline


def answers(client: ControlClient) -> bool:
    try:
        return client.call(PING, PATIENCE).ok
    except ProblemError:
        return False


def test_the_app_may_open_a_window_for_what_it_is_asked(
    folder: Path, transport: Transport, client: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows keeps a program's windows behind those of the one that the user is using."""
    handed: list[bool] = []
    monkeypatch.setattr("trayconnect.control.client.let_come_forward", lambda: handed.append(True))
    with serving(folder, lambda *_: bool(handed), transport=transport):
        assert client.call(PING, PATIENCE).data is True


def test_without_an_app_it_says_so(folder: Path, client: ControlClient) -> None:
    with pytest.raises(NotRunningError) as caught:
        client.call(PING)
    assert str(caught.value) == "trayconnect is not running. Start it with: trayconnect"


def test_after_one_app_comes_another(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    for _ in range(3):
        with serving(folder, echo, transport=transport):
            assert client.call(PING, PATIENCE).ok
        with pytest.raises(NotRunningError):
            client.call(PING)
    assert [path.name for path in folder.iterdir()] == ["instance.lock"]


def test_a_request_too_large_is_not_even_sent(folder: Path, client: ControlClient) -> None:
    with pytest.raises(ProblemError, match="cannot be sent"):
        client.call(Command("open", "x" * REQUEST_MAX))


def test_the_lock_comes_first(folder: Path, transport: Transport) -> None:
    server = ControlServer(InstanceLock(folder), echo, transport=transport)
    with pytest.raises(RuntimeError, match="lock"):
        server.start()
    assert not list(folder.iterdir())
    server.stop()


def test_it_starts_once_and_stops_once(folder: Path, transport: Transport) -> None:
    with serving(folder, echo, transport=transport) as server:
        with pytest.raises(RuntimeError, match="once"):
            server.start()
        server.stop()
        server.stop()
        with pytest.raises(RuntimeError, match="once"):
            server.start()


def test_a_handler_cannot_stop_the_server_it_is_called_by(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    def handler(command: Command, cancel: CancelToken) -> JSON:
        with pytest.raises(RuntimeError, match="another thread"):
            server.stop()
        return None

    with serving(folder, handler, transport=transport) as server:
        assert client.call(PING, PATIENCE).ok


def test_a_place_that_cannot_be_listened_on_is_a_problem(
    folder: Path, transport: Transport
) -> None:
    for name in ("control.sock", "control.key"):
        (folder / name).mkdir()
    lock = InstanceLock(folder)
    assert lock.acquire()
    with pytest.raises(ProblemError, match="cannot be opened"):
        ControlServer(lock, echo, transport=transport).start()
    lock.release()


def test_a_handler_that_does_not_heed_its_cancel_does_not_hold_up_stop(
    folder: Path, transport: Transport, client: ControlClient, caplog: pytest.LogCaptureFixture
) -> None:
    entered, released = threading.Event(), threading.Event()

    def handler(command: Command, cancel: CancelToken) -> JSON:
        entered.set()
        released.wait(PATIENCE)
        return None

    threads: list[threading.Thread] = []
    limits = Limits(stop_seconds=0.1)
    with (
        ThreadPoolExecutor(1) as pool,
        serving(folder, handler, transport=transport, limits=limits) as server,
    ):
        call = pool.submit(client.call, PING, PATIENCE)
        assert entered.wait(PATIENCE)
        server.stop()
        assert "still runs" in caplog.text
        threads += [t for t in threading.enumerate() if t.name == "tc-control client"]
        released.set()
        assert call.exception(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)


def test_the_end_reaches_each_client_whatever_happens_to_another(
    folder: Path, transport: Transport, client: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, cancel = Waiting(), Exchange.cancel
    lock = InstanceLock(folder)
    assert lock.acquire()
    server = ControlServer(lock, handler, transport=transport)
    server.start()

    def cancel_badly(exchange: Exchange) -> None:
        assert server._guard.acquire(blocking=False)  # a handler's own callback may want it
        server._guard.release()
        cancel(exchange)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Exchange, "cancel", cancel_badly)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(client.call, Command("open"), PATIENCE) for _ in range(2)]
        for _ in calls:
            assert handler.entered.acquire(timeout=PATIENCE)
        with pytest.raises(ZeroDivisionError):
            server.stop()
        assert [call.result(PATIENCE) for call in calls] == [STOPPING, STOPPING]
    lock.release()
    with pytest.raises(NotRunningError):
        client.call(PING, PATIENCE)


def test_without_threads_nothing_listens(
    folder: Path, transport: Transport, client: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lock = InstanceLock(folder)
    assert lock.acquire()
    server = ControlServer(lock, echo, transport=transport)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="thread"):
            server.start()
    server.stop()
    lock.release()
    with pytest.raises(NotRunningError):
        client.call(PING, PATIENCE)


def test_a_stop_that_comes_within_the_start_stops_it(
    folder: Path, transport: Transport, client: ControlClient
) -> None:
    stops: list[threading.Thread] = []

    class Slow:
        connect = transport.connect

        def listen(self, folder: Path) -> ControlListener:
            stops.append(threading.Thread(target=server.stop))
            stops[0].start()
            stops[0].join(0.2)
            return transport.listen(folder)

    lock = InstanceLock(folder)
    assert lock.acquire()
    server = ControlServer(lock, echo, transport=Slow())
    server.start()
    stops[0].join(PATIENCE)
    lock.release()
    with pytest.raises(NotRunningError):
        client.call(PING, PATIENCE)
