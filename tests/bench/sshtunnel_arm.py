"""The arm of the `sshtunnel` package; arguments as in `ours`."""

from __future__ import annotations

import sys
import threading

import sshtunnel


def main(host: str, port: str, user: str, key: str, _known: str, local: str, remote: str) -> None:
    forwarder = sshtunnel.SSHTunnelForwarder(
        (host, int(port)),
        ssh_username=user,
        ssh_pkey=key,
        allow_agent=False,
        host_pkey_directories=[],
        local_bind_address=("127.0.0.1", int(local)),
        remote_bind_address=("127.0.0.1", int(remote)),
    )
    forwarder.start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
