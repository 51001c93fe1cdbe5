"""What `trayconnect doctor` checks behind a link where a Jupyter is wanted, step by step."""

from __future__ import annotations

from collections.abc import Iterator

from trayconnect.config.model import Server
from trayconnect.core import remote_script
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link
from trayconnect.core.progress import Progress
from trayconnect.services.jupyter.discovery import LIMIT, RunningServer, find
from trayconnect.services.jupyter.health import HealthChecker
from trayconnect.services.jupyter.selection_store import BriefChoices, StoredChoices, choices_file
from trayconnect.services.protocol import Level, SetTarget

REACHED = {
    Level.NOTHING: "nothing answers",
    Level.REACHABLE: "the port answers",
    Level.READY: "the page answers",
    Level.LOGGED_IN: "the page answers, logged in",
}


def check(
    server: Server, link: Link, set_target: SetTarget, cancel: CancelToken, steps: Progress
) -> Problem | None:
    """See `kinds.Check`."""
    try:
        with steps.step("run a command"):
            link.execute(remote_script.COMMAND, remote_script.stdin("exit 0"), LIMIT)
        with steps.step("find Jupyter") as found:
            found += list(_found(find(link.execute, server.host or server.name).servers))
    except ProblemError as error:
        if error.problem.recovery is Recovery.USER_ACTION:
            raise
        # Some servers allow forwards only; the next step shows whether that is enough.
    with steps.step("look at its page through the tunnel") as found:
        checker = HealthChecker(_choices(server.name), patience=None)
        health = checker(server, link, set_target, cancel, may_move=True)
        found.append(REACHED[health.level])
        if health.level < Level.READY:
            silent = Problem("No page answers yet", "Try again in a moment", Recovery.RETRY)
            raise ProblemError(health.problem or silent)
    return health.problem


def _choices(name: str) -> BriefChoices:
    """Those that are stored; a running app alone changes them."""
    stored, ours = StoredChoices(choices_file()), BriefChoices()
    choice, last = stored.get(name), stored.last(name)
    if choice is not None:
        ours.put(name, choice)
    if last is not None:
        ours.note(name, last)
    return ours


def _found(servers: tuple[RunningServer, ...]) -> Iterator[str]:
    for one in servers:
        where = one.root_dir or "an unknown folder"
        token = "with a token" if one.token else "without a token to be trusted"
        yield f"version {one.version or 'unknown'} in {where}, {token}"
    if not servers:
        yield "none is running"
