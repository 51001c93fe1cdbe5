"""Checks the layers from the local port to Jupyter: which one answers, and why the next does
not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from trayconnect.config.model import SAME_HOST
from trayconnect.core import sanitize
from trayconnect.core.abandonable import Background, abandonable
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import NotOpenedError, NotOursError, OpenChannel, Refusal
from trayconnect.services.dialling import Failure, ProbeError
from trayconnect.services.http_client import GATEWAY_ERRORS, Response, gateway_error, get, host_port
from trayconnect.services.jupyter import problems
from trayconnect.services.jupyter.discovery import VERSION_LENGTH
from trayconnect.services.protocol import Level

TIMEOUT = 5.0
"""Seconds for one HTTP answer."""

STATUS_PATH = "api/status"

MARK = "x-trayconnect"
"""A header of our own listener's answer when the port leads nowhere; the link knows why."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What is expected behind the local port."""

    host: str
    """As seen from the SSH server."""
    port: int
    base_url: str = "/"
    secure: bool = False
    token: str = field(default="", repr=False)
    start_hint: str = ""
    """What to do when nothing listens there."""
    socket: str = ""
    """The path of the UNIX socket that replaces host and port."""
    version: str = ""
    """The version of the server that was found there; empty if none was found."""
    hub: str | None = None
    """The address of the JupyterHub that started it, empty if unknown; None without a Hub."""

    @property
    def endpoint(self) -> Endpoint:
        """As seen from the SSH server."""
        return UnixEndpoint(self.socket) if self.socket else TcpEndpoint(self.host, self.port)

    @property
    def where(self) -> str:
        """For people, who wrote localhost or nothing."""
        if self.socket:
            return self.socket
        loopback = self.host in ("127.0.0.1", "::1")
        return host_port("localhost" if loopback else self.host, self.port)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The result of one check; `problem` says why its level is not higher."""

    level: Level
    secure: bool
    """Whether the peer speaks https."""
    problem: Problem | None = None
    token_refused: bool = False
    status: bytes = b""
    """The answer of `/api/status`, if the token was accepted."""


class RequestsAhead:
    """Requests that are sent together with a check's first one, since its answer will most likely
    lead to them: each takes round trips."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[bool, str, str], Background[Response]] = {}

    def send(
        self,
        authority: str,
        target: ProbeTarget,
        paths: Iterable[str],
        cancel: CancelToken,
        timeout: float = TIMEOUT,
    ) -> None:
        """GET these paths below the base URL, logged in; the local port must lead to nobody else
        but the account's own Jupyter. Returns at once."""
        question = _Question(authority, target, cancel, timeout, RequestsAhead())
        for path in paths:
            with suppress(RuntimeError):  # no more threads
                self._under_way[target.secure, path, target.token] = Background(
                    partial(question.get, target.secure, path, target.token),
                    f"tc-ahead {authority}",
                )

    def answer(self, secure: bool, path: str, token: str, cancel: CancelToken) -> Response | None:
        """The answer to a request; None if it was not sent. Raises `ProbeError` and `Cancelled`."""
        sent = self._under_way.pop((secure, path, token), None)
        return None if sent is None else sent.result(cancel)


def check_layers(
    authority: str,
    target: ProbeTarget,
    open_channel: OpenChannel,
    cancel: CancelToken,
    timeout: float = TIMEOUT,
    ahead: RequestsAhead | None = None,
) -> HealthCheck:
    """Ask for Jupyter's version at `authority`, the `host:port` of our own listener.

    `GET /api` needs no login and counts as no activity, so that it never keeps an idle server from
    being culled. https is recognised even if the target does not say so. Takes a few times
    `timeout` seconds at most. Raises `Cancelled`."""
    question = _Question(authority, target, cancel, timeout, ahead or RequestsAhead())
    try:
        secure, answer = _ask(question, open_channel)
    except _NoAnswer as error:
        return HealthCheck(error.level, target.secure, error.problem)
    if target.hub is not None or is_hub(answer):
        return _at_hub(question, secure)
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and MARK in answer.headers:
        refusal = _refusal(question, open_channel)
        if refusal is not None:
            level, problem = refusal
            return HealthCheck(level, secure, problem)
    if answer.status in GATEWAY_ERRORS:
        problem = gateway_error(target.where, answer.status, answer.reason)
        return HealthCheck(Level.REACHABLE, secure, problem)
    version = jupyter_version(answer)
    if version is None:
        return HealthCheck(Level.REACHABLE, secure, problems.not_jupyter(target.where))
    if target.version and version != target.version:
        detail = f"version {version} instead of {target.version}"
        return HealthCheck(Level.REACHABLE, secure, problems.another_jupyter(target.where, detail))
    if not target.token:
        return HealthCheck(Level.READY, secure)
    return _log_in(question, secure)


def get_logged_in(
    authority: str,
    target: ProbeTarget,
    seen: HealthCheck,
    path: str,
    cancel: CancelToken,
    timeout: float = TIMEOUT,
    ahead: RequestsAhead | None = None,
) -> Response:
    """GET a path below the base URL of a Jupyter that accepted the token.

    Raises `ProbeError` and `Cancelled`."""
    question = _Question(authority, target, cancel, timeout, ahead or RequestsAhead())
    return question.get(seen.secure, path, target.token)


def jupyter_version(answer: Response) -> str | None:
    """The version in the answer to `GET /api`; None if it is not Jupyter's."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    version = said.get("version") if isinstance(said, dict) else None
    return sanitize.line(version, VERSION_LENGTH) if isinstance(version, str) else None


@dataclass(frozen=True, slots=True)
class _Question:
    authority: str
    target: ProbeTarget
    cancel: CancelToken
    timeout: float
    ahead: RequestsAhead

    def get(self, secure: bool, path: str, token: str = "") -> Response:
        """`path` is below the base URL. Raises `ProbeError`."""
        answer = self.ahead.answer(secure, path, token, self.cancel)
        return answer or self.get_absolute(secure, f"{self.target.base_url}{path}", token)

    def get_absolute(self, secure: bool, path: str, token: str = "") -> Response:
        """Raises `ProbeError`."""
        url = f"{'https' if secure else 'http'}://{self.authority}{path}"
        # Behind the tunnel no certificate can match: see `http_client.request`.
        return get(url, token=token, timeout=self.timeout, cancel=self.cancel, verify=False)


class _NoAnswer(Exception):  # noqa: N818 - carries a result rather than an error
    def __init__(self, level: Level, problem: Problem) -> None:
        super().__init__(problem.title)
        self.level = level
        self.problem = problem


def _ask(question: _Question, open_channel: OpenChannel) -> tuple[bool, Response]:
    """The answer to `GET /api`, and whether it came over TLS. Raises `_NoAnswer`."""
    expected = question.target.secure
    try:
        answer = question.get(expected, "api")
    except ProbeError as error:
        _give_up(question, error, open_channel)
        # It has just begun to listen, or it speaks the other scheme.
        for secure in (expected, not expected):
            with suppress(ProbeError):
                return secure, question.get(secure, "api")
        problem = problems.not_http(question.target.where, str(error))
        raise _NoAnswer(Level.REACHABLE, problem) from error
    if not expected and _wants_tls(answer):
        with suppress(ProbeError):
            return True, question.get(True, "api")
    return expected, answer


def _give_up(question: _Question, error: ProbeError, open_channel: OpenChannel) -> None:
    """Raise `_NoAnswer`, unless a second request may help.

    The local port can only close the connection when a channel is refused; the link knows why."""
    where = question.target.where
    if error.failure in (Failure.REFUSED, Failure.UNREACHABLE):
        problem = problems.no_local_port(question.authority, str(error))
        raise _NoAnswer(Level.NOTHING, problem) from error
    refusal = _refusal(question, open_channel)
    if refusal is not None:
        raise _NoAnswer(*refusal) from error
    if error.failure is Failure.SILENT:
        raise _NoAnswer(Level.REACHABLE, problems.silent(where, question.timeout)) from error


def _refusal(question: _Question, open_channel: OpenChannel) -> tuple[Level, Problem] | None:
    """Why there is no channel to the target, and the level reached; None if there is a channel."""
    target = question.target

    def open_and_close() -> None:
        open_channel(target.endpoint, ("127.0.0.1", 0)).close()

    try:
        abandonable(open_and_close, f"tc-look {target.where}", question.cancel)
    except NotOursError as error:
        return Level.REACHABLE, error.problem
    except ProblemError as error:
        problem = error.problem
        refusal = error.refusal if isinstance(error, NotOpenedError) else None
        if refusal is Refusal.UNREACHABLE and not target.socket and target.host not in SAME_HOST:
            problem = problems.node_is_silent(target.where, target.start_hint, problem)
        elif problem.recovery is Recovery.RETRY and refusal is not Refusal.UNRESOLVED:
            problem = problems.nothing_listens(target.where, target.start_hint, problem)
        # A forbidden forward must be allowed first: another problem.
        return Level.NOTHING, problem
    return None


def _wants_tls(answer: Response) -> bool:
    """Whether an https server says so in plain HTTP, as nginx, Apache and Go's do."""
    words = (b"HTTPS", b"SSL", b"TLS")
    return answer.status == HTTPStatus.BAD_REQUEST and any(word in answer.body for word in words)


def _at_hub(question: _Question, secure: bool) -> HealthCheck:
    """A part of a JupyterHub answers: it is usable if the Hub itself, which logs in, answers
    too."""
    target = question.target
    with suppress(ProbeError):
        of_hub = question.get_absolute(secure, hub_api_path(target.base_url))
        if jupyter_version(of_hub) is not None:
            return HealthCheck(Level.READY, secure)
    problem = problems.of_hub(target.where, target.hub or "", target.base_url)
    return HealthCheck(Level.REACHABLE, secure, problem)


def _log_in(question: _Question, secure: bool) -> HealthCheck:
    target = question.target
    try:
        answer = question.get(secure, STATUS_PATH, target.token)
    except ProbeError:
        return HealthCheck(Level.READY, secure)
    match answer.status:
        case HTTPStatus.OK:
            return HealthCheck(Level.LOGGED_IN, secure, status=answer.body)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            problem = problems.token_refused(target.where)
            return HealthCheck(Level.READY, secure, problem, token_refused=True)
        case _:
            return HealthCheck(Level.READY, secure)


def is_hub(answer: Response) -> bool:
    """Whether the answer is of a JupyterHub or of a server that it started: both send this header
    with every answer."""
    return "x-jupyterhub-version" in answer.headers


def hub_api_path(base_url: str) -> str:
    """The path of the Hub's own API, on the origin of a server with that base URL, which is
    `[prefix]/user/NAME/`."""
    prefix, found, _ = base_url.partition("/user/")
    return f"{prefix if found else base_url.rstrip('/')}/hub/api"
