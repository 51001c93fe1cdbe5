"""User-facing connection errors."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import replace

from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Completed, NotEndedError, NotOpenedError, Refusal
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.offered_algorithms import Mismatch

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

_KEYWORDS = {
    "key exchange": "KexAlgorithms",
    "host key": "HostKeyAlgorithms (with such a HostKey)",
    "cipher": "Ciphers",
    "MAC": "MACs",
}

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
        title = f"{_through(hop)} {hop.address} does not let connections through"
        advice = f"Ask its administrator to allow TCP forwarding to {target.address}."
        return ProblemError(Problem(title, advice, _FIX, detail))
    return ProblemError(_unreachable(hop, target, detail))


def unanswered_through(hop: LoginTarget, target: LoginTarget, detail: str) -> CutShortError:
    """A jump host did not answer in time whether it opens the next hop."""
    return CutShortError(_unreachable(hop, target, detail))


def _unreachable(hop: LoginTarget, target: LoginTarget, detail: str) -> Problem:
    title = f"{_through(hop)} {hop.address} cannot reach {target.address}"
    advice = "Check that address, as seen from there, and that the server is up."
    return Problem(title, advice, _WAIT, detail)


def _through(hop: LoginTarget) -> str:
    """What a hop is on the way to the next one: a jump host, or where a job was submitted."""
    return "The jump host" if hop.is_jump_host else "The login node"


def with_server_message(advice: str, detail: str) -> str:
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
    return CutShortError(Problem(title, with_server_message(advice, detail), _WAIT, detail))


def handshake_slow(target: LoginTarget, timeout: float) -> CutShortError:
    title = f"{target.address} did not finish the key exchange within {seconds(timeout)}"
    advice = "The server or the network is very slow; connect_timeout in servers.yaml allows more."
    return CutShortError(Problem(title, advice, _WAIT))


def protocol_error(target: LoginTarget, detail: str) -> ProblemError:
    """The server violates the protocol: retrying does not help."""
    title = f"{target.address} broke off the key exchange with a protocol error"
    advice = "Something between you and the server may be changing the data; do not log in."
    return ProblemError(Problem(title, advice, _FIX, detail))


def old_protocol(target: LoginTarget, version: str) -> ProblemError:
    title = f"The SSH server on {target.address} is too old to connect to safely"
    advice = f"Ask its administrator to update it: it speaks {version}."
    return ProblemError(Problem(title, advice, _FIX, version))


def nothing_in_common(target: LoginTarget, mismatches: Sequence[Mismatch]) -> ProblemError:
    """No algorithm in common, in one or more lists."""
    mismatch_list = "; ".join(map(str, mismatches))
    if any(mismatch.ruled_out for mismatch in mismatches):
        title = f"Your SSH configuration excludes every algorithm of {target.address}"
        advice = f"Correct its lists of algorithms for this host. No common {mismatch_list}."
        return ProblemError(Problem(title, advice, _FIX, mismatch_list))
    unsupported = [mismatch for mismatch in mismatches if mismatch.unsupported]
    if unsupported:
        title = f"trayconnect lacks an algorithm that {target.address} insists on"
        advice = " ".join(map(_advice, unsupported))
    else:
        title = f"The SSH server on {target.address} is too old to connect to safely"
        advice = f"Ask its administrator to update it. No common {mismatch_list}."
    names = [mismatch.legacy for mismatch in mismatches if mismatch.legacy]
    if len(names) == len(mismatches) and not target.is_jump_host:
        advice += (
            "\nUntil then, if you trust the network in between, this line in its entry of "
            "servers.yaml allows old, weak algorithms for it:\n"
            f"  legacy: [{', '.join(dict.fromkeys((*target.legacy, *names)))}]"
        )
    return ProblemError(Problem(title, advice, _FIX, mismatch_list))


def _advice(mismatch: Mismatch) -> str:
    return (
        f"Its only safe {mismatch.kind} algorithm is {', '.join(mismatch.unsupported)}, and "
        f"trayconnect does not have it. Ask its administrator to add {mismatch.acceptable[0]} to "
        f"{_KEYWORDS[mismatch.kind]} in its sshd_config."
    )


def nothing_left(target: LoginTarget, keyword: str, acceptable: Sequence[str]) -> ProblemError:
    """ssh_config(5) names no algorithm that is supported and allowed."""
    title = f"{keyword} in your SSH configuration leaves no usable algorithm for {target.address}"
    advice = (
        f"It names {', '.join(acceptable)}, which trayconnect does not support or considers "
        "unsafe. Add a newer one, or remove the line for this host."
    )
    return ProblemError(Problem(title, advice, _FIX, f"{keyword} {','.join(acceptable)}"))


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
    return ProblemError(Problem(title, with_server_message(advice, detail), _WAIT, detail))


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


def most_informative(errors: Sequence[OSError]) -> OSError:
    """The most informative of the failures of several addresses: a refusal decides."""
    for kind in (ConnectionRefusedError, TimeoutError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[-1] if errors else TimeoutError()
