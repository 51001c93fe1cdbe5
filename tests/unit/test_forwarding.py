"""A session's forwards, with plain TCP in the place of the tunnel."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time

import pytest

from tests.support.carrier import MakeLink, NoCarrier
from tests.support.forwarding import (
    LIMIT,
    Service,
    a_server,
    dial,
    echo,
    eventually,
    fill,
    held,
    listening,
    open_now,
    read_all,
    refuse,
    was_reset,
)
from tests.support.ports import free_port
from tests.support.systems import names_port_owners, resets_sockets
from tests.support.threads import our_threads
from trayconnect.config.forward_model import Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import Server
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import LostError, NoPage, Own
from trayconnect.core.sockets import set_reset_on_close
from trayconnect.forwarding.connections import Connections, Target
from trayconnect.forwarding.forwarding import listen
from trayconnect.forwarding.listener import LocalListener
from trayconnect.forwarding.local_client import LocalClient
from trayconnect.forwarding.workers import Workers

pytestmark = pytest.mark.usefixtures("leaves_nothing")


def answers(client: socket.socket, question: bytes = b"ping") -> bool:
    client.sendall(question)
    return client.recv(100) == question


def is_reset_by(server: Server) -> bool:
    """Whether a new connection ends with a reset, which may overtake the end of `connect`."""
    try:
        with dial(server) as client:
            return was_reset(client)
    except ConnectionResetError:
        return True


# --- where it goes ------------------------------------------------------------------------------


def test_each_port_leads_to_its_own_target(service: Service, link: MakeLink) -> None:
    board = {"name": "TensorBoard", "local_port": free_port(), "host": "inner", "port": 6006}
    server = a_server(forwards=[board])
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        with dial(server) as first, dial(server, server.forwards[0].local_port) as second:
            assert answers(first)
            assert answers(second)
            assert set(service.asked) == {TcpEndpoint("far", 8888), TcpEndpoint("inner", 6006)}
            assert set(service.origins) == {first.getsockname(), second.getsockname()}


def test_it_binds_the_address_of_the_file_and_no_other(service: Service, link: MakeLink) -> None:
    server = a_server(bind_address="::1", local_port=free_port("::1"))
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        with dial(server) as client:
            assert answers(client)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.local_port), LIMIT)


def test_a_direct_connection_has_no_ports(link: MakeLink) -> None:
    server = a_server(host=None, url="http://127.0.0.1:1/")
    with listening(server) as forwarding:
        forwarding.attach(link(refuse))
        forwarding.set_target(Own(TcpEndpoint("far", 1)))
        forwarding.detach()
        with pytest.raises(ConnectionRefusedError):
            dial(server)


@names_port_owners
def test_when_one_port_is_taken_none_is_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        board = {"name": "TensorBoard", "local_port": other.getsockname()[1], "port": 6006}
        server = a_server(forwards=[board])
        with pytest.raises(ProblemError, match=f"PID {os.getpid()}"):
            listen(server)
    with pytest.raises(ConnectionRefusedError):
        dial(server)


def test_of_those_that_need_not_be_had_the_rest_leads_where_it_should(
    service: Service, link: MakeLink
) -> None:
    server = a_server(forwards=[{"name": "first", "local_port": free_port(), "port": 1}])
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        also = [
            Forward(name="taken", local_port=taken, port=2),
            Forward(name="remote", kind=Kind.REMOTE, remote_port=taken, port=3),
            Forward(name="nowhere", local_port=free_port(), bind_address="192.0.2.7", port=4),
            Forward(name="last", local_port=free_port(), port=5),
        ]
        forwarding = listen(server, also=also)
        forwarding.attach(link(service.dial))
        assert [name for name, _ in forwarding.unbound_forwards] == ["taken", "nowhere"]
        assert all(
            "SSH configuration" in problem.advice for _, problem in forwarding.unbound_forwards
        )
        with dial(server, also[3].local_port) as last:
            assert answers(last)
        assert service.asked == [TcpEndpoint("localhost", 5)]
        forwarding.close()


def test_no_threads_left_is_said_and_unbinds(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    server = a_server()
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(ProblemError, match="The local ports of box cannot be served"):
        listen(server)
    monkeypatch.undo()
    listen(server).close()


def test_the_port_is_free_again_after_close(service: Service, link: MakeLink) -> None:
    server = a_server()
    for _ in range(3):
        with listening(server) as forwarding:
            forwarding.attach(link(service.dial))
            with dial(server) as client:
                assert answers(client)


# --- holding ------------------------------------------------------------------------------------


def test_held_ones_are_served_in_the_order_of_their_arrival(
    service: Service, monkeypatch: pytest.MonkeyPatch, link: MakeLink
) -> None:
    served: list[tuple[str, int]] = []
    serve = Connections.serve

    def noting_the_order(self: Connections, client: LocalClient, target: Target) -> bool:
        if self.has_link:
            served.append(client.origin)
        return serve(self, client, target)

    monkeypatch.setattr(Connections, "serve", noting_the_order)
    server = a_server()
    clients: list[socket.socket] = []
    with listening(server) as forwarding:
        for number in range(1, 6):
            clients.append(dial(server))
            held(forwarding, number)
        clients[2].sendall(b"early")
        forwarding.attach(link(service.dial))
        assert clients[2].recv(100) == b"early"
        assert all(answers(client) for client in clients)
        assert served == [client.getsockname() for client in clients]
        held(forwarding, 0)
        for client in clients:
            client.close()


@resets_sockets
def test_a_held_connection_ends_when_its_time_is_over() -> None:
    server = a_server(hold_seconds=0.2)
    with listening(server) as forwarding:
        began = time.monotonic()
        with dial(server) as client:
            assert was_reset(client)
        assert time.monotonic() - began >= 0.2
        held(forwarding, 0)


@resets_sockets
def test_a_client_that_hung_up_is_dropped_without_a_channel(
    service: Service, link: MakeLink
) -> None:
    server = a_server()
    with listening(server) as forwarding:
        silent, talkative, patient = dial(server), dial(server), dial(server)
        talkative.sendall(b"GET / HTTP/1.1\r\n\r\n")
        held(forwarding, 3)
        silent.close()
        talkative.close()
        forwarding.attach(link(service.dial))
        with patient:
            assert answers(patient)
            assert service.origins == [patient.getsockname()]


def test_a_held_client_that_finished_sending_is_served(service: Service, link: MakeLink) -> None:
    server = a_server()
    with listening(server) as forwarding, dial(server) as client:
        client.sendall(b"all I have")
        client.shutdown(socket.SHUT_WR)
        held(forwarding, 1)
        forwarding.attach(link(service.dial))
        assert read_all(client) == b"all I have"


def test_an_unknown_jupyter_port_holds_until_it_is_found(service: Service, link: MakeLink) -> None:
    board = {"name": "TensorBoard", "local_port": free_port(), "port": 6006}
    server = a_server(jupyter={"port": "auto"}, forwards=[board])
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        with dial(server) as client, dial(server, server.forwards[0].local_port) as other:
            held(forwarding, 1)
            assert answers(other)
            forwarding.set_target(Own(TcpEndpoint("inner", 8890)))
            assert answers(client)
            assert service.asked == [TcpEndpoint("localhost", 6006), TcpEndpoint("inner", 8890)]
            forwarding.set_target(Own(TcpEndpoint("inner", 8891)))
            with dial(server) as later:
                assert answers(later)
            assert service.asked[-1] == TcpEndpoint("inner", 8891)
        # Another Jupyter may listen there by the time of the next link.
        forwarding.detach()
        forwarding.attach(link(service.dial))
        with dial(server) as next_client:
            held(forwarding, 1)
            forwarding.set_target(Own(TcpEndpoint("inner", 8892)))
            assert answers(next_client)
        assert service.asked[-1] == TcpEndpoint("inner", 8892)


def test_jupyter_may_be_behind_another_link(service: Service, link: MakeLink) -> None:
    board = {"name": "TensorBoard", "local_port": free_port(), "host": "inner", "port": 6006}
    server = a_server(jupyter={"port": "auto"}, forwards=[board])
    with Service(echo) as node, listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        lost = link(node.dial)
        forwarding.set_target(Own(TcpEndpoint("localhost", 1), through=lost))
        with dial(server) as client, dial(server, server.forwards[0].local_port) as other:
            assert answers(client)
            assert answers(other)
        assert node.asked == [TcpEndpoint("localhost", 1)]
        assert service.asked == [TcpEndpoint("inner", 6006)]
        lost.end()
        with dial(server) as client, dial(server, server.forwards[0].local_port) as other:
            held(forwarding, 1)
            assert answers(other)
            forwarding.set_target(Own(TcpEndpoint("localhost", 2), through=link(node.dial)))
            assert answers(client)
        assert node.asked[-1] == TcpEndpoint("localhost", 2)


def test_forwards_to_the_node_of_a_job_need_no_jupyter_that_answers(
    service: Service, link: MakeLink
) -> None:
    board = {"name": "TensorBoard", "local_port": free_port(), "port": 6006}
    server = a_server(batch={"system": "slurm"}, jupyter={}, forwards=[board])
    port = server.forwards[0].local_port
    silent = Problem("Jupyter does not answer", "")
    with Service(echo) as node, listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        to_node = link(node.dial)
        with dial(server, port) as early:
            held(forwarding, 1)
            forwarding.set_target(NoPage.of(silent, to_node))
            assert answers(early)
        lost = Problem("The job is queued", "")
        forwarding.set_target(NoPage.of(lost, None))
        with dial(server, port) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"The job is queued" in read_all(client)
        assert node.asked == [TcpEndpoint("localhost", 6006)]
        assert service.asked == []


def test_forwards_follow_an_entry_that_gets_and_loses_its_batch(
    service: Service, link: MakeLink
) -> None:
    board = {"name": "TensorBoard", "local_port": free_port(), "port": 6006}
    server = a_server(jupyter={"port": "auto"}, forwards=[board])
    port = server.forwards[0].local_port
    with Service(echo) as node, listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        forwarding.set_target(Problem("No Jupyter runs", ""))
        for through, there in ((None, service), (link(node.dial), node), (None, service)):
            forwarding.set_target(Own(TcpEndpoint("localhost", 1), through=through))
            with dial(server, port) as client:
                assert answers(client)
            assert there.asked.pop() == TcpEndpoint("localhost", 6006)
        forwarding.set_target(Problem("No Jupyter runs", ""))
        with dial(server, port) as client:
            assert answers(client)


# --- tunnels come and go ------------------------------------------------------------------------


@resets_sockets
def test_the_end_of_the_link_ends_transfers_and_holds_the_next_ones(
    service: Service, link: MakeLink
) -> None:
    server = a_server()

    def flood(sock: socket.socket) -> None:
        while True:
            sock.sendall(bytes(65536))

    with Service(flood) as flooding, listening(server) as forwarding:
        first = link(flooding.dial)
        forwarding.attach(first)
        with dial(server) as reading, dial(server) as stalled:
            reading.recv(65536)
            open_now(first, 2)
            first.end()
            assert was_reset(reading)
            assert was_reset(stalled)
        forwarding.detach()
        with dial(server) as client:
            held(forwarding, 1)
            forwarding.attach(link(service.dial))
            assert answers(client)


def test_the_next_tunnel_serves_the_next_connections(service: Service, link: MakeLink) -> None:
    server = a_server()
    with listening(server) as forwarding:
        first, second = link(service.dial), link(service.dial)
        forwarding.attach(first)
        with dial(server) as old:
            assert answers(old)
            forwarding.attach(second)
            first.end()
            with dial(server) as new:
                assert answers(new)
                open_now(second, 1)


@pytest.mark.parametrize("outcome", ["opened too late", "failed"])
def test_one_whose_tunnel_went_before_its_channel_came_waits_for_the_next(
    service: Service, outcome: str, link: MakeLink
) -> None:
    asked, answer = threading.Event(), threading.Event()
    refusals: list[Problem] = []
    server = a_server()

    def slow(target: Endpoint, origin: tuple[str, int]) -> socket.socket:
        asked.set()
        assert answer.wait(LIMIT)
        if outcome == "failed":
            return refuse(target, origin)
        return service.dial(target, origin)

    with listening(server, on_refused=refusals.append) as forwarding, dial(server) as client:
        client.sendall(b"hello")
        first = link(slow)
        forwarding.attach(first)
        assert asked.wait(LIMIT)
        first.end()
        forwarding.detach()
        answer.set()
        held(forwarding, 1)
        forwarding.attach(link(service.dial))
        assert client.recv(100) == b"hello"
    assert refusals == []


def test_one_that_comes_between_a_loss_and_the_word_of_it_waits_for_the_next_tunnel(
    service: Service, link: MakeLink
) -> None:
    refusals: list[Problem] = []
    server = a_server()

    def lost(target: Endpoint, origin: tuple[str, int]) -> socket.socket:
        raise LostError(Problem("The connection to far was lost", ""))

    with listening(server, on_refused=refusals.append) as forwarding:
        forwarding.attach(link(lost))
        with dial(server) as client:
            held(forwarding, 1)
            forwarding.detach()
            forwarding.attach(link(service.dial))
            assert answers(client)
    assert refusals == []


@resets_sockets
def test_one_given_back_still_has_its_deadline(link: MakeLink) -> None:
    asked, answer = threading.Event(), threading.Event()
    server = a_server(hold_seconds=0.1)

    def slow(target: Endpoint, origin: tuple[str, int]) -> socket.socket:
        asked.set()
        assert answer.wait(LIMIT)
        return refuse(target, origin)

    with listening(server) as forwarding:
        first = link(slow)
        forwarding.attach(first)
        with dial(server) as client:
            assert asked.wait(LIMIT)
            first.end()
            forwarding.detach()
            answer.set()
            assert was_reset(client)


@resets_sockets
def test_a_refused_channel_resets_the_client_and_tells_why(link: MakeLink) -> None:
    refusals: list[Problem] = []
    server = a_server()
    with listening(server, on_refused=refusals.append) as forwarding:
        forwarding.attach(link(refuse))
        assert is_reset_by(server)
        eventually(lambda: refusals, "the reason")
    assert [each.title for each in refusals] == ["Nothing answers on far:8888 at the server"]


@resets_sockets
def test_the_same_refusal_is_told_once_a_tunnel(
    caplog: pytest.LogCaptureFixture, link: MakeLink
) -> None:
    caplog.set_level(logging.INFO, "trayconnect.forwarding.connections")
    refusals: list[Problem] = []
    server = a_server()
    with listening(server, on_refused=refusals.append) as forwarding:
        for count in (2, 3):
            forwarding.attach(link(refuse))
            refusals.clear()
            for _ in range(count):
                assert is_reset_by(server)
            eventually(lambda count=count: len(refusals) == count, "the reasons")  # type: ignore[misc]
    assert caplog.text.count("Nothing answers on far:8888") == 2


# --- many, stalled, counted, closed -------------------------------------------------------------


def test_a_stalled_connection_holds_up_no_other(service: Service, link: MakeLink) -> None:
    asked, answer = threading.Event(), threading.Event()
    server = a_server()

    def stalls_first(target: Endpoint, origin: tuple[str, int]) -> socket.socket:
        if not asked.is_set():
            asked.set()
            assert answer.wait(LIMIT)
        return service.dial(target, origin)

    with listening(server) as forwarding:
        forwarding.attach(link(stalls_first))
        with dial(server) as opening:
            assert asked.wait(LIMIT)
            with dial(server) as unread:
                fill(unread)
                with dial(server) as quick:
                    assert answers(quick)
            answer.set()
            assert answers(opening)


def test_two_hundred_at_once(service: Service, link: MakeLink) -> None:
    server = a_server()
    with listening(server) as forwarding:
        carrier = link(service.dial)
        forwarding.attach(carrier)
        clients = [dial(server) for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        for number, client in enumerate(clients):
            assert client.recv(100) == b"%d" % number
        open_now(carrier, 200)
        for client in clients:
            client.close()
        open_now(carrier, 0)


@resets_sockets
def test_close_ends_the_held_ones(service: Service, link: MakeLink) -> None:
    server = a_server()
    forwarding = listen(server)
    clients = [dial(server) for _ in range(100)]
    held(forwarding, 100)
    forwarding.close()
    assert all(was_reset(client) for client in clients)
    for client in clients:
        client.close()
    forwarding.close()
    forwarding.attach(link(service.dial))
    forwarding.detach()
    held(forwarding, 0)


@resets_sockets
@pytest.mark.parametrize("outcome", ["refused", "lost"])
def test_one_whose_channel_is_refused_after_close_is_reset(link: MakeLink, outcome: str) -> None:
    asked, answer = threading.Event(), threading.Event()
    server = a_server()

    def slow(target: Endpoint, origin: tuple[str, int]) -> socket.socket:
        asked.set()
        assert answer.wait(LIMIT)
        return refuse(target, origin)

    carrier = link(slow)
    forwarding = listen(server)
    forwarding.attach(carrier)
    with dial(server) as client:
        assert asked.wait(LIMIT)
        forwarding.close()
        if outcome == "lost":
            carrier.end()
        answer.set()
        assert was_reset(client)


@resets_sockets
def test_an_idle_tunnel_has_no_thread_of_the_forwards(service: Service, link: MakeLink) -> None:
    server = a_server(hold_seconds=0.05)
    with listening(server) as forwarding:
        assert our_threads() == ["tc-listener box"]
        with dial(server) as client:
            assert was_reset(client)
        forwarding.attach(link(service.dial))
        with dial(server) as client:
            assert answers(client)
            eventually(lambda: our_threads() == [], "the end of the threads")
        forwarding.detach()
        assert our_threads() == ["tc-listener box"]


def test_clients_that_reset_at_once_do_no_harm(service: Service, link: MakeLink) -> None:
    server = a_server()
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        for _ in range(50):
            client = dial(server)
            set_reset_on_close(client)
            client.close()
        with dial(server) as client:
            assert answers(client)


# --- when two threads come together ---------------------------------------------------------------


def test_a_stop_that_the_thread_sees_early_leaves_nothing_for_the_next_one() -> None:
    """A byte that stayed would keep the next thread busy, at 100 % of a processor."""
    listener = LocalListener("box", [], lambda *_: None)
    listener.start()
    stopping, thread = listener._stopping, listener._thread
    assert thread is not None

    def seen_at_once() -> None:
        threading.Event.set(stopping)
        listener._selector.modify(listener._wake_receiver, selectors.EVENT_WRITE)  # wakes it, too
        thread.join(LIMIT)

    stopping.set = seen_at_once  # type: ignore[method-assign]
    listener.stop()
    assert not thread.is_alive()
    with pytest.raises(BlockingIOError):
        listener._wake_receiver.recv(1)
    listener.close()


def test_a_link_that_begins_while_the_last_one_ends_is_kept() -> None:
    connections = Connections("box", Workers("box"), lambda _: None, None, lambda *_: None)
    threads: list[threading.Thread] = []

    class Ending(NoCarrier):
        """Another thread begins while this one is compared."""

        def __eq__(self, other: object) -> bool:
            if not threads:
                threads.append(threading.Thread(target=connections.begin, args=[NoCarrier()]))
                threads[0].start()
                threads[0].join(0.2)
            return self is other

        __hash__ = None  # type: ignore[assignment]

    ending = Ending()
    connections.begin(ending)
    connections.end(ending)
    threads[0].join(LIMIT)
    assert connections.has_link
