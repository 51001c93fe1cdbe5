"""The health check of a Jupyter, end to end: where it listens, and which layer answers."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

from trayconnect.config.model import SAME_HOST, Server
from trayconnect.core.abandonable import abandonable
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import (
    ByteStream,
    Link,
    NotOpenedError,
    OpenChannel,
    Own,
    Owner,
    Refusal,
)
from trayconnect.core.page import Page
from trayconnect.services.http_client import Response
from trayconnect.services.jupyter.discovery import RunningServer
from trayconnect.services.jupyter.kernels import PATHS, KernelWatch
from trayconnect.services.jupyter.known import KnownServer
from trayconnect.services.jupyter.model import Health
from trayconnect.services.jupyter.problems import (
    another_jupyter,
    chosen_is_gone,
    last_is_gone,
    none_at_node,
    none_found,
    not_looked_for,
    shell_awaited,
    token_unknown,
)
from trayconnect.services.jupyter.readiness import (
    STATUS_PATH,
    HealthCheck,
    ProbeTarget,
    RequestsAhead,
    check_layers,
    get_logged_in,
)
from trayconnect.services.jupyter.selection import is_own, listing, pick, short_folder
from trayconnect.services.jupyter.selection_store import BriefChoices, Choices, LastUsed
from trayconnect.services.jupyter.short_check import ShortCheck
from trayconnect.services.jupyter.targets import (
    DEFAULT_PORT,
    LAB,
    START,
    at_node,
    front_page,
    jupyter_authority,
    page_of,
    target_of,
)
from trayconnect.services.protocol import Level, SetTarget

logger = logging.getLogger(__name__)

_UNPROVEN = (Owner.SYSTEM, Owner.UNKNOWN)

PATIENCE = 3.0
"""Seconds that a check waits for a search while nothing answers; then it reports what is known."""


class HealthChecker:
    """The `Work.examine` of one app. One thread at a time checks each link."""

    def __init__(self, choices: Choices | None = None, patience: float | None = PATIENCE) -> None:
        """`patience`: see `PATIENCE`; None waits until the search ends."""
        self._choices = choices or BriefChoices()
        self._patience = patience
        self._known: WeakKeyDictionary[Link, KnownServer] = WeakKeyDictionary()
        self._replaced: dict[str, LastUsed] = {}
        """By the entry's name: the Jupyter last used, until the page of the started one answers."""

    def __call__(
        self,
        server: Server,
        tunnel: Link,
        set_target: SetTarget,
        cancel: CancelToken,
        may_move: bool = False,
    ) -> Health:
        """See `Work.examine`."""
        cancel.check()
        known = self._known.get(tunnel)
        if known is not None and (health := known.check_briefly()) is not None:
            return health
        had_answered = known is not None and known.answered
        if known is None:
            known = self._known[tunnel] = KnownServer()
            known.search(server, tunnel, cancel, self._patience)
        elif known.answered and (known.under_way is not None or not known.is_fresh):
            known.search(server, tunnel, cancel)
        elif known.under_way is not None:
            known.search(server, tunnel, cancel, self._patience)
        if known.searched == -math.inf and known.under_way is not None:
            waits = shell_awaited(server.host or server.name)
            return Health(Level.NOTHING, Page(""), waits, looked=False)

        ahead = RequestsAhead()

        def look_once() -> tuple[ProbeTarget, HealthCheck]:
            current = known.picked.running
            chosen = self._choices.get(server.name)
            last = self._choices.last(server.name)
            own_ones = _owning(server, known)
            known.picked = pick(
                known.servers, chosen, current, own_ones, last=last, may_move=may_move
            )
            found = known.picked.running
            if found and (current is None or found.pid != current.pid):
                known.watch = KernelWatch()
            target = target_of(server, known.picked.running)
            if not known.is_proven:
                target = replace(target, token="")
            blocked = _kept_out(known, last) or _blocked(
                server, known, lambda: _may_forward(known, server, tunnel, cancel)
            )
            cancel.check()  # a later link begins without a target
            if blocked is not None:
                set_target(blocked)
                return target, HealthCheck(Level.NOTHING, target.secure, blocked)
            own = Own(target.endpoint, named=not _must_be_ours(server, known.picked.running))
            set_target(own)
            authority = jupyter_authority(server)
            opener = _noting(known, tunnel, named=own.named)
            is_new = not known.answered and known.silent != target.endpoint
            if target.token and not own.named and is_new:
                ahead.send(authority, target, _paths_ahead(server, known), cancel)
            return target, check_layers(authority, target, opener, cancel, ahead=ahead)

        target, seen = look_once()
        before = known.servers, known.hindered
        if known.is_worth_a_search(target, seen):
            patience = self._patience if seen.level < Level.READY else None
            known.search(server, tunnel, cancel, patience)
            if (known.servers, known.hindered) != before or known.withholds_token(target):
                target, seen = look_once()
        seen = _judged(known, target, seen)
        known.answered = seen.level >= Level.READY
        known.silent = None if known.answered else target.endpoint
        get = _logged_in(server, target, seen, cancel, ahead)
        _note_front(known, server, target, seen, get)
        kernels = known.watch.check(get, seen.status) if seen.level is Level.LOGGED_IN else None
        unproven = (
            seen.level >= Level.REACHABLE
            and (known.picked.running is None or known.picked.running.is_elsewhere)
            and abandonable(
                lambda: tunnel.owner(target.endpoint), f"tc-owner {server.name}", cancel
            )
            in _UNPROVEN
        )
        health = _health(server, known, target, seen)
        health = replace(health, kernels=kernels, unproven=unproven)
        # Not at first: the browser opens then.
        if had_answered and _may_be_brief(known, target, seen):
            known.short = ShortCheck.after(
                jupyter_authority(server), target, seen.secure, health, known.watch, cancel
            )
        if known.answered and known.picked.running is not None:
            health = replace(health, left=self._note_used(server.name, known))
        return health

    def _note_used(self, name: str, known: KnownServer) -> str:
        """The folder that was left; empty if it is the same."""
        running = known.picked.running
        assert running is not None
        before = self._replaced.pop(name, None) or self._choices.last(name)
        used = LastUsed(running.root_dir, running.where, running.pid, running.born)
        self._choices.note(name, used)
        if before is None or before.root_dir == used.root_dir:
            return ""
        return _folder(before, known)

    def search_soon(self, tunnel: Link) -> None:
        """The user waits for a Jupyter there, or a browser's request failed: check all of it next,
        and search if nothing answered. On the thread that checks."""
        known = self._known.get(tunnel)
        if known is None:
            return
        known.forget_short()
        if not known.answered:
            known.search_soon()

    def search_anew(self, tunnel: Link, started_for: str = "") -> None:
        """Search in the next check. A Jupyter that was started for an entry replaces the user's
        choice there. On the thread that checks."""
        known = self._known.pop(tunnel, None)
        if known is not None:
            known.forget_short()
        if started_for:
            last = self._choices.last(started_for)
            if last is not None:
                self._replaced[started_for] = last
            self._choices.forget(started_for)


def _owning(server: Server, known: KnownServer) -> Callable[[RunningServer], bool]:
    home = known.findings.home
    return lambda one: is_own(one, server, home)


def _logged_in(
    server: Server,
    target: ProbeTarget,
    seen: HealthCheck,
    cancel: CancelToken,
    ahead: RequestsAhead,
) -> Callable[[str], Response]:
    authority = jupyter_authority(server)
    return lambda path: get_logged_in(authority, target, seen, path, cancel, ahead=ahead)


def _paths_ahead(server: Server, known: KnownServer) -> tuple[str, ...]:
    """What the check asks a Jupyter that takes the token, after its first question."""
    running = known.picked.running
    front = (LAB,) if known.front is None and not _names_page(server) else ()
    return (STATUS_PATH, *front, *(PATHS if running is not None and running.kernels else ()))


def _names_page(server: Server) -> bool:
    return "path" in server.jupyter.model_fields_set


def _must_be_ours(server: Server, running: RunningServer | None) -> bool:
    """Whether the listener must be proven to be ours: the file does not name it, or it gets a
    token."""
    if server.jupyter.host not in SAME_HOST:
        return False  # nothing can prove that: see `node`
    names = server.jupyter.socket is not None or server.jupyter.port != "auto"
    return not names or (running is not None and bool(running.token))


def _kept_out(known: KnownServer, last: LastUsed | None) -> Problem | None:
    """Why the local port leads nowhere although another Jupyter runs."""
    other = known.picked.instead
    if other is None or last is None:
        return None
    return last_is_gone(_folder(last, known), _folder(other, known))


def _folder(one: LastUsed | RunningServer, known: KnownServer) -> str:
    return short_folder(one.root_dir, known.findings.home) or one.where


def _blocked(server: Server, known: KnownServer, may_forward: Callable[[], bool]) -> Problem | None:
    """Why the local port leads nowhere: a port that the file does not name may be any user's."""
    jupyter = server.jupyter
    if known.picked.running is not None or jupyter.socket or jupyter.port != "auto":
        return None
    is_here = jupyter.host in SAME_HOST
    if known.hindered is not None:
        return not_looked_for("the server" if is_here else jupyter.host, known.hindered)
    if not is_here:
        return none_at_node(jupyter.host, at_node(jupyter.host, DEFAULT_PORT))
    return none_found(START) if may_forward() else known.forbidden


def _may_forward(known: KnownServer, server: Server, tunnel: Link, cancel: CancelToken) -> bool:
    """Whether the server allows forwarding; asked once, of a port that cannot exist."""
    if known.may_forward is None:
        known.may_forward = True

        def ask() -> None:
            tunnel.open_channel(TcpEndpoint("localhost", 0), ("127.0.0.1", 0)).close()

        try:
            abandonable(ask, f"tc-look {server.name}", cancel)
        except ProblemError as error:
            if error.problem.recovery is not Recovery.RETRY:
                known.may_forward = False
                known.forbidden = replace(
                    error.problem, title="The server forbids forwarding to Jupyter's port"
                )
    return known.may_forward


def _expects_ours(seen: HealthCheck) -> bool:
    """Whether the entry wants a Jupyter that the search would have found. What answers on a port
    that the file names counts as wanted: in a container, it may run under another account."""
    return seen.problem is not None and seen.problem.recovery is Recovery.RETRY


def _noting(known: KnownServer, tunnel: Link, *, named: bool) -> OpenChannel:
    """Opens channels of the link. A Jupyter of another host whose port is closed has ended, and its
    runtime file proves nothing: see `node`."""

    def noted(target: Endpoint, origin: tuple[str, int]) -> ByteStream:
        try:
            return tunnel.open_own_channel(target, origin, named=named)[0]
        except NotOpenedError as error:
            running = known.picked.running
            if error.refusal is Refusal.REFUSED and running is not None and running.is_elsewhere:
                known.ended.add(running)
                known.servers = tuple(one for one in known.servers if one != running)
            raise

    return noted


def _judged(known: KnownServer, target: ProbeTarget, seen: HealthCheck) -> HealthCheck:
    """The result of the check, in view of who listens there."""
    if seen.level < Level.READY:
        return seen
    if seen.token_refused and not known.is_proven:
        # Another program may have taken the port.
        problem = another_jupyter(target.where, "it refuses the token")
        return HealthCheck(Level.REACHABLE, seen.secure, problem)
    return seen


def _health(server: Server, known: KnownServer, target: ProbeTarget, seen: HealthCheck) -> Health:
    picked = known.picked
    own = _owning(server, known)
    jupyters = listing(known.servers, picked.running, known.findings.home, own)
    problem = seen.problem
    if problem is None and picked.missing is not None:
        (used,) = (one for one in jupyters if one.in_use)
        folder = short_folder(picked.missing.root_dir, known.findings.home)
        problem = chosen_is_gone(folder, f"{used.folder} ({used.where})")
    if known.hindered is not None and not target.token:
        problem = _hindered(known.hindered, problem, seen)
    is_here = server.jupyter.host in SAME_HOST
    missing = is_here and known.succeeded and picked.running is None and _expects_ours(seen)
    page = page_of(server, picked.running, known.front, target, seen)
    looked = known.hindered is None
    return Health(seen.level, page, problem, jupyters, missing, looked=looked)


def _hindered(cause: Problem, problem: Problem | None, seen: HealthCheck) -> Problem:
    """The problem to show if no search was possible."""
    if seen.level >= Level.READY:
        return problem or token_unknown(cause)
    # What answers there, such as a server of a JupyterHub, says more than a search that failed.
    answers = seen.level >= Level.REACHABLE
    if problem is not None and (answers or problem.recovery is not Recovery.RETRY):
        return problem
    return cause


def _may_be_brief(known: KnownServer, target: ProbeTarget, seen: HealthCheck) -> bool:
    """Whether a connection to the Jupyter may serve the next checks: a token is sent only to a
    listener that was proven when its connection was opened, and nothing is left to be found."""
    if seen.level < Level.READY or seen.problem is not None or known.hindered is not None:
        return False
    if target.token:
        return seen.level is Level.LOGGED_IN and known.is_proven
    return target.hub is None and not known.withholds_token(target)


def _note_front(
    known: KnownServer,
    server: Server,
    target: ProbeTarget,
    seen: HealthCheck,
    get: Callable[[str], Response],
) -> None:
    """Find out once which page a Jupyter has, if the file names none."""
    if seen.level < Level.READY:
        known.front = None  # the next one may be another kind
        return
    if known.front is None and not _names_page(server) and target.hub is None:
        known.front = front_page(get, target.base_url)
