"""Which forwards lead to the node of a batch job, as its page does, and which to the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trayconnect.core.endpoints import TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Problem
from trayconnect.core.link import NoPage, Own
from trayconnect.forwarding.connections import Target

_LOCAL = ("localhost", "127.0.0.1", "::1")


class NodeForwards:
    """Not thread-safe. An entry may get its 'batch', or lose it, while its forwards are bound."""

    def __init__(self, targets: Sequence[Target | None], *, is_batch: bool) -> None:
        """`targets`: of all forwards, by the file; the first one is that of Jupyter."""
        self._by_file = targets
        self._at_node = {
            number: own
            for number, target in enumerate(targets)
            if number and (own := _at_node(target)) is not None
        }
        self.first = list(targets)
        """The targets at the begin of a link."""
        for number in self._at_node if is_batch else ():
            self.first[number] = None

    def follow(self, targets: list[Target | None], jupyter: Own | Problem) -> None:
        """Change the targets: Jupyter's is another one now."""
        for number, own in self._at_node.items():
            targets[number] = self.first[number] = self._by_file[number]
            if isinstance(jupyter, Own | NoPage) and jupyter.through is not None:
                targets[number], self.first[number] = replace(own, through=jupyter.through), None
            elif isinstance(jupyter, NoPage):
                targets[number], self.first[number] = jupyter, None


def _at_node(target: Target | None) -> Own | None:
    """Of a batch job: nothing of the user's runs on the login node."""
    if isinstance(target, Own):
        return target
    if isinstance(target, TcpEndpoint):
        return Own(target) if target.host in _LOCAL else None
    return Own(target) if isinstance(target, UnixEndpoint) else None
