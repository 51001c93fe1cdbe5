"""Which of the user's options a scheduler's words are about. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def advice(options: Sequence[str], names: Sequence[str], short: Mapping[str, str]) -> str:
    """What to change: the options of these names, each as the user has written it; empty if the
    user gave none of them. `short` has the one-letter form of some names."""
    found = [one for name in names for one in _written(options, name, short.get(name, ""))]
    if not found:
        return ""
    return (
        f"Change {' or '.join(dict.fromkeys(found))} in 'options' under 'batch' in the server file."
    )


def _written(options: Sequence[str], name: str, letter: str) -> list[str]:
    found = []
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
        found.append(f"{option} {value}" if takes and not value.startswith("-") else option)
    return found
