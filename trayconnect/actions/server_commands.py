"""The commands on one server, its page and its service, or on a group of servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from trayconnect.actions.dispatcher import Handler, Outcome
from trayconnect.config.model import Config, Server, find_server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.page import Browser, Page
from trayconnect.services.kinds import KINDS
from trayconnect.services.protocol import PageState
from trayconnect.sessions.forwards import ForwardState
from trayconnect.sessions.manager import Manager
from trayconnect.sessions.snapshot import Snapshot, state_words
from trayconnect.sessions.state import State

SETTLE_LIMIT = 10.0
"""Seconds for the manager to carry out the commands so far."""
PROOF_LIMIT = 8.0
"""Seconds for a page to answer before it is opened or copied."""
_IN_PROGRESS = (State.CONNECTING, State.WAITING, State.UP, State.CLOSING)
_NO_TOKEN = "It has no token: the page needs none, or none was found."


@dataclass(frozen=True, slots=True)
class ServerCommands:
    manager: Manager
    browser: Browser
    copy: Callable[[str], None]
    """Puts a text on the clipboard."""
    config: Callable[[], Config]
    """The configuration in force."""
    open_terminal: Callable[[Server], None] = lambda _server: None

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "reconnect": self._reconnect,
            "connect-group": self._of_each,
            "disconnect-group": self._of_each,
            "connect-all": self._of_each,
            "disconnect-all": self._of_each,
            "open": self._open,
            "link": self._link,
            "copy-link": self._copy_link,
            "copy-forward": self._copy_forward,
            "open-terminal": lambda command, _cancel: self.open_terminal(self.find(command.server)),
            **{name: self._of_service for kind in KINDS.values() for name in kind.commands},
        }

    # --- for the handlers, also those of other families ---

    def find(self, name: str) -> Server:
        """The entry of that name, ignoring case. Raises `ProblemError`."""
        if not name:
            raise ProblemError(Problem("No server was named", "Give a name from the server file"))
        return find_server(self.config().servers, name)

    def snapshot(self, name: str) -> Snapshot:
        """The present state of that server. Raises `ProblemError`."""
        server = self.find(name)
        now = self.manager.snapshot(server.name)
        if now is None:
            # The file was just read; the manager publishes it within a moment.
            self.manager.wait_until(lambda all_: server.name in all_, SETTLE_LIMIT)
            now = self.manager.snapshot(server.name)
        if now is None:
            raise ProblemError(_busy(server))
        return now

    def settled(self, server: Server) -> Snapshot:
        """The state of the session after the commands so far. Raises `ProblemError`."""
        if not self.manager.settle(SETTLE_LIMIT):
            raise ProblemError(_busy(server))
        return self._present(server)

    def reach(
        self,
        server: Server,
        begin: Callable[[], object],
        seconds: float,
        cancel: CancelToken,
        *,
        starting: bool = False,
        queues: bool = True,
    ) -> Snapshot:
        """Call `begin`, and block until a page answers. Raises `ProblemError` as soon as the
        session has given up, has failed twice, or has set its next attempt after the wait; where a
        page is yet to be started, as soon as that has failed. `starting`: it is being
        started. `queues`: wait also while a job is queued."""
        deadline = time.monotonic() + seconds
        first = 0

        def ended(all_: Mapping[str, Snapshot]) -> bool:
            now = all_.get(server.name)
            if now is None or cancel.is_set():
                return True
            if first and now.state is State.WAITING:
                delay = (now.retry_at or now.since) - now.since
                return now.attempt > first + 1 or time.monotonic() + delay > deadline
            if not queues and _is_queued(now):
                return True
            if now.state is State.UP and (starting or not now.service.expects_page):
                return not now.service.in_progress and (now.is_ready or now.problem is not None)
            return now.is_ready or not (now.asking or now.state in _IN_PROGRESS)

        with cancel.releasing(self.manager.recheck):
            begin()
            now = self.settled(server)
            # Where it waits already, the first attempt has failed, and the next has a number.
            first = now.attempt - (1 if now.state is State.WAITING else 0)
            self.manager.wait_until(ended, seconds)
        now = self._present(server)
        if now.is_ready or (starting and not queues and _is_queued(now)):
            return now
        problem = now.problem or _not_yet(now, seconds, starting=starting)
        if now.problem is not None and now.state is State.WAITING:
            advice = f"{problem.advice}\ntrayconnect is {state_words(now)}."
            problem = replace(problem, advice=advice.lstrip())
        raise ProblemError(problem)

    def proven_page(self, name: str, cancel: CancelToken, seconds: float = PROOF_LIMIT) -> Page:
        """The page with its present token, after another health check: the last one may be a minute
        old. Raises `ProblemError` if no page answers."""
        server = self.find(name)
        before = self.settled(server)

        def looked(all_: Mapping[str, Snapshot]) -> bool:
            now = all_.get(server.name)
            return (
                cancel.is_set()
                or now is None
                or now.service.checks > before.service.checks
                or not now.is_ready
            )

        with cancel.releasing(self.manager.recheck):
            self.manager.check(server.name)
            in_time = self.manager.wait_until(looked, seconds)
        now = self.settled(server)
        if now.page is not None and in_time:
            return now.page
        if now.page is None and now.state is not State.UP:
            raise ProblemError(Problem(f"{now.name} has no page yet", "Connect it first"))
        raise ProblemError(now.problem or _not_yet(now, seconds))

    def _present(self, server: Server) -> Snapshot:
        now = self.manager.snapshot(server.name)
        if now is None:
            title = f"{server.name} is no longer in the server file"
            raise ProblemError(Problem(title, "Add it there again"))
        return now

    # --- the handlers ---

    def _connect(self, command: Command, cancel: CancelToken) -> Snapshot:
        """With a `wait`, block until a page answers."""
        server, before = self.find(command.server), self.snapshot(command.server)
        if command.wait is None:
            return self._do(server, "connect")
        if before.is_ready:
            return before
        connect = Command("connect", server.name)
        return self.reach(server, lambda: self.manager.do(connect), command.wait, cancel)

    def _disconnect(self, command: Command, _cancel: CancelToken) -> Snapshot:
        return self._do(self.find(command.server), "disconnect")

    def _reconnect(self, command: Command, _cancel: CancelToken) -> Snapshot:
        """Replace the link; the local ports stay open."""
        return self._do(self.find(command.server), "reconnect")

    def _do(self, server: Server, name: str) -> Snapshot:
        self.manager.do(Command(name, server.name))
        return self.settled(server)

    def _of_each(self, command: Command, _cancel: CancelToken) -> None:
        """Connect or disconnect every server, or those of the `group`."""
        name, group = command.name.partition("-")[0], command.arguments.get("group")
        for server in self.config().servers:
            if group is None or server.group == group:
                self.manager.do(Command(name, server.name))

    def _open(self, command: Command, cancel: CancelToken) -> Snapshot:
        """Open the page of the server once a health check has found that it answers, or that of a
        `forward` at once; connect first if necessary. With a `wait`, block until a page that was
        known before is open."""
        server = self.find(command.server)
        now = self.settled(server)
        if forward := command.text("forward"):
            self.browser.open(Page(_forward_url(now, forward)))
            return now
        if command.wait is not None and now.page is not None:
            self.browser.open(self.proven_page(server.name, cancel, command.wait))
        else:
            self.manager.do(Command("open", server.name))
        return self.settled(server)

    def _link(self, command: Command, cancel: CancelToken) -> Mapping[str, JSON]:
        """The link with its token, or why it has none; connects first if necessary, and blocks
        until a page answers. Opens no browser."""
        server, before = self.find(command.server), self.snapshot(command.server)
        if before.is_ready:
            page = self.proven_page(server.name, cancel)
        else:
            goes_on = before.asking or before.state in (State.CONNECTING, State.UP)
            found = self.reach(
                server,
                lambda: None if goes_on else self.manager.do(Command("reconnect", server.name)),
                command.wait or 0.0,
                cancel,
                queues=_waits_in_queue(command),
            ).page
            assert found is not None
            page = found
        problem = None if page.token else self.snapshot(server.name).problem
        why = _NO_TOKEN if problem is None else str(problem)
        return {"link": page.link, "why": "" if page.token else why}

    def _copy_link(self, command: Command, cancel: CancelToken) -> None:
        """Copy the page's address with its token, for another browser."""
        self.copy(self.proven_page(command.server, cancel).link)

    def _copy_forward(self, command: Command, _cancel: CancelToken) -> None:
        """Copy the address or path that a program needs to use that forward."""
        now = self.settled(self.find(command.server))
        self.copy(_forward(now, command.text("forward")).address)

    def _of_service(self, command: Command, cancel: CancelToken) -> Outcome:
        """Have the service carry out a command of its kind. With a `wait`, block until a page
        answers, unless the service replies."""
        server = self.find(command.server)
        kind = KINDS[server.kind]
        if command.name not in kind.commands:
            title = f"This command does not apply to {server.name}"
            raise ProblemError(Problem(title, kind.entry))
        self.snapshot(server.name)  # the manager may not have the entry yet
        service = self.manager.service(server.name)
        if service is None:
            return self._present(server)
        data = service.run(command, cancel)
        if data is not None:
            return data

        def begin() -> None:
            if command.name in kind.connecting:
                self.manager.do(Command("connect", server.name))

        if command.wait is not None:
            queues = _waits_in_queue(command)
            return self.reach(server, begin, command.wait, cancel, starting=True, queues=queues)
        begin()
        return self.settled(server)


def _waits_in_queue(command: Command) -> bool:
    """Whether the command was told to wait while a job is queued."""
    return command.text("queue") != "leave"


def _is_queued(now: Snapshot) -> bool:
    """Whether no page is to be had yet, nothing is under way for it, and nothing is wrong."""
    service = now.service
    is_idle = now.state is State.UP and not (service.in_progress or service.expects_page)
    return is_idle and now.problem is None


def _busy(server: Server) -> Problem:
    return Problem(
        f"trayconnect is too busy for a command on {server.name}",
        "Try again in a moment",
        Recovery.RETRY,
    )


def _forward(now: Snapshot, name: str) -> ForwardState:
    forward = next((each for each in now.forwards if each.name == name), None)
    if forward is None:
        raise ProblemError(Problem(f"{now.name} has no forward “{name}”", "See its entry"))
    return forward


def _forward_url(now: Snapshot, name: str) -> str:
    forward = _forward(now, name)
    if forward.url is None:
        advice = "Write 'open: true' in its entry if it leads to a web page"
        raise ProblemError(Problem(f"The forward “{name}” has no page to open", advice))
    if forward.is_up and forward.page is PageState.OTHERS:
        title = f"What listens at the server for {name} belongs to another user"
        advice = "Start your own there, or correct the port in the file"
        raise ProblemError(Problem(title, advice, Recovery.RETRY))
    if forward.is_up and forward.answers is False:
        advice = "Start it on the server; trayconnect will notice within 15 seconds"
        raise ProblemError(Problem(f"{name} does not answer yet", advice, Recovery.RETRY))
    return forward.url


def _not_yet(now: Snapshot, seconds: float, *, starting: bool = False) -> Problem:
    if now.state is State.OFF:
        advice = "Start it again" if starting else "Connect it again"
        return Problem(f"{now.name} was disconnected", advice)
    if now.asking:
        return Problem(
            f"{now.name} waits for your answer",
            "Answer the question that trayconnect shows",
            Recovery.USER_ACTION,
        )
    if now.state is State.UP and not now.service.expects_page:
        advice = "trayconnect keeps asking; see its progress with: trayconnect status"
        return Problem(f"{now.name} has no page yet: {state_words(now)}", advice, Recovery.RETRY)
    advice = "trayconnect keeps trying; see its progress with: trayconnect status"
    if starting:
        advice = "It is still starting; see its progress with: trayconnect status"
    return Problem(f"{now.name} did not answer within {seconds:g} s", advice, Recovery.RETRY)
