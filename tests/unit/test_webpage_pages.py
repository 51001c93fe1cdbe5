"""Whether the pages of forwards answer, over a tunnel to this very host."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.jupyter_peers import (
    LoopbackTunnel,
    Peer,
    Talk,
    drip,
    hang_up,
    say,
    silent,
    web,
)
from tests.support.servers import make_server
from tests.support.systems import has_own_addresses
from tests.support.threads import our_threads
from trayconnect.config.local_addresses import own_address
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem
from trayconnect.core.link import Owner
from trayconnect.services.protocol import PageState
from trayconnect.services.webpage.pages import check_pages

asked: list[tuple[str, str]] = []


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    asked.clear()
    yield
    assert our_threads() == []


def answer(status: int) -> Talk:
    def page(path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        asked.append((path, headers["host"]))
        return status, "ok"

    return web(page)


def entry(**ports: int) -> Server:
    forwards: list[dict[str, Any]] = [
        {"name": name, "local_port": 20_000 + at, "port": port, "ready": "/health?a=b"}
        for at, (name, port) in enumerate(ports.items())
    ]
    return make_server(forwards=[*forwards, {"name": "db", "local_port": 5432, "port": 1}])


@pytest.mark.parametrize(
    ("talk", "ready"),
    [
        (answer(200), True),
        (answer(302), True),
        (answer(401), True),
        (answer(403), True),
        (answer(404), False),
        (answer(502), False),
        (hang_up, False),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n"), False),
    ],
)
def test_what_counts_as_ready(talk: Talk, ready: bool) -> None:
    with Peer(talk) as peer:
        found = check_pages(entry(tool=peer.port), LoopbackTunnel(), CancelToken())
    assert found == {"tool": PageState.ANSWERS if ready else PageState.SILENT}


@pytest.mark.parametrize("ready", ["/health", None])
@pytest.mark.parametrize(
    ("whose", "state"),
    [
        (Owner.OURS, PageState.ANSWERS),
        (Owner.SYSTEM, PageState.UNPROVEN),
        (Owner.UNKNOWN, PageState.UNPROVEN),
        (Owner.OTHERS, PageState.OTHERS),
    ],
)
def test_whose_it_is(whose: Owner, state: PageState, ready: str | None) -> None:
    """What another user has there is not asked; without a path to ask for, only this is found."""
    tunnel = LoopbackTunnel()
    tunnel.whose = whose
    with Peer(answer(200)) as peer:
        tool = {"name": "tool", "local_port": 20_000, "port": peer.port, "open": True}
        server = make_server(forwards=[tool | ({"ready": ready} if ready else {})])
        assert check_pages(server, tunnel, CancelToken()) == {"tool": state}
    assert bool(asked) == (ready is not None and whose is not Owner.OTHERS)


@has_own_addresses
def test_it_is_asked_as_a_browser_would() -> None:
    with Peer(answer(200)) as peer:
        check_pages(entry(tool=peer.port), LoopbackTunnel(), CancelToken())
    assert asked == [("/health?a=b", f"{own_address(20000)}:20000")]


@pytest.mark.parametrize("talk", [silent, drip()])
def test_one_that_never_answers_costs_the_others_nothing(talk: Talk) -> None:
    with Peer(talk) as slow, Peer(answer(200)) as quick:
        server = entry(slow=slow.port, quick=quick.port)
        assert check_pages(server, LoopbackTunnel(), CancelToken(), timeout=0.3) == {
            "slow": PageState.SILENT,
            "quick": PageState.ANSWERS,
        }


def test_nothing_listens_or_the_tunnel_is_gone() -> None:
    tunnel = LoopbackTunnel()
    assert check_pages(entry(tool=1), tunnel, CancelToken()) == {"tool": PageState.SILENT}
    tunnel.forbidden = Problem("Forbidden", "")
    assert check_pages(entry(tool=1), tunnel, CancelToken()) == {"tool": PageState.SILENT}


def test_nothing_to_ask() -> None:
    assert check_pages(entry(), LoopbackTunnel(), CancelToken()) == {}


def test_cancel_does_not_wait_for_an_answer() -> None:
    cancel = CancelToken()
    with Peer(silent) as peer:

        def decline() -> None:
            assert peer.connected.wait(10)
            cancel.set()

        waker = threading.Thread(target=decline)
        waker.start()
        with pytest.raises(Cancelled):
            check_pages(entry(tool=peer.port), LoopbackTunnel(), cancel, timeout=1.0)
        waker.join(10)
        for thread in threading.enumerate():
            if thread.name.startswith("tc-page"):
                thread.join(10)
