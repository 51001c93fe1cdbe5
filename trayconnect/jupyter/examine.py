"""Looks at one server end to end: where its Jupyter listens, and how far one gets to it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from trayconnect.cancel import Cancel
from trayconnect.config.endpoints import Endpoint, TcpEndpoint
from trayconnect.config.model import SAME_HOST, Server
from trayconnect.errors import Problem, ProblemError, Remedy
from trayconnect.jupyter.abandon import Background, abandonable
from trayconnect.jupyter.address import jupyter_authority
from trayconnect.jupyter.choose import Picked, candidates, is_own, listing, pick, short_folder
from trayconnect.jupyter.direct import look_direct
from trayconnect.jupyter.find import Findings, RunningServer, find
from trayconnect.jupyter.front_page import front_page
from trayconnect.jupyter.node import find_at_node
from trayconnect.jupyter.problems import (
    a_strangers,
    another_jupyter,
    chosen_is_gone,
    none_at_node,
    none_found,
    not_looked_for,
    shell_awaited,
    token_unknown,
)
from trayconnect.jupyter.readiness import Look, Target, get_logged_in, look
from trayconnect.jupyter.targets import DEFAULT_PORT, START, at_node, page_of, target_of
from trayconnect.jupyter.watch import KernelWatch
from trayconnect.ports import (
    BriefChoices,
    ByteStream,
    Choices,
    Health,
    Kernels,
    NotOpenedError,
    NotOursError,
    OpenChannel,
    Own,
    Owner,
    Page,
    Reached,
    Refusal,
    SetTarget,
    Tunnel,
)

logger = logging.getLogger(__name__)

_UNPROVEN = (Owner.SYSTEM, Owner.UNKNOWN)

SEARCH_SHARE = 0.05
"""Of all time, at most this part is spent searching a server on which nothing answers."""

LONGEST_PAUSE = 60.0
"""Seconds between two searches where nothing answers, at most: a login shell that takes long is no
burden."""

AGAIN = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0)
"""Seconds from a search that failed to the next one: after the first failure, the second, …"""

PATIENCE = 3.0
"""Seconds that a look waits for a search where nothing answers: then it says what it knows."""

FRESH = 2.0
"""Seconds for which a search proves whose a port is, at least: no token goes to a port after
that without another."""


@dataclass(slots=True)
class _Known:
    """What is known of one tunnel's far end. Times are on the monotonic clock."""

    findings: Findings = field(default_factory=Findings)
    servers: tuple[RunningServer, ...] = ()
    """Those that the entry may use."""
    picked: Picked = field(default_factory=Picked)
    answered: bool = False
    """Whether something answered the last time."""
    searched: float = -math.inf
    """When the last search ended."""
    succeeded: bool = False
    """Whether it could be made."""
    hindered: Problem | None = None
    """Why it could not."""
    failures: int = 0
    """Searches in a row that could not be made."""
    under_way: Background[Findings] | None = None
    """A search that goes on."""
    began: float = 0.0
    """When the last search began."""
    next_search: float = -math.inf
    """When the next one may begin where nothing answers."""
    may_forward: bool | None = None
    """Whether the server forwards at all; None: not asked."""
    forbidden: Problem | None = None
    """Why it does not."""
    ended: set[RunningServer] = field(default_factory=set)
    """Those of another host whose ports were found closed; their runtime files may stay."""
    watch: KernelWatch = field(default_factory=KernelWatch)
    front: str | None = None
    """The page that is there, where the file names none; None: not known."""

    @property
    def is_fresh(self) -> bool:
        """Whether what the last search found still counts."""
        return time.monotonic() < max(self.searched + FRESH, self.next_search)

    @property
    def is_proven(self) -> bool:
        """Whether the ports found belong to whom they did."""
        return self.succeeded and self.is_fresh


class Examiner:
    """The `Examine` port of one app. Each tunnel is looked at by one thread at a time."""

    def __init__(self, choices: Choices | None = None, patience: float | None = PATIENCE) -> None:
        """`patience`: see `PATIENCE`; None waits to the end of the search."""
        self._choices = choices or BriefChoices()
        self._patience = patience
        self._known: WeakKeyDictionary[Tunnel, _Known] = WeakKeyDictionary()

    def __call__(
        self,
        server: Server,
        tunnel: Tunnel,
        set_target: SetTarget,
        cancel: Cancel,
    ) -> Health:
        """See `trayconnect.ports.Examine`."""
        cancel.check()
        if server.url is not None:
            return look_direct(server.url, cancel)

        known = self._known.get(tunnel)
        if known is None:
            known = self._known[tunnel] = _Known()
            _search(known, server, tunnel, cancel, self._patience)
        elif known.answered and (known.under_way is not None or not known.is_fresh):
            _search(known, server, tunnel, cancel)
        elif known.under_way is not None:
            _search(known, server, tunnel, cancel, self._patience)
        if known.searched == -math.inf and known.under_way is not None:
            waits = shell_awaited(server.host or server.name)
            return Health(Reached.SSH, Page(""), waits, looked=False)

        def look_once() -> tuple[Target, Look]:
            current = known.picked.running
            chosen = self._choices.get(server.name)
            known.picked = pick(known.servers, chosen, current, _owning(server, known))
            if (found := known.picked.running) and current and found.pid != current.pid:
                known.watch = KernelWatch()
            target = target_of(server, known.picked.running)
            if not known.is_proven:
                target = replace(target, token="")
            blocked = _blocked(server, known, lambda: _may_forward(known, server, tunnel, cancel))
            if blocked is not None:
                set_target(blocked)
                return target, Look(Reached.SSH, target.secure, blocked)
            own = Own(target.endpoint, named=not _must_be_ours(server, known.picked.running))
            set_target(own)
            authority = jupyter_authority(server)
            opener = _noting(known, _opener(own, tunnel, target.where))
            return target, look(authority, target, opener, cancel)

        target, seen = look_once()
        before = known.servers, known.hindered
        if _is_worth_a_search(known, target, seen):
            patience = self._patience if seen.reached < Reached.JUPYTER else None
            _search(known, server, tunnel, cancel, patience)
            if (known.servers, known.hindered) != before or _withholds_token(known, target):
                target, seen = look_once()
        seen = _judged(known, target, seen)
        known.answered = seen.reached >= Reached.JUPYTER
        _note_front(known, server, target, seen, cancel)
        kernels = _kernels(known, server, target, seen, cancel)
        unproven = (
            seen.reached >= Reached.PORT
            and (known.picked.running is None or known.picked.running.is_elsewhere)
            and abandonable(
                lambda: tunnel.owner(target.endpoint), f"tc-owner {server.name}", cancel
            )
            in _UNPROVEN
        )
        return replace(_health(server, known, target, seen), kernels=kernels, unproven=unproven)

    def search_soon(self, tunnel: Tunnel) -> None:
        """Somebody waits for a Jupyter there: the next look searches. From any thread."""
        known = self._known.get(tunnel)
        if known is not None and not known.answered:
            known.next_search = -math.inf

    def search_anew(self, tunnel: Tunnel, started_for: str = "") -> None:
        """The next look searches. A Jupyter that was started for an entry is the one to use there,
        whatever was chosen before. On the thread that looks."""
        self._known.pop(tunnel, None)
        if started_for:
            self._choices.forget(started_for)


def _owning(server: Server, known: _Known) -> Callable[[RunningServer], bool]:
    home = known.findings.home
    return lambda one: is_own(one, server, home)


def _kernels(
    known: _Known, server: Server, target: Target, seen: Look, cancel: Cancel
) -> Kernels | None:
    if seen.reached is not Reached.LOGGED_IN:
        return None
    authority = jupyter_authority(server)
    return known.watch.look(
        lambda path: get_logged_in(authority, target, seen, path, cancel), seen.status
    )


def _must_be_ours(server: Server, running: RunningServer | None) -> bool:
    """Whether only a listener that is proven to be ours will do: the file does not name it, or it
    is given a token."""
    if server.jupyter.host not in SAME_HOST:
        return False  # that is never proven: see `node`
    names = server.jupyter.socket is not None or server.jupyter.port != "auto"
    return not names or (running is not None and bool(running.token))


def _blocked(server: Server, known: _Known, may_forward: Callable[[], bool]) -> Problem | None:
    """Why there is nothing to lead to: what listens on a port that the file does not name is
    nobody's business of ours."""
    jupyter = server.jupyter
    if known.picked.running is not None or jupyter.socket or jupyter.port != "auto":
        return None
    is_here = jupyter.host in SAME_HOST
    if known.hindered is not None:
        return not_looked_for("the server" if is_here else jupyter.host, known.hindered)
    if not is_here:
        return none_at_node(jupyter.host, at_node(jupyter.host, DEFAULT_PORT))
    return none_found(START) if may_forward() else known.forbidden


def _may_forward(known: _Known, server: Server, tunnel: Tunnel, cancel: Cancel) -> bool:
    """Whether it is any use to start a Jupyter; asked once, of a port that nobody can have."""
    if known.may_forward is None:
        known.may_forward = True

        def ask() -> None:
            tunnel.open_channel(TcpEndpoint("localhost", 0), ("127.0.0.1", 0)).close()

        try:
            abandonable(ask, f"tc-look {server.name}", cancel)
        except ProblemError as error:
            if error.problem.remedy is not Remedy.WAIT:
                known.may_forward = False
                known.forbidden = replace(
                    error.problem, title="The server forbids forwarding to Jupyter's port"
                )
    return known.may_forward


def _opener(own: Own, tunnel: Tunnel, where: str) -> OpenChannel:
    """What tells why a connection to the target does not come about."""

    def open_channel(target: Endpoint, origin: tuple[str, int]) -> ByteStream:
        try:
            return tunnel.open_own_channel(target, origin, named=own.named)[0]
        except NotOursError as error:
            if error.owner is Owner.OTHERS:
                raise NotOursError(a_strangers(where), error.owner) from error
            raise

    return open_channel


def _expects_ours(seen: Look) -> bool:
    """Whether a Jupyter that the search would have found is what the entry means. What answers on
    a port that the file names is taken for it: in a container, it may run under another account."""
    return seen.problem is not None and seen.problem.remedy is Remedy.WAIT


def _is_worth_a_search(known: _Known, target: Target, seen: Look) -> bool:
    if known.under_way is not None:
        return seen.reached >= Reached.JUPYTER
    # Jupyter may have been started again, elsewhere or with another token.
    if seen.token_refused:
        return time.monotonic() >= min(known.next_search, known.searched + FRESH)
    if seen.reached < Reached.JUPYTER:
        return time.monotonic() >= known.next_search
    # Something has just begun to answer, later than the last search could know of it.
    is_new = known.picked.running is None and not known.answered
    return is_new or (_withholds_token(known, target) and not known.is_fresh)


def _withholds_token(known: _Known, target: Target) -> bool:
    running = known.picked.running
    return running is not None and target.token != running.token


def _search(
    known: _Known, server: Server, tunnel: Tunnel, cancel: Cancel, patience: float | None = None
) -> None:
    """Note what runs there; where there is no way to search, what is known stays. After `patience`
    seconds it goes on in the background, and the next call waits for it again."""
    if known.under_way is None:
        known.began = time.monotonic()
        known.under_way = Background(lambda: _find(server, tunnel), f"tc-find {server.name}")
    known.succeeded = False
    try:
        found = known.under_way.result(cancel, patience)
    except TimeoutError:
        return
    except ProblemError as error:
        logger.info("%s: no search for Jupyter: %s", server.name, error.problem)
        known.hindered = error.problem
        known.failures += 1
        pause = AGAIN[min(known.failures, len(AGAIN)) - 1]
    else:
        known.succeeded = True
        known.hindered = None
        known.failures = 0
        known.findings = found
        fitting = candidates(found, server.jupyter)
        known.servers = tuple(one for one in fitting if one not in known.ended)
        logger.debug("%s: %d running: %s", server.name, len(found.servers), known.servers)
        took = time.monotonic() - known.began
        pause = min(LONGEST_PAUSE, took * (1 / SEARCH_SHARE - 1))
    known.under_way = None
    known.searched = time.monotonic()
    known.next_search = known.searched + pause


def _find(server: Server, tunnel: Tunnel) -> Findings:
    host, node, run = server.host or server.name, server.jupyter.host, tunnel.execute
    return find(run, host) if node in SAME_HOST else find_at_node(run, host, node)


def _noting(known: _Known, open_channel: OpenChannel) -> OpenChannel:
    """The same; a Jupyter of another host whose port is closed has ended, and its runtime file
    proves nothing any more: see `node`."""

    def noted(target: Endpoint, origin: tuple[str, int]) -> ByteStream:
        try:
            return open_channel(target, origin)
        except NotOpenedError as error:
            running = known.picked.running
            if error.refusal is Refusal.REFUSED and running is not None and running.is_elsewhere:
                known.ended.add(running)
                known.servers = tuple(one for one in known.servers if one != running)
            raise

    return noted


def _judged(known: _Known, target: Target, seen: Look) -> Look:
    """What was seen, in the light of who listens there."""
    if seen.reached < Reached.JUPYTER:
        return seen
    if seen.token_refused and not known.is_proven:
        # What refuses it may be another program by now.
        problem = another_jupyter(target.where, "it refuses the token")
        return Look(Reached.PORT, seen.secure, problem)
    return seen


def _health(server: Server, known: _Known, target: Target, seen: Look) -> Health:
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
    return Health(seen.reached, page, problem, jupyters, missing, looked=looked)


def _hindered(cause: Problem, problem: Problem | None, seen: Look) -> Problem:
    """What to tell where nothing could be searched."""
    if seen.reached >= Reached.JUPYTER:
        return problem or token_unknown(cause)
    if problem is not None and problem.remedy is not Remedy.WAIT:
        return problem
    return cause


def _note_front(known: _Known, server: Server, target: Target, seen: Look, cancel: Cancel) -> None:
    """Find out once which page a Jupyter has, if the file does not say."""
    if seen.reached < Reached.JUPYTER:
        known.front = None  # the next one may be another kind
        return
    says = "path" in server.jupyter.model_fields_set
    if known.front is None and not says and target.hub is None:
        authority = jupyter_authority(server)
        known.front = front_page(
            lambda path: get_logged_in(authority, target, seen, path, cancel), target.base_url
        )
