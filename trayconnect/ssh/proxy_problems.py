"""User-facing errors of ProxyCommand. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trayconnect.core import sanitize
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.ssh.connection_problems import seconds
from trayconnect.ssh.target import LoginTarget

_NO_PROGRAM = (126, 127)
"""A shell's exit status for a program that it cannot run, or find."""
_MAX_NAME = 40
_BEFORE = re.compile(
    r"(?:(?:exec|env|command|nohup|sudo)\s+|\w+=(?:\"[^\"]*\"|'[^']*'|[^\s\"'$`()])*\s+)*"
)
"""What may precede a program's name; the values of variables may be secrets."""
_PROGRAM = re.compile(
    r"(?:\"([^\"]+)\"|'([^']+)'|([^-\s\"'`;|&<>()$=][^\s\"'`;|&<>()$=]*))(?![^\s;|&])"
)
_REFUSED = re.compile(
    r"permission denied(?:,| \()|host key verification failed|too many authentication failures"
    r"|read_passphrase|askpass|/dev/tty|(?:not|no) a? ?(?:tty|terminal)\b",
    re.IGNORECASE,
)
"""Messages of ssh, and of other programs, that cannot ask the user."""
_PROMPT = re.compile(
    r"(?:pass(?:word|phrase|code)|verification code|one-time|otp|\bpin|login as|user ?name)"
    r"[^:?]{0,80}[:?]$|\(?y(?:es)?/no?\b[^?]{0,60}[?:]$",
    re.IGNORECASE,
)
_HINT = (
    "It asks a question that nobody can answer here. If it leads through an SSH server, name "
    "that as jump_hosts in servers.yaml instead of the ProxyCommand: then trayconnect asks you."
)


def name(command: str) -> str:
    """The program of a command, without its arguments: they may hold secrets."""
    command = sanitize.line(command, len(command))
    before = _BEFORE.match(command)
    found = _PROGRAM.match(command, before.end() if before else 0)
    if found is None:
        return "ProxyCommand"
    program = re.split(r"[/\\]", next(filter(None, found.groups())))[-1]
    return sanitize.line(program, _MAX_NAME) or "ProxyCommand"


def asks(lines: Sequence[str]) -> bool:
    """Whether the command wanted to ask something, such as a password; `lines` are its last
    lines."""
    return any(_REFUSED.search(line) or _PROMPT.search(line) for line in lines)


def unstartable(target: LoginTarget, detail: str) -> ProblemError:
    title = f"The ProxyCommand for {target.host} could not be started"
    advice = "Check the shell that SHELL names, and the limit of processes."
    return ProblemError(Problem(title, advice, Recovery.FIX_FIRST, detail))


def ended(
    target: LoginTarget, program: str, status: int, lines: Sequence[str], *, connecting: bool
) -> ProblemError:
    """The command has exited; `lines` are its last lines of stderr. `connecting`: no server
    answered yet."""
    how = f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
    title = f"The ProxyCommand for {target.host} ({program}) {how}"
    advice = _quote(lines) or "It said nothing."
    if status in _NO_PROGRAM:
        advice += "\nCheck ProxyCommand in your SSH configuration."
        return ProblemError(Problem(title, advice, Recovery.FIX_FIRST))
    if connecting and asks(lines):
        return ProblemError(Problem(title, f"{advice}\n{_HINT}", Recovery.FIX_FIRST))
    return ProblemError(Problem(title, advice, Recovery.RETRY))


def silent(
    target: LoginTarget, program: str, timeout: float, lines: Sequence[str], *, asked: bool
) -> ProblemError:
    """The command runs, and no server answered through it. `asked`: it waited for a human to visit
    a page."""
    title = f"The ProxyCommand for {target.host} ({program}) gave no SSH answer within "
    title += seconds(timeout)
    recovery = Recovery.RETRY
    if asked:
        hint = "Connect again, and follow the page."
        recovery = Recovery.USER_ACTION
    elif asks(lines):
        hint = _HINT
        recovery = Recovery.FIX_FIRST
    else:
        hint = "If it takes longer, set connect_timeout in servers.yaml to more seconds."
    return ProblemError(Problem(title, f"{_quote(lines)}\n{hint}".lstrip(), recovery))


def _quote(lines: Sequence[str]) -> str:
    quoted = "\n".join(f"  {line[: sanitize.MAX_LINE]}" for line in lines)
    return f"It said:\n{quoted}" if lines else ""
