"""The ways to a real Jupyter in a job of Grid Engine, which runs nothing inside a running job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.batch_desk import Desk, link_to
from tests.support.tunnel_kit import Losses
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import UnixEndpoint
from trayconnect.core.link import Link, Owner
from trayconnect.services.batch import ways
from trayconnect.services.batch.reach import Destination, Way
from trayconnect.services.batch.schedulers import SCHEDULERS

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster("gridengine", nodes="c1") as cluster:
        yield cluster


def status_line(link: Link, socket: str) -> bytes:
    """Of an answer of the Jupyter, which is proven to be the account's own."""
    stream, owner = link.open_own_channel(UnixEndpoint(socket), ("127.0.0.1", 0), named=False)
    assert owner is Owner.OURS
    stream.sendall(b"GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n")
    data = b""
    while more := stream.recv(4096):
        data += more
    stream.close()
    return data.split(b"\r\n")[0]


def test_ssh_first_and_the_jobs_port_next(cluster: BatchCluster, tmp_path: Path) -> None:
    with link_to(cluster, cluster.door(), tmp_path) as login:
        desk = Desk(SCHEDULERS["gridengine"], login)
        job = desk.submitted()
        try:
            files = desk.ready(job)
            to = Destination(desk.server, desk.found(), desk.job(job), files)
            tried: list[Way] = []
            for failed in (frozenset[Way](), frozenset({Way.SSH})):
                node = ways.reach(to, login, CancelToken(), Losses(), failed=failed)
                try:
                    tried.append(node.way)
                    assert node.link.execute("uname -n", b"", 20).stdout == b"c1\n"
                    assert status_line(node.link, files.socket).endswith(b"200 OK")
                finally:
                    node.link.close()
            assert tried == [Way.SSH, Way.DIRECT]
        finally:
            desk.cancel(job)
