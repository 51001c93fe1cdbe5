"""User-facing connection errors."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Completed, NotEndedError, NotOpenedError, Refusal
from trayconnect.ssh.target import DEFAULT_PORT, LoginTarget

# Messages of the resolvers of OpenSSH's systems, of dropbear, and of Go.
_UNRESOLVED = re.compile(
    "not known|name resolution|nodename nor servname|no address associated|no such host|resolv",
    re.IGNORECASE,
)
_WAIT, _USER, _FIX = Recovery.RETRY, Recovery.USER_ACTION, Recovery.FIX_FIRST

# RFC 4254 section 5.1
OPEN_ADMINISTRATIVELY_PROHIBITED = 1
OPEN_CONNECT_FAILED = 2
OPEN_UNKNOWN_CHANNEL_TYPE = 3

_DAMAGE = ("Mismatched MAC", "InvalidTag", "Invalid packet", "orrupted MAC", "acket corrupt")
"""Messages about a damaged packet: paramiko's, and those of a server that received one."""

SERVER_REASON = "the server said: "
"""Introduces the server's reason for a disconnection."""

_UNREACHABLE = {
    number
    for name in ("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN", "EADDRNOTAVAIL")
    if (number := getattr(errno, name, None)) is not None
}


def seconds(value: float) -> str:
    """`15 s`, `0.5 s`."""
    return f"{value:g} s"


class CutShortError(ProblemError):
    """The answer did not come in time, or the connection ended during it. A middlebox on the route
    may be the cause."""


class SilentError(CutShortError):
    """Nothing was received at all."""


# --- reaching it --------------------------------------------------------------------------------


def unresolvable(host: str, detail: str) -> ProblemError:
    """The name has no address."""
    advice = "Check the name in servers.yaml; if it is right, check your network or VPN."
    return ProblemError(Problem(f"Cannot find host {host}", advice, _WAIT, detail))


def unconnected(target: LoginTarget, timeout: float, error: OSError) -> ProblemError:
    """TCP failed on every address; `error` is the most informative one."""
    where = f"port {target.port}"
    if isinstance(error, ConnectionRefusedError):
        title = f"{target.host} refused the connection on {where}"
        advice = "Check that the server is up, and that its SSH service listens on that port."
    elif isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        title = f"{target.host} did not answer on {where} within {seconds(timeout)}"
        advice = "Check that the server and your VPN are up, and that no firewall blocks the port."
    elif error.errno == errno.EADDRNOTAVAIL and target.options.bind_address:
        title = f"This machine does not have the address {target.options.bind_address}"
        advice = f"BindAddress of your SSH configuration names it for {target.host}: is a VPN down?"
    elif error.errno in _UNREACHABLE:
        title = f"No route to {target.host}"
        advice = "Check your network or VPN."
    else:
        title = f"Cannot connect to {target.host} on {where}: {error.strerror or error}"
        advice = "Check the address in servers.yaml, and your network."
    return ProblemError(Problem(title, advice, _WAIT, repr(error)))


def unreachable_through(
    hop: LoginTarget, target: LoginTarget, code: int, detail: str
) -> ProblemError:
    """A jump host refused to open the next hop, or failed to."""
    if code == OPEN_ADMINISTRATIVELY_PROHIBITED:
        title = f"The jump host {hop.address} does not let connections through"
        advice = f"Ask its administrator to allow TCP forwarding to {target.address}."
        return ProblemError(Problem(title, advice, _FIX, detail))
    return ProblemError(_unreachable(hop, target, detail))


def unanswered_through(hop: LoginTarget, target: LoginTarget, detail: str) -> CutShortError:
    """A jump host did not answer in time whether it opens the next hop."""
    return CutShortError(_unreachable(hop, target, detail))


def _unreachable(hop: LoginTarget, target: LoginTarget, detail: str) -> Problem:
    title = f"The jump host {hop.address} cannot reach {target.address}"
    advice = "Check that address, as seen from the jump host, and that the server is up."
    return Problem(title, advice, _WAIT, detail)


def _with_server_message(advice: str, detail: str) -> str:
    """Add the server's last message, which may be the reason."""
    return (
        f"{advice}\nThe server said: {detail[len(SERVER_REASON) :]}"
        if detail.startswith(SERVER_REASON)
        else advice
    )


# --- the SSH handshake -------------------------------------------------------------------------


def unproven(problem: Problem) -> Problem:
    """The same problem, before anything proved the peer to be the server; no login was sent. On
    another network another machine may have its address, or a captive portal may answer for it."""
    return replace(problem, recovery=Recovery.NETWORK) if problem.recovery is _FIX else problem


def silent(target: LoginTarget, timeout: float) -> CutShortError:
    title = f"Connected to {target.address}, but no SSH answer within {seconds(timeout)}"
    advice = f"Check that port {target.port} is the SSH port; if it is, the server is hung or busy."
    return SilentError(Problem(title, advice, _WAIT))


def not_ssh(target: LoginTarget, line: str) -> ProblemError:
    """The peer's first line is not SSH's."""
    title = f"{target.host} port {target.port} is not an SSH server"
    if line.startswith(("HTTP/", "<")):
        what = "A web server answers: perhaps this network requires a login in your browser first."
    else:
        what = "Another machine may have this address on this network."
    advice = f"{what} If not, check the port in servers.yaml (SSH is usually on 22)."
    return ProblemError(Problem(title, advice, _FIX, f"it said: {line[:120]!r}"))


def busy(target: LoginTarget, detail: str, *, wait: float = 0.0) -> CutShortError:
    """`wait`: the server's penalty in seconds, if it names one."""
    title = f"{target.address} is too busy for another login, and closed the connection"
    advice = "Wait a moment. If it happens again, the server may be blocking your address."
    return CutShortError(Problem(title, advice, _WAIT, detail, wait))


def hung_up(target: LoginTarget, detail: str) -> CutShortError:
    """The peer closed the connection before it sent anything."""
    title = f"{target.address} closed the connection without an SSH answer"
    advice = (
        f"It may be busy, it may be blocking your address, or port {target.port} may not be its "
        "SSH port. Check the port, and wait a moment."
    )
    return CutShortError(Problem(title, advice, _WAIT, detail))


def handshake_lost(target: LoginTarget, detail: str) -> CutShortError:
    title = f"{target.address} closed the connection during the key exchange"
    advice = "Wait a moment. If it happens again, check the server's log."
    return CutShortError(Problem(title, _with_server_message(advice, detail), _WAIT, detail))


def handshake_slow(target: LoginTarget, timeout: float) -> CutShortError:
    title = f"{target.address} did not finish the key exchange within {seconds(timeout)}"
    advice = "The server or the network is very slow; connect_timeout in servers.yaml allows more."
    return CutShortError(Problem(title, advice, _WAIT))


# --- authentication ----------------------------------------------------------------------------


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
            f"or paste it: trayconnect add-key “{target.server}”"
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
            _with_server_message(advice, detail),
            _USER if asked or password_pending else _WAIT,
            detail,
        )
    )


# --- the established link ----------------------------------------------------------------------


def lost(target: LoginTarget, detail: str) -> ProblemError:
    """The link was up."""
    title = f"The connection to {target.address} was lost"
    advice = "The server, or a network in between, ended it."
    if any(sign in detail for sign in _DAMAGE):
        title = f"The connection to {target.address} was cut: a packet arrived damaged"
        advice = (
            "A faulty network device (router, VPN, cable, memory) changed it, or somebody is "
            "tampering with it. If it happens again, try another network."
        )
    return ProblemError(Problem(title, _with_server_message(advice, detail), _WAIT, detail))


def unresponsive(target: LoginTarget, silence: float) -> ProblemError:
    """The link was up, and keepalive requests went unanswered; `silence` is measured, in
    seconds."""
    kind = "The jump host " if target.is_jump_host else ""
    title = f"{kind}{target.address} stopped answering"
    advice = (
        f"Nothing came for {seconds(round(silence, 1))}: the server hangs, or the network is down."
    )
    return ProblemError(Problem(title, advice, _WAIT))


def not_forwarded(target: LoginTarget, where: Endpoint, code: int, detail: str) -> NotOpenedError:
    """The server did not open the channel to `where`; `code` as in RFC 4254 section 5.1."""
    is_tcp = isinstance(where, TcpEndpoint)
    if code == OPEN_ADMINISTRATIVELY_PROHIBITED:
        title = f"The administrator of {target.host} forbids forwarding to {where}"
        option = "AllowTcpForwarding (and PermitOpen)" if is_tcp else "AllowStreamLocalForwarding"
        advice = f"Ask for {option} in the server's sshd_config."
        return NotOpenedError(Problem(title, advice, _FIX, detail), Refusal.FORBIDDEN)
    if code == OPEN_CONNECT_FAILED:
        title = f"Nothing answers on {where} at {target.host}"
        if is_tcp:
            advice = (
                "SSH is up; start the service there, or correct its host and port in servers.yaml."
            )
        else:  # sshd gives the same message for a forbidden port
            advice = (
                "SSH is up; start the service there, or correct its path in servers.yaml; or the "
                "server's sshd_config forbids it (AllowStreamLocalForwarding)."
            )
        if isinstance(where, TcpEndpoint) and _UNRESOLVED.search(detail):
            return NotOpenedError(_unknown_name(target, where), Refusal.UNRESOLVED)
        refusal = Refusal.REFUSED if "refused" in detail else Refusal.UNREACHABLE
        return NotOpenedError(Problem(title, advice, _WAIT, detail), refusal)
    if code == OPEN_UNKNOWN_CHANNEL_TYPE and not is_tcp:
        title = f"The SSH server on {target.address} cannot forward to UNIX sockets"
        advice = "This requires OpenSSH 6.7 or newer there; or let the service listen on a port."
        return NotOpenedError(Problem(title, advice, _FIX, detail), Refusal.OTHER)
    title = f"{target.host} could not open a channel to {where}"
    return NotOpenedError(Problem(title, "Try again in a moment.", _WAIT, detail), Refusal.OTHER)


def _unknown_name(target: LoginTarget, where: TcpEndpoint) -> Problem:
    return Problem(
        f"{target.host} does not know a host named {where.host}",
        "Correct the name in servers.yaml, or write the full one, or the address. Some compute "
        "nodes are known only while their job runs.",
        _WAIT,
    )


def not_listening(target: LoginTarget, where: Endpoint) -> Problem:
    """The server refused a remote forward; the protocol carries no reason."""
    if not isinstance(where, TcpEndpoint):
        return Problem(
            f"{target.host} refused to listen on {where}",
            "The file may be there already, from an earlier connection too (StreamLocalBindUnlink "
            "in its sshd_config removes it), its folder may not be yours, or "
            "AllowStreamLocalForwarding forbids it.",
        )
    place = str(where.port) if where.host == "localhost" else str(where)
    reasons = ["another program, or an earlier connection that has not ended there, may hold it"]
    if 0 < where.port < 1024:
        reasons = ["only the administrator can use ports below 1024"]
    if where.host != "localhost":
        reasons.append("another bind address requires GatewayPorts")
    reasons.append("AllowTcpForwarding or PermitListen in its sshd_config may forbid it")
    advice = "; ".join(reasons)
    return Problem(
        f"{target.host} refused to listen on port {place.lstrip(':')}",
        f"{advice[0].upper()}{advice[1:]}.",
    )


def channel_slow(target: LoginTarget, what: str, timeout: float) -> ProblemError:
    title = f"{target.host} did not open {what} within {seconds(timeout)}"
    advice = "The address may be unreachable from the server, or the server hangs."
    return ProblemError(Problem(title, advice, _WAIT))


class NoCommandsError(ProblemError):
    """The server runs no command, or no further one at the same time (MaxSessions)."""


def command_refused(target: LoginTarget) -> NoCommandsError:
    title = f"{target.host} does not run commands for {target.username}"
    advice = "Set jupyter.port to a number in servers.yaml, so that none is needed."
    return NoCommandsError(Problem(title, advice, _FIX))


def command_slow(
    target: LoginTarget, timeout: float, so_far: Completed | None = None
) -> NotEndedError:
    title = f"A command on {target.host} did not end within {seconds(timeout)}"
    problem = Problem(title, "The server is very slow, or it hangs.", _WAIT)
    return NotEndedError(problem, so_far or Completed(-1, b"", b""))


# --- key files ------------------------------------------------------------------------------------


def key_file(path: str, what: str, advice: str, detail: str = "") -> ProblemError:
    """An identity file that cannot be used; `what` continues "The key file PATH"."""
    return ProblemError(Problem(f"The key file {path} {what}", advice, _FIX, detail))


def wrong_passphrase(path: str) -> ProblemError:
    title = f"The passphrase for the key file {path} was wrong each time"
    return ProblemError(Problem(title, "Connect again to try another one.", _USER))


def most_informative(errors: Sequence[OSError]) -> OSError:
    """The most informative of the failures of several addresses: a refusal says most."""
    for kind in (ConnectionRefusedError, TimeoutError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[-1] if errors else TimeoutError()
