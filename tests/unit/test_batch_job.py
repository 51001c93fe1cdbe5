"""A job as data: whose it is, and what its name tells others."""

from __future__ import annotations

import pytest

from trayconnect.services.batch.job import Job, Phase, is_job_id, job_name


@pytest.mark.parametrize("name", ["Cluster", "GPU box", "Divorce papers", "ü|%j $(id)"])
def test_a_name_is_one_plain_word_and_tells_nothing(name: str) -> None:
    told = job_name(name)
    assert told.removeprefix("trayconnect-").isalnum()
    assert name.lower() not in told
    assert len(told) == 20


def test_the_jobs_of_an_entry_are_found_from_another_computer() -> None:
    job = Job("7", job_name("Cluster"), Phase.QUEUED)
    assert job.is_of("cluster")
    assert not job.is_of("Cluster 2")
    assert job.is_ours


def test_a_job_of_another_program_is_not_ours() -> None:
    assert not Job("7", "OnDemand/jupyter", Phase.RUNNING).is_ours


@pytest.mark.parametrize("text", ["", "7;scancel 8", "-u", "7_1", "٧", "7\n"])
def test_only_a_number_is_a_job(text: str) -> None:
    assert not is_job_id(text)
