"""The conditions of a Match line, as match_cfg_line() of readconf.c judges them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from trayconnect.config.openssh_tokenizer import split_criteria
from trayconnect.ssh.config.patterns import matches_hostname_list, matches_list

_UNKNOWABLE = {
    "exec": "Match exec is not run without OpenSSH's ssh: its lines are passed over",
    "localnetwork": "Match localnetwork needs OpenSSH's ssh: its lines are passed over",
    "version": "Match version needs OpenSSH's ssh: its lines are passed over",
}


class MatchFacts(NamedTuple):
    """What is known so far."""

    host: str
    original: str
    user: str
    local_user: str
    tag: str
    final: bool
    """Whether this is the second reading."""


class Outcome(NamedTuple):
    """`notes` are told to the user."""

    holds: bool
    wants_final_pass: bool = False
    notes: tuple[str, ...] = ()


def judge(text: str, facts: MatchFacts) -> Outcome:
    """Whether the conditions hold. Raises ValueError for what OpenSSH refuses."""
    words = iter(split_criteria(text))
    holds, wants_final, notes = True, False, list[str]()
    count = 0
    for word in words:
        negated, name = word.startswith("!"), word.removeprefix("!").lower()
        if name == "all":
            if count > 1 or next(words, ""):
                raise ValueError("'all' cannot stand beside other conditions")
            return Outcome(holds and not negated, wants_final, tuple(notes))
        count += 1
        if name in ("canonical", "final"):
            wants_final |= name == "final"
            holds &= facts.final is not negated
        elif name in _UNKNOWABLE:
            _argument(words, name)
            if holds:
                notes.append(_UNKNOWABLE[name])
            holds = False
        else:
            holds &= _fits(name, _argument(words, name), facts) is not negated
    if not count:
        raise ValueError("it needs a condition")
    return Outcome(holds, wants_final, tuple(notes))


def _argument(words: Iterator[str], name: str) -> str:
    argument = next(words, "")
    if not argument:
        raise ValueError(f"the condition {name!r} needs a value")
    return argument


def _fits(name: str, argument: str, facts: MatchFacts) -> bool:
    match name:
        case "host":
            return matches_hostname_list(facts.host, argument)
        case "originalhost":
            return matches_hostname_list(facts.original, argument)
        case "user":
            return matches_list(facts.user, argument)
        case "localuser":
            return matches_list(facts.local_user, argument)
        case "tagged":
            return matches_list(facts.tag, argument)
        case "command" | "sessiontype":
            return matches_list("" if name == "command" else "none", argument)
    raise ValueError(f"no such condition: {name!r}")
