"""Is this host key the server's? The files answer, or else the user."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from trayconnect.ports import Ask, Question, QuestionKind
from trayconnect.tunnel import problems
from trayconnect.tunnel.known_hosts import Entry, HostKey, Verdict, lookup
from trayconnect.tunnel.known_hosts_store import KnownHosts
from trayconnect.tunnel.target import Target

log = logging.getLogger(__name__)


def judge(
    target: Target, key: HostKey, entries: Sequence[Entry], store: KnownHosts, ask: Ask
) -> None:
    """Return if the key is to be trusted; one that the user accepts is added to our own file.

    Raises `ProblemError` for a changed or revoked key, `Cancelled` if the user declines."""
    found = lookup(entries, target.host, target.port, key)
    if found.verdict is Verdict.CHANGED:
        raise problems.key_changed(target, key, found.entries)
    if found.verdict is Verdict.REVOKED:
        raise problems.key_revoked(target, key, found.entries[0])
    if found.verdict is Verdict.MATCH:
        return
    ask(_question(target, key, found.entries))
    try:
        store.add(target.host, target.port, key)
    except OSError as error:
        # The user trusts it: that holds for this time, and is asked again the next.
        log.warning("cannot write %s: %s", store.own, error)


def _question(target: Target, key: HostKey, others: Sequence[Entry]) -> Question:
    lines = [
        f"The host key of {target.description} is not known yet:",
        "",
        f"{key.type}  {key.fingerprint}",
        "",
    ]
    if others:
        lines += ["Careful: the same host is known with keys of another type:"]
        lines += [f"{e.key.type}  {e.key.fingerprint}  ({e.place})" for e in others]
        lines += [""]
    lines.append(
        "Compare the fingerprint with the one that the server's administrator gives. "
        "Trust it only if they are the same."
    )
    return Question(
        kind=QuestionKind.HOST_KEY,
        server=target.server,
        title=f"Is this really {target.address}?",
        message="\n".join(lines),
        confirm="Trust",
    )
