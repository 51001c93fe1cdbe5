"""What tests of batch jobs share: an entry, and what its user does with its jobs."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.batch_cluster import BatchCluster
from tests.support.tunnel_kit import Kit, entry
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem
from trayconnect.services.batch.cluster import Cluster
from trayconnect.services.batch.job import (
    Answer,
    Ended,
    Job,
    JobFiles,
    JobId,
    JobsSeen,
    Phase,
    job_name,
)
from trayconnect.services.batch.scheduler import (
    Refused,
    Scheduler,
    Submission,
    Submitted,
    Trial,
    Unsure,
)
from trayconnect.ssh.ssh_link import SshLink

VENV = Path(sys.executable).parent.parent
NEVER = CancelToken()
LIMIT = 120.0
HOLD = "exec sleep 600"


@contextmanager
def link_to(cluster: BatchCluster, door: int, folder: Path) -> Iterator[SshLink]:
    kit = Kit(folder)
    kit.trust([f"[127.0.0.1]:{door} {cluster.host_key}"])
    server = entry(door, identity_file=cluster.key, username="alice")
    with kit.tunnel(server) as link:
        yield link


def until(condition: Callable[[], bool]) -> bool:
    """Poll for what has no event to wait for, as gently as the program does."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


class Desk:
    """An entry, and what its user does with its jobs from one computer."""

    _orders = itertools.count()

    def __init__(
        self,
        scheduler: Scheduler,
        login: SshLink,
        *options: str,
        run: str = "",
        name: str = "",
        limit: str = "0:10:00",
        system: str = "",
    ) -> None:
        """`run`: a line in place of Jupyter, where a test is about the job alone."""
        number = next(self._orders)
        self.server = Server.model_validate(
            {
                "name": name or f"Cluster {number}",
                "host": "127.0.0.1",
                "local_port": 18888,
                "batch": {
                    "system": system or scheduler.system,
                    "time": limit,
                    "options": options,
                },
                "start": {
                    "app": "server",
                    "environment": {"run": run} if run else {"venv": str(VENV)},
                },
            }
        )
        self.name = job_name(self.server.name)
        self.mark = f"mark{number}"
        self._login = login
        self._scheduler = scheduler
        self._cluster = Cluster()

    def found(self) -> Scheduler:
        return self._cluster.find_scheduler(self.server, self._login, NEVER)

    def submit(self, mark: str = "", *, takes_any: bool = False) -> Submission:
        return self._cluster.submit(
            self.server,
            self._scheduler,
            mark or self.mark,
            self._login,
            NEVER,
            takes_any=takes_any,
        )

    def submitted(self, mark: str = "") -> JobId:
        outcome = self.submit(mark)
        assert isinstance(outcome, Submitted), outcome
        return outcome.job

    def refused(self) -> Problem:
        outcome = self.submit()
        assert isinstance(outcome, Refused), outcome
        return outcome.problem

    def query(self, *ended: JobId) -> Answer:
        return self._cluster.query(self.server, self._scheduler, self._login, NEVER, ended)

    def seen(self, *ended: JobId) -> JobsSeen:
        answer = self.query(*ended)
        assert isinstance(answer, JobsSeen), answer
        return answer

    def job(self, job: JobId) -> Job:
        found = self.seen().job(job)
        assert found is not None
        return found

    def files(self, job: JobId) -> JobFiles:
        return self.seen().files_of(job) or JobFiles(job)

    def cancel(self, job: JobId) -> None:
        self._cluster.cancel(self._scheduler, job, self._login, NEVER)

    def until(self, job: JobId, phase: Phase) -> Job:
        assert until(lambda: self.job(job).phase is phase), self.query(job)
        return self.job(job)

    def trial(self) -> Trial | Refused | Unsure:
        return self._cluster.would_start(self.server, self._scheduler, self._login, NEVER)

    def ready(self, job: JobId) -> JobFiles:
        """The files of a job whose Jupyter is ready."""
        assert until(lambda: bool(self.files(job).socket)), self.seen(job)
        return self.files(job)

    def end(self, job: JobId) -> Ended:
        assert until(lambda: self.job(job).phase is Phase.ENDED), self.query(job)
        answer = self.seen(job)
        return self._scheduler.ended(answer, job, answer.files_of(job))
