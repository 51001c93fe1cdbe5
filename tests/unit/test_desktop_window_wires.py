"""What passes between the app and its popup menu, and its status window."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.core.command import Button, Command
from trayconnect.desktop.windows import popup_menu, status
from trayconnect.desktop.windows.popup_menu import MenuLine
from trayconnect.desktop.windows.status import Group, Row, StatusPage

texts = st.text(max_size=20)
leaves = st.builds(
    MenuLine,
    texts,
    texts,
    st.booleans(),
    st.sampled_from([None, True, False]),
    st.just(()),
    st.booleans(),
)
lines = st.recursive(
    st.tuples(leaves),
    lambda below: st.lists(st.builds(MenuLine, texts, texts, children=below), max_size=4).map(
        tuple
    ),
    max_leaves=8,
)
commands = st.builds(Command, texts, texts, st.dictionaries(texts, texts | st.floats(0, 60)))
buttons = st.builds(Button, texts, commands, st.booleans(), st.none() | st.booleans())
more = st.lists(buttons, max_size=3).map(tuple)
rows = st.builds(
    Row,
    texts,
    texts,
    texts,
    buttons,
    st.none() | buttons,
    more,
    texts,
    texts,
    texts,
)
pages = st.builds(
    StatusPage,
    st.lists(rows, max_size=3).map(tuple),
    st.lists(st.builds(Group, texts, more), max_size=3).map(tuple),
    texts,
    st.none() | buttons,
    more,
    st.none() | buttons,
)


@given(lines, st.tuples(st.integers(0, 9999), st.integers(0, 9999)))
def test_a_menu_arrives_as_it_is(menu: tuple[MenuLine, ...], at: tuple[int, int]) -> None:
    assert popup_menu.decode_menu(popup_menu.encode_menu(menu, at)) == (menu, at)


@given(st.lists(texts, max_size=4).map(tuple))
def test_a_choice_arrives_as_it_is(keys: tuple[str, ...]) -> None:
    assert popup_menu.decode_choice(popup_menu.encode_choice(keys)) == keys


@given(pages, st.booleans())
def test_a_page_arrives_as_it_is_on_one_line(page: StatusPage, front: bool) -> None:
    sent = status.encode_page(page, front=front)
    assert sent.count(b"\n") == 1
    read = json.loads(sent)
    assert (status.decode_page(read["page"]), read["front"]) == (page, front)


@given(commands)
def test_a_click_arrives_as_it_is_on_one_line(command: Command) -> None:
    sent = status.encode_click(command)
    assert sent.count(b"\n") == 1
    assert status.decode_click(sent) == command


@pytest.mark.parametrize("data", [b"", b"\xff", b"{", b"[]", b"{}", b"7", b"null", b'"x"', b"[7]"])
@pytest.mark.parametrize(
    "decode",
    [
        popup_menu.decode_menu,
        popup_menu.decode_choice,
        status.decode_click,
        lambda data: status.decode_page(json.loads(data)),
    ],
)
def test_nonsense_is_a_value_error(data: bytes, decode: Callable[[bytes], object]) -> None:
    if data == b"[]" and decode is popup_menu.decode_choice:
        assert decode(data) == ()
        return
    with pytest.raises(ValueError, match=r"\w"):
        decode(data)
