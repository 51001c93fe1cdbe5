"""What can go wrong on the way to a server, as problems for people; the one place for it."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from trayconnect.errors import Problem, ProblemError, Remedy
from trayconnect.tunnel.known_hosts import Entry, HostKey, host_name
from trayconnect.tunnel.target import DEFAULT_PORT, Target

_WAIT, _USER, _FIX = Remedy.WAIT, Remedy.USER, Remedy.FIX

# RFC 4254 section 5.1
OPEN_ADMINISTRATIVELY_PROHIBITED = 1
OPEN_CONNECT_FAILED = 2

_NO_PROGRAM = (126, 127)
"""A shell's status for a program that it cannot run, or find."""

_UNREACHABLE = {
    number
    for name in ("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN", "EADDRNOTAVAIL")
    if (number := getattr(errno, name, None)) is not None
}


def seconds(value: float) -> str:
    """`15 s`, `0.5 s`."""
    return f"{value:g} s"


# --- reaching it --------------------------------------------------------------------------------


def unresolvable(host: str, detail: str) -> ProblemError:
    """The name has no address."""
    advice = "Check the name in servers.yaml; if it is right, check your network or VPN."
    return ProblemError(Problem(f"Cannot find host {host}", advice, _WAIT, detail))


def unconnected(target: Target, timeout: float, error: OSError) -> ProblemError:
    """TCP failed on every address; `error` is the most telling one."""
    where = f"port {target.port}"
    if isinstance(error, ConnectionRefusedError):
        title = f"{target.host} refused the connection on {where}"
        advice = "Check that the server is up, and that its SSH service listens on that port."
    elif isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        title = f"{target.host} did not answer on {where} within {seconds(timeout)}"
        advice = "Check that the server is on, and that no firewall or missing VPN is between."
    elif error.errno == errno.EADDRNOTAVAIL and target.options.bind_address:
        title = f"This machine does not have the address {target.options.bind_address}"
        advice = f"BindAddress of your SSH configuration names it for {target.host}: is a VPN down?"
    elif error.errno in _UNREACHABLE:
        title = f"There is no way to {target.host} from here"
        advice = "Check your network or VPN."
    else:
        title = f"Cannot connect to {target.host} on {where}: {error.strerror or error}"
        advice = "Check the address in servers.yaml, and your network."
    return ProblemError(Problem(title, advice, _WAIT, repr(error)))


def proxy_command_unstartable(target: Target, detail: str) -> ProblemError:
    title = f"The ProxyCommand for {target.host} could not be started"
    advice = "Check the shell that SHELL names, and the limit of processes."
    return ProblemError(Problem(title, advice, _FIX, detail))


def proxy_command_ended(target: Target, status: int, words: Sequence[str]) -> ProblemError:
    """The command of ssh_config(5) that leads to it is over; `words` are its last on stderr."""
    how = f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
    title = f"The ProxyCommand for {target.host} {how}"
    said = "\n".join(f"  {word}" for word in words)
    advice = f"It said:\n{said}" if words else "It said nothing."
    if status in _NO_PROGRAM:
        advice += "\nCheck ProxyCommand in your SSH configuration."
        return ProblemError(Problem(title, advice, _FIX))
    return ProblemError(Problem(title, advice, _WAIT))


def unreachable_through(hop: Target, target: Target, code: int, detail: str) -> ProblemError:
    """A jump host could not, or would not, open the next hop."""
    if code == OPEN_ADMINISTRATIVELY_PROHIBITED:
        title = f"The jump host {hop.address} does not let connections through"
        advice = f"Ask its administrator to allow TCP forwarding to {target.address}."
        return ProblemError(Problem(title, advice, _FIX, detail))
    title = f"The jump host {hop.address} cannot reach {target.address}"
    advice = "Check that address, as seen from the jump host, and that the server is up."
    return ProblemError(Problem(title, advice, _WAIT, detail))


# --- speaking SSH with it -------------------------------------------------------------------------


def silent(target: Target, timeout: float) -> ProblemError:
    title = f"Connected to {target.address}, but no SSH answer within {seconds(timeout)}"
    advice = f"Check that port {target.port} is the SSH port; if it is, the server is hung or busy."
    return ProblemError(Problem(title, advice, _WAIT))


def not_ssh(target: Target, line: str) -> ProblemError:
    """The peer's first line is not SSH's."""
    what = "a web server" if line.startswith(("HTTP/", "<")) else "something else"
    title = f"{target.host} port {target.port} is not an SSH server"
    advice = f"It is {what}; check the port in servers.yaml (SSH is usually on 22)."
    return ProblemError(Problem(title, advice, _FIX, f"it said: {line[:120]!r}"))


def busy(target: Target, detail: str) -> ProblemError:
    title = f"{target.address} is too busy for another login, and closed the connection"
    advice = "Wait a little; if it goes on, the server may be blocking your address."
    return ProblemError(Problem(title, advice, _WAIT, detail))


def hung_up(target: Target, detail: str) -> ProblemError:
    """It closed the connection before it said a word."""
    title = f"{target.address} closed the connection without an SSH answer"
    advice = (
        f"It may be busy, or blocking your address, or no SSH server on port {target.port}. "
        "Check the port, and wait a little."
    )
    return ProblemError(Problem(title, advice, _WAIT, detail))


def handshake_lost(target: Target, detail: str) -> ProblemError:
    title = f"{target.address} closed the connection during the key exchange"
    advice = "Wait a little; if it goes on, look into the server's log."
    return ProblemError(Problem(title, advice, _WAIT, detail))


def handshake_slow(target: Target, timeout: float) -> ProblemError:
    title = f"{target.address} did not finish the key exchange within {seconds(timeout)}"
    advice = "The server or the network is very slow; connect_timeout in servers.yaml allows more."
    return ProblemError(Problem(title, advice, _WAIT))


def handshake_broken(target: Target, detail: str) -> ProblemError:
    """It breaks the protocol: not something that time mends."""
    title = f"{target.address} broke off the key exchange with a protocol error"
    advice = "Something between you and the server may be changing the data; do not log in."
    return ProblemError(Problem(title, advice, _FIX, detail))


def too_old(target: Target, missing: Sequence[str]) -> ProblemError:
    """No algorithm in common."""
    title = f"The SSH server on {target.address} is too old to connect to safely"
    advice = f"Ask its administrator to update it. No common {'; no common '.join(missing)}."
    return ProblemError(Problem(title, advice, _FIX, "; ".join(missing)))


# --- trusting it ----------------------------------------------------------------------------------


def key_changed(target: Target, key: HostKey, stored: Sequence[Entry]) -> ProblemError:
    title = f"The host key of {target.address} has changed"
    on_file = "\n".join(f"  known: {e.key.type} {e.key.fingerprint} ({e.place})" for e in stored)
    name = host_name(target.host, target.port)
    paths = dict.fromkeys(entry.path for entry in stored)
    removal = "\n".join(f'  ssh-keygen -f "{path}" -R "{name}"' for path in paths)
    advice = (
        "Someone may be listening in, or the server was reinstalled. Ask its administrator for "
        "the fingerprint of the new key, by another way than this connection.\n"
        f"{on_file}\n"
        f"  shown now: {key.type} {key.fingerprint}\n"
        f"Only if that is the one, remove the old key and connect again:\n{removal}"
    )
    return ProblemError(Problem(title, advice, _FIX, f"{key.type} {key.fingerprint}"))


def key_revoked(target: Target, key: HostKey, entry: Entry) -> ProblemError:
    title = f"The host key of {target.address} is revoked"
    advice = (
        f"It is marked @revoked in {entry.place}: whoever holds it may not be the server. "
        "Ask its administrator for a new host key."
    )
    return ProblemError(Problem(title, advice, _FIX, f"{key.type} {key.fingerprint}"))


# --- logging in -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tried:
    """What a login came to, each thing in words that follow "Tried: ".

    `untried` are keys that were left, because servers end a login after a number of tries;
    `skipped` those that could not be used, and why; `says` are the server's own words."""

    tried: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    says: str = ""

    def __str__(self) -> str:
        lines = [f"Tried: {_listed(self.tried)}." if self.tried else _NOTHING]
        if self.untried:
            lines.append(
                f"Not tried: {_listed(self.untried)}; servers end a login after too many. Name "
                "the right one as auth.identity_file in servers.yaml."
            )
        if self.skipped:
            lines.append(f"Passed over: {_listed(self.skipped, '; ')}.")
        if self.says:
            lines.append(f"The server says: {' '.join(self.says.split())[:300]}")
        return "\n".join(lines)


_NOTHING = "There was nothing to log in with."
_LISTED = 8


def _listed(names: Sequence[str], joint: str = ", ") -> str:
    more = f"{joint}and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return joint.join(names[:_LISTED]) + more


def login_refused(target: Target, account: Tried, allowed: Sequence[str]) -> ProblemError:
    """Every way that we have was refused. `allowed`: the server's names of methods."""
    title = f"{target.host} refused the login of {target.username}"
    takes = f"The server takes: {', '.join(allowed) or 'nothing that it names'}."
    if account.untried:
        hint = ""
    elif not set(allowed) & {"password", "keyboard-interactive"} and "publickey" in allowed:
        hint = (
            "Add your public key to its authorized_keys; or name the right key as identity_file, "
            f"or paste it: trayconnect add-key “{target.server}”"
        )
    else:
        hint = "Check the username, and the key or password."
    return ProblemError(Problem(title, f"{account}\n{takes} {hint}".rstrip(), _USER))


def too_many_tries(target: Target, account: Tried) -> ProblemError:
    title = f"{target.host} ended the login of {target.username} after too many tries"
    hint = "" if account.untried else "Name the right key as auth.identity_file in servers.yaml."
    return ProblemError(Problem(title, f"{account}\n{hint}".rstrip(), _USER))


def password_expired(target: Target, prompt: str = "") -> ProblemError:
    """`prompt`: the server's words."""
    title = f"The password of {target.account} has expired"
    port = "" if target.port == DEFAULT_PORT else f"-p {target.port} "
    advice = (
        f"Log in once in a terminal, and set a new one: ssh {port}{target.username}@{target.host}"
    )
    return ProblemError(Problem(title, advice, _USER, prompt))


def login_slow(target: Target, timeout: float, *, asked: bool) -> ProblemError:
    """`asked`: the user had to answer something meanwhile."""
    title = f"{target.address} did not answer the login in time"
    advice = (
        f"The server is hung or very slow; connect_timeout in servers.yaml allows more than "
        f"{seconds(timeout)}."
    )
    if asked:
        advice = "If it waited for a confirmation, such as on your telephone, connect again."
    return ProblemError(Problem(title, advice, _USER if asked else _WAIT))


def login_lost(target: Target, detail: str, *, asked: bool) -> ProblemError:
    """The server went away amid the login; `asked`: the user had to answer something meanwhile."""
    title = f"{target.address} closed the connection during the login"
    advice = "Connect again; servers give about two minutes to log in."
    if not asked:
        advice = "Look into the server's log if it goes on."
    return ProblemError(Problem(title, advice, _USER if asked else _WAIT, detail))


# --- using it -------------------------------------------------------------------------------------


def lost(target: Target, detail: str) -> ProblemError:
    """It was up."""
    title = f"The connection to {target.address} was lost"
    advice = "The server or a network between ended it."
    return ProblemError(Problem(title, advice, _WAIT, detail))


def unresponsive(target: Target, timeout: float) -> ProblemError:
    """It was up, and the heartbeat went unanswered."""
    title = f"{target.address} stopped answering"
    advice = f"Nothing came for {seconds(timeout)}: the server hangs, or the network is down."
    return ProblemError(Problem(title, advice, _WAIT))


def not_forwarded(target: Target, host: str, port: int, code: int, detail: str) -> ProblemError:
    """The server did not open the channel to `host`:`port`; `code` as in RFC 4254 section 5.1."""
    if code == OPEN_ADMINISTRATIVELY_PROHIBITED:
        title = f"The administrator of {target.host} forbids forwarding to {host}:{port}"
        advice = "Ask for AllowTcpForwarding (and PermitOpen) in the server's sshd_config."
        return ProblemError(Problem(title, advice, _FIX, detail))
    if code == OPEN_CONNECT_FAILED:
        title = f"Nothing answers on {host}:{port} at {target.host}"
        advice = "SSH is up; start the service there, or correct its host and port in servers.yaml."
        return ProblemError(Problem(title, advice, _WAIT, detail))
    title = f"{target.host} could not open a channel to {host}:{port}"
    return ProblemError(Problem(title, "Try again in a moment.", _WAIT, detail))


def channel_slow(target: Target, what: str, timeout: float) -> ProblemError:
    title = f"{target.host} did not open {what} within {seconds(timeout)}"
    advice = "The address may be unreachable from the server, or the server hangs."
    return ProblemError(Problem(title, advice, _WAIT))


def command_refused(target: Target) -> ProblemError:
    title = f"{target.host} does not run commands for {target.username}"
    advice = "Set jupyter.port to a number in servers.yaml, so that none is needed."
    return ProblemError(Problem(title, advice, _FIX))


def command_slow(target: Target, timeout: float) -> ProblemError:
    title = f"A command on {target.host} did not end within {seconds(timeout)}"
    return ProblemError(Problem(title, "The server is very slow, or hangs.", _WAIT))


# --- key files ------------------------------------------------------------------------------------


def key_file(path: str, what: str, advice: str, detail: str = "") -> ProblemError:
    """An identity file that cannot be used; `what` continues "The key file PATH"."""
    return ProblemError(Problem(f"The key file {path} {what}", advice, _FIX, detail))


def wrong_passphrase(path: str) -> ProblemError:
    title = f"The passphrase for the key file {path} was wrong each time"
    return ProblemError(Problem(title, "Connect again to try another one.", _USER))


def telling(errors: Sequence[OSError]) -> OSError:
    """Of the failures of several addresses, the one to report: refusal says most."""
    for kind in (ConnectionRefusedError, TimeoutError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[-1] if errors else TimeoutError()
