"""Finds the Jupyter of a job that trayconnect did not submit, on the job's node: the schedulers put
a job's number into the environment of its processes."""

from __future__ import annotations

from trayconnect.config.model import Jupyter
from trayconnect.core import remote_script
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link
from trayconnect.services.batch.job import Job
from trayconnect.services.jupyter.discovery import LIMIT, find

_BEGIN = "@@trayconnect job 1"


def find_in_job(link: Link, job: Job, path: str) -> Jupyter:
    """Where it listens, as seen from the node; `path`: the page to open. Raises `ProblemError`."""
    servers = {str(one.pid): one for one in find(link.execute, job.node or "the node").servers}
    script = f"echo; echo '{_BEGIN}'\n"
    for pid in servers:
        script += (
            f"tr '\\0' '\\n' 2>/dev/null </proc/{pid}/environ"
            f" | grep -qxE '(SLURM_JOB_ID|JOB_ID)={job.id}' && echo {pid}\n"
        )
    stdin = remote_script.stdin(f"{script}exit 0\n")
    done = link.execute(remote_script.COMMAND, stdin, LIMIT)
    report = done.stdout.decode("utf-8", "replace").partition(_BEGIN)[2]
    for word in report.split():
        one = servers.get(word)
        if one is not None and one.socket:
            return Jupyter(path=path, socket=one.socket)
        if one is not None:
            return Jupyter(path=path, port=one.port)
    raise ProblemError(
        Problem(
            f"No Jupyter of yours was found in job {job.id}",
            "It may not run yet. Trying again automatically.",
            Recovery.RETRY,
        )
    )
