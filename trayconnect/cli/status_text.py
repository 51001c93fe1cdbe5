"""The status of the running app as lines for a terminal. Pure."""

from __future__ import annotations

TYPE_CHECKING = False  # see `control.address`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_NOTES = {
    "others": " (belongs to another user)",
    "unproven": " (owner not proven)",
}
"""After a forward, by what its page does."""


def to_lines(status: dict[str, Any]) -> list[str]:
    """A table of what `control.status.to_json` gave."""
    servers: Sequence[dict[str, Any]] = status["servers"]
    lines = []
    if problem := status.get("file_problem"):
        lines = [problem["title"], *(f"    {line}" for line in problem["advice"].splitlines())]
    if not servers:
        return lines or ["No servers yet. `trayconnect check` names the file to write them in."]
    width = max(len(server["name"]) for server in servers)
    for server in servers:
        state = server["words"]
        link = server["url"] or ""
        lines.append(f"{server['name']:<{width}}  {state:<24} {link}".rstrip())
        lines += [f"    {line}" for line in server.get("lines", ())]
        forwards = server.get("forwards", ()) if server["state"] != "off" else ()
        problem = server["problem"]
        if problem and problem not in [forward["problem"] for forward in forwards]:
            indent = " " * (min(width, 20) + 4)
            text = f"{problem['title']}. {problem['advice']}".rstrip()
            lines += [indent + line for line in text.splitlines()]
        for forward in forwards:
            lines.append(f"    {_arrow(forward)}")
            if problem := forward["problem"]:
                lines.append(f"        {problem['title']}. {problem['advice']}")
    return lines


def disconnected(status: dict[str, Any]) -> str:
    """What is said of the one server of that status."""
    (server,) = status["servers"]
    return f"{server['name']} is disconnected." + (
        " Its batch jobs stay." if "job" in server else ""
    )


def _arrow(forward: dict[str, Any]) -> str:
    """The forward from where it listens to where it leads, and whether it carries."""
    leads = f" → {forward['leads_to']}" if forward["leads_to"] else ""
    # A name of its own; any other was made of the two ends.
    is_named = not any(sign in forward["name"] for sign in ("→", "←", "SOCKS "))
    name = f"{forward['name']}: " if is_named else ""
    note = " (no answer yet)" if forward.get("answers") is False else ""
    note = _NOTES.get(forward.get("page") or "", note)
    return f"{name}{forward['listens']}{leads}" + (note if forward["up"] else " (not up)")
