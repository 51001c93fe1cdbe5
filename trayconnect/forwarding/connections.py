"""Hands the clients of local forwards to the link, and answers those that it refuses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import (
    Carrier,
    Client,
    LostError,
    NotOpenedError,
    NotOursError,
    Own,
    Owner,
    Refusal,
)
from trayconnect.forwarding.conversations import Conversation, Conversations
from trayconnect.forwarding.local_client import LocalClient
from trayconnect.forwarding.refusal_page import turn_away
from trayconnect.forwarding.socks import SocksError, negotiate
from trayconnect.forwarding.workers import Job, Workers

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The client names the target, by SOCKS."""


Target = Endpoint | Own | Dynamic | Problem
"""The target of a forward, as seen from the server, or why it has none."""


class Connections:
    """`begin` and `end` may follow each other any time. Methods return at once.

    `give_back` gets a client whose link ended before its channel was open: nothing was read from it
    but its request, so the next link can serve it. `on_refused` gets the reason when the link is up
    and the server opens no channel to a target of the file. `on_target_lost` gets the number of a
    forward and its target if the link that this one leads through has ended; the client is given
    back then. All are called on any thread."""

    def __init__(
        self,
        name: str,
        workers: Workers,
        give_back: Callable[[LocalClient], None],
        on_refused: Callable[[Problem], None] | None,
        on_target_lost: Callable[[int, Own], None],
    ) -> None:
        self._name = name
        self._workers = workers
        self._give_back = give_back
        self._on_target_lost = on_target_lost
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._carrier: Carrier | None = None
        self._proven_forwards: set[int] = set()
        """Forwards whose listener was once proven to be the account's own: from then on, only such
        a listener is accepted."""
        self._conversations = Conversations(name)
        self._last_refusal = ""
        """The last logged refusal: a client that polls for a page asks again each second."""

    @property
    def has_link(self) -> bool:
        return self._carrier is not None

    def begin(self, carrier: Carrier) -> None:
        """Serve through this link from now on."""
        with self._lock:
            self._carrier = carrier
        self._last_refusal = ""

    def end(self, carrier: Carrier | None = None) -> None:
        """Serve nobody; with `carrier`, only if it is the present one."""
        with self._lock:
            if carrier in (None, self._carrier):
                self._carrier = None

    def forget(self, target: Own) -> None:
        """See `link.Carrier`."""
        carrier = target.through or self._carrier
        if carrier is not None:
            carrier.forget(target.endpoint)

    def close(self, limit: float) -> None:
        """`end`, and close the clients that are being answered, within `limit` seconds."""
        self.end()
        self._conversations.close(limit)

    def serve(self, client: LocalClient, target: Target) -> bool:
        """Serve the client, and take ownership of its socket. False: there is no link, and the
        caller keeps the socket."""
        carrier = self._carrier
        if carrier is None:
            return False
        if isinstance(target, Problem):
            self._turn_away(client, target)
        elif isinstance(target, Dynamic) and client.request is None:
            self._converse(client, self._negotiate(client))
        else:
            self._carry(client, target, carrier)
        return True

    def work(self, client: LocalClient, job: Job) -> None:
        """Run a job for the client on a thread of its own; without one, or after a bug, reset the
        client."""

        def run() -> None:
            try:
                job()
            except BaseException:
                client.reset()
                raise

        try:
            self._workers.start(run)
        except RuntimeError as error:
            _log.warning("%s: dropped a connection: %s", self._name, error)
            client.reset()

    # --- with the link ----------------------------------------------------------------------------

    def _carry(
        self, client: LocalClient, target: Endpoint | Own | Dynamic, carrier: Carrier
    ) -> None:
        request = client.request
        carried = Client(client.socket, client.origin, request.granted if request else b"")

        def refused(error: ProblemError) -> None:
            if isinstance(error, LostError) and isinstance(target, Own) and target.through:
                self._on_target_lost(client.forward, target)
                self._give_back(client)
            else:
                self._refuse(client, carrier, error)

        if request is not None:
            carrier.carry(carried, request.target, refused)
        elif isinstance(target, Own):
            (target.through or carrier).carry_own(
                carried,
                target.endpoint,
                named=target.named and client.forward not in self._proven_forwards,
                on_opened=lambda owner: self._opened(client.forward, owner),
                on_refused=refused,
            )
        elif not isinstance(target, Dynamic):
            carrier.carry(carried, target, refused)

    def _opened(self, forward: int, owner: Owner) -> None:
        if owner is Owner.OURS:
            self._proven_forwards.add(forward)

    def _refuse(self, client: LocalClient, carrier: Carrier, error: ProblemError) -> None:
        if isinstance(error, LostError):  # the client may notice it before `end` is called
            self.end(carrier)
        if carrier is not self._carrier:
            self._give_back(client)
            return
        if isinstance(error, NotOursError):
            self._turn_away(client, error.problem)
            return
        self._log_once(error.problem)
        request = client.request
        if request is not None:
            refusal = error.refusal if isinstance(error, NotOpenedError) else Refusal.OTHER
            if request.denied(client.socket, refusal):
                client.socket.close()
            else:
                client.reset()
            return  # the client of a proxy may ask for a host that does not exist
        client.reset()
        if self._on_refused is not None:
            self._on_refused(error.problem)

    def _log_once(self, problem: Problem) -> None:
        title = problem.title
        _log.log(
            logging.DEBUG if title == self._last_refusal else logging.INFO,
            "%s: %s",
            self._name,
            title,
        )
        self._last_refusal = title

    # --- with the client --------------------------------------------------------------------------

    def _converse(self, client: LocalClient, conversation: Conversation[None]) -> None:
        try:
            self._conversations.begin(client.socket, conversation)
        except (RuntimeError, OSError) as error:
            _log.warning("%s: dropped a connection: %s", self._name, error)
            client.reset()

    def _negotiate(self, client: LocalClient) -> Conversation[None]:
        try:
            request = yield from negotiate(client.socket)
        except SocksError as error:
            _log.info("%s: %s", self._name, error)
            client.socket.close()
        except BaseException:
            client.socket.close()
            raise
        else:
            self._give_back(replace(client, request=request))

    def _turn_away(self, client: LocalClient, problem: Problem) -> None:
        """Send the reason to the client, and report that somebody is waiting for an answer."""
        self._log_once(problem)
        if self._on_refused is not None:
            self._on_refused(problem)
        self._converse(client, turn_away(client.socket, problem))
