"""Who is let in on a job's port."""

from __future__ import annotations

import sys
from typing import Any, cast

import pytest

from trayconnect.services.batch import direct_way

if sys.platform != "linux":
    pytest.skip("the nodes of every cluster are Linux", allow_module_level=True)

from trayconnect.services.batch.relay import far_serve

KEY, NUMBERS = b"k" * 64, b"1 2"


@pytest.mark.parametrize(
    ("seen", "asked"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "::ffff:10.0.0.1"),
        ("2001:db8::1", "2001:DB8:0:0::1"),
    ],
)
def test_both_ends_write_an_address_alike(seen: str, asked: str) -> None:
    """The socket of the relay has it in one form, the login node's resolver in another."""
    (address,) = direct_way.numbers([asked])
    assert far_serve.plain(seen) == address.encode()


class Waiting:
    """A connection of that source that has proven nothing."""

    def __init__(self, source: bytes) -> None:
        self.source = source


def dropped(**waiting: int) -> bytes | None:
    """The source of the one that is dropped."""
    all_ = [Waiting(source.encode()) for source, count in waiting.items() for _ in range(count)]
    one = far_serve.too_many(cast(Any, all_))
    return one.source if one else None


def test_whoever_opens_the_most_connections_loses_one() -> None:
    one, most = far_serve.MOST_FROM_ONE, far_serve.MOST_UNPROVEN
    assert dropped() is None
    assert dropped(a=one, b=most - one) is None
    assert dropped(a=1, b=one + 1) == b"b"
    assert dropped(a=most - one + 1, b=one) == b"b"


def test_none_of_a_crowd_is_sure_of_its_place() -> None:
    crowd = [Waiting(b"a") for _ in range(far_serve.MOST_FROM_ONE + 1)]
    chosen = {id(far_serve.too_many(cast(Any, crowd))) for _ in range(50)}
    assert len(chosen) > 5
