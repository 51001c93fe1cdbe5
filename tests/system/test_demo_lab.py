"""The demo's JupyterLab when it does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from trayconnect.core.errors import ProblemError
from trayconnect.demo.lab import Lab


def test_one_that_ends_at_once_shows_its_last_words(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    text = "print('token=abc123'); raise SystemExit('no disk left')"
    (config / "jupyter_server_config.py").write_text(text)
    with Lab(tmp_path) as lab, pytest.raises(ProblemError) as raised:
        lab.wait_until_ready()
    problem = raised.value.problem
    assert problem.title == "The demo's JupyterLab ended"
    assert "no disk left" in problem.advice
    assert "abc123" not in repr(problem)


def test_one_that_takes_too_long(tmp_path: Path) -> None:
    with Lab(tmp_path) as lab, pytest.raises(ProblemError) as raised:
        lab.wait_until_ready(timeout=0.0)
    assert raised.value.problem.title == "The demo's JupyterLab did not answer within 0 s"


def test_stopped_twice_and_never_started(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.stop()
    lab.start()
    lab.stop()
    lab.stop()
