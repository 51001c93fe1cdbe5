"""Which of the user's options a scheduler's words are about, and where to change them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trayconnect.services.batch.scheduler import Request

OPTIONS = "in 'options' under 'batch'"
BATCH = "under 'batch'"


def advice(request: Request, names: Sequence[str], short: Mapping[str, str]) -> str:
    """What to change: the options of these names, each as the user has written it; empty if the
    user gave none of them. `short` has the one-letter form of some names."""
    written = (_written(request.options, name, short.get(name, "")) for name in names)
    found = {index: option for one in written for index, option in one}
    return change(request, found) if found else ""


def change(request: Request, written: Mapping[int, str]) -> str:
    """What to do about the options with these indexes."""
    lines = request.lines.options
    where = place([lines[index] for index in written if index < len(lines)], OPTIONS)
    return f"Change {' or '.join(dict.fromkeys(written.values()))} {where}."


def change_time(request: Request) -> str:
    return f"Change 'time' {place([request.lines.time], BATCH)}."


def change_any(request: Request) -> str:
    lines = request.lines.options[:1] or (request.lines.batch,)
    return f"Change 'options' {place(lines, BATCH)}."


def place(lines: Sequence[int], key: str) -> str:
    """Where in the server file; `key` where the lines are unknown."""
    known = sorted({line for line in lines if line})
    if not known:
        return f"{key} in the server file"
    numbers = " and ".join(map(str, known))
    return f"in line{'s' if len(known) > 1 else ''} {numbers} of the server file"


def _written(options: Sequence[str], name: str, letter: str) -> Iterator[tuple[int, str]]:
    for index, option in enumerate(options):
        key = option.partition("=")[0]
        # A long name may be cut short.
        is_long = key.startswith("--") and len(key) > 3 and f"--{name}".startswith(key)
        is_short = not key.startswith("--") and (
            key in (f"-{name}", letter) or (len(letter) == 2 and key.startswith(letter))
        )
        if not is_long and not is_short:
            continue
        value = options[index + 1] if index + 1 < len(options) else "-"
        takes = "=" not in option and key in (f"--{name}", f"-{name}", letter)
        yield index, f"{option} {value}" if takes and not value.startswith("-") else option
