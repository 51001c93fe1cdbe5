"""Asks the user to paste a private key, when nothing else can log in."""

from __future__ import annotations

from trayconnect.core.errors import ProblemError
from trayconnect.core.questions import Ask, Field, Question, QuestionKind
from trayconnect.ssh.auth import pasted_key
from trayconnect.ssh.auth.pasted_key import PastedKey
from trayconnect.ssh.target import LoginTarget

TRIES = 3


def ask_for_key(target: LoginTarget, ask: Ask) -> PastedKey | None:
    """A key that the user pasted; None after several texts that were no key. Raises `Cancelled`."""
    note = ""
    for _ in range(TRIES):
        answer = ask(_question(target, note))
        try:
            return pasted_key.accept(answer.values[0] if answer.values else "")
        except ProblemError as error:
            note = str(error)
    return None


def _question(target: LoginTarget, note: str) -> Question:
    message = (
        f"{target.address} accepts only keys, and trayconnect found none in the ssh-agent, in "
        f"~/.ssh or in servers.yaml. Paste the private key for {target.description}, "
        "from its BEGIN line to its END line. It is stored in a file that only you can read."
    )
    return Question(
        kind=QuestionKind.PRIVATE_KEY,
        server=target.server,
        title=f"Private key for {target.account}",
        message="\n".join(text for text in (note, message) if text),
        fields=(Field("Private key", multiline=True),),
        confirm="Log in",
    )
