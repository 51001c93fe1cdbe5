"""The demo's SSH server: asyncssh on loopback, with new keys."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh

HOST = "127.0.0.1"
USERNAME = "demo"

_CHUNK = 64 * 1024
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LIMIT = 10.0
"""Limit in seconds for the start, and for each step of the end."""


class SshServer:
    """An SSH server that accepts one key, forwards to loopback only, and runs commands with `sh` in
    `environment`. Its event loop has a thread, within the `with` block.

    `identity_file` is in `folder`, which must be private."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.identity_file = folder / "id_ed25519"
        self.identity_file.touch(0o600)
        self.identity_file.write_bytes(client_key.export_private_key("openssh"))
        self._client_key = client_key.convert_to_public()
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._commands: set[asyncio.Task[None]] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tc-demo-ssh", daemon=True)

    @property
    def port(self) -> int:
        assert self._acceptor is not None
        return self._acceptor.get_port()

    @property
    def known_hosts_line(self) -> str:
        """Its host key, as in sshd(8), section SSH_KNOWN_HOSTS FILE FORMAT."""
        kind, blob = self._host_key.export_public_key().decode().split()[:2]
        return f"[{HOST}]:{self.port} {kind} {blob}\n"

    def __enter__(self) -> Self:
        # At INFO, it logs every channel.
        logging.getLogger("asyncssh").setLevel(logging.WARNING)
        self._thread.start()
        try:
            starting = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)
            self._acceptor = starting.result(_LIMIT)
        except BaseException:
            self._end_loop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        closing = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        try:
            closing.result(3 * _LIMIT)
        finally:
            self._end_loop()

    # --- in the thread ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            HOST,
            0,
            server_factory=lambda: _Guest(self._client_key, self._connections),
            server_host_keys=[self._host_key],
            process_factory=self._execute,
            encoding=None,
            gss_host=None,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_pty=False,
        )

    async def _close(self) -> None:
        assert self._acceptor is not None
        self._acceptor.close()
        for connection in self._connections.copy():
            connection.abort()
        await asyncio.wait_for(self._acceptor.wait_closed(), _LIMIT)
        if self._commands:
            # Commands end with their channels.
            await asyncio.wait(self._commands, timeout=_LIMIT)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=_LIMIT)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    def _execute(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Start one command, in a task that the end of the connection does not cancel: it must wait
        for its child."""
        if process.command is None:
            process.stderr.write(b"The demo has no interactive shell.\r\n")
            process.exit(1)
            return
        command = self._loop.create_task(_run(process, process.command, self._environment))
        self._commands.add(command)
        command.add_done_callback(self._commands.discard)


async def _run(
    process: asyncssh.SSHServerProcess[bytes], command: str, environment: Mapping[str, str]
) -> None:
    """Run one command while its channel is open."""
    child = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    closed = asyncio.ensure_future(process.channel.wait_closed())
    ended = asyncio.ensure_future(_carry(process, child))
    try:
        await asyncio.wait({closed, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        _kill_group(child.pid)
        for task in (closed, ended):
            task.cancel()
        await asyncio.gather(closed, ended, return_exceptions=True)
        # Read its pipes to their end: they must end before the loop.
        with suppress(TimeoutError):
            await asyncio.wait_for(child.communicate(), _LIMIT)


async def _carry(
    process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process
) -> None:
    """Carry bytes both ways, then send the exit status after all output."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    # A command may end without reading all of its input.
    feeding = asyncio.ensure_future(_pump(process.stdin, child.stdin))
    try:
        await asyncio.gather(
            _pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr)
        )
        status = await child.wait()
        process.stdout.write_eof()
        process.exit(status if status >= 0 else 128 - status)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _pump(
    source: asyncssh.SSHReader[bytes] | asyncio.StreamReader,
    sink: asyncssh.SSHWriter[bytes] | asyncio.StreamWriter,
) -> None:
    with suppress(OSError, asyncssh.Error):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        if isinstance(sink, asyncio.StreamWriter):
            sink.close()


class _Guest(asyncssh.SSHServer):
    """Authenticates one SSH connection, and decides on its forwards."""

    def __init__(
        self, key: asyncssh.SSHKey, connections: set[asyncssh.SSHServerConnection]
    ) -> None:
        self._key = key
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._connection:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - always required
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USERNAME and key == self._key

    def connection_requested(
        self,
        dest_host: str,
        dest_port: int,  # noqa: ARG002
        orig_host: str,  # noqa: ARG002
        orig_port: int,  # noqa: ARG002
    ) -> bool:
        if dest_host in _LOOPBACK:
            return True
        # False would mean that nothing listens there.
        raise asyncssh.ChannelOpenError(
            asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "the demo forwards to loopback only"
        )


def _kill_group(pid: int) -> None:
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
