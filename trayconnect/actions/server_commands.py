"""What a user can order, by a click in the menu or by a command: the same orders for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trayconnect.config.model import Config, Server
from trayconnect.config.names import find_server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.page import Browser, Page
from trayconnect.services.jupyter.selection import matching
from trayconnect.services.model import Choice, Choices, FoundJupyter, PageState
from trayconnect.sessions.forwards import ForwardState
from trayconnect.sessions.manager import Manager
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State

SETTLE_LIMIT = 10.0
"""Seconds that the manager may take to read what it was sent."""
PROOF_LIMIT = 8.0
"""Seconds that a page may take to prove that it answers, when somebody wants it."""
IN_PROGRESS = (State.CONNECTING, State.WAITING, State.UP, State.CLOSING)


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders by name. Raises `ProblemError` where one cannot be carried out."""

    manager: Manager
    browser: Browser
    copy: Callable[[str], None]
    """Puts a text on the clipboard."""
    config: Callable[[], Config]
    """The configuration in force."""
    choices: Choices

    def find(self, name: str) -> Server:
        """The entry of that name; letters of the other case will do."""
        return find_server(self.config().servers, name)

    def snapshot(self, name: str) -> Snapshot:
        """What is known of it now."""
        return self._snapshot(self.find(name))

    def connect(self, name: str) -> Snapshot:
        """Begin; returns what came of it at once."""
        server = self.find(name)
        self._snapshot(server)
        self.manager.connect(server.name)
        return self.settled(server)

    def connect_and_wait(
        self, name: str, seconds: float, cancel: CancelToken, *, quietly: bool = False
    ) -> Snapshot:
        """Begin, and block until a page answers; raises what hindered it. `quietly`: no page opens
        for it in the browser."""
        server = self.find(name)
        before = self._snapshot(server)
        if before.is_ready:
            return before

        def ended(all_: Mapping[str, Snapshot]) -> bool:
            now = all_.get(server.name)
            if now is None or cancel.is_set() or now.is_ready:
                return True
            return not (now.asking or now.state in IN_PROGRESS)

        with cancel.releasing(self.manager.recheck):
            if not quietly:
                self.manager.connect(server.name)
            elif before.state not in (State.CONNECTING, State.UP) and not before.asking:
                self.manager.reconnect(server.name)
            self.settled(server)
            self.manager.wait_until(ended, seconds)
        now = self.manager.snapshot(server.name)
        if now is None:
            raise ProblemError(_gone(server))
        if now.is_ready:
            return now
        raise ProblemError(now.problem or _not_yet(now, seconds))

    def disconnect(self, name: str) -> Snapshot:
        server = self.find(name)
        self.manager.disconnect(server.name)
        return self.settled(server)

    def reconnect(self, name: str) -> Snapshot:
        """A new tunnel in the place of the present one, on the same local port."""
        server = self.find(name)
        self.manager.reconnect(server.name)
        return self.settled(server)

    def connect_group(self, group: str) -> None:
        """Begin with every server of a group."""
        for server in self._members(group):
            self.manager.connect(server.name)

    def disconnect_group(self, group: str) -> None:
        for server in self._members(group):
            self.manager.disconnect(server.name)

    def _members(self, group: str) -> list[Server]:
        return [server for server in self.config().servers if server.group == group]

    def open(self, name: str, forward: str = "") -> Snapshot:
        """Open the page as soon as a look has found that it answers, and takes the token; connects
        first where needed. Returns at once."""
        server = self.find(name)
        if forward:
            now = self.settled(server)
            self.browser.open(Page(_forward_url(now, forward)))
            return now
        self._snapshot(server)
        self.manager.connect(server.name, show=True)
        return self.settled(server)

    def open_and_tell(self, name: str, cancel: CancelToken) -> Snapshot:
        """The same; where there is a page already, block until it was opened, and raise what
        hindered it."""
        server = self.find(name)
        if self.settled(server).page is None:
            return self.open(name)
        self.browser.open(self.proven_page(name, cancel))
        return self.settled(server)

    def proven_page(self, name: str, cancel: CancelToken, seconds: float = PROOF_LIMIT) -> Page:
        """The page of a server, and the token that it takes now: what was found a minute ago may
        be that of a Jupyter that has ended. Raises `ProblemError` where no page answers."""
        server = self.find(name)
        before = self.settled(server)

        def looked(all_: Mapping[str, Snapshot]) -> bool:
            now = all_.get(server.name)
            return cancel.is_set() or now is None or now.looks > before.looks or not now.is_ready

        with cancel.releasing(self.manager.recheck):
            self.manager.look(server.name)
            in_time = self.manager.wait_until(looked, seconds)
        now = self.settled(server)
        if now.page is not None and in_time:
            return now.page
        if now.page is None and now.state is not State.UP:
            raise ProblemError(Problem(f"{now.name} has no page yet", "Connect it first"))
        raise ProblemError(now.problem or _not_yet(now, seconds))

    def link(self, name: str, seconds: float, cancel: CancelToken) -> Page:
        """The page whose link logs in; connects first where needed, and blocks until it answers.
        The browser does not open for it."""
        if self.snapshot(name).is_ready:
            return self.proven_page(name, cancel)
        page = self.connect_and_wait(name, seconds, cancel, quietly=True).page
        assert page is not None
        return page

    def choose_jupyter(self, name: str, words: str) -> FoundJupyter:
        """Let its local port lead to another of its Jupyter servers, by that one's port, socket or
        folder; remembered for its folder, also when it listens elsewhere later."""
        now = self._snapshot(self.find(name))
        if not now.jupyters:
            advice = "Its entry must leave jupyter.port to be found, and it must be connected"
            raise ProblemError(Problem(f"No Jupyter server was found on {now.name}", advice))
        chosen = matching(now.jupyters, words)
        try:
            self.choices.put(now.name, Choice(chosen.root_dir, chosen.where))
        finally:  # it holds for now even where it cannot be kept
            self.manager.look(now.name)
        return chosen

    def choose_and_wait(self, name: str, words: str) -> Snapshot:
        """The same, and block until the local port leads there."""
        server = self.find(name)
        chosen = self.choose_jupyter(name, words)

        def moved(all_: Mapping[str, Snapshot]) -> bool:
            jupyters = all_[server.name].jupyters if server.name in all_ else ()
            return not jupyters or any(j.in_use and j.where == chosen.where for j in jupyters)

        self.manager.wait_until(moved, SETTLE_LIMIT)
        return self.settled(server)

    def copy_link(self, name: str) -> None:
        """Put the page's address on the clipboard, with the token that logs in: it is for a
        browser of the user's choice."""
        self.copy(self.proven_page(name, CancelToken()).link)

    def copy_forward(self, name: str, forward: str) -> None:
        """Put on the clipboard what a program needs to use that forward: an address, or a path."""
        self.copy(_forward(self.settled(self.find(name)), forward).address)

    def settled(self, server: Server) -> Snapshot:
        """The session after the orders so far."""
        if not self.manager.settle(SETTLE_LIMIT):
            raise ProblemError(_busy(server))
        now = self.manager.snapshot(server.name)
        if now is None:
            raise ProblemError(_gone(server))
        return now

    def _snapshot(self, server: Server) -> Snapshot:
        now = self.manager.snapshot(server.name)
        if now is None:
            # The file was just read; the manager publishes it within a moment.
            self.manager.wait_until(lambda all_: server.name in all_, SETTLE_LIMIT)
            now = self.manager.snapshot(server.name)
        if now is None:
            raise ProblemError(_busy(server))
        return now


def _busy(server: Server) -> Problem:
    return Problem(
        f"trayconnect is too busy to begin with {server.name}",
        "Try again in a moment",
        Recovery.RETRY,
    )


def _gone(server: Server) -> Problem:
    return Problem(f"{server.name} is no longer in the server file", "Add it there again")


def _forward(now: Snapshot, name: str) -> ForwardState:
    forward = next((each for each in now.forwards if each.name == name), None)
    if forward is None:
        raise ProblemError(Problem(f"{now.name} has no forward “{name}”", "See its entry"))
    return forward


def _forward_url(now: Snapshot, name: str) -> str:
    forward = _forward(now, name)
    if forward.url is None:
        advice = "Say 'open: true' in its entry if it leads to a web page"
        raise ProblemError(Problem(f"The forward “{name}” has no page to open", advice))
    if forward.is_up and forward.page is PageState.OTHERS:
        title = f"What listens at the server for {name} belongs to another user"
        advice = "Start your own there, or correct the port in the file"
        raise ProblemError(Problem(title, advice, Recovery.RETRY))
    if forward.is_up and forward.answers is False:
        advice = "Start it on the server; trayconnect will notice within 15 seconds"
        raise ProblemError(Problem(f"{name} does not answer yet", advice, Recovery.RETRY))
    return forward.url


def _not_yet(now: Snapshot, seconds: float) -> Problem:
    if now.state is State.OFF:
        return Problem(f"{now.name} was disconnected", "Connect it again")
    if now.asking:
        return Problem(
            f"{now.name} waits for your answer",
            "Answer the question that trayconnect shows",
            Recovery.USER_ACTION,
        )
    return Problem(
        f"{now.name} did not answer within {seconds:g} s",
        "It goes on trying; trayconnect status tells how far it is",
        Recovery.RETRY,
    )
