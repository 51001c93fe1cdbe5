"""Wine does not survive every case here either."""

from tests.windows.conftest import pytest_runtest_protocol

__all__ = ["pytest_runtest_protocol"]
