"""Problems of the Jupyter behind a link. `where` is its `host:port` as seen from the server. Each
may solve itself, so the health checks continue."""

from __future__ import annotations

import re

from trayconnect.core.errors import Problem, Recovery


def nothing_listens(where: str, hint: str, cause: Problem) -> Problem:
    return Problem(
        f"SSH is up, but nothing listens on {where} at the server",
        hint,
        Recovery.RETRY,
        cause.detail or cause.title,
    )


_SAID = 160
"""Characters of what a login shell said that a problem repeats: its end."""
_NEEDS_TERMINAL = re.compile("not a (?:terminal|tty)|terminal failed|connected to a terminal|TERM ")
_GUARD = "case $- in *i*) ;; *) return ;; esac"


def shell_awaited(host: str) -> Problem:
    return Problem(
        f"Waiting for the login shell of {host}",
        "Its start-up files (such as ~/.bashrc) take long. The search for Jupyter begins when they "
        "have ended.",
        Recovery.RETRY,
    )


def shell_is_slow(host: str, limit: float, said: str) -> Problem:
    """`said` is the output until then, maybe a question."""
    return Problem(
        f"The login shell of {host} was not ready within {limit:g} s",
        "It is unknown whether Jupyter runs there; trayconnect will search again. The start-up "
        "files there (such as ~/.bashrc) take too long, or wait for an answer. Non-interactive "
        f"shells skip the rest of ~/.bashrc after this line:\n{_GUARD}",
        Recovery.RETRY,
        _said(said),
    )


def shell_ran_nothing(host: str, said: str) -> Problem:
    """It ended, and had not run the search."""
    words = _said(said)
    quoted = f" It said: {words}" if words else ""
    if _NEEDS_TERMINAL.search(words):
        why = "A start-up file there (such as ~/.bashrc) starts a program that needs a terminal."
    else:
        why = (
            "The account runs no commands, or a start-up file there (such as ~/.bashrc) ends the "
            "shell."
        )
    return Problem(
        f"The login shell of {host} did not run the search for Jupyter",
        f"{why}{quoted}\nNon-interactive shells skip the rest of ~/.bashrc after this "
        f"line:\n{_GUARD}\nOr set jupyter.port in the file, and log in on Jupyter's page.",
        Recovery.RETRY,
        words,
    )


def token_unknown(cause: Problem) -> Problem:
    """Something answers on the port of the file, and nothing could be searched."""
    return Problem(
        "Log in on Jupyter's page: its token could not be looked for",
        f"{cause.title}. {cause.advice}",
        Recovery.RETRY,
        cause.detail,
    )


def _said(text: str) -> str:
    """The end of it in one line, without control characters."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= _SAID else f"…{words[-_SAID:]}"


def node_is_silent(where: str, hint: str, cause: Problem) -> Problem:
    """No answer from another host than the server, and no refusal."""
    return Problem(
        f"SSH is up, but the server does not reach {where}",
        f"That host may be off, or unreachable from there. {hint}",
        Recovery.RETRY,
        cause.detail or cause.title,
    )


def no_local_port(authority: str, detail: str) -> Problem:
    return Problem(
        f"{authority} on this machine accepts no connections",
        "Disconnect and connect again.",
        Recovery.RETRY,
        detail,
    )


def silent(where: str, timeout: float) -> Problem:
    return Problem(
        f"Something listens on {where} at the server, but does not answer within {timeout:g} s",
        "It may still be starting, or be very busy; if it stays so, restart it on the server.",
        Recovery.RETRY,
    )


def not_http(where: str, detail: str) -> Problem:
    return Problem(
        f"Something listens on {where} at the server, but it does not speak HTTP",
        "Check jupyter.port in the file: another program may use that port.",
        Recovery.RETRY,
        detail,
    )


def not_jupyter(where: str) -> Problem:
    return Problem(
        f"What answers on {where} at the server is not Jupyter",
        "Correct jupyter.port in the file; another web page is reached by an entry of forwards: "
        "with open: true.",
        Recovery.RETRY,
    )


def another_jupyter(where: str, detail: str) -> Problem:
    return Problem(
        f"The Jupyter that answers on {where} at the server is not the one found there",
        "It was not given the token. Perhaps yours has ended and another took its port: start "
        "yours again; trayconnect will notice.",
        Recovery.RETRY,
        detail,
    )


def none_found(hint: str) -> Problem:
    return Problem("No Jupyter of yours runs on the server", hint, Recovery.RETRY)


def none_at_node(host: str, hint: str) -> Problem:
    return Problem(
        f"No Jupyter of yours is known on {host}",
        f"{hint}\nIf that host has another home than the server, write the port as jupyter.port.",
        Recovery.RETRY,
    )


def not_looked_for(where: str, cause: Problem | None = None) -> Problem:
    """Whatever listens on Jupyter's usual port may be anybody's."""
    reason = f"{cause.title}. " if cause is not None else ""
    return Problem(
        f"trayconnect cannot look for Jupyter on {where}",
        f"{reason}Write the port it listens on as jupyter.port in the file.",
        Recovery.RETRY,
        cause.detail if cause is not None else "",
    )


def of_hub(where: str, hub: str, path: str) -> Problem:
    """`hub`: its address as far as known; `path`: the server's own under that."""
    open_it = f"Open it there: {hub}" if hub else f"Open your Hub's own address, there {path}."
    return Problem(
        f"The Jupyter on {where} at the server was started by a JupyterHub, which alone logs in",
        f"{open_it}\nIf the Hub itself is to be reached through this tunnel, set jupyter.port to "
        f"its port (often 8000) and jupyter.path to {path}.",
        Recovery.RETRY,
    )


def chosen_is_gone(folder: str, used: str) -> Problem:
    return Problem(
        f"The Jupyter in {folder} that you chose does not run",
        f"The newest is used instead: {used}. Start yours again, or choose another.",
        Recovery.RETRY,
    )


def last_is_gone(folder: str, other: str) -> Problem:
    """Another may be used, but open tabs of the last one would save in its folder."""
    return Problem(
        f"The Jupyter in {folder} is gone; another runs in {other}",
        f"Open browser tabs of {folder} would save in {other}, so they are not let in. Close them, "
        "then choose the other one in the menu (Jupyter servers), or connect again. Or start the "
        "first one again.",
        Recovery.RETRY,
    )


def token_refused(where: str) -> Problem:
    return Problem(
        f"Jupyter on {where} at the server does not accept the token found for it",
        "Log in on its page; restarting Jupyter on the server makes a new token.",
        Recovery.RETRY,
    )
