from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.config.local_ports import CAPACITY, FIRST, LAST, WELL_KNOWN, derive, fill

NAMES = st.text(min_size=1, max_size=20)
# Few enough that taken ports and wanted ones do meet.
NEAR = st.integers(FIRST, LAST)

RAW = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["name", "forwards", "local_port"]), inner)
    ),
)


@given(st.sets(NAMES, max_size=60), st.sets(NEAR, max_size=60))
def test_distinct_and_in_range(keys: set[str], taken: set[int]) -> None:
    ports = derive(keys, taken)
    assert set(ports) == keys
    assert len(set(ports.values())) == len(keys)
    for port in ports.values():
        assert FIRST <= port <= LAST
        assert port not in taken
        assert port not in WELL_KNOWN


@given(st.data())
def test_the_order_makes_no_difference(data: st.DataObject) -> None:
    keys = data.draw(st.lists(NAMES, max_size=30, unique=True))
    assert derive(keys, ()) == derive(data.draw(st.permutations(keys)), ())


@given(st.sets(NAMES, max_size=30), NAMES)
def test_a_newcomer_moves_nobody_whose_port_it_does_not_want(keys: set[str], new: str) -> None:
    before = derive(keys - {new}, ())
    alone = {key: derive([key], ())[key] for key in keys | {new}}
    after = derive(keys | {new}, ())
    if len(set(alone.values())) == len(alone):
        assert after == alone
        assert before == {key: alone[key] for key in before}


def test_two_names_at_one_port() -> None:
    by_port: dict[int, str] = {}
    for number in range(1000):
        name = f"server {number}"
        port = derive([name], ())[name]
        if port in by_port:
            break
        by_port[port] = name
    other = by_port[port]
    both = derive([name, other], ())
    first, second = sorted([name, other])
    assert both[first] == port
    assert both[second] != port


def test_the_same_on_every_machine_and_in_every_version() -> None:
    # These hold for good: users have them in their bookmarks.
    assert derive(["gpu box", "gpu box\ntensorboard"], ()) == {
        "gpu box": 25667,
        "gpu box\ntensorboard": 26246,
    }


def test_many() -> None:
    assert len(set(derive(map(str, range(CAPACITY)), ()).values())) == CAPACITY


@pytest.mark.parametrize(("keys", "taken"), [(CAPACITY + 1, 0), (1, CAPACITY)])
def test_too_many(keys: int, taken: int) -> None:
    with pytest.raises(ValueError, match="local ports"):
        derive(map(str, range(keys)), range(1024, 1024 + taken))


class TestFill:
    def test_every_entry_gets_one(self) -> None:
        board, other = {"name": "TensorBoard"}, {"name": "x"}
        box = {"name": "GPU box", "forwards": [board, other]}
        plain = {"name": "b", "local_port": 18888}
        fill([box, plain])
        assert plain["local_port"] == 18888
        ports = [entry["local_port"] for entry in (box, board, other)]
        assert len(set(map(str, ports))) == 3

    def test_the_case_of_a_name_makes_no_difference(self) -> None:
        upper, lower = {"name": "GPU Box"}, {"name": "gpu box"}
        fill([upper])
        fill([lower])
        assert upper["local_port"] == lower["local_port"]

    def test_a_slash_in_a_name_is_no_forward(self) -> None:
        forward = {"name": "b"}
        server = {"name": "a/b"}
        fill([{"name": "a", "forwards": [forward]}, server])
        assert forward["local_port"] != server["local_port"]

    @given(st.lists(RAW, max_size=5))
    def test_what_is_no_entry_is_left_alone(self, servers: list[object]) -> None:
        fill(servers)
        assert all("local_port" in server for server in servers if isinstance(server, dict))
