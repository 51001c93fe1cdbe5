"""User-facing errors of a login and of key files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trayconnect.core.command import name_on_command_line
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.ssh.connection_problems import CutShortError, seconds, with_server_message
from trayconnect.ssh.target import DEFAULT_PORT, LoginTarget

_WAIT, _USER, _FIX = Recovery.RETRY, Recovery.USER_ACTION, Recovery.FIX_FIRST


@dataclass(frozen=True, slots=True)
class Tried:
    """What a login tried, each item in words that follow "Tried: ".

    `untried` are keys that were not offered, because servers limit the number of tries; `skipped`
    those that could not be used, with the reason; `server_message` is the server's own message."""

    tried: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    server_message: str = ""

    def __str__(self) -> str:
        lines = [f"Tried: {_listed(self.tried)}." if self.tried else _NOTHING]
        if self.untried:
            lines.append(
                f"Not tried: {_listed(self.untried)}; servers end a login after too many. Name "
                "the right one as auth.identity_file in servers.yaml."
            )
        if self.skipped:
            lines.append(f"Skipped: {_listed(self.skipped, '; ')}.")
        if self.server_message:
            lines.append(f"The server says: {' '.join(self.server_message.split())[:300]}")
        return "\n".join(lines)


_KERBEROS = frozenset(("gssapi-with-mic", "gssapi-keyex", "gssapi"))
_NOTHING = "No key or password was available."
_LISTED = 8


def _listed(names: Sequence[str], joint: str = ", ") -> str:
    more = f"{joint}and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return joint.join(names[:_LISTED]) + more


def login_refused(target: LoginTarget, account: Tried, allowed: Sequence[str]) -> ProblemError:
    """Every available method was refused. `allowed`: the server's method names."""
    title = f"{target.host} refused the login of {target.username}"
    ruled_out = [name for name in target.options.ruled_out_methods if name in allowed]
    allowed = [name for name in allowed if name not in ruled_out]
    takes = f"The server accepts: {', '.join(allowed) or 'no method that it names'}."
    if ruled_out:
        takes += f" Your SSH configuration disables {', '.join(ruled_out)} for it."
    if account.untried:
        hint = ""
    elif allowed and set(allowed) <= _KERBEROS:
        title = f"{target.host} accepts only Kerberos logins, which trayconnect does not support"
        hint = "Ask its administrator to allow keys or passwords as well."
    elif not set(allowed) & {"password", "keyboard-interactive"} and "publickey" in allowed:
        hint = (
            "Add your public key to its authorized_keys; or name the right key as identity_file, "
            f"or paste it: trayconnect add-key {name_on_command_line(target.server)}"
        )
    else:
        hint = "Check the username, and the key or password."
    return ProblemError(Problem(title, f"{account}\n{takes} {hint}".rstrip(), _USER))


def too_many_tries(target: LoginTarget, account: Tried) -> ProblemError:
    title = f"{target.host} ended the login of {target.username} after too many tries"
    hint = "" if account.untried else "Name the right key as auth.identity_file in servers.yaml."
    return ProblemError(Problem(title, f"{account}\n{hint}".rstrip(), _USER))


def password_expired(target: LoginTarget, prompt: str = "") -> ProblemError:
    """`prompt`: the server's message."""
    title = f"The password of {target.account} has expired"
    port = "" if target.port == DEFAULT_PORT else f"-p {target.port} "
    advice = (
        f"Log in once in a terminal, and set a new one: ssh {port}{target.username}@{target.host}"
    )
    return ProblemError(Problem(title, advice, _USER, prompt))


def not_to_be_asked(target: LoginTarget, title: str) -> ProblemError:
    """A question that BatchMode forbids; `title` is the question's title."""
    return ProblemError(
        Problem(
            f"{target.address} needs an answer, and BatchMode forbids questions",
            f"{title.rstrip('.?')}: to be asked, set BatchMode no for it in your SSH "
            "configuration; or log in with a key or an agent.",
        )
    )


def login_slow(target: LoginTarget, timeout: float, *, asked: bool) -> CutShortError:
    """`asked`: the user answered a question meanwhile."""
    title = f"{target.address} did not answer the login in time"
    advice = (
        f"The server is hung or very slow; connect_timeout in servers.yaml allows more than "
        f"{seconds(timeout)}."
    )
    if asked:
        advice = "If it waited for a confirmation, such as on your telephone, connect again."
    return CutShortError(Problem(title, advice, _USER if asked else _WAIT))


def login_lost(
    target: LoginTarget, detail: str, *, asked: bool, password_pending: bool
) -> CutShortError:
    """The server closed the connection during the login. `asked`: the user answered a question
    meanwhile. `password_pending`: a password was sent and its result is open; it may be wrong, even
    one from the keyring."""
    title = f"{target.address} closed the connection during the login"
    if asked:
        advice = "Connect again; servers give about two minutes to log in."
    elif password_pending:
        advice = (
            "trayconnect sent the password from the keyring, and got no answer. Connect again "
            "yourself: automatic retries could lock the account."
        )
    else:
        advice = "If it happens again, check the server's log."
    return CutShortError(
        Problem(
            title,
            with_server_message(advice, detail),
            _USER if asked or password_pending else _WAIT,
            detail,
        )
    )


def key_file(path: str, what: str, advice: str, detail: str = "") -> ProblemError:
    """An identity file that cannot be used; `what` continues "The key file PATH"."""
    return ProblemError(Problem(f"The key file {path} {what}", advice, _FIX, detail))


def wrong_passphrase(path: str) -> ProblemError:
    title = f"The passphrase for the key file {path} was wrong each time"
    return ProblemError(Problem(title, "Connect again to try another one.", _USER))
