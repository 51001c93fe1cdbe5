"""What goes wrong on the way through a relay, for people."""

from __future__ import annotations

from trayconnect.core import sanitize
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import LostError, NotOpenedError, NotOursError, Owner, Refusal
from trayconnect.core.own_channel_problems import not_ours
from trayconnect.services.batch.relay import frames

_RETRY = Recovery.RETRY

OWNERS = {
    frames.OURS: Owner.OURS,
    frames.SYSTEM: Owner.SYSTEM,
    frames.UNKNOWN: Owner.UNKNOWN,
    frames.OTHERS: Owner.OTHERS,
    frames.NOBODY: Owner.NOBODY,
}


def owner(payload: bytes) -> Owner:
    """Of the payload of OPENED. Raises `FrameError`."""
    if len(payload) != 1 or payload[0] not in OWNERS:
        raise frames.FrameError("no owner")
    return OWNERS[payload[0]]


def lost(node: str, detail: str) -> LostError:
    title = f"The connection to {node} was lost"
    return LostError(
        Problem(title, "The node, its job or the login node ended it.", _RETRY, detail)
    )


def silent(node: str, silence: float) -> LostError:
    title = f"{node} stopped answering"
    advice = f"Nothing came for {silence:.0f} s: the node hangs, or its network is down."
    return LostError(Problem(title, advice, _RETRY))


def broken(node: str, detail: str) -> LostError:
    title = f"What answers on {node} is not trayconnect's relay"
    advice = "Something on the way changes its data, or a start-up file on the node prints into it."
    return LostError(Problem(title, advice, _RETRY, detail))


def no_python(node: str) -> ProblemError:
    title = f"{node} has no Python 3.6 or newer"
    advice = "The way there needs one as 'python3'. Ask for it, or use another 'reach'."
    return ProblemError(Problem(title, advice, _RETRY))


def not_started(node: str, said: str) -> ProblemError:
    title = f"Nothing could be started on {node}"
    advice = f"The login node said: {said}" if said else "The login node said nothing about it."
    return ProblemError(Problem(title, advice, _RETRY, said))


def slow_start(node: str, seconds: float, said: str) -> ProblemError:
    title = f"{node} started nothing within {seconds:.0f} s"
    advice = "The scheduler or the node is very busy, or it hangs."
    return ProblemError(Problem(title, advice, _RETRY, said))


def refused(node: str, target: Endpoint | None, payload: bytes) -> ProblemError:
    """The relay opened no channel; `target` None: it ran no command."""
    reason = payload[0] if payload else frames.OTHER
    whose = OWNERS.get(payload[1] if len(payload) > 1 else -1, Owner.UNKNOWN)
    said = sanitize.line(payload[2:])
    if target is None:
        return ProblemError(Problem(f"{node} runs no commands", said, _RETRY, said))
    if reason == frames.NOT_OURS:
        return NotOursError(not_ours(target, whose), whose)
    if reason == frames.UNRESOLVED and isinstance(target, TcpEndpoint):
        title = f"{node} does not know a host named {target.host}"
        return NotOpenedError(Problem(title, "", _RETRY, said), Refusal.UNRESOLVED)
    refusal = {
        frames.NO_LISTENER: Refusal.REFUSED,
        frames.UNREACHABLE: Refusal.UNREACHABLE,
    }.get(reason, Refusal.OTHER)
    return NotOpenedError(
        Problem(f"Nothing answers on {target} at {node}", "", _RETRY, said), refusal
    )


def unanswered(node: str, target: Endpoint, seconds: float) -> NotOpenedError:
    title = f"{node} did not connect to {target} within {seconds:.0f} s"
    advice = "The program there may be busy, or the node."
    return NotOpenedError(Problem(title, advice, _RETRY), Refusal.UNREACHABLE)


def command_slow(node: str, seconds: float) -> Problem:
    title = f"A command on {node} did not end within {seconds:.0f} s"
    return Problem(title, "The node is very slow, or it hangs.", _RETRY)


def no_hop(node: str) -> ProblemError:
    return ProblemError(Problem(f"No login leads on from {node}", "", Recovery.FIX_FIRST))


def no_listening(node: str, where: Endpoint) -> Problem:
    title = f"{node} cannot listen on {where}"
    return Problem(title, "Remote forwards lead to the login node.", Recovery.FIX_FIRST)
