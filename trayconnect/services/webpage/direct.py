"""Servers that are reached without SSH: entries with a `url`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit, urlunsplit

from trayconnect.config.local_addresses import url_path
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import (
    ByteStream,
    Client,
    Completed,
    Hop,
    Incoming,
    Link,
    OnAccepted,
    OnRefused,
    Owner,
    RemoteProgram,
    Traffic,
)
from trayconnect.core.page import Page
from trayconnect.core.progress import NO_PROGRESS, Progress
from trayconnect.core.questions import Ask, ProgressDisplay
from trayconnect.services.dialling import Failure, ProbeError
from trayconnect.services.http_client import GATEWAY_ERRORS, Response, gateway_error, get
from trayconnect.services.protocol import Level, SetTarget
from trayconnect.services.webpage.machine import PageHealth

TIMEOUT = 5.0
"""Seconds for one answer."""


class DirectConnector:
    """The `Connector` of direct servers: connecting is one HTTP answer."""

    def resolve(self, server: Server, cancel: CancelToken) -> None:
        """There is no SSH configuration."""

    def connect(
        self,
        server: Server,
        *,
        ask: Ask,  # noqa: ARG002 - nobody logs in
        cancel: CancelToken,
        on_lost: Callable[[Problem], None],  # noqa: ARG002 - nothing stays open
        config: object = None,  # noqa: ARG002 - there is none
        display: ProgressDisplay | None = None,  # noqa: ARG002 - nothing is waited for elsewhere
        steps: Progress = NO_PROGRESS,
    ) -> Link:
        """See `dependencies.Connector`."""
        assert server.url is not None
        begin = time.monotonic()
        with steps.step(f"reach {server.url}"):
            _probe(server.url, server.connect_timeout, cancel)
        return DirectLink(server, time.monotonic() - begin)

    def forget(self, server: Server) -> None:
        """Nothing is kept."""


class DirectLink:
    """In place of an SSH link: nothing stands between the browser and the server."""

    typed_login = False
    banner = ""

    def __init__(self, server: Server, latency: float) -> None:
        self._server = server
        self._latency = latency

    @property
    def latency(self) -> float | None:
        """Seconds until the first answer."""
        return self._latency

    def open_channel(self, target: Endpoint, origin: tuple[str, int]) -> ByteStream:  # noqa: ARG002
        """Raises `ProblemError`."""
        raise self._no_ssh()

    def open_own_channel(
        self,
        target: Endpoint,  # noqa: ARG002
        origin: tuple[str, int],  # noqa: ARG002
        *,
        named: bool,  # noqa: ARG002
    ) -> tuple[ByteStream, Owner]:
        """Raises `ProblemError`."""
        raise self._no_ssh()

    def carry(self, client: Client, target: Endpoint, on_refused: OnRefused) -> None:  # noqa: ARG002
        """There is no channel."""
        on_refused(self._no_ssh())

    def carry_own(
        self,
        client: Client,  # noqa: ARG002
        target: Endpoint,  # noqa: ARG002
        *,
        named: bool,  # noqa: ARG002
        on_opened: Callable[[Owner], None],  # noqa: ARG002
        on_refused: OnRefused,
    ) -> None:
        """There is no channel."""
        on_refused(self._no_ssh())

    def forget(self, target: Endpoint) -> None:
        """No channel is opened ahead."""

    def accept(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        """Nothing listens for a direct connection."""

    def release(self) -> None:
        """The same."""

    traffic = Traffic()

    def owner(self, target: Endpoint) -> Owner:  # noqa: ARG002
        """Unknown without SSH."""
        return Owner.UNKNOWN

    def listen(
        self,
        where: Endpoint,  # noqa: ARG002
        on_incoming: Callable[[Incoming], None],  # noqa: ARG002
        on_answer: Callable[[int | Problem], None],
    ) -> None:
        """There is no remote listener."""
        on_answer(self._no_ssh().problem)

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:  # noqa: ARG002
        """Raises `ProblemError`."""
        raise self._no_ssh()

    def start_program(self, command: str, timeout: float) -> RemoteProgram:  # noqa: ARG002
        """Raises `ProblemError`."""
        raise self._no_ssh()

    def hop(
        self,
        node: Hop,  # noqa: ARG002
        *,
        cancel: CancelToken,  # noqa: ARG002
        on_lost: Callable[[Problem], None],  # noqa: ARG002
    ) -> Link:
        """Raises `ProblemError`."""
        raise self._no_ssh()

    def check(self) -> None:
        """The next health check shows it."""

    def close(self) -> None:
        """Nothing is open."""

    def _no_ssh(self) -> ProblemError:
        return ProblemError(
            Problem(
                f"{self._server.name} is reached without SSH",
                "For forwards and commands, give it a host in place of its url.",
            )
        )


def check_direct(url: str, cancel: CancelToken, timeout: float = TIMEOUT) -> PageHealth:
    """Check a direct server once: any HTTP answer counts. Raises `Cancelled`."""
    page = Page(_encoded(url))
    try:
        answer = _probe(url, timeout, cancel)
    except ProblemError as error:
        return PageHealth(Level.NOTHING, page, error.problem)
    if answer.status in GATEWAY_ERRORS:
        problem = gateway_error(_where(url), answer.status, answer.reason)
        return PageHealth(Level.REACHABLE, page, problem)
    return PageHealth(Level.READY, page)


def check(
    server: Server,
    _link: Link,
    _set_target: SetTarget,
    cancel: CancelToken,
    steps: Progress,
) -> Problem | None:
    """See `kinds.Check`."""
    assert server.url is not None
    with steps.step("look at its page") as found:
        health = check_direct(server.url, cancel)
        found.append(health.level.label)
    return health.problem


def _encoded(url: str) -> str:
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return f"{origin}{url_path(url[len(origin) :])}"


def _probe(url: str, timeout: float, cancel: CancelToken) -> Response:
    """GET the page, with a check of the certificate. Raises `ProblemError` and `Cancelled`."""
    try:
        return get(url, timeout=timeout, cancel=cancel)
    except ProbeError as error:
        raise ProblemError(_problem(url, error, timeout)) from error
    except ValueError as error:
        problem = Problem(
            f"{_where(url)} is not the address of a web page",
            "Write url: as http://host:port/ or https://host:port/ in the file.",
            Recovery.FIX_FIRST,
        )
        raise ProblemError(problem) from error


def _problem(url: str, error: ProbeError, timeout: float) -> Problem:
    title, advice, recovery = _PROBLEMS[error.failure]
    said = title.format(where=_where(url), timeout=timeout, detail=error.detail)
    return Problem(said, advice, recovery, str(error))


_PROBLEMS = {
    Failure.UNRESOLVABLE: (
        "Cannot find the host of {where}",
        "Check its name in the file, and your network or VPN.",
        Recovery.RETRY,
    ),
    Failure.REFUSED: (
        "{where} refuses connections",
        "The server is not running, or listens on another port.",
        Recovery.RETRY,
    ),
    Failure.UNREACHABLE: (
        "{where} cannot be reached",
        "Check that the machine is up, and your network, VPN and its firewall.",
        Recovery.RETRY,
    ),
    Failure.SILENT: (
        "{where} does not answer within {timeout:g} s",
        "It may be starting, or very busy; if it stays so, check whether its url is http or https.",
        Recovery.RETRY,
    ),
    Failure.CLOSED: (
        "{where} hangs up without an answer",
        "It may be starting; if it stays so, check whether its url is http or https.",
        Recovery.RETRY,
    ),
    Failure.CERTIFICATE: (
        "The certificate of {where} is not trusted: {detail}",
        "Let your system trust it, use the name it was made for, or go through SSH.",
        Recovery.FIX_FIRST,
    ),
    Failure.NO_TLS: (
        "{where} does not speak https",
        "Write http:// in its url if the server has no TLS.",
        Recovery.FIX_FIRST,
    ),
    Failure.NOT_HTTP: (
        "What answers at {where} does not speak HTTP",
        "Check its url in the file.",
        Recovery.FIX_FIRST,
    ),
}


def _where(url: str) -> str:
    """The URL without what may be a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "The url"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
