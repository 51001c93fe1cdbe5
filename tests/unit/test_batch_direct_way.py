"""Which addresses and names of a node the direct way uses."""

from __future__ import annotations

import pytest

from trayconnect.services.batch.direct_way import names_of, numbers


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["10.0.0.7", "c7", "10.0.0.7"], ("10.0.0.7",)),
        (["127.0.0.1", "::1", "0.0.0.0", "169.254.1.1", "224.0.0.1"], ()),
        (["::ffff:10.0.0.7", "2001:db8::7"], ("10.0.0.7", "2001:db8::7")),
    ],
)
def test_only_numbers_of_other_hosts_count(words: list[str], found: tuple[str, ...]) -> None:
    assert numbers(words) == found


def test_a_name_counts_where_it_leads_to_one_address_only() -> None:
    """Both ends prove the address: a name that led elsewhere would let another host stand
    between."""
    known = {
        "c7": ["10.0.0.7", "10.0.0.7"],
        "c7.example.org": ["10.0.0.7"],
        "both": ["10.0.0.7", "10.0.0.8"],
        "here": ["127.0.0.1", "10.0.0.7"],
        "10.0.0.7": ["10.0.0.7"],
        "unknown": [],
    }
    assert names_of("10.0.0.7", known) == ("c7", "c7.example.org")
    assert names_of("10.0.0.8", known) == ()
