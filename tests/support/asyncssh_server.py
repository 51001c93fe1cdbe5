"""An SSH server of asyncssh on loopback, for logins that sshd stages only as root."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import asyncssh

from tests.support.scoped import Scoped

T = TypeVar("T")
Carry = Callable[[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]], Coroutine[Any, Any, None]]


class AsyncsshServer(Scoped):
    """Lets one user in, by password, or by keyboard-interactive `rounds`.

    A round is a list of (prompt, echo, right answer). `banner` is shown before; the password
    has `expired`; a server that `drops` closes the connection over a wrong one; `thinks` is how
    many seconds each answer is judged; one that `holds` lets everyone in once that is set.
    `carry` gets each channel that the client opens to a port or a socket; without it, nothing
    is forwarded. Like servers written in Go, it ends a channel with a CLOSE and no EOF.
    `listens`: remote forwards are granted, and nothing listens. `run` has it do what no good
    server does, on one of its `connections`. `more_host_keys` are announced as well; `options`
    go to asyncssh's own listener; `on_connection` is called, on its thread, with each
    connection before the key exchange. Runs in a thread for the time of a `with`."""

    host = "127.0.0.1"

    def __init__(
        self,
        rounds: Sequence[Sequence[tuple[str, bool, str]]] = (),
        *,
        banner: str = "",
        expired: bool = False,
        drops: bool = False,
        thinks: float = 0.0,
        holds: threading.Event | None = None,
        carry: Carry | None = None,
        listens: bool = False,
        more_host_keys: Sequence[asyncssh.SSHKey] = (),
        on_connection: Callable[[asyncssh.SSHServerConnection], None] = lambda _: None,
        **options: Any,
    ) -> None:
        self.banner = banner
        self.expired = expired
        self.drops = drops
        self.thinks = thinks
        self.holds = holds
        self.carry = carry
        self.listens = listens
        self.username = "ada"
        self.password = secrets.token_urlsafe(9)
        self.rounds = rounds
        self.more_host_keys = more_host_keys
        self.on_connection = on_connection
        self.options = options
        self.port = 0
        self.connections: list[asyncssh.SSHServerConnection] = []
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncssh.SSHAcceptor | None = None

    @property
    def known_hosts_line(self) -> str:
        return self.line_of(self._key)

    def line_of(self, key: asyncssh.SSHKey) -> str:
        """A line of a known_hosts file that has `key` for this server."""
        kind, blob = key.export_public_key("openssh").decode().split()[:2]
        return f"[{self.host}]:{self.port} {kind} {blob}"

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it on the server's loop; what it gives, or raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncssh.create_server(
            lambda: _Gate(self),
            self.host,
            0,
            server_host_keys=[self._key, *self.more_host_keys],
            send_server_host_keys=bool(self.more_host_keys),
            **self.options,
        )
        self.port = self._server.get_port()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _NoListener(asyncssh.SSHListener):
    def close(self) -> None:
        """Nothing listens."""

    async def wait_closed(self) -> None:
        """Nothing listens."""


class _Gate(asyncssh.SSHServer):
    def __init__(self, settings: AsyncsshServer) -> None:
        self._settings = settings
        self._round = 0
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._settings.connections.append(conn)
        self._settings.on_connection(conn)

    async def begin_auth(self, username: str) -> bool:
        if self._settings.banner:
            assert self._connection is not None
            self._connection.send_auth_banner(self._settings.banner)
        if self._settings.holds is None:
            return True
        while not self._settings.holds.is_set():
            await asyncio.sleep(0.02)
        return False

    def connection_requested(self, *_where: object) -> Carry | bool:
        return self._settings.carry or False

    def unix_connection_requested(self, _path: str) -> Carry | bool:
        return self._settings.carry or False

    def server_requested(self, *_where: object) -> asyncssh.SSHListener | bool:
        return _NoListener() if self._settings.listens else False

    def password_auth_supported(self) -> bool:
        return not self._settings.rounds or self._settings.expired

    def validate_password(self, username: str, password: str) -> bool:
        right = (username, password) == (self._settings.username, self._settings.password)
        if right and self._settings.expired:
            raise asyncssh.PasswordChangeRequired("Choose a new password")
        if not right and self._settings.drops:
            assert self._connection is not None
            self._connection.abort()
        return right

    def kbdint_auth_supported(self) -> bool:
        return bool(self._settings.rounds)

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        self._round = 0
        return self._challenge()

    async def validate_kbdint_response(
        self, username: str, responses: Sequence[str]
    ) -> bool | tuple[str, str, str, list[tuple[str, bool]]]:
        await asyncio.sleep(self._settings.thinks)
        right = [answer for _, _, answer in self._settings.rounds[self._round]]
        if list(responses) != right:
            return False
        self._round += 1
        return True if self._round == len(self._settings.rounds) else self._challenge()

    def _challenge(self) -> tuple[str, str, str, list[tuple[str, bool]]]:
        prompts = [(text, echo) for text, echo, _ in self._settings.rounds[self._round]]
        return "Two steps", f"Step {self._round + 1}", "", prompts
