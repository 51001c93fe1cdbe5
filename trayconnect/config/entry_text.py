"""Entries of a server file as YAML text."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

_WIDTH = 1_000_000  # no line is wrapped


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as the sample does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


def block_lines(entry: Mapping[str, object]) -> list[str]:
    """The lines of an entry in a block list: the first begins with a dash."""
    text = "".join(_key(key, value) for key, value in entry.items())
    first, *rest = text.splitlines()
    return [f"- {first}", *(f"  {line}" for line in rest)]


def flow_text(entry: Mapping[str, object]) -> str:
    """The entry for a list in brackets."""
    text = yaml.safe_dump(
        dict(entry), default_flow_style=True, sort_keys=False, allow_unicode=True, width=_WIDTH
    )
    return text.strip()


def _key(key: str, value: object) -> str:
    # A mapping or list on one line, lists of mappings on a line for each.
    style = None if isinstance(value, dict | list) else False
    text: str = yaml.dump(
        {key: value},
        Dumper=_Dumper,
        default_flow_style=style,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
    )
    return text
