"""Entries are added to a server file, and not a sign of it is changed otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.config.edit import CannotInsertError, append_servers
from trayconnect.config.sample import SAMPLE
from trayconnect.config.yaml_file import parse

NEW = {"name": "new", "host": "new.example.org", "jump_hosts": ["gate"]}
LINES = "- name: new\n  host: new.example.org\n  jump_hosts: [gate]\n"


def indented(columns: int, newline: str = "\n") -> str:
    return "".join(f"{' ' * columns}{line}{newline}" for line in LINES.splitlines())


CASES = {
    "nothing": ("", "servers:\n" + indented(2)),
    "comments": ("# mine\n", "# mine\nservers:\n" + indented(2)),
    "no line end": ("# mine", "# mine\nservers:\n" + indented(2)),
    "only defaults": (
        "defaults: {connect_timeout: 5}\n",
        "defaults: {connect_timeout: 5}\nservers:\n" + indented(2),
    ),
    "no value": ("servers:\n", "servers:\n" + indented(2)),
    "no value, comment": (
        "servers:  # here\n# end\n",
        "servers:  # here\n" + indented(2) + "# end\n",
    ),
    "no value, last": ("servers:", "servers:\n" + indented(2)),
    "empty list": ("servers: []  # none\n", "servers:  # none\n" + indented(2)),
    "empty list, more": (
        "servers: [ ]\ndefaults: {port: 2}\n",
        "servers:\n" + indented(2) + "defaults: {port: 2}\n",
    ),
    "indented": (
        "servers:\n    - name: a\n      host: b\n",
        "servers:\n    - name: a\n      host: b\n" + indented(4),
    ),
    "not indented": (
        "servers:\n- {name: a, host: b}\n",
        "servers:\n- {name: a, host: b}\n" + indented(0),
    ),
    "no last line end": (
        "servers:\n  - name: a\n    host: b",
        "servers:\n  - name: a\n    host: b\n" + indented(2),
    ),
    "defaults behind": (
        "servers:\n  - name: a\n    host: b   # b\n\n# what they share\ndefaults:\n  port: 2\n",
        "servers:\n  - name: a\n    host: b   # b\n" + indented(2)
        + "\n# what they share\ndefaults:\n  port: 2\n",
    ),
    "its own comments": (
        "servers:\n  - name: a\n    host: b\n    # port: 22\n  # - name: c\n",
        "servers:\n  - name: a\n    host: b\n    # port: 22\n" + indented(2) + "  # - name: c\n",
    ),
    "blank lines between": (
        "servers:\n  - name: a\n    host: b\n\n  - name: c\n    host: d\n",
        "servers:\n  - name: a\n    host: b\n\n  - name: c\n    host: d\n\n" + indented(2),
    ),
    "nested last": (
        "servers:\n  - name: a\n    host: b\n    forwards:\n      - name: f\n        port: 1\n",
        "servers:\n  - name: a\n    host: b\n    forwards:\n      - name: f\n        port: 1\n"
        + indented(2),
    ),
    "quoted": (
        'servers:\n  - host: b\n    name: "a # b\n      c"  # x\n',
        'servers:\n  - host: b\n    name: "a # b\n      c"  # x\n' + indented(2),
    ),
    "brackets": (
        "servers: [{name: a, host: b}]\n",
        "servers: [{name: a, host: b}, {name: new, host: new.example.org, jump_hosts: [gate]}]\n",
    ),
    "brackets, comma": (
        "servers: [\n  {name: a, host: b},  # one\n]\n",
        "servers: [\n  {name: a, host: b},  # one\n]\n".replace(
            "},", "}, {name: new, host: new.example.org, jump_hosts: [gate]},"
        ),
    ),
    "braces": (
        "{servers: [{name: a, host: b}]}",
        "{servers: [{name: a, host: b}, {name: new, host: new.example.org, jump_hosts: [gate]}]}",
    ),
    "Windows": (
        "servers:\r\n  - name: a\r\n    host: b\r\n# end\r\n",
        "servers:\r\n  - name: a\r\n    host: b\r\n" + indented(2, "\r\n") + "# end\r\n",
    ),
    "a mark of bytes": ("\ufeffservers:\n", "\ufeffservers:\n" + indented(2)),
    "a begun document": ("---\nservers:\n", "---\nservers:\n" + indented(2)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_where_it_is_added(case: str) -> None:
    before, after = CASES[case]
    assert append_servers(before, [NEW]) == after
    old = (yaml.safe_load(before) or {}).get("servers") or []
    assert yaml.safe_load(after)["servers"] == [*old, NEW]


@pytest.mark.parametrize(
    "text",
    ["servers: null\n", "{servers: }", "{}", "servers: [\n  # none\n]\n", "servers:\n...\n",
     "---\n", "servers: &all\n  - {name: a, host: b}\n", "{servers: []}"],
)  # fmt: skip
def test_what_is_left_to_its_author(text: str) -> None:
    with pytest.raises(CannotInsertError):
        append_servers(text, [NEW])


def test_the_sample_keeps_every_line() -> None:
    text = append_servers(SAMPLE, [NEW, {"name": "second", "host": "b"}])
    assert [server.name for server in parse(text, Path("x")).servers] == ["new", "second"]
    assert text.replace(indented(2) + "  - name: second\n    host: b\n", "") == SAMPLE


def test_nothing_to_add_changes_nothing() -> None:
    assert append_servers("servers: []", []) == "servers: []"


NAMES = st.text("abc #:-'\"[]{}é,&*!%@`|>?\\", min_size=1, max_size=8).map(str.strip).filter(bool)
ENTRIES = st.fixed_dictionaries(
    {"name": NAMES, "host": st.sampled_from(("b", "10.0.0.1", "::1", "no", "22"))},
    optional={
        "jump_hosts": st.lists(st.sampled_from(("gate", "ada@[::1]:22")), min_size=1, max_size=2),
        "jupyter": st.just({"port": 8888}),
        "forwards": st.just([{"name": "x: y", "port": 1}]),
    },
)
STYLES = st.sampled_from(
    [
        {"default_flow_style": False},
        {"default_flow_style": True},
        {"default_flow_style": None},
        {"default_flow_style": False, "indent": 4},
        {"default_flow_style": False, "line_break": "\r\n"},
    ]
)


@given(
    old=st.lists(ENTRIES, max_size=3),
    new=st.lists(ENTRIES, min_size=1, max_size=2),
    style=STYLES,
    behind=st.sampled_from(("", "# end", "\n\n# a\n  # b\n", "defaults:\n  port: 2\n")),
)
def test_exactly_the_new_ones_are_added(
    old: list[dict[str, object]],
    new: list[dict[str, object]],
    style: dict[str, object],
    behind: str,
) -> None:
    text = yaml.safe_dump({"servers": old}, allow_unicode=True, **style)  # type: ignore[call-overload]
    if not text.startswith("{"):
        text += behind
    before = yaml.safe_load(text)
    try:
        after = append_servers(text, new)
    except CannotInsertError:
        assert text.startswith("{servers: []}")
        return
    assert yaml.safe_load(after) == before | {"servers": [*before["servers"], *new]}
    # All of the old text is there, in its order.
    rest = iter(after)
    assert all(sign in rest for sign in text.replace("[]", "") if old or sign not in "[] ")
