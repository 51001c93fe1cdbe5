"""The tests, and what serves them."""

import pytest

# Failed assertions of the helpers tell the values, too.
pytest.register_assert_rewrite("tests.support")
