"""The hosts through which a server is reached: the file's jump hosts, or else those of
ProxyJump."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trayconnect.config.model import JumpHost, Server
from trayconnect.config.openssh_syntax import Jump
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.ssh.config.interpret import HostConfig
from trayconnect.ssh.config.ssh_options import Query

MAX_HOPS = 8

LookUp = Callable[[Query], HostConfig]


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server of the route; `name` is its name in the file or in ProxyJump."""

    name: str
    config: HostConfig


def resolve_hops(server: Server, look_up: LookUp) -> tuple[Hop, ...]:
    """The hosts to log in to, in order; the last is the server itself.

    The entry takes precedence; `jump_hosts: []` means none. Raises `ProblemError` if the jump hosts
    form a loop, and what `look_up` raises."""
    if server.host is None:
        raise ValueError("a direct connection has no SSH server")
    is_set = server.model_fields_set
    destination = Jump(server.host, server.username, server.port if "port" in is_set else None)
    jumps = tuple(map(_jump, server.jump_hosts)) if "jump_hosts" in is_set else None
    return tuple(_resolve(destination, jumps, look_up, ()))


def _jump(host: JumpHost) -> Jump:
    port = host.port if "port" in host.model_fields_set else None
    return Jump(host.host, host.username, port)


def _resolve(
    destination: Jump,
    jumps: Sequence[Jump] | None,
    look_up: LookUp,
    farther: tuple[Jump, ...],
    *,
    by_entry: bool = True,
) -> list[Hop]:
    """`jumps` None: use the host's own ProxyJump. `farther`: the host reached through it.
    `by_entry`: the entry names the host, and may name it twice."""
    seen = (destination, *farther)
    if not by_entry and jumps is None and destination in farther:
        circle = " → ".join(jump.host for jump in reversed(seen))
        raise ProblemError(
            Problem(
                title=f"The jump hosts of {farther[-1].host} form a loop",
                advice=f"Correct ProxyJump in your SSH configuration: {circle}",
            )
        )
    if len(seen) > MAX_HOPS + 1:
        raise ProblemError(
            Problem(
                title=f"The route to {farther[-1].host} has more than {MAX_HOPS} jump hosts",
                advice="Correct jump_hosts in servers.yaml, or ProxyJump in your SSH "
                "configuration.",
            )
        )
    query = Query(destination.host, destination.user, destination.port, direct=jumps is not None)
    config = look_up(query)
    # The entry takes precedence over the configuration's answer.
    config = replace(
        config, port=destination.port or config.port, user=destination.user or config.user
    )
    through = config.jumps if jumps is None else tuple(jumps)
    before: list[Hop] = []
    if through:
        # As `ssh -J a,b HOST`: b is reached through a, and only the ProxyJump of a applies.
        by_entry = by_entry and jumps is not None
        before = _resolve(through[-1], through[:-1] or None, look_up, seen, by_entry=by_entry)
    return [*before, Hop(destination.host, config)]
