from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.support.forwarding import LIMIT, eventually
from trayconnect.forwarding.peer_uid import PeerOwner, Peers, classify


def identify(client: socket.socket, uid: int) -> PeerOwner:
    with contextlib.closing(Peers(uid)) as peers:
        return peers.identify(client)


class Far:
    """An accepted socket whose client has another address."""

    def __init__(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        self.family = sock.family
        self.getsockname = sock.getsockname
        self.getpeername = lambda: peer


ESTABLISHED, LISTEN, TIME_WAIT = 1, 10, 6


@pytest.mark.parametrize(
    ("owner", "inode", "state", "expected"),
    [
        (1000, 77, ESTABLISHED, PeerOwner.OURS),
        (0, 77, ESTABLISHED, PeerOwner.OURS),
        (1001, 77, ESTABLISHED, PeerOwner.OTHER_USER),
        (65534, 77, ESTABLISHED, PeerOwner.OTHER_USER),
        (0, 0, TIME_WAIT, PeerOwner.GONE),
        (1000, 0, ESTABLISHED, PeerOwner.GONE),
        (1000, 77, LISTEN, PeerOwner.GONE),
    ],
)
def test_what_the_kernels_answer_means(
    owner: int, inode: int, state: int, expected: PeerOwner
) -> None:
    assert classify(owner, inode, state, uid=1000) is expected


if sys.platform == "linux":

    @pytest.fixture(
        params=[
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("127.155.66.8", "127.155.66.8"),
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
        ],
        ids=lambda param: param[0],
    )
    def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
        """The accepted socket of a connection from this computer, and the client's."""
        address, near = request.param
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with (
            socket.create_server((address, 0), family=family) as listening,
            socket.create_connection((near, listening.getsockname()[1])) as theirs,
        ):
            ours, _ = listening.accept()
            with ours:
                yield ours, theirs

    Ends = tuple[socket.socket, socket.socket]

    def test_our_own_process_is_ours(ends: Ends) -> None:
        assert identify(ends[0], os.geteuid()) is PeerOwner.OURS

    def test_many_questions_at_once_are_not_mixed_up() -> None:
        me, peers = os.geteuid(), Peers(os.geteuid())
        with contextlib.ExitStack() as stack:
            stack.callback(peers.close)
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            ends = []
            for _ in range(20):
                theirs = stack.enter_context(socket.create_connection(listening.getsockname()))
                ends.append((stack.enter_context(listening.accept()[0]), theirs))
            for ours, theirs in ends[::2]:
                theirs.close()
                eventually(lambda ours=ours: identify(ours, me) is PeerOwner.GONE, "the FIN")  # type: ignore[misc]
            expected = [PeerOwner.GONE, PeerOwner.OURS] * 10

            def ask(_: int) -> list[PeerOwner]:
                return [peers.identify(ours) for ours, _ in ends]

            with ThreadPoolExecutor(8) as pool:
                assert all(found == expected for found in pool.map(ask, range(100)))

    def test_it_keeps_one_descriptor_until_its_end(ends: Ends) -> None:
        process = psutil.Process()
        before = process.num_fds()
        peers = Peers(os.geteuid())
        for _ in range(3):
            assert peers.identify(ends[0]) is PeerOwner.OURS
        assert process.num_fds() == before + 1
        peers.close()
        peers.close()
        assert peers.identify(ends[0]) is PeerOwner.OURS
        assert process.num_fds() == before

    def test_everybody_but_root_is_a_stranger_to_another_user(ends: Ends) -> None:
        expected = PeerOwner.OURS if os.geteuid() == 0 else PeerOwner.OTHER_USER
        assert identify(ends[0], os.geteuid() + 1) is expected

    def test_a_client_that_only_finished_sending_is_still_there(ends: Ends) -> None:
        ends[1].sendall(b"GET")
        ends[1].shutdown(socket.SHUT_WR)
        assert identify(ends[0], os.geteuid()) is PeerOwner.OURS

    def test_a_closed_client_is_gone_and_not_root(ends: Ends) -> None:
        ends[1].sendall(b"GET")
        ends[1].close()
        eventually(lambda: identify(ends[0], os.geteuid()) is PeerOwner.GONE, "the FIN")

    def test_who_comes_from_another_computer_is_not_known() -> None:
        with (
            socket.create_server(("0.0.0.0", 0)) as everywhere,
            socket.create_connection(everywhere.getsockname()) as theirs,
        ):
            ours, _ = everywhere.accept()
            # As if it had come from there; a port of ours on every address may have that number.
            for port in (theirs.getsockname()[1], everywhere.getsockname()[1]):
                far = Far(ours, ("192.0.2.7", port))
                assert identify(far, os.geteuid()) is PeerOwner.UNKNOWN  # type: ignore[arg-type]
            ours.close()

    def test_a_reset_client_is_gone(ends: Ends) -> None:
        ends[0].sendall(b"unread")
        ends[1].close()
        eventually(lambda: identify(ends[0], os.geteuid()) is PeerOwner.GONE, "the reset")

    def other_address() -> str:
        """One of this computer that is not loopback; empty if there is none."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.7", 9))
            except OSError:
                return ""
            return str(probe.getsockname()[0])

    def in_a_network_with_one(case: str) -> None:
        """Run the case in a network of its own, where there is one."""
        way = 'ip link set lo up; ip address add 192.0.2.9/24 dev lo; exec "$@"'
        run = (
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"{__file__}::{case}",
        )
        done = subprocess.run(
            ("unshare", "--net", "sh", "-ec", way, "sh", *run),
            capture_output=True, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        if done.returncode and "passed" not in done.stdout and "failed" not in done.stdout:
            pytest.skip(f"this computer has no other address, nor a second network: {done.stderr}")
        assert done.returncode == 0, done.stdout

    def test_a_client_that_is_gone_from_another_address_of_this_computer() -> None:
        """It connects from there to 127.0.0.1, sends, and resets: what it sent would be read."""
        address = other_address()
        if not address:
            in_a_network_with_one(
                test_a_client_that_is_gone_from_another_address_of_this_computer.__name__
            )
            return
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            socket.create_connection(listening.getsockname(), source_address=(address, 0)) as other,
        ):
            ours, peer = listening.accept()
            with ours:
                assert identify(ours, os.geteuid()) is PeerOwner.OURS
                other.close()
                # As it is between the end of the client and the arrival of its reset.
                gone = Far(ours, peer)
                eventually(
                    lambda: identify(gone, os.geteuid()) is PeerOwner.GONE,  # type: ignore[arg-type]
                    "its end",
                )
                unused = Far(ours, (address, 1))
                assert identify(unused, os.geteuid()) is PeerOwner.GONE  # type: ignore[arg-type]

    def test_a_client_that_is_gone_from_a_mapped_address() -> None:
        with (
            socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both,
            socket.create_connection(("127.0.0.1", both.getsockname()[1])) as theirs,
        ):
            ours, peer = both.accept()
            with ours:
                assert peer[0] == "::ffff:127.0.0.1"
                assert identify(ours, os.geteuid()) is PeerOwner.OURS
                unused = Far(ours, (peer[0], 1))
                assert identify(unused, os.geteuid()) is PeerOwner.GONE  # type: ignore[arg-type]
                theirs.close()
