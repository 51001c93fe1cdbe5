"""A job of Slurm in the lab, with a program that listens on a UNIX socket of its node."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.batch_cluster import BatchCluster
from tests.support.tunnel_kit import until
from trayconnect.config.batch_options import System
from trayconnect.config.model import Server
from trayconnect.services.batch.job import Job, JobFiles, Phase, job_name
from trayconnect.services.batch.reach import Destination
from trayconnect.services.batch.relay.program import job_lines

SOCKET = "/tmp/tc-test/sock"
ECHO = """
import os, socket, threading
os.makedirs("/tmp/tc-test", 0o700, exist_ok=True)
if os.path.exists("/tmp/tc-test/sock"):
    os.unlink("/tmp/tc-test/sock")
listening = socket.socket(socket.AF_UNIX)
listening.bind("/tmp/tc-test/sock")
listening.listen(128)
def serve(sock):
    with sock:
        while True:
            data = sock.recv(1 << 16)
            if not data:
                return
            sock.sendall(data)
while True:
    sock, _ = listening.accept()
    threading.Thread(target=serve, args=(sock,), daemon=True).start()
"""


class SlurmSteps:
    """The part of `scheduler.Scheduler` that a way needs."""

    system: System = "slurm"
    title = "Slurm"
    has_steps = True

    def step(self, job: Job, program: str) -> str:
        return (
            f"exec srun --jobid={job.id} --overlap --unbuffered --quiet --nodes=1 --ntasks=1 "
            f"sh -c {shlex.quote(program)}"
        )


@contextmanager
def echo_job(
    cluster: BatchCluster, server: Server, node: str = "c1", program: str = ECHO
) -> Iterator[Destination]:
    """A job that echoes what connections to `SOCKET` of its node send."""
    name = job_name(server.name)
    reach = server.batch.reach if server.batch else "auto"
    script = (
        "#!/bin/sh\numask 077\n"
        f"state=$HOME/.local/state/trayconnect/jobs/{name[-8:]}/$SLURM_JOB_ID\n"
        f'mkdir -p "$state"\n{job_lines(reach)}serve_node $$\n'
        f"python3 -c {shlex.quote(textwrap.dedent(program))}\n"
    )
    line = f"sbatch --parsable -J {name} -w {node} -o /dev/null --time=10"
    job_id = cluster.run("login1", *line.split(), user="alice", stdin=script).strip()
    try:
        relay = cluster.home() / f".local/state/trayconnect/jobs/{name[-8:]}/{job_id}/relay"
        assert until(lambda: cluster.try_run(node, "test", "-S", SOCKET).returncode == 0)
        assert reach != "direct" or until(relay.exists)
        job = Job(job_id, name, Phase.RUNNING, nodes=(node,))
        files = JobFiles(job_id, names=(node,), socket=SOCKET, host_keys=(cluster.host_key,))
        yield Destination(server, SlurmSteps(), job, files)  # type: ignore[arg-type]
    finally:
        cluster.try_run("login1", "scancel", job_id, user="alice")
        assert until(
            lambda: not cluster.run("login1", "squeue", "-h", "-j", job_id, user="alice").strip()
        )
        cluster.try_run(node, "rm", "-rf", "/tmp/tc-test")
