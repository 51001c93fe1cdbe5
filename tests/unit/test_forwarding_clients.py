"""No client is lost, whatever happens in whatever order to links, targets and the forwarding."""

from __future__ import annotations

import socket
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.carrier import LOST, NoCarrier
from tests.support.forwarding import a_server
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem
from trayconnect.core.link import Client, LostError, NotOpenedError, OnRefused, Own, Refusal
from trayconnect.forwarding.forwarding import LocalForwarding

JUPYTER, BOARD = 0, 1
BOARD_TARGET = TcpEndpoint("localhost", 6006)


class Socket:
    """A client's, as far as the forwarding looks at it before it hands it over."""

    family = socket.AF_INET

    def __init__(self, forward: int) -> None:
        self.forward = forward
        self.is_closed = False

    def getpeername(self) -> tuple[str, int]:
        return ("127.0.0.1", 5000)

    def setblocking(self, flag: bool) -> None:
        pass

    def setsockopt(self, *option: object) -> None:
        pass

    def recv(self, size: int, flags: int) -> bytes:
        raise BlockingIOError

    def close(self) -> None:
        assert not self.is_closed, "closed twice"
        self.is_closed = True


class Link(NoCarrier):
    """Holds what it is given until the test decides."""

    def __init__(self) -> None:
        self.opening: list[tuple[Client, Endpoint, OnRefused]] = []
        self.carried: list[Client] = []
        self.has_ended = False
        self.is_accepting = False

    def carry(self, client: Client, target: Endpoint, on_refused: OnRefused) -> None:
        if self.has_ended:
            on_refused(LostError(LOST))
        else:
            self.opening.append((client, target, on_refused))

    def carry_own(
        self, client: Client, target: Endpoint, *, on_refused: OnRefused, **_: object
    ) -> None:
        self.carry(client, target, on_refused)

    def accept(self, *_: object) -> None:
        assert not self.is_accepting
        self.is_accepting = True

    def release(self) -> None:
        self.is_accepting = False

    def end(self) -> None:
        self.has_ended = True
        opening, self.opening = self.opening, []
        for _, _, on_refused in opening:
            on_refused(LostError(LOST))


class Clients(RuleBasedStateMachine):
    """One thread; the callbacks come at any time, as from the link's."""

    @initialize()
    def make(self) -> None:
        server = a_server(jupyter={"port": "auto"})
        targets: list[Any] = [None, BOARD_TARGET]
        self.forwarding = LocalForwarding(server, [], targets, (), None, None)
        self.links: list[Link] = []
        self.attached: Link | None = None
        self.knows_jupyter = False
        self.has_closed = False
        self.sockets: list[Socket] = []
        self.refused: set[Socket] = set()

    @rule(forward=st.sampled_from([JUPYTER, BOARD]))
    def come(self, forward: int) -> None:
        self.sockets.append(Socket(forward))
        self.forwarding._accepted(forward, cast("socket.socket", self.sockets[-1]))

    @rule()
    def attach(self) -> None:
        link = Link()
        self.links.append(link)
        self.forwarding.attach(link)
        if not self.has_closed:
            self.attached = link

    @rule()
    def detach(self) -> None:
        self.forwarding.detach()
        self.attached = None

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def end_of_a_link(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.links)).end()

    @precondition(lambda self: any(link.opening for link in self.links))
    @rule(data=st.data(), is_open=st.booleans())
    def answer(self, data: st.DataObject, is_open: bool) -> None:
        link = data.draw(st.sampled_from([link for link in self.links if link.opening]))
        client, _, on_refused = link.opening.pop(data.draw(st.integers(0, len(link.opening) - 1)))
        if is_open:
            link.carried.append(client)
        else:
            if link is self.attached and not self.has_closed:
                self.refused.add(cast("Socket", client.socket))
            on_refused(NotOpenedError(Problem("no", ""), Refusal.REFUSED))

    @rule(port=st.integers(8888, 8890))
    def set_target(self, port: int) -> None:
        self.knows_jupyter = True
        self.forwarding.set_target(Own(TcpEndpoint("localhost", port)))

    @rule()
    def close(self) -> None:
        self.forwarding.close()
        self.has_closed, self.attached = True, None

    @invariant()
    def every_client_is_in_one_place(self) -> None:
        held = [client.socket for client in self.forwarding._pending._clients]
        with_links = [
            client.socket
            for link in self.links
            for client in (*(client for client, _, _ in link.opening), *link.carried)
        ]
        places = [cast("Socket", each) for each in (*held, *with_links)]
        assert len(places) == len(set(places))
        closed = {sock for sock in self.sockets if sock.is_closed}
        assert closed.isdisjoint(places)
        assert closed | set(places) == set(self.sockets)
        if not self.has_closed:
            assert closed == self.refused, "only those that the server refused are turned away"
        else:
            assert not held
        if self.attached is not None and not self.attached.has_ended:
            waiting = {sock.forward for sock in places[: len(held)]}
            assert waiting <= (set() if self.knows_jupyter else {JUPYTER})

    @invariant()
    def only_the_attached_link_accepts(self) -> None:
        accepting = [link for link in self.links if link.is_accepting]
        assert accepting == ([] if self.attached is None else [self.attached])

    def teardown(self) -> None:
        if hasattr(self, "forwarding"):
            self.forwarding.close()


TestClients = Clients.TestCase
