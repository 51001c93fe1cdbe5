"""How the relay begins on a node. The end of the text of `far`."""

import os
import signal
import socket
import sys
import traceback

assert sys.platform == "linux"  # the nodes of every cluster

from trayconnect.services.batch.relay.far import *
from trayconnect.services.batch.relay.far_serve import *
from trayconnect.services.batch.relay.frames import *

IP_MTU = 14
LARGEST_SEGMENT = 9000


def segment_size(address: str) -> int:
    """Bytes of a full packet to an address; 0: unknown, or too many."""
    try:
        with socket.socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM
        ) as sock:
            sock.connect((address, 9))
            size = sock.getsockopt(socket.IPPROTO_IP, IP_MTU) - 52
    except OSError:
        return 0
    return size if 0 < size <= LARGEST_SEGMENT else 0


def main() -> None:
    signal.alarm(0)
    try:
        if sys.argv[1:2] == ["serve"]:
            serve(sys.argv[2], int(sys.argv[3]))
        relay = Relay(0, 1)
        launched_from = os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "")
        if launched_from:
            relay.pad.segment = segment_size(launched_from)
        relay.run()
    except FrameError as error:
        os.write(2, ("trayconnect relay: %s\n" % error).encode())
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(0)  # another status lets the caller look for another Python


if __name__ == "__main__":
    main()
