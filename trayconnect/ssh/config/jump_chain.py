"""Through which hosts a server is reached: the file's jump hosts, or else those of ProxyJump."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trayconnect.config.jump_hosts import Jump
from trayconnect.config.model import JumpHost, Server
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.ssh.config.interpret import HostConfig
from trayconnect.ssh.config.raw_options import Query

MAX_HOPS = 8

LookUp = Callable[[Query], HostConfig]


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server on the way; `name` is what the file or ProxyJump calls it."""

    name: str
    config: HostConfig


def way(server: Server, look_up: LookUp) -> tuple[Hop, ...]:
    """The hosts to log in to, in order; the last is the server itself.

    What the entry says wins; `jump_hosts: []` means none. Raises `ProblemError` for jump hosts
    that lead in a circle, and what `look_up` raises."""
    if server.host is None:
        raise ValueError("a direct connection has no SSH server")
    said = server.model_fields_set
    destination = Jump(server.host, server.username, server.port if "port" in said else None)
    jumps = tuple(map(_jump, server.jump_hosts)) if "jump_hosts" in said else None
    return tuple(_hops(destination, jumps, look_up, ()))


def _jump(host: JumpHost) -> Jump:
    port = host.port if "port" in host.model_fields_set else None
    return Jump(host.host, host.username, port)


def _hops(
    destination: Jump,
    jumps: Sequence[Jump] | None,
    look_up: LookUp,
    farther: tuple[Jump, ...],
    *,
    by_entry: bool = True,
) -> list[Hop]:
    """`jumps` None: those of its own ProxyJump. `farther`: what is reached through it. `by_entry`:
    the entry names it, which may lead through a host to the same."""
    seen = (destination, *farther)
    if not by_entry and jumps is None and destination in farther:
        circle = " → ".join(jump.host for jump in reversed(seen))
        raise ProblemError(
            Problem(
                title=f"The jump hosts of {farther[-1].host} lead in a circle",
                advice=f"Correct ProxyJump in your SSH configuration: {circle}",
            )
        )
    if len(seen) > MAX_HOPS + 1:
        raise ProblemError(
            Problem(
                title=f"The way to {farther[-1].host} has more than {MAX_HOPS} jump hosts",
                advice="Correct jump_hosts in servers.yaml, or ProxyJump in your SSH "
                "configuration.",
            )
        )
    query = Query(destination.host, destination.user, destination.port, direct=jumps is not None)
    config = look_up(query)
    # What the entry says holds, whatever the answer was.
    config = replace(
        config, port=destination.port or config.port, user=destination.user or config.user
    )
    through = config.jumps if jumps is None else tuple(jumps)
    before: list[Hop] = []
    if through:
        # As `ssh -J a,b HOST`: b is reached through a, and only a has a ProxyJump of its own.
        by_entry = by_entry and jumps is not None
        before = _hops(through[-1], through[:-1] or None, look_up, seen, by_entry=by_entry)
    return [*before, Hop(destination.host, config)]
