"""To a job's node by a channel to a port of it, where the relay of the job listens.

Any user of the node could listen on a port after the job's end, so the relay there proves that it
knows a secret that only the account can read, as this end does: see `relay.far_serve`. The address
is a part of both proofs, so that nobody on another host can stand between them: names are resolved
on the login node, and the channel leads to a number; or, where the login node forbids that
(PermitOpen compares words), to a name that has no other address there. What goes between the login
node and the node is not encrypted, as the secret itself is not on its way to a home that nodes
share: the network of the cluster must be trusted."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import shlex
import time
from collections.abc import Mapping, Sequence

from trayconnect.config.host_syntax import host_fault
from trayconnect.core import remote_script, sanitize
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import TcpEndpoint, unmapped
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import ByteStream, Link, LostError, NotOpenedError, Refusal
from trayconnect.core.threads import deadline
from trayconnect.services.batch.reach import REACH_LIMIT, Destination, OnLost
from trayconnect.services.batch.relay.frames import proof
from trayconnect.services.batch.relay.relay_link import open_relay
from trayconnect.services.batch.told import NOT_OURS, enter_folder

_READ_SECONDS = 15.0
_PROOF_SECONDS = 5.0
_TRIES = 4
"""At each address: where many connect, the relay drops any of those who have proven nothing."""
_NO_ORIGIN = ("127.0.0.1", 0)
_HELLO = b"@@trayconnect node 1 "
_LONGEST = 200
_MARK = "@@relay"
_NAME = "@@name"
_ADDRESS = "@@address"
_is_port = re.compile(r"[1-9][0-9]{0,4}").fullmatch


def open_direct(to: Destination, login: Link, cancel: CancelToken, on_lost: OnLost) -> Link:
    """An `OpenWay`."""
    node = to.job.node or "the node"
    if not to.job.is_ours or to.files is None:
        title = f"Only a job that trayconnect has submitted lets it in on a port of {node}"
        raise ProblemError(Problem(title, "", Recovery.RETRY))
    until = time.monotonic() + REACH_LIMIT - 1.0
    port, secret, known = _told(to, login)
    addresses = numbers([*(address for found in known.values() for address in found), *known])
    problem = Problem(f"The login node knows no address of {node}", "", Recovery.RETRY)
    silent: set[str] = set()
    for address in addresses * _TRIES:
        cancel.check()
        if time.monotonic() > until:
            break
        if address in silent:
            continue
        try:
            stream = _channel(login, port, (address, *names_of(address, known)))
        except LostError:
            raise
        except ProblemError as error:
            problem = error.problem
            silent.add(address)
            continue
        try:
            with cancel.releasing(stream.close), deadline(_PROOF_SECONDS, stream.close):
                rest = _prove(stream, address, port, secret)
        except (OSError, EOFError, _FalseError) as error:
            stream.close()
            cancel.check()
            problem = _not_ours(f"{node} ({address})", port, str(error))
            if isinstance(error, _FalseError):
                silent.add(address)
            continue
        except BaseException:
            stream.close()
            raise
        return open_relay(
            stream,
            b"",
            node,
            keepalive=to.server.keepalive,
            seconds=max(_PROOF_SECONDS, until - time.monotonic()),
            cancel=cancel,
            on_lost=on_lost,
            heard=rest,
        )
    raise ProblemError(problem)


def _channel(login: Link, port: int, hosts: Sequence[str]) -> ByteStream:
    """To the first of the hosts that the login node does not forbid. Raises `ProblemError`."""
    for host in hosts[:-1]:
        try:
            return login.open_channel(TcpEndpoint(host, port), _NO_ORIGIN)
        except NotOpenedError as error:
            if error.refusal is not Refusal.FORBIDDEN:
                raise
    return login.open_channel(TcpEndpoint(hosts[-1], port), _NO_ORIGIN)


def _told(to: Destination, login: Link) -> tuple[int, bytes, dict[str, list[str]]]:
    """The port and the secret, from the job's folder, and the addresses of each name of its node,
    as the login node knows them. Raises `ProblemError`."""
    names = [name for name in to.job.nodes if not host_fault(name) and not name.startswith("-")]
    script = (
        "main() {\n"
        f"{enter_folder(to.server.name, to.job.id)}\n"
        "umask 077\n"
        f"for name in {shlex.join(names)}; do\n"
        f'    printf "\\n{_NAME} %s\\n" "$name"\n'
        '    { timeout 3 getent ahosts "$name" || timeout 3 getent hosts "$name"; } |\n'
        f"        sed 's/^ *\\([^ ]*\\).*/{_ADDRESS} \\1/'\n"
        "done\n"
        # The relay listens from now on. The job looks for this, and a home may lag.
        "[ -e wanted ] || : >wanted\n"
        "began=$(date +%s)\n"
        "until [ -s relay ]; do\n"
        "    waited=$(($(date +%s) - began))\n"
        '    [ "$waited" -lt 9 ] || break\n'
        '    [ "$waited" -lt 2 ] || [ -e relay.py ] || break\n'
        "    sleep 0.2 || sleep 1; ls >/dev/null\n"
        "done\n"
        f'printf "\\n{_MARK} %s\\n" "$(cat relay)"\n'
        "}\n"
        "main </dev/null"
    )
    said = login.execute(remote_script.COMMAND, remote_script.stdin(script), _READ_SECONDS)
    if NOT_OURS.encode() in said.stderr:
        advice = (
            "It is below trayconnect/jobs in ~/.local/state. Take the others' rights there away"
        )
        raise ProblemError(Problem(NOT_OURS, advice, Recovery.RETRY))
    known: dict[str, list[str]] = {}
    found: list[str] = []
    for line in said.stdout.decode(errors="replace").splitlines():
        match line.split():
            case [mark, name] if mark == _NAME:
                found = known[name] = []
            case [mark, address] if mark == _ADDRESS:
                found.append(address)
            case [mark, port, secret] if mark == _MARK and _is_port(port) and len(secret) == 64:
                return int(port), secret.encode(), known
    title = (
        f"The job on {to.job.node} has opened no port: its 'reach' was another, or it has no Python"
    )
    raise ProblemError(Problem(title, "Choose New job to submit another.", Recovery.RETRY))


def numbers(words: Sequence[str]) -> tuple[str, ...]:
    """The numeric addresses among them that lead to one other host, each once, in their order."""
    found: dict[str, None] = {}
    for word in words:
        try:
            address = unmapped(ipaddress.ip_address(word))
        except ValueError:
            continue
        leads_here = address.is_loopback or address.is_unspecified
        if not (leads_here or address.is_link_local or address.is_multicast):
            found[str(address)] = None
    return tuple(found)


def names_of(address: str, known: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The names that lead to that address, and to no other one."""
    return tuple(name for name, found in known.items() if name != address and {*found} == {address})


class _FalseError(Exception):
    """What answers does not know the secret, or is at another address."""


def _prove(stream: ByteStream, address: str, port: int, secret: bytes) -> bytes:
    """Prove to the relay that this end knows the secret, and have it proven by the relay; what
    comes behind that. Raises `_FalseError`, and OSError where it hangs up."""
    hello, rest = _line(stream, b"")
    theirs = hello[len(_HELLO) :]
    if not hello.startswith(_HELLO) or len(theirs) != 64 or rest:
        raise _FalseError(f"it said {sanitize.line(hello, 60)!r}")
    ours = secrets.token_hex(32).encode()
    said = theirs + b" " + ours
    stream.sendall(ours + b" " + proof(secret, b"client", said, address.encode(), port) + b"\n")
    shown, rest = _line(stream, b"")
    if not hmac.compare_digest(shown, proof(secret, b"node", said, address.encode(), port)):
        raise _FalseError("its proof is false")
    return rest


def _line(stream: ByteStream, data: bytes) -> tuple[bytes, bytes]:
    while b"\n" not in data:
        if len(data) > _LONGEST:
            raise _FalseError(f"it said {sanitize.line(data, 60)!r}")
        more = stream.recv(4096)
        if not more:
            raise EOFError("it hung up")
        data += more
    line, _, rest = data.partition(b"\n")
    return line, rest


def _not_ours(name: str, port: int, detail: str) -> Problem:
    title = f"What listens on port {port} of {name} is not the job's"
    return Problem(title, "Nothing is sent there.", Recovery.RETRY, detail)
