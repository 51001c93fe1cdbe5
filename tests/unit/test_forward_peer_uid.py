from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from tests.support.forwarding import eventually
from trayconnect.forward.peer_uid import Visitor, identify, judge

ESTABLISHED, LISTEN, TIME_WAIT = 1, 10, 6


@pytest.mark.parametrize(
    ("owner", "inode", "state", "expected"),
    [
        (1000, 77, ESTABLISHED, Visitor.OURS),
        (0, 77, ESTABLISHED, Visitor.OURS),
        (1001, 77, ESTABLISHED, Visitor.STRANGER),
        (65534, 77, ESTABLISHED, Visitor.STRANGER),
        (0, 0, TIME_WAIT, Visitor.GONE),
        (1000, 0, ESTABLISHED, Visitor.GONE),
        (1000, 77, LISTEN, Visitor.GONE),
    ],
)
def test_what_the_kernels_answer_means(
    owner: int, inode: int, state: int, expected: Visitor
) -> None:
    assert judge(owner, inode, state, uid=1000) is expected


if sys.platform == "linux":

    @pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
    def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
        """The accepted socket of a loopback connection, and the client's."""
        address = "127.0.0.1" if request.param == socket.AF_INET else "::1"
        with (
            socket.create_server((address, 0), family=request.param) as listening,
            socket.create_connection(listening.getsockname()[:2]) as theirs,
        ):
            ours, _ = listening.accept()
            with ours:
                yield ours, theirs

    Ends = tuple[socket.socket, socket.socket]

    def test_our_own_process_is_ours(ends: Ends) -> None:
        assert identify(ends[0], os.geteuid()) is Visitor.OURS

    def test_everybody_but_root_is_a_stranger_to_another_user(ends: Ends) -> None:
        expected = Visitor.OURS if os.geteuid() == 0 else Visitor.STRANGER
        assert identify(ends[0], os.geteuid() + 1) is expected

    def test_a_client_that_only_finished_sending_is_still_there(ends: Ends) -> None:
        ends[1].sendall(b"GET")
        ends[1].shutdown(socket.SHUT_WR)
        assert identify(ends[0], os.geteuid()) is Visitor.OURS

    def test_a_closed_client_is_gone_and_not_root(ends: Ends) -> None:
        ends[1].sendall(b"GET")
        ends[1].close()
        eventually(lambda: identify(ends[0], os.geteuid()) is Visitor.GONE, "the FIN")

    def test_a_reset_client_is_gone(ends: Ends) -> None:
        ends[0].sendall(b"unread")
        ends[1].close()
        eventually(lambda: identify(ends[0], os.geteuid()) is Visitor.GONE, "the reset")
