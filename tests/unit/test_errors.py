"""What an error means to a session."""

from __future__ import annotations

import errno

from trayconnect.core.errors import Problem, ProblemError, problem_of, shortage


def test_a_shortage_is_found_behind_other_errors() -> None:
    error = ProblemError(Problem("No agent", ""))
    error.__cause__ = ConnectionError("gone")
    error.__cause__.__cause__ = OSError(errno.EMFILE, "Too many open files")
    found = shortage(error)
    assert found is not None
    assert "open files" in found.title


def test_an_error_that_is_its_own_cause_ends_the_search() -> None:
    problem = Problem("The server is silent", "")
    error = ProblemError(problem)
    error.__cause__ = error
    assert shortage(error) is None
    assert problem_of(error) is problem
