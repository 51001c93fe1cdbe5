"""The clusters that the tests of batch jobs use are real ones."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long


def test_slurm_runs_a_job_that_every_login_node_sees() -> None:
    with BatchCluster() as cluster:
        script = "#!/bin/sh\numask 077\nuname -n >~/node\nexec sleep 100\n"
        submit = ("sbatch", "--parsable", "--export=NONE", "--output=/dev/null", "--time=5")
        job = cluster.run("login1", *submit, user="alice", stdin=script).strip()

        def state() -> str:
            query = ("squeue", "-h", "-u", "alice", "-t", "all", "-o", "%i %T %B")
            return cluster.run("login2", *query, user="alice").strip()

        wait_for(lambda: state().startswith(f"{job} RUNNING"), "the job to run")
        node = state().split()[-1]
        wait_for(lambda: (cluster.home() / "node").exists(), "the job's file")
        assert (cluster.home() / "node").read_text().strip() == node
        login = ["ssh", "-p", str(cluster.door()), "-i", str(cluster.key), "-oIdentitiesOnly=yes"]
        login += [
            "-oStrictHostKeyChecking=no",
            "-oUserKnownHostsFile=/dev/null",
            "-oLogLevel=ERROR",
        ]
        hop = f"srun --jobid={job} --overlap --unbuffered --quiet uname -n"
        done = subprocess.run([*login, "alice@127.0.0.1", hop], capture_output=True, text=True)
        assert (done.stdout.strip(), done.stderr) == (node, "")
        cluster.run("login2", "scancel", job, user="alice")
        wait_for(lambda: state().startswith(f"{job} CANCELLED"), "its end")


def test_grid_engine_runs_a_job() -> None:
    with BatchCluster("gridengine", nodes="c1") as cluster:
        submit = ("qsub", "-terse", "-S", "/bin/sh", "-o", "/dev/null", "-j", "y", "-l", "h_rt=300")
        job = cluster.run("login1", *submit, user="alice", stdin="exec sleep 100\n").strip()
        wait_for(
            lambda: 'state="running"' in cluster.run("login2", "qstat", "-xml", user="alice"),
            "the job to run",
        )
        cluster.run("login2", "qdel", job, user="alice")
        wait_for(lambda: not cluster.run("login2", "qstat", user="alice"), "its end")
