"""A channel that is open and carries nothing yet, as a protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trayconnect.core.endpoints import Endpoint
from trayconnect.core.link import Client, OnRefused


class HeldChannel(Protocol):
    """Data that arrives waits, bounded by the window. From any thread; nothing here blocks."""

    @property
    def is_untouched(self) -> bool:
        """Whether the far end has sent nothing yet, neither data nor EOF nor CLOSE, and the link
        is up."""
        ...

    def watch(self, on_touched: Callable[[], None]) -> None:
        """Call `on_touched` once, on the link's thread, as soon as `is_untouched` is false; also
        if that is so already. Not after `carry` or `close`."""
        ...

    def carry(self, client: Client, on_unused: Callable[[Client], None] | None = None) -> None:
        """Carry the client, and take ownership of its socket. If the link has ended, the socket is
        reset.

        `on_unused` gets the client back, on the link's thread, if the far end or the link ends
        before a byte went either way, `Client.reply` included; the channel is closed then. None:
        the client sees that end."""
        ...

    def close(self) -> None:
        """May be called twice; does nothing after `carry`."""
        ...


class OpenHeld(Protocol):
    """Opens a channel to `target` for the local `origin`. From any thread; never blocks.

    Either callback is called once, on the link's thread or during the call; no answer within 10 s
    is a refusal."""

    def __call__(
        self,
        target: Endpoint,
        origin: tuple[str, int],
        on_opened: Callable[[HeldChannel], None],
        on_refused: OnRefused,
    ) -> None: ...
