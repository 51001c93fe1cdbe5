"""An SSH port on loopback that leads into a host of the lab: LAB=folder door.py HOST [PORT]

The listener is here, the session there: each connection is handed to an `sshd -i` inside the
host's namespaces, so its channels and commands see only that host. Prints the port, then serves.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path


def serve(lab: Path, host: str, port: int) -> None:
    inner = (lab / "hosts" / host / "pid").read_text().strip()
    enter = ["nsenter", "-t", inner, "-n", "-u", "-i", "-p", "-m", "--wd=/"]
    daemon = ["/usr/sbin/sshd", "-i", "-f", "/etc/ssh/sshd_config", "-E", "/var/log/sshd.log"]
    with socket.create_server(("127.0.0.1", port)) as listener:
        print(listener.getsockname()[1], flush=True)
        children: list[subprocess.Popen[bytes]] = []
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                children.append(
                    subprocess.Popen(
                        [*enter, *daemon], stdin=connection.fileno(), stdout=connection.fileno()
                    )
                )
            children = [child for child in children if child.poll() is None]


if __name__ == "__main__":
    serve(Path(os.environ["LAB"]), sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
