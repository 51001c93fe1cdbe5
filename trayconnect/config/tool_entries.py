"""Entries of `forwards` that name a tool, with the keys that it stands for.

Each key gets the location of the tool's name, so that a fault is reported there."""

from __future__ import annotations

from trayconnect.config import scalars
from trayconnect.config.file_problems import FileReport
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import LOCALHOST
from trayconnect.config.scalars import shown
from trayconnect.config.tools import TOOL_NAMES, TOOLS
from trayconnect.config.yaml_tree import BROKEN, KeyValue, Mapping, Node, Scalar, mapping

# The keys that replace a key.
_INSTEAD = {"port": "remote_socket"}


def with_tool(forward: Mapping, report: FileReport) -> Node:
    """The forward with the keys that the tool stands for; its own keys take precedence."""
    node = forward.get("tool")
    if node is None or (isinstance(node, Scalar) and node.tag == BROKEN):
        return forward
    tool = TOOLS.get(node.text) if isinstance(node, Scalar) and node.tag == scalars.TEXT else None
    if tool is None:
        instead_of = f", not {shown(node.text)}" if isinstance(node, Scalar) else ""
        known = f"{', '.join(TOOL_NAMES[:-1])} or {TOOL_NAMES[-1]}"
        report.add(node.mark, f"tool must be {known}{instead_of}")
        return Scalar(forward.mark, "", BROKEN)
    if not _is_local(forward) or "local_socket" in forward.entries:
        return forward  # the checks report a tool that has no meaning there
    filled = {
        "name": (tool.name, scalars.TEXT),
        "port": (str(tool.port), scalars.INT),
        "open": ("true", scalars.BOOL),
        "path": (tool.path, scalars.TEXT),
        "ready": (tool.ready, scalars.TEXT),
    }
    if tool.only_localhost:
        filled["open_as"] = (LOCALHOST, scalars.TEXT)
    entries = {
        key: KeyValue(node.mark, Scalar(node.mark, text, tag))
        for key, (text, tag) in filled.items()
        if _INSTEAD.get(key) not in forward.entries
    }
    return mapping(forward.mark, entries | forward.entries)


def _is_local(forward: Mapping) -> bool:
    kind = forward.get("kind")
    return kind is None or (isinstance(kind, Scalar) and kind.text == Kind.LOCAL)
