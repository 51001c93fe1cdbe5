"""The arm of the `asyncssh` package; arguments as in `ours`."""

from __future__ import annotations

import asyncio
import sys

import asyncssh


async def main(
    host: str, port: str, user: str, key: str, known: str, local: str, remote: str
) -> None:
    async with asyncssh.connect(
        host, int(port), username=user, client_keys=[key], known_hosts=known, config=None
    ) as connection:
        await connection.forward_local_port("127.0.0.1", int(local), "127.0.0.1", int(remote))
        await connection.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
